"""Fetched texts: hub data sets and addresses as sealed folders of the cache.

``home()/cache/fetched/KEY`` holds ``records.jsonl`` (a data set's records) or ``texts/`` (the
files of an address), and ``meta.json``. The key says what was asked for and at which commit or
state; the hash of the content goes into the recipe, so that a replay reads the same or is refused.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.artifacts.record import Record
from engine.corpus import hub
from engine.corpus.files.seals import build_sealed, discard_folder, find_damage, hold_folder
from engine.corpus.ledger import Row, shown
from engine.corpus.remote.addresses import RemoteFile, download, list_remote
from engine.errors import InputError
from engine.files import (
    cache_folder,
    check_space,
    digest,
    home,
    private_dir,
    sha256_file,
    write_json,
)
from engine.recipe.sources import Source, lock_name

FETCH_VERSION = 1
RECORDS, TEXTS, META = "records.jsonl", "texts", "meta.json"
BYTES_A_TOKEN = 5
"""English text makes 4.2 to 4.8 bytes a token with vocabularies of 50,000 and more: five fetch
no less than what is asked for, and with small vocabularies more."""
SPARE_RECORDS = 100
"""Records beyond ``max_documents``, and a tenth more: some hold no text."""
SPACE_EVERY = 256 << 20
"""Bytes after which the free space is looked at again."""

Tick = Callable[[int], None]
"""Told the bytes fetched so far; may raise to break off."""


class FetchedMeta(Record):
    """What was fetched: a folder's ``meta.json``."""

    name: str
    """The source, as a lock calls it."""
    path: str
    revision: str = ""
    """Commit of a hub data set."""
    sha256: str
    """Over the names and contents of what was fetched."""
    bytes: int
    records: int = 0
    fetched: float = 0
    """Unix seconds."""


@dataclass(frozen=True)
class FetchedText:
    """A sealed folder, and what is in it."""

    folder: Path
    meta: FetchedMeta

    @property
    def root(self) -> Path:
        """The file or folder that the text is read from."""
        if (self.folder / RECORDS).exists():
            return self.folder / RECORDS
        files = sorted((self.folder / TEXTS).iterdir())
        return files[0] if len(files) == 1 else self.folder / TEXTS


_OPENED: dict[tuple[str, str], FetchedText] = {}
"""What this process has fetched or found whole, by home and source: asked for once."""


def fetched_folder() -> Path:
    """Where all fetched texts lie."""
    return cache_folder() / "fetched"


def check_remote(source: Source) -> None:
    """Can it be fetched? Asks its server, unless it is here already. Raises InputError."""
    if _known(source) is None:
        _key(source)


def fetch(source: Source, tick: Tick = lambda done: None) -> FetchedText:
    """The source's text on this disk: from the cache, or fetched now.

    Raises InputError where it cannot be had, or is not what the recipe pins.
    """
    known = (str(home()), digest(source.model_dump(exclude={"also", "share"})))
    if known not in _OPENED:
        found = _known(source) or _made(source, tick)
        if source.sha256 and found.meta.sha256 != source.sha256:
            raise InputError(
                f"{shown(source.path)} is not the text that this recipe was run on: its sha256 is "
                f"{found.meta.sha256[:12]}…, the recipe pins {source.sha256[:12]}…; get the old "
                "text back, or take sha256 and [provenance] out of the recipe"
            )
        _OPENED[known] = found
    hold_folder(_OPENED[known].folder)
    return _OPENED[known]


def read_records(found: FetchedText) -> Iterator[Row]:
    """The records of a fetched data set."""
    with (found.folder / RECORDS).open("rb") as handle:
        for number, line in enumerate(handle, 1):
            yield Row(number, json.loads(line))


def read_meta(folder: Path) -> FetchedMeta | None:
    """What a folder says it holds; None where it does not say."""
    try:
        return FetchedMeta.model_validate_json((folder / META).read_bytes())
    except (OSError, ValidationError):
        return None


def _known(source: Source) -> FetchedText | None:
    """The text that a source pins, where it is whole in the cache: no server is asked."""
    if not source.sha256 or not fetched_folder().is_dir():
        return None
    name = lock_name(source.model_dump())
    for folder in sorted(fetched_folder().iterdir()):
        meta = read_meta(folder)
        if meta and (meta.sha256, meta.name) == (source.sha256, name) and _is_whole(folder):
            return FetchedText(folder, meta)
    return None


def _is_whole(folder: Path) -> bool:
    """Whether a folder is there as it was sealed; a damaged one is taken away."""
    if not folder.is_dir() or "." in folder.name:
        return False
    if find_damage(folder):
        discard_folder(folder)
        return False
    return True


@dataclass(frozen=True)
class _Asked:
    """What is asked for, at which state."""

    key: str
    revision: str = ""
    files: tuple[RemoteFile, ...] = ()


def _key(source: Source) -> _Asked:
    """The key of a source's folder; asks its server for the commit or the files' state."""
    ways = [FETCH_VERSION, lock_name(source.model_dump())]
    if source.is_hub:
        commit = hub.revision(source)
        return _Asked(digest([*ways, commit])[:32], revision=commit)
    files = tuple(list_remote(source.path))
    states = [(file.path, file.size, file.state) for file in files]
    return _Asked(digest([*ways, states])[:32], files=files)


def _made(source: Source, tick: Tick) -> FetchedText:
    """The folder of what stands there now, fetched unless it is here already."""
    asked = _key(source)
    folder = fetched_folder() / asked.key
    meta = read_meta(folder)
    if meta is None or not _is_whole(folder):
        with build_sealed(folder) as temporary:
            meta = _written(source, asked, temporary, tick)
    return FetchedText(folder, read_meta(folder) or meta)


def _written(source: Source, asked: _Asked, folder: Path, tick: Tick) -> FetchedMeta:
    """Fetch into an empty folder; raises InputError, and whatever ``tick`` raises."""
    records = 0
    if source.is_hub:
        records = _write_records(source, asked.revision, folder / RECORDS, tick)
        files = [folder / RECORDS]
    else:
        _write_files(source, asked, private_dir(folder / TEXTS), tick)
        files = sorted((folder / TEXTS).iterdir())
    meta = FetchedMeta(
        name=lock_name(source.model_dump()),
        path=source.path,
        revision=asked.revision,
        sha256=digest([(file.name, sha256_file(file)) for file in files]),
        bytes=sum(file.stat().st_size for file in files),
        records=records,
        fetched=round(time.time()),
    )
    write_json(folder / META, meta.to_json())
    return meta


def _write_files(source: Source, asked: _Asked, folder: Path, tick: Tick) -> None:
    check_space(home(), sum(file.size or 0 for file in asked.files))
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        tick(done)

    download(source.path, list(asked.files), folder, count)


def _write_records(source: Source, commit: str, path: Path, tick: Tick) -> int:
    """The data set's first records, as many as are asked for, one JSON object a line."""
    most = take_bytes(source)
    limit = source.max_documents and source.max_documents * 11 // 10 + SPARE_RECORDS
    done, text, number, looked = 0, 0, 0, 0
    with path.open("wb") as handle:
        for number, row in enumerate(hub.hub_rows(source, commit), 1):
            line = json.dumps(row.value, ensure_ascii=False, default=_plain).encode(
                errors="replace"
            )
            handle.write(line + b"\n")
            done += len(line) + 1
            text += _text_bytes(row.value)
            tick(done)
            if done - looked > SPACE_EVERY:
                looked = done
                check_space(home(), 0)
            if number == limit or (most is not None and text >= most):
                break
    return number


def take_bytes(source: Source) -> int | None:
    """How much text ``take_tokens`` asks for."""
    return None if source.take_tokens is None else source.take_tokens * BYTES_A_TOKEN


def _text_bytes(record: Any) -> int:
    """UTF-8 bytes of a record's longest text, which is the text, whatever its column is called."""
    values = record.values() if isinstance(record, dict) else [record]
    texts = [value for value in values if isinstance(value, str)]
    return len(max(texts, key=len, default="").encode(errors="replace"))


def _plain(value: object) -> str | None:
    """What JSON has no form for: times as words; bytes of images and sounds are left out."""
    return None if isinstance(value, bytes | bytearray | dict) else str(value)
