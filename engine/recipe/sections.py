"""Recipe: the whole intent of a run as a validated model. See ``recipe_io`` for TOML.

Unknown keys are errors. Numbers carry their unit in the description; every description
reaches editors through ``recipes/schema.json``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from engine.recipe.adapters import Lora, Vocab
from engine.recipe.base import (
    Beta,
    OneOf,
    Positive,
    Rate,
    Section,
    Seed,
    Share,
    Small,
)
from engine.recipe.gate import Columns as Columns
from engine.recipe.gate import Finish as Finish
from engine.recipe.gate import Gate as Gate
from engine.recipe.gate import Sft as Sft
from engine.recipe.method_facts import (
    DEFAULT,
    DEFAULT_VARIANT,
    TRAIN_METHODS,
    MethodFacts,
    method_of,
)
from engine.recipe.sources import Source as Source
from engine.recipe.sources import from_tables
from engine.thresholds import LARGEST, THRESHOLDS

DECAY_SHARE = 0.2
"""Of the steps; wsd's default (Haegele 2024: 20% matches cosine)."""

Hurts = Literal["unreadable", "warped_facts", "fails_task", "format", "more_training"]


class About(Section):
    """``[recipe]``"""

    schema_version: Literal[1] = Field(1, alias="schema", description="recipe format version")
    name: str = Field("run", min_length=1, max_length=80)
    purpose: str = Field("", max_length=2000, description="why this run exists, in your words")
    override: str = Field(
        "", max_length=2000, description="why to train past a NO-GO or NOT YET; kept for ever"
    )


class Model(Section):
    """``[model]``"""

    id: str = Field(min_length=1, description="folder or hub id of a safetensors causal LM")
    revision: str | None = Field(None, description="hub commit or tag")
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="compute precision; auto = the fastest by a timing on this machine"
    )


class Interview(Section):
    """``[interview]``: what only the user knows. An empty answer is an unanswered question."""

    hurts: Hurts | None = Field(None, description="what hurts today")
    task_selected: bool | None = Field(
        None, description="is the corpus chosen for the gate's own task?"
    )
    explains_terms: Literal["passable", "not_passable"] | None = Field(
        None, description="does the base explain your most surprising terms?"
    )
    term_marks: dict[str, Literal["passable", "not_passable"]] = Field(
        default_factory=dict, description="the same, term by term"
    )
    fluency_goal: str = Field("", max_length=2000, description="which fluency must improve")
    facts_once: bool | None = Field(None, description="are the facts stated only once?")
    distil: bool | None = Field(None, description="will the model be distilled later?")
    surprising: bool | None = Field(
        None, description="answer in place of the fluency probe; marked unverified"
    )


class Probe(Section):
    """``[probe]``"""

    max_tokens: Positive = Field(200_000, description="scored tokens per side at most")
    min_documents: Positive = Field(20, description="held-out documents per side at least")
    window: Positive | None = Field(None, description="tokens; default min(context, 1024)")
    context: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        64, description="score only tokens with this many tokens of context"
    )
    bootstrap: Small = Field(2000, description="document resamples for the interval")
    pilot: bool = Field(True, description="run the short pilot for reducible surprise")
    pilot_tokens: Positive = Field(100_000, description="tokens of the pilot, each side")
    pilot_lr: Rate | None = Field(
        None, description="default: the run's own rate, else a hot one by the model's width"
    )
    budget_seconds: Positive = Field(600, description="time limit of the scoring, and of the pilot")
    references: list[str] = Field(
        default_factory=list,
        description="no longer read; here so that recipes of older runs still load",
    )
    seed: Seed = 0
    thresholds: dict[str, float] = Field(
        default_factory=dict, description="overrides of the decision's thresholds, by name"
    )

    @field_validator("thresholds")
    @classmethod
    def _known(cls, value: dict[str, float]) -> dict[str, float]:
        unknown = sorted(set(value) - set(THRESHOLDS))
        if unknown:
            raise ValueError(f"unknown threshold {unknown[0]}; known: {', '.join(THRESHOLDS)}")
        if not all(-LARGEST <= number <= LARGEST for number in value.values()):
            raise ValueError(f"a threshold must be a finite number, within {LARGEST:g}")
        return value


class Pack(Section):
    """``[pack]``"""

    sequence_length: Annotated[int, Field(ge=16, le=65_535)] | None = Field(
        None, description="tokens a row; default min(trained context, 2048)"
    )
    mix_back: Share = Field(0.10, description="share of generic tokens in the training stream")
    why_no_mix_back: str = Field("", description="required when mix_back = 0")

    @model_validator(mode="after")
    def _argued(self) -> Pack:
        if self.mix_back == 0 and not self.why_no_mix_back:
            raise ValueError("mix_back = 0 invites forgetting; say why in why_no_mix_back")
        return self


class Train(Section):
    """``[train]``"""

    method: Annotated[str, OneOf(TRAIN_METHODS)] = DEFAULT.name
    why_full: str = Field("", description='required when method = "full"')
    epochs: Annotated[float, Field(gt=0, le=100)] = 1.0
    why_epochs: str = Field("", description="required when epochs > 1")
    max_tokens: Positive | None = Field(None, description="cap on training tokens, mix included")
    lr: Rate | None = Field(None, description="peak rate; default 1e-4 for LoRA, by size for full")
    freeze_layers: Annotated[int, Field(ge=0, le=10_000)] = Field(
        0, description="lowest decoder layers kept as they are; with LoRA they get no adapters"
    )
    lr_pilot: bool = Field(
        False, description="try a third, one and three times the rate first, and take the best"
    )
    train_embeddings: bool = Field(False, description="train embeddings and head too")
    embeddings_lr: Rate | None = Field(None, description="their own peak rate; default lr / 10")
    schedule: Literal["cosine", "constant", "wsd"] = Field(
        "cosine", description="wsd: warm-up, constant, linear decay over the last decay_share"
    )
    decay_share: Annotated[float, Field(gt=0, le=1)] = Field(
        DECAY_SHARE, description="share of steps in which wsd decays to min_lr_share"
    )
    warmup: Annotated[float, Field(ge=0, lt=1)] = Field(0.01, description="share of steps")
    min_lr_share: Annotated[float, Field(ge=0, le=1)] = Field(0.1, description="of the peak rate")
    batch_tokens: Annotated[int, Field(gt=0, le=2**31)] = Field(
        32_768, description="tokens of one optimizer step"
    )
    micro_batch: Small | None = Field(None, description="rows at once; default measured")
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    betas: tuple[Beta, Beta] = (0.9, 0.95)
    clip: Annotated[float, Field(gt=0)] = Field(1.0, description="gradient norm limit")
    seed: Seed = 0
    gradient_checkpointing: bool | None = Field(
        None, description="default: on where one row would not fit in memory without it"
    )
    eval_every: Positive | None = Field(None, description="steps; default 20 points a run")
    eval_tokens: Positive = Field(50_000, description="held-out tokens per side and evaluation")
    checkpoint_every: Positive | None = Field(None, description="steps; default 10 a run")
    keep_last: Annotated[int, Field(ge=2, le=10**6)] = Field(2, description="newest kept")
    keep_best: bool = Field(
        False,
        description="keep the checkpoint with the lowest domain held-out loss too, of those with "
        "a guard that is not red",
    )
    use: Literal["last", "best"] = Field(
        "last", description="whose weights the run's model has; best needs keep_best"
    )
    samples: Annotated[int, Field(ge=0, le=20)] = Field(
        3, description="prompts continued at each evaluation, the last of them generic; 0 = off"
    )
    trackers: list[Literal["trackio", "wandb", "tensorboard"]] = Field(
        default_factory=list,
        description="who gets the curves too (numbers, no text); needs the extra [trackers]",
    )
    compile: bool = Field(False, description="torch.compile of the decoder (inductor)")
    liger: bool = Field(
        False, description="Liger's Triton kernels, on a GPU; needs the extra [liger]"
    )
    stop_on_red: bool = Field(False, description="stop when the forgetting guard turns red")

    @model_validator(mode="after")
    def _argued(self) -> Train:
        facts = TRAIN_METHODS[self.method]
        if facts.why_key and not self.why_method:
            raise ValueError(
                f'method = "{facts.name}" {facts.needs_why}; say why in {facts.why_key}'
            )
        if self.epochs > 1 and not self.why_epochs:
            raise ValueError("epochs > 1 needs an argument; say why in why_epochs")
        if self.embeddings_lr and not self.train_embeddings:
            raise ValueError("embeddings_lr has no effect without train_embeddings = true")
        if self.use == "best" and not self.keep_best:
            raise ValueError('use = "best" needs keep_best = true')
        if len(set(self.trackers)) != len(self.trackers):
            raise ValueError("trackers must differ from each other")
        if self.schedule != "wsd" and self.decay_share != DECAY_SHARE:
            raise ValueError('decay_share has no effect without schedule = "wsd"')
        return self

    @property
    def why_method(self) -> str:
        """The reason given for the method; empty where none is asked for."""
        key = TRAIN_METHODS[self.method].why_key
        return str(getattr(self, key)) if key else ""

    def made_of(self) -> dict[str, Any]:
        """Every key but those that only look on: what weights are made from."""
        return self.model_dump(exclude={"samples", "trackers"})


class Arms(Section):
    """``[arms]``: more arms beside the gate's two. They say what a gain is made of."""

    control: Source | None = Field(
        None, description="irrelevant text: CPT on as many tokens of it (Gururangan 2020)"
    )
    cpt_seeds: bool = Field(
        False,
        description="train once for each of the gate's seeds: a second verdict, on the recipe",
    )
    checkpoints: list[Annotated[float, Field(gt=0, lt=1)]] = Field(
        default_factory=list,
        max_length=10,
        description="shares of training whose checkpoints are kept and judged too",
    )

    curve: bool = Field(False, description="both arms with less SFT: does CPT's lead last")
    more_sft: bool = Field(False, description="the base with CPT's compute spent on more SFT")
    merges: bool = Field(False, description="base and CPT mixed; the mean of the last checkpoints")

    @field_validator("checkpoints")
    @classmethod
    def _differ(cls, value: list[float]) -> list[float]:
        if len(set(value)) != len(value):
            raise ValueError("shares must differ from each other")
        return sorted(value)

    @property
    def asked(self) -> bool:
        shown = self.curve or self.more_sft or self.merges
        return bool(self.control or self.cpt_seeds or self.checkpoints or shown)


class Launch(Section):
    """``[launch]``"""

    threads: Annotated[int, Field(gt=0, le=1024)] | None = Field(
        None, description="CPU threads of a process; default all cores, shared in training"
    )
    processes: Annotated[int, Field(ge=1, le=1024)] = Field(
        1, description="training processes on this machine, one for each GPU (torchrun)"
    )
    strategy: Literal["ddp", "fsdp2"] = Field(
        "ddp",
        description="several processes: ddp = each holds the model; fsdp2 = each holds a part",
    )


class Recipe(Section):
    """One run's intent, and what the run adds: evidence, verdict, provenance."""

    recipe: About = Field(default_factory=lambda: About.model_validate({}))
    model: Model
    corpus: Source
    generic: Source = Field(default_factory=lambda: Source(path="embedded"))
    interview: Interview = Field(default_factory=lambda: Interview.model_validate({}))
    probe: Probe = Field(default_factory=lambda: Probe.model_validate({}))
    pack: Pack = Field(default_factory=lambda: Pack.model_validate({}))
    train: Train = Field(default_factory=lambda: Train.model_validate({}))
    lora: Lora = Field(default_factory=lambda: Lora.model_validate({}))
    vocab: Vocab = Field(default_factory=lambda: Vocab.model_validate({}))
    gate: Gate = Field(default_factory=lambda: Gate.model_validate({}))
    arms: Arms = Field(default_factory=lambda: Arms.model_validate({}))
    finish: Finish = Field(default_factory=lambda: Finish.model_validate({}))
    launch: Launch = Field(default_factory=lambda: Launch.model_validate({}))
    evidence: dict[str, Any] = Field(default_factory=dict, description="added by the run")
    verdict: dict[str, Any] = Field(default_factory=dict, description="added by the run")
    provenance: dict[str, Any] = Field(default_factory=dict, description="added by the run")

    @property
    def method(self) -> MethodFacts:
        """How the model is trained: ``[train] method`` with its ``[lora] variant``."""
        return method_of(self.train.method, self.lora.variant)

    @model_validator(mode="before")
    @classmethod
    def _several(cls, values: object) -> object:
        """``[[corpus]]`` and ``[[generic]]``: several sources of one side."""
        return from_tables(values)

    @model_validator(mode="after")
    def _extendable(self) -> Recipe:
        if self.vocab.extend and self.interview.distil:
            raise ValueError(
                "vocab.extend = true does not go with interview.distil = true, since teacher and "
                "student share their tokens; take one of them out"
            )
        if self.arms.asked and not (self.gate.gold and self.gate.sft):
            raise ValueError("[arms] needs the gate that judges them: [gate] gold and sft")
        if self.arms.asked and self.train.use == "best":
            raise ValueError(
                '[arms] does not go with train.use = "best" yet: arms are compared with the end of '
                "training"
            )
        if self.vocab.extend and self.arms.asked:
            raise ValueError(
                "[arms] does not go with vocab.extend = true yet; take one of them out"
            )
        if self.vocab.extend and self.train.lr_pilot:
            raise ValueError(
                "train.lr_pilot has no effect with vocab.extend = true; give train.lr, which the "
                "first run has measured"
            )
        return self

    @model_validator(mode="after")
    def _one_method(self) -> Recipe:
        method, variant = self.train.method, self.lora.variant
        if not TRAIN_METHODS[method].trains_adapters and variant != DEFAULT_VARIANT:
            raise ValueError(
                f'lora.variant = "{variant}" has no effect with train.method = "{method}"; '
                "take one of them out"
            )
        return self
