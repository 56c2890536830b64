"""The training loop: CPT over the mix, evaluated on both sides, resumable bit for bit."""

from __future__ import annotations

import time
from typing import NoReturn

import torch

from engine.artifacts.training import TrainArtifact
from engine.errors import InputError, Interrupted
from engine.files import digest
from engine.gate.forgetting import guard_state
from engine.runs.events import CheckpointSaved, Control, Facts
from engine.worker.job.context import Context
from engine.worker.model import base as models
from engine.worker.model import methods, proof
from engine.worker.model.fast_paths import paths_of
from engine.worker.packing.batches import Mix
from engine.worker.step import memory
from engine.worker.step.optimizer import learning_rate
from engine.worker.step.rows import Rows
from engine.worker.step.step import Stepper, mean_loss
from engine.worker.train.checkpoint import collect, load_weights, restore
from engine.worker.train.monitor import Taken, Watch
from engine.worker.train.samples import Samples
from engine.worker.train.setup import MICRO_BATCH, Setup
from engine.worker.vocabulary.stage import Extended
from engine.worker.vocabulary.training import NewRows

MEMORY = "memory.json"
MEMORY_STEPS = 3
"""Steps after which the measured peak is said: AdamW's state is there from the second on."""


class Training:
    """One CPT run in this process."""

    def __init__(
        self,
        context: Context,
        base: models.Base,
        mix: Mix,
        heldout: tuple[Rows, Rows],
        corpus_tokens: int,
        identity: dict[str, str],
        extended: Extended | None = None,
    ) -> None:
        """``heldout`` are domain and generic held-out rows; ``extended`` are new tokens, if any.

        Loads the model and plans the run; nothing is trained yet.
        """
        self.context, self.base, self.mix, self.heldout = context, base, mix, heldout
        self.watch = Watch(context, mix.steps)
        self.setup = Setup(
            context, base, mix, heldout, corpus_tokens, identity, extended, self.watch
        )
        self.prepared = self.setup.prepare()
        sharded = self.prepared.spread.sharded
        self.samples = Samples(
            context,
            base,
            self.prepared.model,
            self.prepared.precision,
            heldout,
            self._check_alone,
            off="off: fsdp2 shards the model" if sharded else "",
        )
        self.peak = memory.Peak()
        self.tokens = 0
        """Tokens trained on so far."""
        self.step = 0
        self.saved = -1
        """Step of the newest checkpoint made here."""

    @property
    def stepper(self) -> Stepper:
        return self.prepared.stepper

    @property
    def new(self) -> NewRows | None:
        return self.prepared.new

    def run(self) -> TrainArtifact:
        """Train to the end and save the model; returns the stage's artifact."""
        self.samples.begin(self.prepared.identity)
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

    def _facts(self) -> None:
        ready, rate = self.prepared, self.prepared.rate
        trained = sum(p.numel() for p in models.trainable(ready.model))
        whole = f"{ready.loaded.parameters:,} parameters"
        facts = {
            "model": f"{self.base.name}, {whole}, {trained:,} trained",
            "method": ready.loaded.method,
            "learning rate": f"{rate.lr:g} ({rate.why})",
            "embeddings": "trained" if self.context.recipe.train.train_embeddings else "frozen",
            **({"vocabulary": self.new.facts()} if self.new else {}),
            "dtype": f"{ready.precision.name} ({ready.precision.why})",
            **({"frozen weights": found} if (found := ready.loaded.held.found) else {}),
            "device": f"{models.device().type}, {torch.get_num_threads()} threads",
            "processes": ready.spread.facts(),
            **paths_of(ready.model).training(ready.model),
            **ready.kernels,
            "samples": self.samples.facts(),
            "trackers": ", ".join(self.context.recipe.train.trackers) or "off",
            "batch": f"{self.mix.batch_rows} rows x {self.mix.domain.length} tokens, "
            f"micro-batch {self.stepper.micro_batch}",
            "memory": self._predicted(),
            "steps": f"{self.mix.steps}, warm-up {ready.clockwork.warmup}",
            "mix-back": f"{100 * self.mix.achieved_share():.1f}% generic tokens",
        }
        self.context.emit(Facts(stage="train", facts=facts))

    def _resume(self) -> None:
        ranks = self.context.ranks
        path, broken = self.prepared.checkpoints.newest() if ranks.first else (None, [])
        name = ranks.tell(path and path.name)
        path = self.prepared.checkpoints.folder / name if name else None
        for aside in broken:
            self.watch.alarm(
                "red", f"checkpoint {aside.name} is broken and was set aside; using the one before"
            )
        if path is None:
            return
        state = restore(path, self.prepared.spread, self.stepper.optimizer, self.prepared.identity)
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
            return self.new.rate(self.step, self.prepared.clockwork.warmup)
        return learning_rate(
            self.step,
            self.mix.steps,
            self.prepared.rate.lr,
            train.schedule,
            self.prepared.clockwork.warmup,
            train.min_lr_share,
            train.decay_share,
        )

    def _evaluate_if_due(self) -> None:
        if not self.watch.due(self.step, self.prepared.clockwork.eval_every):
            return
        domain, generic = (
            mean_loss(
                self.prepared.model,
                rows,
                self.prepared.precision,
                self.stepper.micro_batch,
                self._controls,
                self.prepared.spread,
            )
            for rows in self.heldout
        )
        self._end_if(self.watch.evaluated(self.step, domain, generic))
        if self.prepared.checkpoints.keep_best and self.watch.best == self.step:
            self._save()
        self.samples.tell(self.step, last=self.step == self.mix.steps)

    def _measure_if_due(self) -> None:
        """Bits per byte once the new rows were trained alone, and at the end."""
        if self.new and (point := self.new.due(self.step)):
            self.context.emit(self.new.measure(point, self.stepper, self._controls))

    def _save_if_due(self) -> None:
        due = (
            self.step % self.prepared.clockwork.checkpoint_every == 0
            or self.step in self.prepared.checkpoints.spared
        )
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
            "identity": self.prepared.identity,
            "vocab": self.new.measured if self.new else {},
            "stopped_because": stopped_because,
        }
        tensors = collect(self.prepared.spread, self.stepper.optimizer)
        self.saved = self.step
        if not self.context.ranks.first:
            return
        path, size = self.prepared.checkpoints.save(self.step, tensors, state, self.watch.best)
        self.context.emit(
            CheckpointSaved(step=self.step, name=path.name, megabytes=round(size / 1e6, 2))
        )

    def _predicted(self) -> str:
        said = self.prepared.memory.forecast.told(self.stepper.micro_batch)
        return said + (", gradient checkpointing on" if self.prepared.memory.checkpointing else "")

    def _compare_memory(self) -> None:
        """Put the measured peak beside the predicted one; kept apart, for no two runs' is equal."""
        peak, predicted = (
            self.peak.bytes(),
            self.prepared.memory.forecast.peak(self.stepper.micro_batch),
        )
        made = {"predicted_bytes": predicted, "peak_bytes": peak}
        self.context.keep_scratch(MEMORY, made)
        if peak is not None:
            said = f"{memory.gb(peak)} at its peak, {self._predicted()}"
            self.context.emit(Facts(stage="train", facts={"memory": said}))

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
        if not self.prepared.spread.sharded:
            raise error
        self.context.keep_scratch(MICRO_BATCH, {"rows": size // 2})
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
        step, model = self.watch.chosen(self.step, self.prepared.checkpoints), self.prepared.model
        if self.prepared.spread.sharded:
            model = self.setup.load_model().model
        if self.prepared.spread.sharded or step != self.step:
            load_weights(self.prepared.checkpoints.at(step), model)
        self.prepared.loaded.held.put_back(self.base)
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
                "dtype": self.prepared.precision.name,
                "lr": self.prepared.rate.lr,
                "lr_why": self.prepared.rate.why,
                "lr_pilot": self.prepared.rate.trials,
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
