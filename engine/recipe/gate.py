"""The recipe's sections on the gate and on stage two."""

from __future__ import annotations

from itertools import pairwise
from math import isclose
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


SEQUENTIAL = True
"""Whether a gate that lists neither seeds nor looks is a sequential one."""
FIXED_SEEDS = 5
LOOKS = (5, 10, 20)
LOOK_SHARES = (0.2, 0.3, 0.5)
"""Of alpha, at three looks: .010, .015, .025 of .05. Their sum bounds the error of all looks
whatever their dependence; Lan-DeMets boundaries would gain 2 to 4% of power
(``tests/benchmarks/label_gates.py``)."""
SPARE_OFFSET = 1_000_000_007
"""A spare seed's distance from the seed that it stands in for."""
RULES: Literal[1, 2] = 2
"""Rules of judging that a new gate is registered under; gates before there was the term have 1."""


LIKELY_EPOCHS = 8.0
"""Epochs that a base takes to learn its SFT data: 5 to 14 on the tasks of ``recipes/``."""


def spare_seed(seed: int) -> int:
    """The one registered spare of a seed, trained where that one's SFT collapses."""
    return (seed + SPARE_OFFSET) % 2**63


class Sft(Section):
    """``[gate.sft]``: the pinned probe, the same in both arms."""

    method: Annotated[str, OneOf(TRAIN_METHODS)] = "full"
    lr: Rate | None = Field(None, description="one pinned peak rate, in place of the grid")
    lrs: list[Rate] | None = Field(
        None,
        min_length=2,
        max_length=8,
        description="grid of peak rates; each seed takes the one of least loss on a dev split of "
        "the SFT data; default: one pinned rate, 1e-4 for LoRA and 5e-5 for full",
    )
    epochs: Annotated[float, Field(gt=0, le=50)] | None = Field(
        None,
        description="pins the length, with a cosine; default: until the base has learnt its SFT "
        "data, by their loss alone, and then as long in every seed of both arms",
    )
    most_epochs: Annotated[float, Field(gt=0, le=200)] = Field(
        20.0, description="the longest that the probe trains until it has learnt"
    )
    why_unlearnt: str = Field(
        "",
        max_length=2000,
        description="why a seed whose SFT has taught nothing is judged all the same; else it is "
        "trained once more with its spare seed",
    )
    batch: Positive = Field(16, description="examples a step")
    max_examples: Positive | None = Field(
        None, description="examples that a seed trains on; each draws its own, label by label"
    )
    spare: bool = Field(
        True,
        description="labelled rows of the SFT file that no seed trains on are gold items too; no "
        "where SFT data and gold set are not of one source",
    )
    rank: Rank = 16

    @property
    def likely_epochs(self) -> float:
        """The pinned epochs, or what learning the data takes as a rule: for a price."""
        return min(self.most_epochs, LIKELY_EPOCHS) if self.epochs is None else self.epochs

    @property
    def rates(self) -> tuple[float, ...]:
        """The rates that each seed chooses from; a single one is pinned.

        A rate that is chosen once an arm, on one seed, makes that seed's luck the arm's: errors
        of 4% became 13 to 27% in simulated gates of 1,600 items.
        """
        if self.lrs:
            return tuple(sorted(self.lrs))
        grid = TRAIN_METHODS[self.method].gate_rates
        return (grid[(len(grid) - 1) // 2] if self.lr is None else self.lr,)

    @model_validator(mode="after")
    def _one_choice(self) -> Sft:
        if self.lr is not None and self.lrs is not None:
            raise ValueError("lr pins one rate and lrs is a grid to choose from; give one of them")
        if self.lrs and len(set(self.lrs)) != len(self.lrs):
            raise ValueError("lrs must differ from each other")
        return self


def _seeds() -> list[int]:
    return list(range(FIXED_SEEDS))


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
    rules: Literal[1, 2] = Field(
        RULES, description="rules of judging; 1 is for gates that were registered before 2"
    )
    primary: Literal["raw", "prior_matched"] = Field(
        "raw",
        description="prior_matched = a choice is taken at the class shares of the gold set, so "
        "that a label bias of the short SFT costs nothing; items must share their choices",
    )
    ranking_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="share of alpha for the second endpoint, the centred macro-AUC; 0 = none",
    )
    seeds: list[Seed] = Field(default_factory=_seeds, min_length=2, max_length=50)
    looks: list[Small] | None = Field(
        None,
        min_length=1,
        max_length=8,
        description="numbers of seeds at which the gate looks and may stop, the last of them all; "
        "left out where seeds are listed: one look at all of them",
    )
    look_shares: list[Annotated[float, Field(gt=0, le=1)]] | None = Field(
        None,
        max_length=8,
        description="share of alpha that each look spends, 1 in all; default 0.2, 0.3, 0.5 for "
        "three looks, else by their seeds",
    )
    why_fewer_seeds: str = Field("", description="required for fewer than five seeds")
    margin: Annotated[float, Field(ge=0, le=100)] = Field(2.0, description="points")
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    plausible_gain: Annotated[float, Field(gt=0, le=100)] = Field(
        4.0, description="points you could believe in; an MDE above it is NOT YET"
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

    @model_validator(mode="before")
    @classmethod
    def _sequence(cls, given: object) -> object:
        """A gate that lists neither seeds nor looks is sequential, where that is the default."""
        if not SEQUENTIAL or not isinstance(given, dict) or {"seeds", "looks"} & set(given):
            return given
        return {**given, "seeds": list(range(LOOKS[-1])), "looks": list(LOOKS)}

    @model_validator(mode="after")
    def _looks(self) -> Gate:
        sizes, shares = self.look_sizes, self.look_shares
        if any(one >= two for one, two in pairwise(sizes)) or sizes[0] < 2:
            raise ValueError("looks must be numbers of seeds that grow, from 2")
        if sizes[-1] != len(self.seeds):
            raise ValueError(
                f"the last look is at all seeds, {len(self.seeds)} here; change looks or seeds"
            )
        if shares is not None and (len(shares) != len(sizes) or not isclose(sum(shares), 1)):
            raise ValueError(f"look_shares must be {len(sizes)} shares of alpha that sum to 1")
        return self

    @model_validator(mode="after")
    def _endpoints(self) -> Gate:
        metric = METRICS[self.metric]
        if self.primary != "raw" and (not metric.choices or self.metric == "choice_norm"):
            raise ValueError(
                'primary = "prior_matched" belongs to metric = "choice" or "macro_f1"; '
                'use primary = "raw"'
            )
        if self.ranking_share and not metric.choices:
            raise ValueError(
                "ranking_share needs a metric that compares choices; set it to 0 for continuations"
            )
        return self

    @property
    def look_sizes(self) -> tuple[int, ...]:
        """Numbers of seeds at which the gate looks, the last of them all."""
        return tuple(self.looks) if self.looks else (len(self.seeds),)

    def look_alpha(self, seeds: int) -> float:
        """What the look at so many seeds spends of alpha; all of it where there is one look.

        ValueError where no look is at that number.
        """
        sizes = self.look_sizes
        if len(sizes) == 1:
            return self.alpha
        if seeds not in sizes:
            raise ValueError(f"this gate looks at {sizes} seeds, not at {seeds}")
        default = LOOK_SHARES if len(sizes) == len(LOOK_SHARES) else sizes
        shares = self.look_shares or default
        return self.alpha * shares[sizes.index(seeds)] / sum(shares)


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
