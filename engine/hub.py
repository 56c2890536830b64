"""Hub data sets, streamed with ``datasets``; an unreachable hub is one sentence in seconds."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

from engine.errors import InputError
from engine.readers import Row
from engine.recipe import Source

PREFIX = "hub:"
PATIENCE = 4.5
"""Seconds to wait for the hub's first answer."""

INSTEAD = "download it and give the folder"


def hub_id(source: Source) -> str:
    return source.path.removeprefix(PREFIX).strip()


def revision(source: Source) -> str:
    """The commit of the data set; raises InputError where it cannot be had."""
    name = hub_id(source)
    if not name or name.count("/") > 1 or name.startswith(("/", ".")):
        raise InputError(f"{source.path} is no hub data set: write hub:owner/name")
    for variable in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        if os.environ.get(variable, "").strip().upper() in ("1", "TRUE", "YES", "ON"):
            raise InputError(f"{source.path} needs the network and {variable} is set: {INSTEAD}")

    def ask() -> str:
        from huggingface_hub import HfApi

        return str(HfApi().dataset_info(name, timeout=PATIENCE).sha)

    try:
        return within(PATIENCE, ask)
    except TimeoutError:
        problem = f"the hub did not answer in {PATIENCE:.0f} s"
    except Exception as error:
        problem = _problem(error)
    raise InputError(f"{source.path} cannot be read, {problem}: {INSTEAD}")


def _problem(error: Exception) -> str:
    kind = type(error).__name__
    if "Gated" in kind:
        return "its owner asks for permission first (log in with 'hf auth login')"
    if "NotFound" in kind:
        return "there is no public data set of this name"
    first = (str(error).strip().splitlines() or [kind])[0]
    return f"the hub cannot be reached ({first[:100].rstrip('.')})"


def within(seconds: float, work: Callable[[], str]) -> str:
    """The result of ``work``, or TimeoutError; the thread is left behind (name look-ups hang)."""
    results: list[str] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError
    return results[0]


def hub_rows(source: Source, commit: str) -> Iterator[Row]:
    """Records of the split, streamed; no code of the data set is run."""
    import datasets

    try:
        stream: Any = datasets.load_dataset(
            hub_id(source), source.config, split=source.split, revision=commit, streaming=True
        )
        with contextlib.suppress(AttributeError, TypeError, ValueError):
            stream = stream.decode(False)  # images and sounds stay undecoded bytes
        yield from enumerate(stream, 1)
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        where = f"{source.path} (split {source.split})"
        raise InputError(f"{where} cannot be read, {first[:160].rstrip('.')}: {INSTEAD}") from None
