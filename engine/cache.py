"""The cache below the home: what lies in it, whether it is whole, and clearing it.

All of it can be made again, and is where it is missed: token stores (a text tokenised once),
fetched texts, the demo's base and texts, the gate's base arms, and remembered hashes of files. What
a living process uses is not touched.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from engine.corpus.files.seals import DISCARDED, PARTIAL, SEAL, discard_folder, find_damage
from engine.corpus.remote.fetched import read_meta
from engine.errors import InputError
from engine.files import cache_folder, read_sealed_json
from engine.runs.launch import read_status
from engine.runs.run import Run, list_runs

TOKENS, FETCHED, BASE, TEXTS = "tokens", "fetched", "demo base", "demo texts"
DIGESTS, LEFTOVER = "digests", "leftover"
ARM = "base arm"
ARMS_FOLDER, ABOUT = "arms", "about.json"
"""Where the gate's base arms lie, and the file of one that says what it is of."""
_PROCESS = re.compile(rf"(?:{re.escape(PARTIAL)}|{re.escape(DISCARDED)}|[.-])(\d+)$")
"""The process at the end of the name of what is being built or removed."""
_KINDS = {
    "tokens": (("", TOKENS),),
    "fetched": (("", FETCHED),),
    "demo": (("base-", BASE), ("world-", TEXTS)),
    ARMS_FOLDER: (("", ARM),),
}
"""By folder of the cache: how a name begins, and what it then is."""
_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


@dataclass(frozen=True)
class Entry:
    """One thing in the cache."""

    path: Path
    kind: str
    """``TOKENS``, ``FETCHED``, ``BASE``, ``TEXTS``, ``ARM``, ``DIGESTS``, or ``LEFTOVER`` of a
    killed process."""
    about: str
    """Which text, or what else it is of. May hold a stranger's file name."""
    size: int
    built: float
    """Unix seconds, as ``used`` is."""
    used: float
    damage: str
    """What is wrong with it; empty where it is whole."""
    user: str
    """Who uses it now: a run, or another process; empty where nobody does."""

    @property
    def name(self) -> str:
        """Short, and enough to name it by."""
        short = self.kind in (TOKENS, FETCHED, ARM)
        return self.path.name[:16] if short else self.path.name


def list_cache() -> list[Entry]:
    """Everything in the cache, the last used first."""
    living = [(run.id, _mentions(run)) for run in list_runs() if read_status(run).alive]
    found = [_entry(path, kind, living) for path, kind in _parts(cache_folder())]
    return sorted(found, key=lambda entry: -entry.used)


def choose(entries: Sequence[Entry], name: str = "all", older: str = "") -> list[Entry]:
    """The entries of a name (or its beginning), last used so long ago.

    Raises InputError for a name that is none, or of several, and for a time that is none.
    """
    chosen = [e for e in entries if name in ("all", e.path.name)]
    chosen = chosen or [e for e in entries if e.path.name.startswith(name)]
    if name != "all" and len(chosen) != 1:
        what = f"matches {len(chosen)} entries" if chosen else "is nothing in the cache"
        raise InputError(f"'{name}' {what}; list them with: cpt cache")
    if not older:
        return chosen
    limit = time.time() - _seconds(older)
    return [entry for entry in chosen if entry.used < limit]


def clear(entries: Sequence[Entry]) -> list[Entry]:
    """Remove what nobody uses; returns what was removed."""
    return [entry for entry in entries if not entry.user and _removed(entry.path)]


def _seconds(older: str) -> float:
    found = re.fullmatch(r"(\d{1,6})([mhdw])", older.strip().lower())
    if not found:
        raise InputError(f"--older {older}: give a number and m, h, d or w, for example 30d")
    return int(found[1]) * _UNITS[found[2]]


def _parts(cache: Path) -> Iterator[tuple[Path, str]]:
    """(path, kind) of all that is known here; a file of another hand is left alone."""
    for folder, kinds in _KINDS.items():
        with suppress(FileNotFoundError):
            for path in sorted((cache / folder).iterdir()):
                if path.is_dir() and not path.is_symlink():
                    known = [kind for begin, kind in kinds if path.name.startswith(begin)]
                    left = path.name.startswith(".") or _PROCESS.search(path.name) or not known
                    yield path, LEFTOVER if left else known[0]
    if (cache / "digests.sqlite3").is_file():
        yield cache / "digests.sqlite3", DIGESTS


def _entry(path: Path, kind: str, living: Sequence[tuple[str, str]]) -> Entry:
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    seal = path / SEAL
    with suppress(OSError):
        return Entry(
            path=path,
            kind=kind,
            about=_about(path, kind),
            size=sum(file.stat().st_size for file in files),
            built=(seal if seal.is_file() else path).stat().st_mtime,
            used=path.stat().st_mtime,
            damage=_damage(path, kind),
            user=_user(path, kind, living),
        )
    return Entry(path, kind, "", 0, 0.0, 0.0, "cannot be read", "")


def _about(path: Path, kind: str) -> str:
    if kind == TOKENS:
        meta = _json_object(path / "meta.json")
        with suppress(OSError):
            documents = (path / "lengths.bin").stat().st_size // 8
            return f"{meta.get('source', 'unknown text')}, {documents:,} documents"
        return str(meta.get("source", "unknown text"))
    if kind == ARM:
        about, seeds = _json_object(path / ABOUT), sum(p.stem.isdigit() for p in path.iterdir())
        model, items = about.get("model", "an unknown model"), about.get("items", "some")
        return f"{seeds} seeds of {model} on {items} gold items, {about.get('metric', '')}"
    if kind == FETCHED:
        fetched = read_meta(path)
        if fetched is None:
            return "unknown text"
        records = f", {fetched.records:,} records" if fetched.records else ""
        return (
            f"{fetched.name}{records}, fetched {time.strftime('%F', time.gmtime(fetched.fetched))}"
        )
    if kind == DIGESTS:
        with suppress(sqlite3.Error), _database(path) as table:
            (count,) = table.execute("SELECT count(*) FROM digests").fetchone()
            return f"hashes of {count:,} files"
        return "hashes of files"
    whats = {BASE: "the model that cpt demo starts from", TEXTS: "what cpt demo reads"}
    return whats.get(kind, "half built or half removed")


def _database(path: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True))


def _json_object(path: Path) -> dict[str, object]:
    """A JSON object; empty where a file holds none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _damage(path: Path, kind: str) -> str:
    if kind == DIGESTS:
        try:
            with _database(path) as table:
                (said,) = table.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            said = str(error)
        return "" if said == "ok" else said
    if kind == ARM:
        broken = [p.name for p in sorted(path.glob("*.json")) if read_sealed_json(p) is None]
        return f"{broken[0]} is not as it was written" if broken else ""
    return "" if kind == LEFTOVER else find_damage(path)


def _user(path: Path, kind: str, living: Sequence[tuple[str, str]]) -> str:
    """A living run that names it, or a process that holds it or works on it."""
    for run, mentions in living:
        if path.name in mentions:
            return run
    if kind == LEFTOVER:
        found = _PROCESS.search(path.name)
        return f"process {found[1]}" if found and psutil.pid_exists(int(found[1])) else ""
    if kind == DIGESTS:
        return living[0][0] if living else ""
    with _alone(path) as alone:
        return "" if alone else "another process"


def _mentions(run: Run) -> str:
    """What a run reads, as far as its files name it."""
    text = ""
    for path in (run.recipe_path, run.artifact_path("scan")):
        with suppress(OSError):
            text += path.read_text(errors="replace")
    return text


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Hold a folder for ourselves; False where another process holds it (``hold_folder``)."""
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        yield False
    else:
        yield True
    finally:
        os.close(handle)


def _removed(path: Path) -> bool:
    """Whether it could be removed; not where somebody came to use it meanwhile."""
    try:
        if path.is_file():
            path.unlink()
            return True
        with _alone(path) as alone:
            if alone:
                discard_folder(path)
    except OSError:
        return False
    return alone and not path.exists()
