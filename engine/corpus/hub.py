"""Hub data sets, streamed with ``datasets``; an unreachable hub is one sentence in seconds."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

from engine.corpus.ledger import Row
from engine.errors import InputError
from engine.recipe.sections import Source

PREFIX = "hub:"
PATIENCE = 4.5
"""Seconds to wait for the hub's first answer."""

COMMIT = re.compile("[0-9a-f]{40}")

RETRIES = 1
"""Of ``datasets``, for each read; below it the hub's client retries five times in 23 seconds."""

INSTEAD = "download it and give the folder"


def hub_id(source: Source) -> str:
    return source.path.removeprefix(PREFIX).strip()


def revision(source: Source) -> str:
    """The commit of the data set; raises InputError where it cannot be had.

    A commit that the recipe pins is taken as it is.
    """
    if source.revision and COMMIT.fullmatch(source.revision):
        return source.revision
    name = hub_id(source)
    if not name or name.count("/") > 1 or name.startswith(("/", ".")):
        raise InputError(f"{source.path} is no hub data set: write hub:owner/name")
    for variable in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        if os.environ.get(variable, "").strip().upper() in ("1", "TRUE", "YES", "ON"):
            raise InputError(f"{source.path} needs the network and {variable} is set: {INSTEAD}")

    def ask() -> str:
        from huggingface_hub import HfApi

        found = HfApi().dataset_info(name, revision=source.revision, timeout=PATIENCE)
        return str(found.sha)

    try:
        return within(PATIENCE, ask)
    except TimeoutError:
        found = f"the hub did not answer in {PATIENCE:.0f} s"
    except Exception as error:
        found = problem(error)
    raise InputError(f"{source.path} cannot be read, {found}: {INSTEAD}")


WORDS = {
    401: "the hub asks for a login (401; try 'hf auth login', and check the name)",
    403: "the hub refuses access (403; ask its owner, or log in with 'hf auth login')",
    404: "there is no public data set of this name",
    429: "the hub has had too many requests from here (429; wait a while)",
}


def problem(error: BaseException) -> str:
    """What went wrong, in our words: a server's own may hold anything."""
    chain = _chain(error)
    names = " ".join(type(one).__name__ for one in chain)
    if "Gated" in names:
        return "its owner asks for permission first (log in with 'hf auth login')"
    responses = (getattr(one, "response", None) for one in chain)
    status = next((r.status_code for r in responses if r is not None), None)
    if status in WORDS:
        return WORDS[status]
    if status is not None:
        return f"the hub answered with fault {status} (try again later)"
    if "RepositoryNotFound" in names or "DatasetNotFound" in names:
        return WORDS[404]
    if "JSONDecode" in names:
        return "the answer is not a hub's (no JSON; a proxy in between, or HF_ENDPOINT?)"
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if re.search("Connect|Timeout|Protocol|Network|OSError|ReadError", names):
        return f"the hub cannot be reached or broke off ({first[:100].rstrip('.')})"
    return first[:160].rstrip(".")


def _chain(error: BaseException) -> list[BaseException]:
    """An error and what caused it, outermost first."""
    chain: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and len(chain) < 10:
        chain.append(at)
        at = at.__cause__ or at.__context__
    return chain


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
    """Records of the split, streamed; no code of the data set is run. Raises InputError.

    A hub that goes away is asked again for about half a minute before it is given up.
    """
    datasets = _patient()
    try:
        stream: Any = datasets.load_dataset(
            hub_id(source), source.config, split=source.split, revision=commit, streaming=True
        )
        with contextlib.suppress(AttributeError, TypeError, ValueError):
            stream = stream.decode(False)  # images and sounds stay undecoded bytes
        for number, record in enumerate(stream, 1):
            yield Row(number, record)
    except Exception as error:
        where = f"{source.path} (split {source.split})"
        raise InputError(f"{where} cannot be read, {problem(error)}: {INSTEAD}") from None


def _patient() -> Any:
    """The library with fewer retries than its own: 20 of them would take nine minutes."""
    import datasets

    for name in ("datasets", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)
    datasets.config.STREAMING_READ_MAX_RETRIES = RETRIES
    datasets.config.STREAMING_OPEN_MAX_RETRIES = RETRIES
    datasets.config.STREAMING_READ_RETRY_INTERVAL = 1
    datasets.config.STREAMING_OPEN_RETRY_INTERVAL = 1
    datasets.config.STREAMING_READ_SERVER_UNAVAILABLE_RETRY_INTERVAL = 1
    datasets.config.STREAMING_READ_RATE_LIMIT_RETRY_INTERVAL = 5
    return datasets
