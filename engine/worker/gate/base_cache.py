"""The base's arm across runs: what was scored once is not scored again for another corpus.

A seed of the base arm is a function of the base, the gold items, the SFT rows, the probe and
this code. All of that names a folder below the home's cache, with one sealed file a seed; a
second try at the same base, with another corpus, takes its seeds from there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import torch
import transformers
from pydantic import ValidationError

from engine import __version__
from engine.artifacts.record import Record
from engine.cache import ABOUT, ARMS_FOLDER
from engine.corpus.files.seals import hold_folder
from engine.files import cache_folder, digest, private_dir, read_sealed_json, write_sealed_json
from engine.gold.draws import GateItems
from engine.gold.example import Example
from engine.recipe.gate import Gate
from engine.stages import VERSIONS
from engine.worker.gate.schedule import PROBE_RULE
from engine.worker.model import base as models
from engine.worker.model.fast_paths import Paths
from engine.worker.model.precision import Precision
from engine.worker.scoring.gold import SCORING

Part = TypeVar("Part", bound=Record)
JUDGED = {"seeds", "looks", "look_shares", "why_fewer_seeds", "margin", "alpha", "plausible_gain"}
"""Terms of the gate that judge an arm, and make none of its scores."""
FILES = {"gold", "sft", "lm_eval_path", "max_items", "earlier_tries", "require_retention"}
"""The same, or what the items themselves tell."""


@dataclass(frozen=True)
class ArmCache:
    """Finished seeds of one base arm, by what they are made of."""

    folder: Path

    def read(self, name: str, record: type[Part]) -> Part | None:
        """A finished part; None where there is none, or it is not as it was written."""
        found = read_sealed_json(self.folder / f"{name}.json")
        if found is None:
            return None
        hold_folder(self.folder)
        try:
            return record.model_validate(found)
        except ValidationError:
            return None

    def write(self, name: str, part: Record) -> None:
        """Keep a finished part; where the disk is full it is only made again."""
        with contextlib.suppress(OSError):
            write_sealed_json(private_dir(self.folder) / f"{name}.json", part.to_json())


def base_cache(
    base: models.Base, items: GateItems, gate: Gate, precision: Precision, paths: Paths
) -> ArmCache:
    """The cache of the base's arm under this gate."""
    terms = gate.model_dump(exclude=JUDGED | FILES)
    made_of = {
        "base": dict(base.parts),
        "gold": _content(items.gold),
        "sft": [_content(items.sft.pool), items.sft.size],
        "gate": terms,
        "first seed": gate.seeds[0],  # it finds the probe's length
        "precision": precision.name,
        "paths": asdict(paths),
        "code": [__version__, VERSIONS["baseline"], SCORING, PROBE_RULE],
        "libraries": [torch.__version__, transformers.__version__, models.device().type],
    }
    cache = ArmCache(cache_folder() / ARMS_FOLDER / digest(made_of))
    about = {"model": base.name, "metric": gate.metric, "items": len(items.gold)}
    if not (cache.folder / ABOUT).is_file():
        with contextlib.suppress(OSError):
            write_sealed_json(private_dir(cache.folder) / ABOUT, about)
    return cache


def _content(examples: Sequence[Example]) -> str:
    return digest([asdict(example) for example in examples])
