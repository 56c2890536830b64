"""The recipe's sections on what is added to a model: adapters, and new tokens."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from engine.recipe.base import Name, OneOf, Rank, Rate, Section, Small
from engine.recipe.defaults import RANKS
from engine.recipe.method_facts import DEFAULT_VARIANT, LORA_VARIANTS


class Lora(Section):
    """``[lora]``"""

    variant: Annotated[str, OneOf(LORA_VARIANTS)] = Field(
        DEFAULT_VARIANT, description="qlora: the base in 4 bits, on a GPU, with the extra [qlora]"
    )
    rank: Rank | None = Field(None, description=f"default {RANKS} by corpus size")
    alpha: Small | None = Field(None, description="default 2 x rank; rslora: 8")
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: Name | Annotated[list[Name], Field(min_length=1, max_length=1000)] = Field(
        "all-linear", description="module names, or all-linear"
    )


class Vocab(Section):
    """``[vocab]``: never on a first run."""

    extend: bool = Field(False, description="add tokens for the domain; offered by a finished run")
    first_run: str = Field(
        "", description="id or folder of the finished run that measured the token stream's cost"
    )
    size: Small | None = Field(
        None, description="new tokens at most; default what reaches 90% of the saving there is"
    )
    rows_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="share of steps in which only the new tokens' rows are trained, first"
    )
    rows_lr: Rate | None = Field(
        None, description="their peak rate, then and later; default ten times the run's own"
    )

    @model_validator(mode="after")
    def _offered(self) -> Vocab:
        if self.extend and not self.first_run:
            raise ValueError(
                "vocab.extend = true needs a finished run on this corpus that measured what its "
                "tokens cost; name it in first_run, or leave extend out"
            )
        return self
