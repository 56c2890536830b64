"""What is done with a run beside working on it: delete it, edit its recipe in an editor."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from engine.errors import InputError
from engine.files import write_atomic
from engine.runs.launch import read_status
from engine.runs.run import Run

DELETED = ".deleted-"
"""Before the name of a run that is being deleted: no list shows it any more."""


def size_of(run: Run) -> int:
    """Bytes of all files of a run; what vanishes meanwhile counts nothing."""
    total = 0
    for folder, _, files in os.walk(run.path):
        for name in files:
            try:
                total += os.lstat(f"{folder}/{name}").st_size
            except OSError:
                continue
    return total


def delete(run: Run) -> None:
    """Remove a run's folder and all in it. InputError while a worker lives."""
    if read_status(run).alive:
        raise InputError(f"Run {run.id} is being worked on; stop it first (s)")
    gone = run.path.with_name(f"{DELETED}{run.id}")
    run.path.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def editor() -> list[str]:
    """The user's editor as a command. InputError where there is none."""
    chosen = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if chosen:
        return shlex.split(chosen)
    found = next((path for name in ("nano", "vim", "vi") if (path := shutil.which(name))), None)
    if found is None:
        raise InputError("No editor was found; set EDITOR, as in: export EDITOR=vim")
    return [found]


def edit(text: str) -> str:
    """Let the user change a recipe's text in the editor; returns what was saved.

    The terminal must be the editor's meanwhile. InputError where the editor does not run.
    """
    command = editor()
    with tempfile.TemporaryDirectory(prefix="cpt-") as folder:
        file = Path(folder) / "recipe.toml"
        file.write_text(text, encoding="utf-8")
        try:
            code = subprocess.run([*command, str(file)], check=False).returncode
            changed = file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"The editor {command[0]} did not do its work ({error})") from None
    if code:
        raise InputError(f"The editor {command[0]} ended with code {code}; nothing was changed")
    return changed


def check_recipe_text(text: str) -> None:
    """InputError naming every fault of a recipe, as far as it is filled in.

    A draft may still lack its model or its text.
    """
    from engine.recipe.toml import parse_toml, validate

    values = parse_toml(text, "recipe.toml")
    for table, key in (("model", "id"), ("corpus", "path")):
        held = values.setdefault(table, {})
        if isinstance(held, dict):
            held.setdefault(key, "?")
    validate(values, text, "recipe.toml")


def keep_recipe(run: Run, text: str) -> None:
    """Put a checked text in a draft's place. InputError once a worker lives on it."""
    check_recipe_text(text)
    if read_status(run).alive:
        raise InputError(f"Run {run.id} is being worked on; its recipe stands till it ends")
    write_atomic(run.recipe_path, text)
