"""What every record of a run has in common."""

from __future__ import annotations

from typing import TypeAlias

from pydantic import BaseModel, ConfigDict

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
"""A value as JSON has it."""


class Record(BaseModel):
    """A frozen record of what a stage found.

    Fields that this version does not know are left out, and what an older version did not
    measure has a default, so that a run's files are readable by versions before and after.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    def to_json(self) -> dict[str, Json]:
        """The record as it stands in a file: plain values, under the names of the file."""
        plain: dict[str, Json] = self.model_dump(mode="json", by_alias=True)
        return plain


class Interval(Record):
    """An estimate with its interval (95% unless the field says otherwise)."""

    value: float
    low: float
    high: float
