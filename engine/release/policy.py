"""Which model a verdict lets you ship, in words; stage two, export, card and report agree on it."""

from __future__ import annotations

import os
from pathlib import Path

from engine.artifacts.all_stages import Artifacts
from engine.artifacts.shipping import ExportArtifact
from engine.errors import Blocked, Exit, InputError
from engine.files import check_space, sha256_file
from engine.gate.recheck import find_difference
from engine.recipe.seal import find_change
from engine.runs.run import Run

CPT, BASE = "CPT", "base"
SOURCES = {"cpt": ("train", "model"), "task": ("finish", "task")}
"""What can be shipped: the stage that made it, and its folder in the run."""
SPARE = 1.02
"""Weights are copied once; card, tokenizer and manifest are small beside them."""
MIX_BACK_WHY = (
    "SFT moves the model away from general text once more; generic tokens in its loss hold it "
    "there (1% of them stopped most forgetting in fine-tuning, Béthune 2025), the table shows "
    "what is left"
)


def starting_point(outcome: str, anyway: str = "") -> tuple[str, str]:
    """The model that stage two starts from, ``CPT`` or ``base``, and why, in a sentence."""
    if outcome == "EARNED":
        return CPT, "The gate says EARNED: the task model starts from the CPT checkpoint."
    if anyway:
        said = f'The gate says {outcome}; the task model starts from the CPT checkpoint anyway: "'
        return CPT, f'{said}{anyway}".'
    return BASE, (
        f"The gate says {outcome}, so the base model is what to ship: the task model starts from "
        "the base."
    )


class NotEarned(Blocked):
    """A CPT checkpoint that the gate did not pass; the exit code is the verdict's."""

    def __init__(self, outcome: str, sentence: str) -> None:
        super().__init__(sentence)
        codes = {"TIE": Exit.TIE, "HURT": Exit.HURT}
        self.code = codes.get(outcome, Exit.NO_GO)


def check_cpt(outcome: str, anyway: str) -> None:
    """NotEarned where the CPT checkpoint would be shipped against its verdict, unless told to."""
    if outcome == "EARNED" or anyway:
        return
    said = f"The gate says {outcome}" if outcome else "No gate has judged this checkpoint"
    raise NotEarned(
        outcome,
        f"{said}: the base model is what to ship; train the task model from it with cpt finish, "
        'or export the CPT checkpoint all the same with --anyway "why", which is recorded',
    )


def check_source(run: Run, what: str, anyway: str) -> None:
    """InputError where the model to ship is not there or not as the run saved it; NotEarned."""
    stage, _ = SOURCES[what]
    made = run.read_artifacts()
    if fault := _find_fault(run, stage, made):
        way = f"cpt resume {run.id}" if what == "cpt" else f"cpt finish {run.id}"
        raise InputError(f"Run {run.id} has no {what} model to export ({fault}); do: {way}")
    if what == "cpt" and (fault := made.unreadable.get("gate", "")):
        raise InputError(
            f"The verdict of run {run.id} cannot be read ({fault}); do: cpt gate {run.id}"
        )
    if change := find_change(run.recipe_path.read_text(errors="replace")):
        raise InputError(
            f"Run {run.id}: {change}, and the model card is made of it; put it back as it was, or "
            f"do: cpt resume {run.id}"
        )
    for name, fault in made.unreadable.items():
        if name not in ("report", "export"):
            raise InputError(
                f"What run {run.id} measured cannot all be read ({name}: {fault}), and the model "
                f"card would lack it; do: cpt resume {run.id}"
            )
    if what == "cpt":
        check_cpt(made.gate.outcome if made.gate else "", anyway)
    if not anyway:
        check_verdict(run, "export")


def check_verdict(run: Run, action: str) -> None:
    """InputError where the verdict that decides is not what its scores give.

    ``action`` is the command that may go on all the same, with a reason.
    """
    if difference := find_difference(run):
        raise InputError(
            f"The verdict of run {run.id} is not what its scores give: {difference}; judge again "
            f'with: cpt gate {run.id}, or {action} all the same with --anyway "why", which is '
            "recorded"
        )


def _find_fault(run: Run, stage: str, made: Artifacts) -> str:
    """Why a stage's model cannot be shipped; empty where it can."""
    if damaged := run.damaged(stage):
        return f"{damaged[0]} changed since it was saved"
    if fault := made.unreadable.get(stage):
        return f"what the stage {stage} left cannot be read: {fault}"
    trained = made.train if stage == "train" else made.finish
    return "" if trained else "it is not trained yet"


def source_files(run: Run, what: str) -> list[Path]:
    """The files of the model to ship, in the run's folder."""
    _, folder = SOURCES[what]
    return sorted(path for path in (run.path / folder).iterdir() if path.is_file())


def check_target(to: Path, run: Run, what: str) -> None:
    """InputError where the model cannot be written to ``to``.

    It holds something, is the run's own folder, is not writable, or its disk is too full.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise InputError(f"{to}: is there and not empty; give a new or an empty folder")
    if to.is_relative_to(run.path):
        raise InputError(f"{to}: is inside the run itself; give a folder elsewhere")
    above = next(folder for folder in to.parents if folder.exists())
    if not os.access(above, os.W_OK):
        raise InputError(f"{above}: not writable; give a folder of yours")
    size = sum(path.stat().st_size for path in source_files(run, what))
    check_space(above, int(SPARE * size), "give a folder on another disk")


def is_whole(made: ExportArtifact) -> bool:
    """Whether an export is still as it was written."""
    folder = Path(made.path)
    return all(
        (folder / name).is_file() and sha256_file(folder / name) == expected
        for name, expected in made.sha256.items()
    )
