"""The train stage: CPT over the mix, evaluated on both sides, resumable bit for bit."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import psutil
import torch

from engine.errors import InputError, Interrupted
from engine.events import Alarm, CheckpointSaved, Control, EvalPoint, Facts, TrainStep
from engine.run import digest, sha256_file, write_json
from engine.thresholds import effective
from engine.worker import methods, proof, selfcheck
from engine.worker import model as models
from engine.worker.checkpoint import Checkpoints, collect, load_weights, restore
from engine.worker.context import Context
from engine.worker.loop import Rows, Stepper, learning_rate, make_optimizer, mean_loss
from engine.worker.lr_pilot import LrPilot, Trial, embeddings_scale
from engine.worker.mix import Mix, micro_rows
from engine.worker.pack import Ints, Pack
from engine.worker.spread import spread

GUARDS = ("green", "amber", "red")
MICRO_BATCH = "micro_batch.json"
BROKEN_STEPS = 3
"""Non-finite steps in a row before the run stops."""


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
    evals: list[dict[str, float]] = field(default_factory=list)
    tokens: int = 0
    step: int = 0
    guard: str = "green"
    trials: list[Trial] = field(default_factory=list)
    """Of the learning-rate pilot, where the recipe asks for one."""
    broken: int = 0
    """Non-finite steps in a row."""

    def run(self) -> dict[str, Any]:
        """Train to the end and save the model; returns the stage's artifact."""
        self._build()
        self._resume()
        self.context.ranks.step = self.step
        self._evaluate_if_due()
        started, first = time.monotonic(), self.step
        while self.step < self.mix.steps:
            self._controls()
            rows, loss, norm, seconds = self._advance()
            self._report(rows, loss, norm, seconds, started, first)
            self._evaluate_if_due()
            if self.step % self.checkpoint_every == 0 and self.step < self.mix.steps:
                self._save()
        return self._finish()

    def _load(self) -> tuple[torch.nn.Module, str]:
        """The model as it is trained, and its method in words."""
        recipe, train = self.context.recipe, self.context.recipe.train
        model = methods.load(self.base, recipe)
        self.parameters = models.count(model)
        self.precision = self.context.precision(self.base, model)
        self.paths = selfcheck.prove(self.context, self.base, model, self.precision)
        rank, why = models.default_rank(recipe.lora, self.tokens_in_corpus)
        model = methods.ready(model, recipe, rank, train.seed)
        if train.gradient_checkpointing:
            enable: Any = model.gradient_checkpointing_enable
            enable()
        return model, methods.describe(recipe, rank, why)

    def _build(self) -> None:
        recipe, train = self.context.recipe, self.context.recipe.train
        ranks = self.context.ranks
        model, method = self._load()
        self.lr, self.lr_why = models.default_lr(train, self.parameters)
        self.checkpoints = Checkpoints(self.context.run.checkpoints, train.keep_last)
        if ranks.first:
            self.checkpoints.predict_space(model)
        micro = min(micro_rows(recipe, self.mix.domain.length), self.mix.batch_rows)
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
        self.warmup = min(
            max(10, round(train.warmup * self.mix.steps)), max(1, self.mix.steps // 4)
        )
        self.eval_every = train.eval_every or max(1, self.mix.steps // 20)
        self.checkpoint_every = train.checkpoint_every or max(1, self.mix.steps // 10)
        self._facts(method)

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

    def _facts(self, method: str) -> None:
        trained = sum(p.numel() for p in models.trainable(self.model))
        facts = {
            "model": f"{self.base.name}, {self.parameters:,} parameters, {trained:,} trained",
            "method": method,
            "learning rate": f"{self.lr:g} ({self.lr_why})",
            "embeddings": "trained" if self.context.recipe.train.train_embeddings else "frozen",
            "dtype": f"{self.precision.name} ({self.precision.why})",
            "device": f"{models.device().type}, {torch.get_num_threads()} threads",
            "processes": self.spread.facts(),
            **self.paths.training(self.model),
            "batch": f"{self.mix.batch_rows} rows x {self.mix.domain.length} tokens, "
            f"micro-batch {self.stepper.micro_batch}",
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
            message = f"checkpoint {aside.name} is broken and was set aside; using the one before"
            self.context.emit(Alarm(level="red", stage="train", message=message))
        if path is None:
            return
        state = restore(path, self.spread, self.stepper.optimizer, self.identity)
        self.step, self.tokens = state["step"], state["tokens"]
        self.evals, self.guard = state["evals"], state["guard"]
        self.broken = state["broken"]
        self.stepper.micro_batch = state["micro_batch"]
        if state["scaler"]:
            self.stepper.scaler.load_state_dict(state["scaler"])
        message = f"resumed from {path.name}"
        self.context.emit(Alarm(level="note", stage="train", message=message))

    def _advance(self) -> tuple[Rows, float, float, float]:
        """One step; (its rows, loss, gradient norm, seconds)."""
        train = self.context.recipe.train
        started = time.monotonic()
        rows = self.mix.batch(self.step)
        self.last_lr = learning_rate(
            self.step,
            self.mix.steps,
            self.lr,
            train.schedule,
            self.warmup,
            train.min_lr_share,
            train.decay_share,
        )
        seed = [train.seed, self.step, *([rank] if (rank := self.context.ranks.rank) else [])]
        torch.manual_seed(int(digest(seed)[:15], 16))  # dropout, by step and rank
        try:
            loss, norm = self.stepper.step(rows, self.last_lr)
        except torch.OutOfMemoryError as error:
            self._start_smaller(error)
        self.step += 1
        self.context.ranks.step = self.step
        self.tokens += rows.targets
        return rows, loss, norm, max(1e-9, time.monotonic() - started)

    def _report(
        self, rows: Rows, loss: float, norm: float, seconds: float, started: float, first: int
    ) -> None:
        finite = math.isfinite(loss) and math.isfinite(norm)
        elapsed = time.monotonic() - started
        eta = elapsed / (self.step - first) * (self.mix.steps - self.step)
        self.context.emit(
            TrainStep(
                step=self.step,
                total=self.mix.steps,
                tokens=self.tokens,
                # A batch without a target has no loss: 0 would be a false one.
                loss=loss if math.isfinite(loss) and rows.targets else None,
                lr=self.last_lr,
                grad_norm=norm if math.isfinite(norm) else None,
                tokens_per_s=round(rows.targets / seconds, 1),
                eta_s=round(eta, 1),
                memory_gb=round(memory_gb(), 3),
            )
        )
        self.broken = 0 if finite else self.broken + 1
        if not finite:
            message = f"step {self.step}: loss or gradient not finite; no update was made"
            self.context.emit(Alarm(level="red", stage="train", message=message))
        if self.broken == BROKEN_STEPS:
            self._give_up(
                f"The loss was not finite for {BROKEN_STEPS} steps in a row, up to step "
                f"{self.step}; the weights are as before them; lower [train] lr in a new run"
            )

    def _give_up(self, sentence: str) -> None:
        """Keep the weights and why the run ended: no resume may walk past that."""
        self._save(sentence)
        raise InputError(sentence)

    def _evaluate_if_due(self) -> None:
        """Evaluate at the start, every so often and at the end; once at a step."""
        due = self.step % self.eval_every == 0 or self.step == self.mix.steps
        if due and (not self.evals or self.evals[-1]["step"] != self.step):
            self._evaluate()

    def _evaluate(self) -> None:
        losses = [
            mean_loss(
                self.model,
                rows,
                self.precision,
                self.stepper.micro_batch,
                self._leave_if_asked,
                self.spread,
            )
            for rows in self.heldout
        ]
        self.evals.append({"step": self.step, "domain": losses[0], "generic": losses[1]})
        self.context.emit(EvalPoint(step=self.step, domain=losses[0], generic=losses[1]))
        rise = losses[1] - self.evals[0]["generic"]
        level = guard_level(rise, effective(self.context.recipe.probe.thresholds))
        if level != self.guard:
            message = (
                f"step {self.step}: generic loss {rise:+.3f} nats since the start, guard {level}"
            )
            better = GUARDS.index(level) < GUARDS.index(self.guard)
            self.context.emit(
                Alarm(level="note" if better else level, stage="train", message=message)
            )
        self.guard = level
        if level == "red" and self.context.recipe.train.stop_on_red:
            self._give_up(
                f"The forgetting guard is red ({rise:+.3f} nats at step {self.step}) and the "
                "recipe says stop; start a new run with more mix_back or a lower lr"
            )

    def _controls(self) -> None:
        self.context.pause_if_asked(self.step)
        if self.context.requested("checkpoint"):
            self._save()
            self.context.emit(Control(action="checkpoint", step=self.step))
        self._leave_if_asked()

    def _leave_if_asked(self) -> None:
        """Save and leave if a stop was asked for; an evaluation it cuts is made on resume."""
        if self.context.stop_requested():
            self._save()
            self.context.raise_if_stopped()

    def _save(self, stopped_because: str = "") -> None:
        state = {
            "tokens": self.tokens,
            "evals": self.evals,
            "guard": self.guard,
            "broken": self.broken,
            "micro_batch": self.stepper.micro_batch,
            "scaler": self.stepper.scaler.state_dict(),
            "identity": self.identity,
            "stopped_because": stopped_because,
        }
        tensors = collect(self.spread, self.stepper.optimizer)
        if not self.context.ranks.first:
            return
        path, size = self.checkpoints.save(self.step, tensors, state)
        self.context.emit(
            CheckpointSaved(step=self.step, name=path.name, megabytes=round(size / 1e6, 2))
        )

    def _oom(self, micro_batch: int) -> None:
        message = f"out of memory: the same step again with a micro-batch of {micro_batch}"
        self.context.emit(Alarm(level="amber", stage="train", message=message))

    def _start_smaller(self, error: torch.OutOfMemoryError) -> NoReturn:
        """FSDP2's ranks cannot repeat a step of which they have exchanged a part: end, resume."""
        size = self.stepper.micro_batch
        if not self.spread.sharded or size == 1:
            raise error
        write_json(self.context.run.path / "artifacts" / MICRO_BATCH, size // 2)
        sentence = (
            f"Out of memory under fsdp2 with a micro-batch of {size}; the next start takes "
            f"{size // 2}: cpt resume {self.context.run.id}"
        )
        self.context.ranks.failed(sentence)
        raise Interrupted(sentence)

    def _finish(self) -> dict[str, Any]:
        """Save the CPT model (adapters merged) and tell what happened to both losses."""
        self._save()
        ranks = self.context.ranks
        ranks.leave()
        if not ranks.first:
            return {}
        model = self.model
        if self.spread.sharded:
            model, _ = self._load()
            load_weights(self.checkpoints.all()[-1], model)
        folder = self.context.run.path / "model"
        live = proof.live_file(self.context.run.path, "cpt")
        whole = self.base if methods.is_qlora(self.context.recipe) else None
        if whole is None:
            proof.keep(model, live)
        model = methods.merged(model, whole)
        if whole is not None:  # the 4-bit weights that were trained on are not what is saved
            proof.keep(model, live)
        models.save(model, self.base, folder)
        first, last = self.evals[0], self.evals[-1]
        return {
            "steps": self.mix.steps,
            "tokens": self.tokens,
            "domain_before": first["domain"],
            "domain_after": last["domain"],
            "generic_before": first["generic"],
            "generic_after": last["generic"],
            "generic_rise": last["generic"] - first["generic"],
            "guard": self.guard,
            "dtype": self.precision.name,
            "lr": self.lr,
            "lr_why": self.lr_why,
            "lr_pilot": [asdict(trial) for trial in self.trials],
            "method": self.context.recipe.train.method,
            "model_sha256": weights_sha256(folder),
        }


def weights_sha256(folder: Path) -> str:
    """sha256 of a saved model's weights: of the one file, or over the shards' hashes."""
    whole = folder / "model.safetensors"
    if whole.is_file():
        return sha256_file(whole)
    return digest([sha256_file(p) for p in sorted(folder.glob("*.safetensors"))])


def guard_level(rise: float, limits: dict[str, float]) -> str:
    """green, amber or red by the rise of generic held-out loss in nats."""
    if rise <= limits["forgetting_green"]:
        return "green"
    return "amber" if rise <= limits["forgetting_amber"] else "red"


def memory_gb() -> float:
    """Peak GPU memory of this process, or its resident memory on a CPU."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    return psutil.Process().memory_info().rss / 1e9


def heldout_rows(folder: Path) -> Rows:
    """All rows of a held-out pack, in memory (``eval_tokens`` bounds them)."""
    pack = Pack(folder)
    index: Ints = torch.arange(len(pack)).numpy()
    return pack.rows(index)
