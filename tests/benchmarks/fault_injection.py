"""What becomes of a flipped bit or a cut file, anywhere below the home: the counts.

``python -m tests.benchmarks.fault_injection [TRIALS [SEED]]``: real runs of a tiny model, gate and
all, one finished, one stopped in training and one in its gate. Then, a trial at a time, one file of
a token store or of a run's folder is damaged, all is read as the product reads it, a worker goes
on with the run, and all is put back. What a reader gives is one of: harmless (what is read is what
was written), noticed and refused, noticed and rebuilt, or wrong but silent, of which there must be
none. A trial's outcome is the worst of its readers', where a worker that made all good again
outweighs a reader that refused before it.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cpt_tui import run_list
from cpt_tui.commands import follow, report
from cpt_tui.workspace import orders
from engine.artifacts.shipping import ReloadProof
from engine.errors import CptError, InputError
from engine.files import home, sha256_file
from engine.recipe.toml import load_recipe
from engine.release import model_card
from engine.release.policy import source_files
from engine.runs.events import Alarm
from engine.runs.run import Run, create_run, find_run, list_runs
from engine.worker.gate.arm_files import Answers
from tests import tiny
from tests.faults import driving

HARMLESS, REFUSED, REBUILT, SILENT = (
    "harmless",
    "noticed and refused",
    "noticed and rebuilt",
    "wrong but silent",
)
MARKS = re.compile(
    r"damaged|changed since|cannot be read|not as written|not as it was|is missing|are missing"
    r"|bytes shorter|is not whole|is broken|broken-step"
)
"""Words by which a reading says that something is wrong."""
UNREAD = ("lock", "worker.log", "schema.json")
"""Files that nothing reads: the lock's content, a traceback for people, and an editor's help."""
VIEWED = ("report.md", "report.html", "status.json", "events.index", "charts")
"""Files, and folders, that only viewers read, never a worker."""
AGES = re.compile(r"(?:[\d.]+ (?:s|min|h|d)\b ?)+")
SUBJECTS = ("finished", "training", "gate")
STEP = 20
"""Of 37: there are checkpoints behind it, and work before it."""


@dataclass
class Trial:
    """One damage and what each reader made of it."""

    subject: str
    file: str
    fault: str
    outcomes: dict[str, str] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)

    @property
    def outcome(self) -> str:
        found = set(self.outcomes.values())
        if SILENT in found:
            return SILENT
        made_good = self.outcomes.get("walk") in (REBUILT, HARMLESS)
        if REBUILT in found or (REFUSED in found and made_good):
            return REBUILT if self.outcomes.get("walk") != REFUSED else REFUSED
        return REFUSED if REFUSED in found else HARMLESS


def make_runs(folder: Path) -> dict[str, Run]:
    """A run for each subject, of one recipe, in the home of the environment."""
    model = tiny.write_model(folder / "model")
    files = tiny.write_corpora(folder / "corpora")
    text = driving.recipe(model, files, gate=True)
    runs = {name: create_run(name, text) for name in SUBJECTS}
    assert driving.walk(runs["finished"]).outcome == "TIE"
    assert driving.walk_until(runs["training"], STEP).code == 6

    keep = Answers._append

    def and_stop(answers: Answers, phase: str, new: dict[int, Any]) -> None:
        keep(answers, phase, new)
        if answers.path.name.startswith("cpt-"):
            runs["gate"].request("stop")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Answers, "_append", and_stop)
        assert driving.walk(runs["gate"]).code == 6
    return runs


def targets(run: Run) -> list[Path]:
    """Every file that a trial may damage: the token stores' and the run's."""
    stores = (home() / "cache" / "tokens").rglob("*")
    files = [path for path in (*stores, *run.path.rglob("*")) if path.is_file()]
    return sorted(p for p in files if p.stat().st_size and p.name not in UNREAD)


# --- reading as the product does ------------------------------------------------------------


def _printed(call: Callable[[], object]) -> str:
    """What a command prints: its lines, then what it says beside them."""
    out, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
        call()
    beside = [f"\n! {line}" for line in said.getvalue().splitlines()]
    return AGES.sub("AGE ", out.getvalue()) + "".join(beside)


def read_watch(run: Run) -> str:
    return _printed(lambda: print(follow.snapshot(find_run(run.id), False)))


def read_watch_json(run: Run) -> str:
    return json.dumps(json.loads(follow.snapshot(find_run(run.id), True)), indent=0)


def read_runs(run: Run) -> str:
    for kept in (run_list._CACHE, run_list._INTENTS, run_list._ANSWERS, run_list._DECIDED):
        kept.clear()
    rows = json.loads(_printed(lambda: follow.print_runs(list_runs(), json_=True)).split("\n!")[0])
    return json.dumps(sorted(rows, key=lambda row: row["run"]), indent=0)


def read_report(run: Run) -> str:
    return _printed(lambda: report.print_report(find_run(run.id), html=False, json_=False))


def read_html(run: Run) -> str:
    path = _printed(lambda: report.print_report(find_run(run.id), html=True, json_=False))
    return path + AGES.sub("AGE ", (run.path / "report.html").read_text(errors="replace"))


def read_report_json(run: Run) -> str:
    return _printed(lambda: report.print_report(find_run(run.id), html=False, json_=True))


def read_export(run: Run) -> str:
    """All that an export is made of, but for the fresh process that proves it."""
    orders.order_export(find_run(run.id), run.path.parent / "shipped", "cpt", "", "a test")
    run.take_request("export")
    recipe, _ = load_recipe(run.recipe_path)
    proof = ReloadProof.model_construct(largest=0.0, tolerance=1.0, largest_logit=1.0)
    subject = model_card.Subject(run, recipe, run.read_artifacts(), "cpt", "a test", proof)
    card = model_card.write(subject, "shipped")
    hashes = {path.name: sha256_file(path) for path in source_files(run, "cpt")}
    return json.dumps(hashes) + card


def read_walk(run: Run) -> str:
    """What a worker that goes on with the run leaves: its verdict, numbers and weights."""
    load_recipe(run.recipe_path)  # else the worker says it in worker.log, without an event
    before = len(driving.events(run, Alarm))
    ended = driving.walk(run)
    if ended.outcome == "FAILED":
        raise InputError(ended.message)
    said = [alarm.message for alarm in driving.events(run, Alarm)[before:]]
    made = run.read_artifacts()
    if not (made.gate and made.train and made.pack and made.scan):
        raise AssertionError(made.unreadable)
    found = {
        "ended": [ended.outcome, ended.code],
        "gate": made.gate.model_dump(mode="json", include={"label", "estimate", "per_item"}),
        "model": made.train.model_sha256,
        "weights": driving.weights(run),
        "pack": made.pack.sha256,
        "tokens": [made.scan.domain.tokens, made.scan.scan.generic.tokens],
        "words": made.scan.domain.words,
    }
    return json.dumps(found) + "".join(f"\n! {message}" for message in said)


READERS: dict[str, Callable[[Run], str]] = {
    "watch": read_watch,
    "watch --json": read_watch_json,
    "runs": read_runs,
    "report": read_report,
    "report --html": read_html,
    "report --json": read_report_json,
    "export": read_export,
    "walk": read_walk,
}
"""The worker is last: what it mends, the others would not see broken."""


# --- trials ---------------------------------------------------------------------------------


def damage(path: Path, rng: random.Random) -> str:
    """Flip one bit of a random byte, or cut the file at a random place; says which."""
    size = path.stat().st_size
    at = rng.randrange(size)
    if rng.random() < 0.5:
        os.truncate(path, at)
        return f"cut at {at:,} of {size:,}"
    bit = 1 << rng.randrange(8)
    with path.open("rb+") as handle:
        handle.seek(at)
        old = handle.read(1)[0]
        handle.seek(at)
        handle.write(bytes([old ^ bit]))
    return f"byte {at:,} of {size:,}: {old} became {old ^ bit}"


def judge(read: Callable[[Run], str], run: Run, expected: str) -> tuple[str, str]:
    """(outcome, detail) of one reader after a damage."""
    try:
        found = read(run)
    except CptError as error:
        return REFUSED, str(error)
    except Exception as error:  # what a user would see as a traceback
        return SILENT, f"{type(error).__name__}: {error}"
    if found == expected:
        return HARMLESS, ""
    known, new = set(expected.splitlines()), found.splitlines()
    said = [line for line in new if line not in known and MARKS.search(line)]
    same = _values(found, said) == _values(expected, [])
    if said:
        return (REBUILT if same else REFUSED), said[0]
    if same:
        return HARMLESS, ""
    other = [line for line in new if line not in known]
    return SILENT, f"instead of {sorted(known - set(new))[:3]}: {other[:3]}"[:600]


def _values(text: str, said: list[str]) -> list[str]:
    return [x for x in text.splitlines() if x.strip() and x[0] != "!" and x not in said]


@contextlib.contextmanager
def own_home(folder: Path) -> Iterator[None]:
    """A home of its own, and no hub, for as long as it lasts."""
    names = {"CPT_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1"}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def inject(trials: int, seed: int, folder: Path, say: Callable[[str], None] = print) -> list[Trial]:
    """Make the runs in ``folder`` and damage one of their files so many times."""
    with own_home(folder):
        runs, whole = make_runs(folder), folder / "whole"
        shutil.copytree(home(), whole)

        def put_back() -> None:
            shutil.rmtree(home())
            shutil.copytree(whole, home())

        expected: dict[tuple[str, str], str] = {}
        for subject, run in runs.items():
            for name, read in READERS.items():
                with contextlib.suppress(InputError):  # nothing of that kind is there yet
                    expected[subject, name] = read(run)
            put_back()
        paths = {subject: targets(run) for subject, run in runs.items()}
        rng, found = random.Random(seed), []
        for number in range(trials):
            subject = SUBJECTS[number % len(SUBJECTS)]
            run, path = runs[subject], rng.choice(paths[subject])
            name = str(path.relative_to(home())).replace(f"runs/{run.id}/", "")
            trial = Trial(subject, name, damage(path, rng))
            for reader, read in READERS.items():
                viewed = any(part in VIEWED for part in path.relative_to(home()).parts)
                if (subject, reader) in expected and not (reader == "walk" and viewed):
                    result = judge(read, run, expected[subject, reader])
                    trial.outcomes[reader], trial.details[reader] = result
            put_back()
            say(f"{number:>4} {trial.outcome:<20} {subject:<9} {trial.file}: {trial.fault}")
            for reader, outcome in trial.outcomes.items():
                if outcome != HARMLESS:
                    say(f"       {outcome}, {reader}: {trial.details[reader]}")
            found.append(trial)
    return found


def main() -> None:
    trials, seed = (int(text) for text in [*sys.argv[1:3], "200", "0"][:2])
    if len(sys.argv) == 2:
        seed = 0
    with tempfile.TemporaryDirectory() as folder:
        found = inject(trials, seed, Path(folder))
    counts = Counter(trial.outcome for trial in found)
    for outcome in (REBUILT, REFUSED, HARMLESS, SILENT):
        print(f"{outcome:<20} {counts[outcome]:>4} of {len(found)}")


if __name__ == "__main__":
    main()
