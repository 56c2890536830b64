"""Generic text by the base's family: what it was trained on, as sources of ``[[generic]]``.

``path = "family"`` stands for them. Every source is read as plain records, without a script and
without a login, and gives no more than its share of ``TAKEN``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from engine.recipe.sources import FAMILY

TAKEN = 10_000_000
"""Tokens that all sources of a family give together: 10% of a corpus of 90M tokens without a
repeat. About 50 MB of text, which is fetched in a minute."""


class FamilySource(NamedTuple):
    """A public data set that stands for a part of what a family was trained on."""

    path: str
    share: float
    config: str | None = None


class Family(NamedTuple):
    """Base models that were trained on one kind of text."""

    name: str
    names: str
    """A pattern that is found in their ids and folder names, in small letters."""
    model_types: tuple[str, ...]
    """``model_type`` in config.json, where that says enough."""
    sources: tuple[FamilySource, ...]
    source: str
    """Where it is written what they were trained on."""


FINEWEB_EDU = "hub:HuggingFaceFW/fineweb-edu"
DCLM = "hub:mlfoundations/dclm-baseline-1.0-parquet"
CODE = "hub:common-pile/stackv2_edu_filtered"
"""Openly licensed files of The Stack v2; The Stack itself asks for a login."""
PILE = "hub:EleutherAI/the_pile_deduplicated"
FINEWEB = "hub:HuggingFaceFW/fineweb"

FAMILIES = (
    Family(
        "SmolLM2",
        r"smollm",
        (),
        (
            FamilySource(FINEWEB_EDU, 0.54, "sample-10BT"),
            FamilySource(DCLM, 0.36),
            FamilySource(CODE, 0.10),
        ),
        "SmolLM2 (2502.02737): 90% English web, FineWeb-Edu to DCLM as 60 to 40, and 10% code",
    ),
    Family(
        "Pythia",
        r"pythia|gpt-?neo|gpt-?j\b|cerebras-gpt",
        ("gpt_neox", "gpt_neo", "gptj"),
        (FamilySource(PILE, 1.0),),
        "Pythia (2304.01373) and GPT-NeoX (2204.06745): the Pile",
    ),
    Family(
        "OLMo",
        r"olmo",
        ("olmo", "olmo2", "olmo3", "olmoe"),
        (FamilySource(DCLM, 0.95), FamilySource(CODE, 0.05)),
        "OLMo 2 (2501.00656): DCLM is 95% of its first stage; Dolma itself is read by a script",
    ),
    Family(
        "other",
        r"",
        (),
        (FamilySource(FINEWEB, 1.0, "sample-10BT"),),
        "FineWeb (2406.17557): open English web text, for bases whose own is not known",
    ),
)
"""The first that fits is taken; the last fits all."""


def family_of(model: str) -> Family:
    """The family of a base, by its id or folder and its config.json."""
    folder = Path(model)
    config = _read_config(folder)
    said = [folder.name, str(config.get("_name_or_path") or "")]
    names = " ".join(said if folder.is_absolute() else [model, *said]).lower()
    kind = str(config.get("model_type") or "")
    return next(
        family
        for family in FAMILIES
        if re.search(family.names, names) or kind in family.model_types
    )


def family_tables(model: str, side: dict[str, object]) -> list[dict[str, object]]:
    """The tables that stand for ``path = "family"``; ``side`` has the other keys of that table.

    ``take_tokens`` there is what all of them give together.
    """
    given = side.get("take_tokens")
    taken = given if isinstance(given, int) else TAKEN
    kept = {key: value for key, value in side.items() if key not in ("path", "also", "take_tokens")}
    sources = family_of(model).sources
    return [
        {
            **kept,
            "path": source.path,
            **({"config": source.config} if source.config else {}),
            **({"share": source.share} if len(sources) > 1 else {}),
            "take_tokens": max(1, round(source.share * taken)),
        }
        for source in sources
    ]


def name_family(values: dict[str, Any]) -> None:
    """Put the sources of the base's family in the place of ``path = "family"``."""
    generic, model = values.get("generic"), values.get("model")
    if isinstance(generic, dict) and isinstance(model, dict) and generic.get("path") == FAMILY:
        values["generic"] = family_tables(str(model.get("id")), generic)


def _read_config(folder: Path) -> dict[str, object]:
    """config.json of a model folder; empty where there is none that can be read."""
    try:
        found = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
