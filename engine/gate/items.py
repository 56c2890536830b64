"""The gate's items with their texts and what each arm scored, read from a run's files.

Works while the gate runs: an item counts as soon as both arms have a seed in common. Texts are
strangers': whoever prints them cleans them first. No torch, no numpy.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import CptError
from engine.files import read_sealed_json
from engine.runs.run import Run

if TYPE_CHECKING:
    from engine.artifacts.all_stages import Artifacts
    from engine.artifacts.gate import SeedScores
    from engine.artifacts.record import Json
    from engine.gold.example import Example

ARMS = ("base", "cpt")
STAGE = {"base": "baseline", "cpt": "gate"}
"""The stage that scores an arm."""
EPSILON = 1e-9
"""Mean differences below this are none, as in ``engine.gate.judge``."""
STATES = ("won", "lost", "tied", "waiting")
UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError, CptError)


@dataclass(frozen=True)
class ArmScores:
    """One arm's scores of one item by seed, and its answers where they were kept."""

    scores: dict[int, float] = field(default_factory=dict)
    """0..1 by seed."""
    answers: dict[int, str] = field(default_factory=dict)

    @property
    def mean(self) -> float | None:
        return sum(self.scores.values()) / len(self.scores) if self.scores else None


@dataclass(frozen=True)
class ScoredItem:
    """One gold item and how the arms did on it."""

    number: int
    """From 0, as in the gold set's order."""
    base: ArmScores
    cpt: ArmScores
    text: Example | None = None
    """None where the gold set cannot be read any more."""

    @property
    def difference(self) -> float | None:
        """CPT minus base in points, over the seeds that both arms have; None without one."""
        both = [seed for seed in self.base.scores if seed in self.cpt.scores]
        if not both:
            return None
        gap = sum(self.cpt.scores[seed] - self.base.scores[seed] for seed in both)
        return 100 * gap / len(both)

    @property
    def state(self) -> str:
        """``won``, ``lost``, ``tied``, or ``waiting`` for the CPT arm."""
        gap = self.difference
        if gap is None:
            return "waiting"
        return "won" if gap > 100 * EPSILON else "lost" if gap < -100 * EPSILON else "tied"


@dataclass(frozen=True)
class Items:
    """All items of a gate."""

    items: tuple[ScoredItem, ...] = ()
    fault: str = ""
    """Why there are no texts, or no scores out of an artifact; empty where there are."""

    @property
    def counts(self) -> dict[str, int]:
        """Items by state, every state named."""
        found = Counter(item.state for item in self.items)
        return {state: found[state] for state in STATES}

    def of(self, state: str) -> list[ScoredItem]:
        """Items of a state, those with the largest difference first; all of them for ''."""
        chosen = [item for item in self.items if not state or item.state == state]
        return sorted(chosen, key=lambda item: (-abs(item.difference or 0.0), item.number))

    @property
    def scored(self) -> bool:
        """Whether there is an item that both arms have scored."""
        return any(item.state != "waiting" for item in self.items)


def stamp(run: Run) -> tuple[tuple[str, int], ...]:
    """Changes whenever the files that ``load`` reads do; cheap enough for every second."""
    paths = [*_arm_files(run), *(_artifact(run, arm) for arm in ARMS)]
    return tuple((str(path), path.stat().st_mtime_ns) for path in paths if path.exists())


def load(run: Run) -> Items:
    """Items with scores and texts; empty before the first seed is scored. Never raises."""
    made = _artifacts(run)
    seeds, texts, fault = _texts(run)
    arms = {arm: _table(run, arm, seeds, made) for arm in ARMS}
    size = max((len(rows) for table in arms.values() for rows, _ in table.values()), default=0)
    if texts and len(texts) < size:
        texts, fault = [], "the gold set of this run has fewer items than were scored"
    items = [
        ScoredItem(
            number,
            base=_of(arms["base"], number),
            cpt=_of(arms["cpt"], number),
            text=texts[number] if texts else None,
        )
        for number in range(size)
    ]
    faults = [made.describe_unreadable(STAGE[arm]) for arm in ARMS] + [fault if size else ""]
    faults += [f"{file.name} is damaged" for file in _arm_files(run) if _is_damaged(file)]
    return Items(tuple(items), "; ".join(said for said in faults if said))


Table = dict[int, tuple[list[float], list[str]]]
"""Scores and answers of every item, by seed."""


def _of(table: Table, number: int) -> ArmScores:
    scores = {s: rows[number] for s, (rows, _) in table.items() if number < len(rows)}
    answers = {s: said[number] for s, (_, said) in table.items() if number < len(said)}
    return ArmScores(scores, answers)


def _texts(run: Run) -> tuple[list[int], list[Example], str]:
    """The recipe's seeds, the registered gold items, and what is wrong with them.

    What reads recipes is imported here: a screen must not wait for it before it opens.
    """
    from engine.gate.recheck import registered_recipe
    from engine.gold.draws import registered_gold

    try:
        gate = registered_recipe(run).gate
    except UNREADABLE as error:
        return [], [], f"the recipe cannot be read: {error}"
    try:
        found = registered_gold(run.path / "gate", gate)
    except UNREADABLE as error:
        return gate.seeds, [], str(error)
    return gate.seeds, found or [], "" if found else "the run has no copy of its gold set"


def _artifact(run: Run, arm: str) -> Path:
    return run.artifact_path(STAGE[arm])


def _arm_files(run: Run) -> list[Path]:
    return sorted((run.path / "artifacts" / "arms").glob("*.json"))


def _table(run: Run, arm: str, seeds: Sequence[int], made: Artifacts) -> Table:
    """An arm's scores: seed by seed while it runs, else out of its stage's artifact."""
    kept = {seed: _seed(run.path / "artifacts" / "arms" / f"{arm}-{seed}.json") for seed in seeds}
    live = {seed: found for seed, found in kept.items() if found is not None}
    stage = made.baseline if arm == "base" else made.gate
    rows = stage.per_item if stage else []
    if rows and len(rows) <= len(seeds) and not _newer(run, arm):
        answers = {seed: found.answers for seed, found in live.items()}
        pairs = zip(seeds, rows, strict=False)  # a gate may end before its last look
        return {seed: (row, answers.get(seed, [])) for seed, row in pairs}
    return {seed: (found.scores, found.answers) for seed, found in live.items()}


def _newer(run: Run, arm: str) -> bool:
    """Whether an arm is being scored again after its artifact was written."""
    try:
        done = _artifact(run, arm).stat().st_mtime_ns
        return any(p.stat().st_mtime_ns > done for p in _arm_files(run) if p.name.startswith(arm))
    except OSError:
        return False


def _artifacts(run: Run) -> Artifacts:
    """Both arms' artifacts as they lie there, whether their stage is done or not."""
    from engine.artifacts.all_stages import Artifacts

    made = Artifacts.of({STAGE[arm]: _json(_artifact(run, arm)) for arm in ARMS})
    faults = {name: fault for name in STAGE.values() if (fault := run.find_fault(name))}
    kept = dict.fromkeys(faults)
    return made.model_copy(update={**kept, "unreadable": {**made.unreadable, **faults}})


def _seed(path: Path) -> SeedScores | None:
    """A seed's file; None where there is none, or none that can be read."""
    from engine.artifacts.gate import SeedScores

    try:
        return SeedScores.model_validate(read_sealed_json(path))
    except ValueError:
        return None


def _is_damaged(path: Path) -> bool:
    """Whether a seed's file is there and is not as it was written."""
    return read_sealed_json(path) is None and path.is_file()


def _json(path: Path) -> Json:
    """What a file holds; None where it is none that can be read."""
    try:
        found: Json = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found
