"""Draft: an interview on disk. Every answer is written at once, so leaving loses nothing."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT

from engine.errors import InputError
from engine.files import digest, write_atomic, write_json
from engine.runs.run import Run, create_run
from engine.stages import STAGES

if TYPE_CHECKING:
    from engine.artifacts.decision import Evidence
    from engine.decision.case import Case
    from engine.recipe.sections import Recipe
    from engine.runs.view import RunView

NEEDED = ("model.id", "corpus.path")
INPUTS = ("model.id", "model.revision", "corpus.path", "generic.path", "gate.gold", "gate.sft")
"""A change to one of these makes earlier measurements stale."""
TRAINING_STAGES = STAGES[3:]


class Draft:
    """The recipe of a run that is still being decided. The run is made at the first answer."""

    def __init__(self, run: Run | None, home: Path | None = None) -> None:
        self._run, self._home = run, home
        self._parsed: tuple[str, dict[str, object]] | None = None

    @classmethod
    def from_recipe(cls, path: Path, home: Path | None = None, root: Path | None = None) -> Draft:
        """A draft of its own from a recipe file, its relative paths below ``root``.

        InputError names its faults.
        """
        from engine.demo.demo import materialise
        from engine.recipe.toml import dump, load_recipe

        recipe, text = load_recipe(path, root)
        ready = materialise(recipe)
        return cls(create_run(ready.recipe.name, dump(ready, text), home), home)

    @property
    def started(self) -> bool:
        """Whether anything was answered yet."""
        return self._run is not None

    @property
    def run(self) -> Run:
        """The draft's run directory, made now if there is none."""
        if self._run is None:
            self._run = create_run("draft", '[recipe]\nname = "draft"\n', self._home)
        return self._run

    @property
    def name(self) -> str:
        return self._run.id if self._run else "not saved yet (nothing answered)"

    @property
    def text(self) -> str:
        """The recipe as it stands on disk; empty before the first answer. InputError."""
        try:
            return self._run.recipe_path.read_text(encoding="utf-8-sig") if self._run else ""
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self.name}: the draft cannot be read ({error})") from None

    def _document(self) -> tomlkit.TOMLDocument:
        try:
            return tomlkit.parse(self.text)
        except TOMLKitError as error:
            raise InputError(f"{self.name}: the draft cannot be read ({error})") from None

    def values(self) -> dict[str, object]:
        """All answers as plain values. A recipe with its evidence takes long to parse: kept."""
        text = self.text
        if self._parsed is None or self._parsed[0] != text:
            self._parsed = (text, self._document().unwrap())
        return copy.deepcopy(self._parsed[1])

    def get(self, key: str) -> object:
        """The answer under a dotted key, or None."""
        value: object = self.values()
        for part in key.split("."):
            if isinstance(value, list) and value:
                value = value[0]  # [[corpus]]: the first source
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def set(self, answers: Mapping[str, object]) -> None:
        """Write answers (dotted key to value; None takes an answer back) in one step."""
        run = self.run
        document = self._document()
        for key, value in answers.items():
            _put(document, key.split("."), value)
        write_atomic(run.recipe_path, tomlkit.dumps(document))

    def take_back(self, keys: Iterable[str]) -> None:
        """Leave these paths open, so that the interview asks for them."""
        self.set({key: "embedded" if key == "generic.path" else None for key in keys})

    def missing(self) -> list[str]:
        """The needed keys that have no answer yet."""
        return [key for key in NEEDED if not self.get(key)]

    def recipe(self, partial: bool = False) -> Recipe:
        """The answers as a recipe; ``partial`` fills what is needed and missing with ``?``.

        Raises InputError naming every fault.
        """
        from engine.recipe.generic_families import name_family
        from engine.recipe.toml import validate

        values = self.values()
        if partial:
            for key in NEEDED:
                table, _, name = key.partition(".")
                held = values.setdefault(table, {})
                if isinstance(held, dict):
                    held.setdefault(name, "?")
        name_family(values)
        return validate(values, self.text, "recipe.toml")

    def frozen(self, view: RunView) -> bool:
        """Whether training has begun on these answers, so that they stand."""
        return any(
            view.stages[name].state not in ("waiting", "stopped")
            for name in TRAINING_STAGES
            if name in view.stages
        )

    def inputs(self) -> str:
        """Identity of what a measurement depends on."""
        return digest([self.get(key) for key in INPUTS])

    def remember_measured(self) -> None:
        """Note which inputs the measurement now starting belongs to."""
        write_json(self.run.path / "interview.json", {"measured": self.inputs()})

    def stale(self) -> bool:
        """Whether the inputs changed since the last measurement."""
        if self._run is None:
            return False
        try:
            held = json.loads((self._run.path / "interview.json").read_text())
            return bool(held["measured"] != self.inputs())
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def evidence(self, view: RunView) -> Evidence:
        """What was measured for these inputs; empty where nothing was or it is stale."""
        from engine.artifacts.decision import Evidence

        return Evidence() if self.stale() else view.made.evidence

    def describe_unreadable(self, view: RunView) -> str:
        """What of the measurements cannot be read, and the way out; empty where all can."""
        if self.stale():
            return ""
        lines = [view.made.describe_unreadable(stage) for stage in ("scan", "probe")]
        faults = "; ".join(line for line in lines if line)
        return f"{faults}; measure again" if faults else ""

    def case(self, view: RunView) -> Case:
        """Evidence and answers together, as the decision tree reads them."""
        from engine.decision.case import Case

        return Case(self.evidence(view), self.recipe(partial=True))


def missing_files(path: Path, root: Path | None = None) -> dict[str, str]:
    """The relative paths of a recipe file that are not below ``root``, by their dotted key.

    As they are written there. InputError for a faulty recipe.
    """
    from engine.recipe.toml import load_recipe, local_paths, parse_toml, validate

    resolved, text = load_recipe(path, root)
    there = local_paths(resolved)
    written = local_paths(validate(parse_toml(text, path.name), text, path.name))
    return {
        key: name
        for key, name in written.items()
        if not Path(name).expanduser().is_absolute() and not Path(there[key]).exists()
    }


def _put(document: tomlkit.TOMLDocument, parts: list[str], value: object) -> None:
    """Set or remove one value in a TOML document, leaving the rest as written.

    Raises InputError where a table's name is taken by a value.
    """
    *tables, name = parts
    held: MutableMapping[str, object] = document
    for table in tables:
        if table not in held:
            if value is None:
                return
            held[table] = tomlkit.table()
        inner = held[table]
        if isinstance(inner, AoT) and len(inner):
            inner = inner[0]
        if not isinstance(inner, MutableMapping):
            raise InputError(f"recipe.toml: {table} is a value; make it a table: [{table}]")
        held = inner
    if value is None:
        held.pop(name, None)
    else:
        held[name] = value
