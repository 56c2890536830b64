"""A run is a directory: lock, atomic writes, stage artifacts with sha256 manifests.

Layout: ``recipe.toml`` (intent, frozen) and its ``schema.json``, ``events.jsonl`` (history),
``status.json`` (heartbeat), ``artifacts/STAGE.json`` with ``artifacts/STAGE.manifest.json``,
``checkpoints/``, ``control/`` (requests to the worker), ``worker.log``, ``lock``.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from engine.errors import InputError
from engine.files import home, private_dir, sha256_file, to_json, write_atomic, write_json
from engine.stages import EXTEND, LATER_STAGES, STAGES

if TYPE_CHECKING:
    from engine.artifacts.all_stages import Artifacts

LOCK_PATIENCE = 3.0
"""Seconds that a new worker waits for the lock of one that has just died."""

LONGEST_LABEL = 240
"""Bytes of the name that a user gives a run."""
TAIL_BYTES = 64 << 10
"""Bytes of the worker's output that are looked through for its last words."""
JUDGE = "judge"
"""The request for a new verdict in place of the one that is there."""
UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What reading a record may raise that is torn, or that another hand wrote."""


@dataclass(frozen=True)
class Run:
    """One run directory. Holds no state of its own; everything is in the files."""

    path: Path

    def __str__(self) -> str:
        """The id, so that no message shows how the class is written."""
        return self.id

    @property
    def id(self) -> str:
        """The directory's name, unique under ``home()/runs``."""
        return self.path.name

    @property
    def recipe_path(self) -> Path:
        return self.path / "recipe.toml"

    @property
    def label_path(self) -> Path:
        return self.path / "label.txt"

    @property
    def label(self) -> str:
        """The name that the user gave it, beside its id; empty where there is none."""
        try:
            with self.label_path.open("rb") as handle:
                return " ".join(handle.read(LONGEST_LABEL).decode(errors="replace").split())
        except OSError:
            return ""

    def rename(self, label: str) -> None:
        """Give it a name to be shown and found by; the id, which records refer to, stays."""
        write_atomic(self.label_path, " ".join(label.split()).encode()[:LONGEST_LABEL])

    @property
    def events_path(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def status_path(self) -> Path:
        return self.path / "status.json"

    @property
    def log_path(self) -> Path:
        return self.path / "worker.log"

    @property
    def report_path(self) -> Path:
        return self.path / "report.md"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def artifact_path(self, stage: str) -> Path:
        return self.path / "artifacts" / f"{stage}.json"

    def _manifest_path(self, stage: str) -> Path:
        return self.path / "artifacts" / f"{stage}.manifest.json"

    def _next_manifest_path(self, stage: str) -> Path:
        """The manifest of an artifact that is about to take the old one's place."""
        return self.path / "artifacts" / f"{stage}.manifest.next.json"

    def log_tail(self, limit: int) -> str:
        """The last ``limit`` bytes of the worker's output; empty if there is none."""
        try:
            with self.log_path.open("rb") as handle:
                handle.seek(max(0, handle.seek(0, os.SEEK_END) - limit))
                return handle.read(limit).decode(errors="replace")
        except OSError:
            return ""

    def last_words(self) -> str:
        """The last line of the worker's output that it said itself; empty if there is none.

        A library's warning is two lines, its sentence and the indented source line that gave it;
        neither is why a worker ended.
        """
        lines = self.log_tail(TAIL_BYTES).splitlines()
        said = [
            line
            for line in lines
            if line.strip() and not line[0].isspace() and "Warning: " not in line
        ]
        return said[-1] if said else ""

    def write_artifact(
        self, stage: str, value: object, fingerprint: str, files: list[Path] | None = None
    ) -> None:
        """Write a stage's artifact and its manifest; the manifest makes it done.

        ``files`` (below the run directory) are hashed into the manifest too. The new manifest is
        written first, under a name of its own: whichever of the two artifacts a killed worker
        leaves in place, one of the two manifests is the manifest of that artifact.
        """
        private_dir(self.path / "artifacts")
        path, manifest = self.artifact_path(stage), self._manifest_path(stage)
        coming = self._next_manifest_path(stage)
        if self._manifest_in_force(stage) == coming:
            coming.replace(manifest)
        data = to_json(value).encode()
        hashes = {
            self._name(path): hashlib.sha256(data).hexdigest(),
            **{self._name(file): sha256_file(file) for file in files or []},
        }
        write_json(coming, {"fingerprint": fingerprint, "sha256": hashes})
        write_atomic(path, data)
        coming.replace(manifest)

    def _name(self, file: Path) -> str:
        """A file of the run as its manifests name it."""
        return str(file.relative_to(self.path))

    def _manifest_in_force(self, stage: str) -> Path:
        """The manifest of the artifact that is there: the next one after a kill between the two."""
        coming, artifact = self._next_manifest_path(stage), self.artifact_path(stage)
        try:
            expected = json.loads(coming.read_text())["sha256"][self._name(artifact)]
            if expected == sha256_file(artifact):
                return coming
        except UNREADABLE:
            pass
        return self._manifest_path(stage)

    def read_artifact(self, stage: str, fingerprint: str | None = None) -> Any | None:
        """The artifact, or None if absent, of another fingerprint, or with a damaged file."""
        try:
            if self._manifest(stage, fingerprint) and not self.damaged(stage, fingerprint):
                return json.loads(self.artifact_path(stage).read_text())
        except UNREADABLE:
            pass
        return None

    def read_artifacts(self, *stages: str) -> Artifacts:
        """What is there of every stage (or of these alone), as records.

        What cannot be read is named in them. Each stage's files are hashed, which takes its time
        where they are large.
        """
        from engine.artifacts.all_stages import Artifacts  # pydantic: not for a list of runs

        names = stages or (*STAGES, EXTEND, *LATER_STAGES)
        made = Artifacts.of({name: self.read_artifact(name) for name in names})
        faults = {name: fault for name in names if (fault := self.find_fault(name))}
        return made.model_copy(update={"unreadable": {**made.unreadable, **faults}})

    def written_hash(self, stage: str, path: Path) -> str:
        """sha256 of a file as a finished stage wrote it; empty where none did."""
        return self._manifest(stage, None).get(str(path.relative_to(self.path)), "")

    def find_fault(self, stage: str) -> str:
        """Why what a stage left cannot be believed; empty where it can, or it is not done."""
        path = self._manifest_path(stage)
        if path.exists() and not self._manifest(stage, None):
            return f"{path.name} is damaged"
        damaged = self.damaged(stage)
        more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        return f"{damaged[0]}{more} changed since it was written" if damaged else ""

    def damaged(self, stage: str, fingerprint: str | None = None) -> list[str]:
        """Files of a finished stage that are gone or are no longer as it wrote them."""
        expected = self._manifest(stage, fingerprint)
        return [name for name, value in expected.items() if self._hash(name) != value]

    def _hash(self, name: str) -> str:
        """sha256 of a file of the run; empty where there is none that can be read."""
        try:
            path = self.path / name
            return sha256_file(path) if path.is_file() else ""
        except UNREADABLE:
            return ""

    def _manifest(self, stage: str, fingerprint: str | None) -> dict[str, str]:
        """sha256 by file of a stage; empty if it is not done (for these inputs)."""
        try:
            manifest = json.loads(self._manifest_in_force(stage).read_text())
            if fingerprint is not None and manifest["fingerprint"] != fingerprint:
                return {}
            return {str(name): str(value) for name, value in manifest["sha256"].items()}
        except UNREADABLE:
            return {}

    def fingerprint(self, stage: str) -> str:
        """The inputs that a stage's artifact was made of; empty if it is not done."""
        try:
            return str(json.loads(self._manifest_in_force(stage).read_text())["fingerprint"])
        except UNREADABLE:
            return ""

    @property
    def training_begun(self) -> bool:
        """Whether there are CPT weights: what was pinned before them may not change any more."""
        return self.artifact_path("train").exists() or any(self.checkpoints.glob("*step-*"))

    @property
    def judged(self) -> bool:
        """Whether there is a verdict: it stands until there is a whole new one."""
        return self.read_artifact("gate") is not None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for one worker; the kernel frees it when the holder dies.

        Raises InputError if another live process holds it.
        """
        handle = (self.path / "lock").open("a+")
        try:
            if not _take_lock(handle):
                raise InputError(
                    f"Run {self.id} is already worked on by another process; "
                    f"watch it with: cpt watch {self.id}"
                )
            yield
        finally:
            handle.close()

    def request(self, action: str, by: str = "user", **details: object) -> None:
        """Ask the worker to ``stop``, ``pause``, ``resume`` or ``checkpoint`` at its next step.

        ``export`` is an order with details, and ``judge`` asks for a new verdict: the next worker
        reads them.
        """
        folder = private_dir(self.path / "control")
        write_json(folder / action, {"by": by, "t": time.time(), **details})

    def requested(self, action: str) -> dict[str, Any]:
        """The details of a pending request; empty if there is none. It is not consumed."""
        try:
            return dict(json.loads((self.path / "control" / action).read_text()))
        except UNREADABLE:
            return {}

    def take_request(self, action: str) -> bool:
        """True once for each pending request; the request is consumed."""
        try:
            (self.path / "control" / action).unlink()
        except OSError:
            return False
        return True


def _take_lock(handle: IO[str]) -> bool:
    """Lock an open file for this process; False where another holds it and goes on holding it.

    A killed process lets go only when its last thread has ended, which on a busy machine comes
    after it counts as dead: so a while is given.
    """
    end = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            if time.monotonic() > end:
                return False
            time.sleep(0.05)


def slug(name: str) -> str:
    """A short file-system-safe form of a name; empty input gives ``run``."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "run"


def create_run(name: str, recipe_text: str, root: Path | None = None) -> Run:
    """Make a fresh private run directory holding the frozen recipe, and its schema for editors."""
    from engine.recipe.schema import place_beside, with_directive
    from engine.recipe.seal import without_seal

    stamp = time.strftime("%Y%m%d-%H%M%S")
    run_id = f"{slug(name)}-{stamp}-{secrets.token_hex(2)}"
    run = Run(private_dir((root or home()) / "runs" / run_id))
    private_dir(run.checkpoints)
    write_atomic(run.recipe_path, with_directive(without_seal(recipe_text)))
    place_beside(run.recipe_path)
    return run


def list_runs(root: Path | None = None) -> list[Run]:
    """All runs, newest first (by last event)."""
    folder = (root or home()) / "runs"
    if not folder.is_dir():
        return []
    runs = [Run(path) for path in folder.iterdir() if _is_run(path)]

    def changed(run: Run) -> float:
        for source in (run.events_path, run.recipe_path):
            with contextlib.suppress(OSError):
                return source.stat().st_mtime
        return 0.0

    return sorted(runs, key=changed, reverse=True)


def _is_run(path: Path) -> bool:
    """Whether a folder holds a run; one that may not be looked into counts as none."""
    try:
        return (path / "recipe.toml").is_file()
    except OSError:
        return False


def find_run(name: str | None, root: Path | None = None) -> Run:
    """A run by id, unambiguous prefix, end of the id, name, path, or (None) the newest.

    Raises InputError naming the candidates.
    """
    if name and (Path(name) / "recipe.toml").is_file():
        return Run(Path(name).resolve())
    matches = matching_runs(name, root)
    if len(matches) == 1 or (matches and name is None):
        return matches[0]
    if name is None or not list_runs(root):
        raise InputError("There are no runs yet; start one with: cpt demo")
    if not matches:
        raise InputError(f"'{name}' matches no run; list them with: cpt runs")
    shown = ", ".join(run.id for run in matches[:8])
    more = f" and {len(matches) - 8} more" if len(matches) > 8 else ""
    raise InputError(f"'{name}' matches {len(matches)} runs: {shown}{more}; give more of the name")


def matching_runs(name: str | None, root: Path | None = None) -> list[Run]:
    """The runs that a name may mean, newest first; all of them for None."""
    runs = list_runs(root)
    if name is None:
        return runs
    ways: tuple[Callable[[Run], bool], ...] = (
        lambda run: run.id == name,
        lambda run: run.id.startswith(name),
        lambda run: run.id.endswith(f"-{name}"),
        lambda run: run.label == name,
    )
    return next((found for way in ways if (found := [run for run in runs if way(run)])), [])
