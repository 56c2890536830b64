"""The training loop: CPT over the mix, evaluated on both sides, resumable bit for bit."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch

from engine.artifacts.training import RateTrial, TrainArtifact
from engine.errors import InputError, Interrupted
from engine.files import digest, write_json
from engine.gate.arms import steps_of
from engine.gate.forgetting import guard_state
from engine.recipe.defaults import default_lr, default_rank
from engine.runs.events import CheckpointSaved, Control, Facts
from engine.worker.job.context import Context
from engine.worker.model import base as models
from engine.worker.model import methods, proof
from engine.worker.model.precision import run_precision
from engine.worker.packing.mix import Mix
from engine.worker.scoring import self_check
from engine.worker.step import memory
from engine.worker.step.optimizer import learning_rate, make_optimizer
from engine.worker.step.parallel import spread
from engine.worker.step.rows import Rows
from engine.worker.step.step import Stepper, mean_loss
from engine.worker.train import kernels
from engine.worker.train.checkpoint import Checkpoints, collect, load_weights, restore
from engine.worker.train.lr_pilot import LrPilot, embeddings_scale
from engine.worker.train.monitor import Taken, Watch
from engine.worker.train.samples import Samples
from engine.worker.vocabulary.stage import Extended
from engine.worker.vocabulary.training import NewRows

MICRO_BATCH = "micro_batch.json"
MEMORY = "memory.json"
MEMORY_STEPS = 3
"""Steps after which the measured peak is said: AdamW's state is there from the second on."""


@dataclass
class Training:
    """One CPT run in this process."""

    context: Context
    base: models.Base
    mix: Mix
    heldout: tuple[Rows, Rows]
    """Domain and generic held-out rows."""
    tokens_in_corpus: int
    identity: dict[str, str]
    extended: Extended | None = None
    """The new tokens, where the recipe asks for some."""
    tokens: int = 0
    step: int = 0
    saved: int = -1
    """Step of the newest checkpoint made here."""
    trials: list[RateTrial] = field(default_factory=list)
    """Of the learning-rate pilot, where the recipe asks for one."""

    def __post_init__(self) -> None:
        self.watch = Watch(self.context, self.mix.steps)

    def run(self) -> TrainArtifact:
        """Train to the end and save the model; returns the stage's artifact."""
        self._build()
        self.samples.begin(self.identity)
        self._facts()
        self._resume()
        self.context.ranks.step = self.step
        self.watch.listen()
        self.peak, first = memory.Peak(), self.step
        try:
            self._evaluate_if_due()
            self._measure_if_due()
            self.watch.begin(self.step)
            while self.step < self.mix.steps:
                self._controls()
                self._end_if(self.watch.step(self._advance()))
                if self.step == first + MEMORY_STEPS and self.context.ranks.first:
                    self._compare_memory()
                self._evaluate_if_due()
                self._measure_if_due()
                self._save_if_due()
            self._save()
        finally:
            self.watch.end()
        return self._finish()

    def _load(self) -> tuple[torch.nn.Module, str]:
        """The model as it is trained, and its method in words."""
        recipe, train = self.context.recipe, self.context.recipe.train
        model = methods.load(self.base, recipe)
        self.parameters = models.count(model)
        self.precision = run_precision(self.context, self.base, model)
        self.paths = self_check.prove(self.context, self.base, model, self.precision)
        rank, why = default_rank(recipe.lora.rank, self.tokens_in_corpus)
        model = methods.ready(model, recipe, rank, train.seed)
        return model, methods.describe(recipe, rank, why)

    def _build(self) -> None:
        recipe, train = self.context.recipe, self.context.recipe.train
        ranks = self.context.ranks
        model, self.method = self._load()
        self.lr, self.lr_why = default_lr(train.method, train.lr, self.parameters)
        self.checkpoints = Checkpoints(
            self.context.run.checkpoints,
            train.keep_last,
            train.keep_best,
            frozenset(steps_of(recipe.arms.checkpoints, self.mix.steps)),
        )
        if ranks.first:
            self.checkpoints.predict_space(model)
        micro = self._plan(model)
        if train.lr_pilot and ranks.first:
            micro = self._pilot_lr(model, micro)
        ranks.begin(self.identity)
        if train.lr_pilot:
            self.lr = ranks.tell(self.lr)
            self.identity = {**self.identity, "learning rate": f"{self.lr:g}"}
        self.model, self.spread = model, spread(model, ranks, recipe.launch.strategy)
        scale = embeddings_scale(train.embeddings_lr, self.lr)
        optimizer = make_optimizer(model, self.lr, train.weight_decay, train.betas, scale)
        micro = min(ranks.least(micro), -(-self.mix.batch_rows // ranks.world))
        micro = min(micro, self.context.scratch(MICRO_BATCH) or micro)
        self.stepper = Stepper(
            model, optimizer, self.precision, train.clip, micro, self._oom, self.spread
        )
        self.new = (
            None
            if self.extended is None
            else NewRows(self.extended, recipe, self.spread, optimizer, self.mix.steps, self.lr)
        )
        if self.new:
            self.stepper.mask = self.new.mask
        steps = self.mix.steps
        self.warmup = min(max(10, round(train.warmup * steps)), max(1, steps // 4))
        self.eval_every = train.eval_every or max(1, steps // 20)
        self.checkpoint_every = train.checkpoint_every or max(1, steps // 10)
        self.kernels = kernels.turn_on(self.context, self.spread, self.mix, micro, self.precision)
        off = "off: fsdp2 shards the model" if self.spread.sharded else ""
        self.samples = Samples(
            self.context, self.base, model, self.precision, self.heldout, self._check_alone, off=off
        )

    def _plan(self, model: torch.nn.Module) -> int:
        """Predict a step's memory; returns the rows of a micro-batch."""
        train, share = self.context.recipe.train, 1 / self.context.ranks.here
        length, most = self.mix.domain.length, self.mix.batch_rows
        self.memory = memory.plan(model, train, self.precision, length, most, share)
        if self.memory.checkpointing:
            enable: Any = model.gradient_checkpointing_enable
            enable()
        if not self.memory.fits:
            self.watch.alarm(
                "amber",
                f"A step is predicted to take {memory.gb(self.memory.needed)} more, and "
                f"{memory.gb(memory.free())} are free: lower [train] micro_batch or "
                "[pack] sequence_length if it fails",
            )
        return self.memory.rows

    def _pilot_lr(self, model: torch.nn.Module, micro: int) -> int:
        """Let the pilot choose the rate, on rank 0 alone; returns the micro-batch it ended with."""
        pilot = LrPilot(
            self.context,
            model,
            self.precision,
            self.mix,
            self.heldout,
            self.identity,
            micro,
            self._oom,
        )
        self.lr, self.lr_why = pilot.choose(self.lr)
        self.trials = pilot.trials
        return pilot.micro_batch

    def _facts(self) -> None:
        trained = sum(p.numel() for p in models.trainable(self.model))
        facts = {
            "model": f"{self.base.name}, {self.parameters:,} parameters, {trained:,} trained",
            "method": self.method,
            "learning rate": f"{self.lr:g} ({self.lr_why})",
            "embeddings": "trained" if self.context.recipe.train.train_embeddings else "frozen",
            **({"vocabulary": self.new.facts()} if self.new else {}),
            "dtype": f"{self.precision.name} ({self.precision.why})",
            "device": f"{models.device().type}, {torch.get_num_threads()} threads",
            "processes": self.spread.facts(),
            **self.paths.training(self.model),
            **self.kernels,
            "samples": self.samples.facts(),
            "trackers": ", ".join(self.context.recipe.train.trackers) or "off",
            "batch": f"{self.mix.batch_rows} rows x {self.mix.domain.length} tokens, "
            f"micro-batch {self.stepper.micro_batch}",
            "memory": self._predicted(),
            "steps": f"{self.mix.steps}, warm-up {self.warmup}",
            "mix-back": f"{100 * self.mix.achieved_share():.1f}% generic tokens",
        }
        self.context.emit(Facts(stage="train", facts=facts))

    def _resume(self) -> None:
        ranks = self.context.ranks
        path, broken = self.checkpoints.newest() if ranks.first else (None, [])
        name = ranks.tell(path and path.name)
        path = self.checkpoints.folder / name if name else None
        for aside in broken:
            self.watch.alarm(
                "red", f"checkpoint {aside.name} is broken and was set aside; using the one before"
            )
        if path is None:
            return
        state = restore(path, self.spread, self.stepper.optimizer, self.identity)
        self.step, self.tokens = state["step"], state["tokens"]
        self.watch.restore(state)
        if self.new:
            self.new.measured = state["vocab"]
        self.stepper.micro_batch = state["micro_batch"]
        if state["scaler"]:
            self.stepper.scaler.load_state_dict(state["scaler"])
        self.watch.alarm("note", f"resumed from {path.name}")

    def _advance(self) -> Taken:
        """One step."""
        train = self.context.recipe.train
        started = time.monotonic()
        rows = self.mix.batch(self.step)
        rate = self._rate()
        seed = [train.seed, self.step, *([rank] if (rank := self.context.ranks.rank) else [])]
        torch.manual_seed(int(digest(seed)[:15], 16))  # dropout, by step and rank
        try:
            loss, norm = self.stepper.step(rows, rate)
        except torch.OutOfMemoryError as error:
            self._start_smaller(error)
        self.step += 1
        self.context.ranks.step = self.step
        self.tokens += rows.targets
        seconds = max(1e-9, time.monotonic() - started)
        return Taken(self.step, rows.targets, self.tokens, loss, norm, rate, seconds)

    def _end_if(self, sentence: str) -> None:
        """End the run for that reason, if any; it is kept, so that no resume walks past it."""
        if sentence:
            self._save(sentence)
            raise InputError(sentence)

    def _rate(self) -> float:
        train = self.context.recipe.train
        if self.new:
            return self.new.rate(self.step, self.warmup)
        return learning_rate(
            self.step,
            self.mix.steps,
            self.lr,
            train.schedule,
            self.warmup,
            train.min_lr_share,
            train.decay_share,
        )

    def _evaluate_if_due(self) -> None:
        if not self.watch.due(self.step, self.eval_every):
            return
        domain, generic = (
            mean_loss(
                self.model,
                rows,
                self.precision,
                self.stepper.micro_batch,
                self._controls,
                self.spread,
            )
            for rows in self.heldout
        )
        self._end_if(self.watch.evaluated(self.step, domain, generic))
        if self.checkpoints.keep_best and self.watch.best == self.step:
            self._save()
        self.samples.tell(self.step, last=self.step == self.mix.steps)

    def _measure_if_due(self) -> None:
        """Bits per byte once the new rows were trained alone, and at the end."""
        if self.new and (point := self.new.due(self.step)):
            self.context.emit(self.new.measure(point, self.stepper, self._controls))

    def _save_if_due(self) -> None:
        due = self.step % self.checkpoint_every == 0 or self.step in self.checkpoints.spared
        if due and self.saved != self.step < self.mix.steps:
            self._save()

    def _controls(self) -> None:
        """Before each step and each batch of an evaluation; one that a stop cuts is made anew."""
        asked = self.context.asked("pause", "checkpoint")
        if "checkpoint" in asked:
            self._checkpoint_now()
        if "pause" in asked:
            self.context.hold(self.step, self._checkpoint_now)
            asked = self.context.asked()
        if "stop" in asked:
            self._save()
            self.context.raise_if_stopped()

    def _check_alone(self) -> None:
        """The same between the tokens of a sample, which no other rank knows of."""
        if not self.context.ranks.joined:
            self._controls()

    def _checkpoint_now(self) -> None:
        self._save()
        self.context.emit(Control(action="checkpoint", step=self.step))

    def _save(self, stopped_because: str = "") -> None:
        state = {
            "tokens": self.tokens,
            **self.watch.state(),
            "micro_batch": self.stepper.micro_batch,
            "scaler": self.stepper.scaler.state_dict(),
            "identity": self.identity,
            "vocab": self.new.measured if self.new else {},
            "stopped_because": stopped_because,
        }
        tensors = collect(self.spread, self.stepper.optimizer)
        self.saved = self.step
        if not self.context.ranks.first:
            return
        path, size = self.checkpoints.save(self.step, tensors, state, self.watch.best)
        self.context.emit(
            CheckpointSaved(step=self.step, name=path.name, megabytes=round(size / 1e6, 2))
        )

    def _predicted(self) -> str:
        said = self.memory.forecast.told(self.stepper.micro_batch)
        return said + (", gradient checkpointing on" if self.memory.checkpointing else "")

    def _compare_memory(self) -> None:
        """Put the measured peak beside the predicted one; kept apart, for no two runs' is equal."""
        peak, predicted = self.peak.bytes(), self.memory.forecast.peak(self.stepper.micro_batch)
        made = {"predicted_bytes": predicted, "peak_bytes": peak}
        write_json(self.context.run.path / "artifacts" / MEMORY, made)
        if peak is not None:
            said = f"{memory.gb(peak)} at its peak, {self._predicted()}"
            self.context.emit(Facts(stage="train", facts={"memory": said}))

    def _oom(self, micro_batch: int) -> None:
        self.watch.alarm(
            "amber", f"out of memory: the same step again with a micro-batch of {micro_batch}"
        )

    def _start_smaller(self, error: torch.OutOfMemoryError) -> NoReturn:
        """FSDP2's ranks cannot repeat a step of which they have exchanged a part: end, resume."""
        size = self.stepper.micro_batch
        if size == 1:
            sentence = (
                f"Out of memory with a single row of {self.mix.domain.length} tokens: free some "
                f"and go on with {self.context.go_on}, or start a new run with LoRA, "
                "gradient_checkpointing = true or a shorter [pack] sequence_length"
            )
            self.context.ranks.failed(sentence)
            raise InputError(sentence) from error
        if not self.spread.sharded:
            raise error
        write_json(self.context.run.path / "artifacts" / MICRO_BATCH, size // 2)
        sentence = (
            f"Out of memory under fsdp2 with a micro-batch of {size}; the next start takes "
            f"{size // 2}: {self.context.go_on}"
        )
        self.context.ranks.failed(sentence)
        raise Interrupted(sentence)

    def _finish(self) -> TrainArtifact:
        """Save the CPT model (adapters merged) and tell what happened to both losses."""
        ranks = self.context.ranks
        ranks.leave()
        if not ranks.first:
            return TrainArtifact()
        step, model = self.watch.chosen(self.step, self.checkpoints), self.model
        if self.spread.sharded:
            model, _ = self._load()
        if self.spread.sharded or step != self.step:
            load_weights(self.checkpoints.at(step), model)
        folder = self.context.run.path / "model"
        method = methods.method_of(self.context.recipe)
        live = proof.live_file(self.context.run.path, "cpt")
        if not method.facts.rounds_base:
            proof.keep(model, live)
        model = method.merge(model, self.base)
        if method.facts.rounds_base:  # the live model, beside rounded weights, is not the saved one
            proof.keep(model, live)
        models.save(model, self.base, folder)
        return self._outcome(step, models.weights_sha256(folder))

    def _outcome(self, step: int, weights: str) -> TrainArtifact:
        """The artifact: what was trained, how, and what it did to both losses."""
        found = self.watch.outcome(step).model_copy(
            update={
                "steps": self.mix.steps,
                "tokens": self.tokens,
                "dtype": self.precision.name,
                "lr": self.lr,
                "lr_why": self.lr_why,
                "lr_pilot": self.trials,
                "method": self.context.recipe.train.method,
                "micro_batch": self.stepper.micro_batch,
                "model_sha256": weights,
            }
        )
        if self.new is None:
            return found
        rise = self.new.rise()
        limits = self.watch.limits
        forgetting = {"generic_rise": rise, "guard": guard_state(rise, limits)}
        return found.model_copy(update={**forgetting, "vocab": self.new.outcome()})
