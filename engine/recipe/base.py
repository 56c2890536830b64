"""What every section of a recipe is made of."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

Positive = Annotated[int, Field(gt=0, le=10**12)]
"""A count; no text that is read here has more tokens."""
Small = Annotated[int, Field(gt=0, le=10**6)]
"""A count of what is held in memory all at once."""
Rank = Annotated[int, Field(gt=0, le=65_536)]
"""Of adapters; no linear layer is wider."""
Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""What numpy (no negative ones) and torch (64 bits) take."""
Share = Annotated[float, Field(ge=0, le=0.9, allow_inf_nan=False)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Name = Annotated[str, Field(min_length=1)]
Rate = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class OneOf:
    """The names of a table, as a type's annotation; the schema and the faults are a Literal's."""

    def __init__(self, table: Collection[str]) -> None:
        self._table = table

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the table's order."""
        return tuple(self._table)

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.literal_schema(list(self._table))


class Section(BaseModel):
    """A table of the recipe: frozen, no unknown keys, finite numbers, texts of a few pages."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        str_strip_whitespace=True,
        str_max_length=20_000,
        allow_inf_nan=False,
    )
