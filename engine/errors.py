"""Errors a user can act on, and the stable exit codes of every command."""

from __future__ import annotations

import os
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command. They do not change, because scripts depend on them."""

    OK = 0
    INPUT = 1
    USAGE = 2
    NO_GO = 3
    TIE = 4
    HURT = 5
    INTERRUPTED = 6


class CptError(Exception):
    """One sentence for the user: what is wrong, where, and the way out."""

    code: Exit = Exit.INPUT


class InputError(CptError):
    """The input (a file, a recipe, a model folder) is at fault."""


class Interrupted(CptError):
    """Stopped on request at a safe point; the run can be resumed."""

    code = Exit.INTERRUPTED


class Blocked(CptError):
    """The verdict forbids the next stage (NO-GO or NOT YET without an override)."""

    code = Exit.NO_GO


def describe_os_error(error: BaseException) -> str:
    """``PATH: no such file or directory``; empty for an error that names no file."""
    if not isinstance(error, OSError) or error.filename is None or not error.strerror:
        return ""
    return f"{os.fsdecode(error.filename)}: {error.strerror.lower()}"
