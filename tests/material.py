"""Real material for tests: ``CPT_MATERIAL``, or ``shared/material`` beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def _find() -> Path | None:
    named = os.environ.get("CPT_MATERIAL")
    checkout = Path(__file__).resolve().parents[1]
    places = [Path(named)] if named else [checkout.parent / "shared" / "material"]
    return next((place for place in places if place.is_dir()), None)


MATERIAL: Path | None = _find()

needs_material = pytest.mark.skipif(
    MATERIAL is None, reason="real material is absent (set CPT_MATERIAL to its folder)"
)
