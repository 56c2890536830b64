"""The gate's registration: what will judge the run, written down before there are CPT weights.

``artifacts/registration.json`` holds every term of the gate. Gold set and SFT data are copied
below ``gate/``; both arms read the copies. Once training has begun a registration stands: a
gate that differs from it is refused, never registered again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from engine.corpus.files.kinds import codecs_of, kind_of, suffixes
from engine.errors import CptError, InputError
from engine.files import private_dir, sha256_file, to_json, write_atomic, write_json
from engine.gold.classes import shares_hash
from engine.gold.draws import gate_items
from engine.gold.example import Example
from engine.recipe.gate import Gate
from engine.recipe.registered import FIRST_RULES, LATER_PROBE
from engine.recipe.sections import Recipe
from engine.runs.events import Alarm
from engine.runs.run import Run
from engine.thresholds import effective
from engine.worker.gate.schedule import PROBE_RULE
from engine.worker.job.context import Context
from engine.worker.scoring.gold import SCORING

FILES = {"gold": "the gold set", "sft": "the SFT data"}
GUARD = ("forgetting_green", "forgetting_amber")
"""The thresholds that the gate's verdict depends on."""
RULE = "the probe's rules on when to stop, and on what has collapsed"
PRECISION, SHARES = "the precision", "the class shares of the gold set"
LATE = (PRECISION, SHARES)
"""Terms that are not known when the worker begins."""
RULES = "gate.rules"
WHOLE_BASE = "the base model"
"""One hash of the base's files, in registrations of an older cpt."""

LATER = (
    {f"gate.{name}" for name in FIRST_RULES}
    | {f"gate.probe.{name}" for name in LATER_PROBE}
    | {SHARES, RULE}
)
"""Terms that a registration under the first rules does not have."""

Terms = dict[str, Any]
"""What is registered, by the name that a refusal calls it."""


def hashes(gate: Gate) -> dict[str, str]:
    """sha256 of the gate's files as the recipe names them; a word where there is none."""
    return {name: _hash(getattr(gate, name)) for name in FILES}


def _hash(source: str | None) -> str:
    if source is None:
        return "not named"
    try:
        return sha256_file(Path(source))
    except OSError:
        return "not readable"


def terms(
    recipe: Recipe,
    base: dict[str, str],
    precision: str | None,
    files: dict[str, str],
    gold: Sequence[Example] | None = None,
) -> Terms:
    """All that the verdict depends on beside the CPT weights.

    ``base`` has the base's parts by name (weights, tokenizer, chat template, …), ``files`` the
    ``hashes``, ``gold`` the registered items, whose class shares prior matching takes; a
    precision that is not chosen yet, and items that are not read yet, are left out. A gate under
    the first rules has the terms that it had then.
    """
    first = recipe.gate.rules == 1
    left = {*FILES, "probe", "lm_eval_path", "chat_heldout", *(FIRST_RULES if first else ())}
    gate = recipe.gate.model_dump(exclude=left)
    if recipe.gate.chat_heldout:
        gate["chat_heldout"] = sha256_file(Path(recipe.gate.chat_heldout))
    probe = recipe.gate.probe.model_dump(exclude=set(LATER_PROBE if first else ()))
    probe = {**probe, "lrs": list(recipe.gate.probe.rates)}
    shares = {} if first or gold is None else {SHARES: shares_hash(gold)}
    limits = effective(recipe.probe.thresholds)
    return {
        **{f"gate.{key}": value for key, value in gate.items()},
        **{f"gate.probe.{key}": value for key, value in probe.items()},
        **{f"probe.thresholds.{name}": limits[name] for name in GUARD},
        **{FILES[name]: value for name, value in files.items()},
        **base,
        "the way of scoring": SCORING,
        **shares,
        **({} if first else {RULE: PROBE_RULE}),
        **({PRECISION: precision} if precision else {}),
    }


def registration_file(run: Run) -> Path:
    return run.artifact_path("registration")


def copy_of(run: Run, gate: Gate, name: str) -> Path:
    """The run's own copy of ``gold`` or ``sft``: what the arms read. Its format is the file's."""
    source = str(getattr(gate, name))
    ends = suffixes(source)[len(codecs_of(source)) :: -1] if kind_of(source) else [".jsonl"]
    return run.path / "gate" / f"{name}{''.join(ends)}"


def read_items(run: Run, gate: Gate) -> list[Example] | None:
    """The gold items that are, or would be, registered, spare rows among them.

    None where they cannot be read. Once training has begun the run's copies are what counts,
    whatever became of the files.
    """
    if gate.gold is None or gate.sft is None:
        return None
    copies = [copy_of(run, gate, name) for name in FILES]
    there = run.training_begun and all(copy.is_file() for copy in copies)
    gold, sft = copies if there else (Path(gate.gold), Path(gate.sft))
    try:
        return gate_items(gold, sft, gate).gold
    except (CptError, OSError):
        return None


def kept(run: Run) -> Terms | None:
    """The registered terms; None where there are none."""
    try:
        found: Terms = json.loads(registration_file(run).read_text())
        return found
    except (OSError, ValueError):
        return None


def check(run: Run, now: Terms) -> None:
    """InputError if there are CPT weights and the gate is not the one registered before them."""
    if not run.training_begun:
        return
    restore(run, now)
    registered = kept(run)
    if registered is None:
        raise InputError(
            f"Run {run.id} was trained before its gate was registered, and a gate chosen "
            "afterwards proves nothing; start a new run"
        )
    if WHOLE_BASE in registered:
        raise InputError(
            f"The gate of run {run.id} was registered by an older cpt, which knew the base by its "
            "files and not by what they hold; start a new run"
        )
    if RULES not in registered and RULES in now:
        raise InputError(
            f"The registration of run {run.id} is of an older cpt, whose rules judge it; start "
            "the command again"
        )
    if changed := _changed(registered, now):
        raise InputError(
            f"The gate of run {run.id} was registered before training, and "
            f"{' and '.join(changed)} changed since; put it back as it was, or judge by the new "
            "gate in a new run"
        )


def restore(run: Run, now: Terms) -> None:
    """Write a registration that was damaged again, where the same terms give the same file.

    InputError where they do not: what was registered is then not known any more.
    """
    path = registration_file(run)
    expected = run.written_hash("baseline", path)
    if not expected or (path.is_file() and sha256_file(path) == expected):
        return
    first = {name: value for name, value in now.items() if name not in LATER}
    now = next((one for one in (now, first) if _hash_of(one) == expected), {})
    if not now:
        raise InputError(
            f"The registration of run {run.id} ({path.name}) is damaged, and the gate as it is now "
            "is not the one that it held; put recipe, gold set and SFT data back as they were, or "
            "start a new run"
        )
    write_json(path, now)


def _hash_of(found: Terms) -> str:
    return sha256(to_json(found).encode()).hexdigest()


def _changed(registered: Terms, now: Terms) -> list[str]:
    names = [*registered, *(name for name in now if name not in registered)]
    return [
        name
        for name in names
        if registered.get(name) != now.get(name) and (name not in LATE or name in now)
    ]


def register(context: Context, now: Terms) -> str:
    """Register the gate, or find that it stands as it was; returns the registration's sha256.

    A gate that changed before training is registered again, with a note. Raises InputError
    as ``check`` does, and where a file changed since the worker started.
    """
    run, gate = context.run, context.recipe.gate
    check(run, now)
    for name, said in FILES.items():
        _copy(Path(getattr(gate, name)), copy_of(run, gate, name), now[said])
    before = kept(run)
    if before is not None and (changed := _changed(before, now)):
        message = f"registered again, before training: {', '.join(changed)} changed"
        context.emit(Alarm(level="note", stage="baseline", message=message))
    if before != now:
        write_json(private_dir(run.path / "artifacts") / "registration.json", now)
    return sha256_file(registration_file(run))


def _copy(source: Path, copy: Path, expected: str) -> None:
    """Bring a copy to its registered content."""
    if copy.is_file() and sha256_file(copy) == expected:
        return
    write_atomic(private_dir(copy.parent) / copy.name, source.read_bytes())
    if sha256_file(copy) != expected:
        raise InputError(f"{source} changed while the run was working; start the run again")
