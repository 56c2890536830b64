"""What training begins with: the model, its method, rate, optimizer, plan and clockwork."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from engine.artifacts.training import RateTrial
from engine.gate.arms import steps_of
from engine.recipe.defaults import default_lr, default_rank
from engine.worker.job.context import Context
from engine.worker.model import base as models
from engine.worker.model import methods
from engine.worker.model.fast_paths import Paths
from engine.worker.model.precision import Precision, run_precision
from engine.worker.packing.batches import Mix
from engine.worker.scoring import self_check
from engine.worker.step import memory
from engine.worker.step.frozen_base import HeldMatrices, hold_where_it_pays
from engine.worker.step.optimizer import make_optimizer
from engine.worker.step.parallel import SingleProcess
from engine.worker.step.rows import Rows
from engine.worker.step.spread import spread
from engine.worker.step.step import Stepper
from engine.worker.train import kernels
from engine.worker.train.checkpoint import Checkpoints
from engine.worker.train.lr_pilot import LrPilot, embeddings_scale
from engine.worker.train.monitor import Watch
from engine.worker.vocabulary.stage import Extended
from engine.worker.vocabulary.training import NewRows

POINTS, LEAST_POINTS = 20, 5
"""Evaluations of a run behind its first one, and how few they may become: five show a curve."""
EVALUATION_SHARE = 0.08
"""Of training's time for evaluations, so that they and samples (2%) take a tenth. Measured on the
demo's model at 21 points: 16.8%."""
FORWARD_SHARE = 1 / 3
"""Of a training step's time for the same tokens: 2N of 6N FLOPs. Measured on the demo's: 0.36."""
MICRO_BATCH = "micro_batch.json"
"""The rows that the next start of an fsdp2 run begins with, after one ran out of memory."""


@dataclass(frozen=True)
class Rate:
    """The peak learning rate, and why it is that."""

    lr: float
    why: str
    trials: list[RateTrial] = field(default_factory=list)
    """Of the learning-rate pilot, where the recipe asks for one."""


@dataclass(frozen=True)
class Clockwork:
    """At which steps something is done."""

    warmup: int
    eval_every: int
    checkpoint_every: int


@dataclass(frozen=True)
class LoadedModel:
    """The model as its method trains it, before it is spread over the ranks."""

    model: torch.nn.Module
    parameters: int
    precision: Precision
    paths: Paths
    method: str
    """In words, for the header."""
    held: HeldMatrices
    """What is held in bf16."""


@dataclass(frozen=True)
class Prepared:
    """All that the training loop works with; it is there before the first step."""

    loaded: LoadedModel
    identity: dict[str, str]
    """What this training is made of, the rate included where a pilot chose it."""
    rate: Rate
    checkpoints: Checkpoints
    memory: memory.Plan
    spread: SingleProcess
    stepper: Stepper
    new: NewRows | None
    """The rows of new tokens, where the recipe added some."""
    clockwork: Clockwork
    kernels: dict[str, str]
    """What compiled kernels do here, for the header."""

    @property
    def model(self) -> torch.nn.Module:
        return self.loaded.model

    @property
    def precision(self) -> Precision:
        return self.loaded.precision


@dataclass(frozen=True)
class Setup:
    """Prepares one run's training in this process."""

    context: Context
    base: models.Base
    mix: Mix
    heldout: tuple[Rows, Rows]
    """Domain and generic held-out rows."""
    corpus_tokens: int
    """Without what the corpus says twice; the rank goes by it."""
    identity: dict[str, str]
    extended: Extended | None
    watch: Watch

    def prepare(self) -> Prepared:
        """Load, plan, choose the rate, and build the optimizer; all ranks do."""
        recipe, train, ranks = self.context.recipe, self.context.recipe.train, self.context.ranks
        loaded, identity = self.load_model(), self.identity
        checkpoints = Checkpoints(
            self.context.run.checkpoints,
            train.keep_last,
            train.keep_best,
            frozenset(steps_of(recipe.arms.checkpoints, self.mix.steps)),
        )
        if ranks.first:
            checkpoints.predict_space(loaded.model)
        planned = self._plan_memory(loaded)
        rate, micro = self._choose_rate(loaded, planned.rows)
        ranks.begin(self.identity)
        if train.lr_pilot:
            rate = Rate(ranks.tell(rate.lr), rate.why, rate.trials)
            identity = {**identity, "learning rate": f"{rate.lr:g}"}
        model = loaded.model
        parallel = spread(model, ranks, recipe.launch.strategy)
        scale = embeddings_scale(train.embeddings_lr, rate.lr)
        optimizer = make_optimizer(model, rate.lr, train.weight_decay, train.betas, scale)
        micro = min(ranks.least(micro), -(-self.mix.batch_rows // ranks.world))
        kept = self.context.scratch(MICRO_BATCH) or {}
        micro = min(micro, kept.get("rows", micro))
        stepper = Stepper(
            model,
            optimizer,
            loaded.precision,
            train.clip,
            micro,
            self.watch.say_smaller_batch,
            parallel,
        )
        new = None
        if self.extended is not None:
            new = NewRows(self.extended, recipe, parallel, optimizer, self.mix.steps, rate.lr)
            stepper.mask = new.mask
        compiled = kernels.turn_on(self.context, parallel, self.mix, micro, loaded.precision)
        return Prepared(
            loaded,
            identity,
            rate,
            checkpoints,
            planned,
            parallel,
            stepper,
            new,
            self._wind_clockwork(),
            compiled,
        )

    def load_model(self) -> LoadedModel:
        """The model with what its method trains switched on."""
        recipe = self.context.recipe
        model = methods.load(self.base, recipe)
        parameters = models.count(model)
        precision = run_precision(self.context, self.base, model)
        paths = self_check.prove(self.context, self.base, model, precision)
        rank, why = default_rank(recipe.lora.rank, self.corpus_tokens)
        model = methods.ready(model, recipe, rank, recipe.train.seed)
        method = methods.describe(recipe, rank, why)
        held = hold_where_it_pays(model, self.base, recipe, precision)
        return LoadedModel(model, parameters, precision, paths, method, held)

    def _plan_memory(self, loaded: LoadedModel) -> memory.Plan:
        """Predict a step's memory, and turn checkpointing on where it is needed."""
        train, share = self.context.recipe.train, 1 / self.context.ranks.here
        length, most = self.mix.domain.length, self.mix.batch_rows
        planned = memory.plan(loaded.model, train, loaded.precision, length, most, share)
        if planned.checkpointing:
            models.enable_checkpointing(loaded.model)
        if not planned.fits:
            self.watch.alarm(
                "amber",
                f"A step is predicted to take {memory.gb(planned.needed)} more, and "
                f"{memory.gb(memory.free())} are free: lower [train] micro_batch or "
                "[pack] sequence_length if it fails",
            )
        return planned

    def _choose_rate(self, loaded: LoadedModel, micro: int) -> tuple[Rate, int]:
        """The rate, and the micro-batch that its pilot ended with; the pilot is rank 0's alone."""
        train = self.context.recipe.train
        lr, why = default_lr(train.method, train.lr, loaded.parameters)
        if not (train.lr_pilot and self.context.ranks.first):
            return Rate(lr, why), micro
        pilot = LrPilot(
            self.context,
            loaded.model,
            loaded.precision,
            self.mix,
            self.heldout,
            self.identity,
            micro,
            self.watch.say_smaller_batch,
        )
        lr, why = pilot.choose(lr)
        return Rate(lr, why, pilot.trials), pilot.micro_batch

    @property
    def _heldout_tokens(self) -> int:
        """Tokens of an evaluation, both sides."""
        return sum(rows.ids.size for rows in self.heldout)

    def _wind_clockwork(self) -> Clockwork:
        train, steps = self.context.recipe.train, self.mix.steps
        return Clockwork(
            warmup=min(max(10, round(train.warmup * steps)), max(1, steps // 4)),
            eval_every=train.eval_every
            or evaluation_interval(
                steps, self.mix.batch_rows * self.mix.domain.length, self._heldout_tokens
            ),
            checkpoint_every=train.checkpoint_every or max(1, steps // 10),
        )


def evaluation_interval(steps: int, batch_tokens: int, heldout_tokens: int) -> int:
    """Steps between evaluations: 20 a run, fewer where they would take more than their share.

    By arithmetic and not by a clock, so that a run that is repeated is evaluated at the same steps.
    """
    training = steps * batch_tokens
    affordable = EVALUATION_SHARE / (1 - EVALUATION_SHARE) * training
    points = int(affordable / max(1.0, FORWARD_SHARE * heldout_tokens)) - 1  # one is at step 0
    return -(-steps // max(LEAST_POINTS, min(POINTS, points)))
