"""What every record of a run has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A frozen, exact record; unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Interval(Record):
    """An estimate with its interval (95% unless the field says otherwise)."""

    value: float
    low: float
    high: float
