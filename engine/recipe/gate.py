"""The recipe's sections on the gate and on stage two."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from engine.gold.metrics import METRICS
from engine.recipe.base import OneOf, Positive, Rank, Rate, Section, Seed, Share, Small
from engine.recipe.method_facts import TRAIN_METHODS

Columns = dict[
    Literal["prompt", "completion", "choices", "label", "group", "tags", "pattern", "messages"],
    Annotated[str, Field(min_length=1)],
]


def _metrics(choices: bool) -> str:
    """The metrics of one sort: ``choice, choice_norm and macro_f1``."""
    *others, last = (name for name, metric in METRICS.items() if metric.choices == choices)
    return f"{', '.join(others)} and {last}"


class Sft(Section):
    """``[gate.sft]``: the pinned probe, the same in both arms."""

    method: Annotated[str, OneOf(TRAIN_METHODS)] = "full"
    lr: Rate | None = Field(None, description="one pinned peak rate, in place of the grid")
    lrs: list[Rate] | None = Field(
        None,
        min_length=2,
        max_length=8,
        description="grid of peak rates; each arm takes the one of least loss on a dev split of "
        "the SFT data; default 5e-5, 1e-4, 3e-4 for LoRA and 2e-5, 5e-5, 1e-4 for full",
    )
    epochs: Annotated[float, Field(gt=0, le=50)] = 2.0
    batch: Positive = Field(16, description="examples a step")
    max_examples: Positive | None = None
    rank: Rank = 16

    @property
    def rates(self) -> tuple[float, ...]:
        """The rates that each arm chooses from; a single one is pinned (notes/science A, B1)."""
        if self.lr is not None:
            return (self.lr,)
        return tuple(sorted(self.lrs or TRAIN_METHODS[self.method].gate_rates))

    @model_validator(mode="after")
    def _one_choice(self) -> Sft:
        if self.lr is not None and self.lrs is not None:
            raise ValueError("lr pins one rate and lrs is a grid to choose from; give one of them")
        if self.lrs and len(set(self.lrs)) != len(self.lrs):
            raise ValueError("lrs must differ from each other")
        return self


class Gate(Section):
    """``[gate]``: pinned before training; two files, one primary metric."""

    gold: str | None = Field(
        None,
        description="jsonl, json, csv, tsv or parquet with prompt, completion and optional "
        "choices, label, group, tags, pattern; or lm-eval:TASK",
    )
    sft: str | None = Field(None, description="the same, prompt and completion suffice")
    gold_columns: Columns = Field(
        default_factory=dict, description="columns of the gold set by field, where named otherwise"
    )
    sft_columns: Columns = Field(
        default_factory=dict, description="columns of the SFT data by field, where named otherwise"
    )
    lm_eval_path: str | None = Field(
        None, description="folder of lm-eval task files (yaml) beside lm-eval's own"
    )
    template: Literal["plain", "chat"] = Field(
        "plain", description="chat = the tokenizer's own chat template, in both arms"
    )
    chat_heldout: str | None = Field(
        None,
        description="jsonl with messages, or prompt and completion: the answers whose loss the "
        "guard reads where the base is a chat model; left out: 40 of this project's own",
    )
    metric: Annotated[str, OneOf(METRICS)] = Field(
        "choice",
        description=f"{_metrics(choices=True)} compare log-likelihoods of choices; "
        f"{_metrics(choices=False)} read a greedy continuation",
    )
    pattern: str | None = Field(
        None,
        max_length=1000,
        description="regex: what is compared is its first group (or all of it) in the "
        "continuation and in the completion",
    )
    tolerance: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="numeric: what counts as equal, as a share of the gold number"
    )
    max_new_tokens: Small | None = Field(
        None, description="tokens of a continuation at most; default: the longest gold completion"
    )
    seeds: list[Seed] = Field([0, 1, 2, 3, 4], min_length=2, max_length=50)
    why_fewer_seeds: str = Field("", description="required for fewer than five seeds")
    margin: Annotated[float, Field(ge=0, le=100)] = Field(2.0, description="points")
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    plausible_gain: Annotated[float, Field(gt=0, le=100)] = Field(
        10.0, description="points you could believe in; an MDE above it is NOT YET"
    )
    max_items: Positive | None = None
    probe: Sft = Field(default_factory=lambda: Sft.model_validate({}))
    require_retention: bool = Field(False, description="a red forgetting guard means HURT")
    earlier_tries: Annotated[int, Field(ge=0, le=1000)] = Field(
        0, description="tries against this gold set that this machine does not know of"
    )

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        import regex

        try:
            regex.compile(value or "")
        except (regex.error, RecursionError, OverflowError) as error:
            raise ValueError(f"not a regular expression ({error})") from None
        return value

    @model_validator(mode="after")
    def _seeds(self) -> Gate:
        if self.pattern is not None and not METRICS[self.metric].reads_pattern:
            names = " or ".join(f'"{name}"' for name, one in METRICS.items() if one.reads_pattern)
            raise ValueError(f"pattern belongs to metric = {names}; drop it or set the metric")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds must differ from each other")
        if len(self.seeds) < 5 and not self.why_fewer_seeds:
            raise ValueError("the gate needs five seeds; say why fewer in why_fewer_seeds")
        return self


class Finish(Section):
    """``[finish]``: stage two, the task model, trained after the verdict."""

    run: bool = Field(False, description="train the task model after the gate")
    mix_back: Share = Field(
        0.10, description="share of generic tokens among those that carry loss in SFT"
    )
    why_no_mix_back: str = Field("", description="required when mix_back = 0")
    anyway: str = Field(
        "",
        max_length=2000,
        description="why to start from the CPT checkpoint after a TIE or HURT; kept for ever",
    )

    @model_validator(mode="after")
    def _argued(self) -> Finish:
        if self.mix_back == 0 and not self.why_no_mix_back:
            raise ValueError("mix_back = 0 invites forgetting in SFT; say why in why_no_mix_back")
        return self
