"""Reference corpora for the fluency probe: what other text costs this base (DESIGN 5).

All of them are at hand wherever the project is installed: short texts written by this project,
the documentation and the source that come with Python, and noisy copies. They place the user's
corpus on a scale; they decide nothing.
"""

from __future__ import annotations

import importlib.resources
import importlib.util
import json
import random
from pathlib import Path

VERSION = 1
"""Raise it when a text changes: scores are cached by base and version."""

MODULES = ("argparse", "textwrap", "csv", "shlex", "configparser", "difflib", "calendar")
NOISE = 0.06
"""Share of characters that bad OCR gets wrong; engine choice."""
_LETTERS = "abcdefghijklmnopqrstuvwxyz1|!.,;'"


def reference_texts() -> dict[str, list[str]]:
    """Documents of each reference corpus by its name, the same on every call."""
    english = _embedded()
    found = {
        "embedded English": english,
        **_written(),
        "Python's documentation": _documentation(),
        "Python source code": _source_code(),
        "English with OCR noise": [_noisy(text) for text in english],
        "English, words shuffled": [_shuffled(text) for text in english],
    }
    return {name: texts for name, texts in found.items() if texts}


def _written() -> dict[str, list[str]]:
    path = Path(str(importlib.resources.files("engine"))) / "data" / "references.json"
    loaded: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def _embedded() -> list[str]:
    path = Path(str(importlib.resources.files("engine"))) / "data" / "generic_sample.jsonl"
    return [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]


def _documentation() -> list[str]:
    try:
        from pydoc_data.topics import topics
    except ImportError:  # stripped installations leave it out
        return []
    return [text for _, text in sorted(topics.items()) if len(text) > 1500]


def _source_code() -> list[str]:
    found = [importlib.util.find_spec(name) for name in MODULES]
    paths = [Path(spec.origin) for spec in found if spec and spec.origin]
    return [path.read_text(encoding="utf-8") for path in paths if path.suffix == ".py"]


def _noisy(text: str) -> str:
    rng = random.Random(text)
    return "".join(rng.choice(_LETTERS) if rng.random() < NOISE else letter for letter in text)


def _shuffled(text: str) -> str:
    words = text.split()
    random.Random(text).shuffle(words)
    return " ".join(words)
