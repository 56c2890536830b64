"""Addresses: the files behind https://, s3:// and gs://, listed and fetched through fsspec."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from engine.corpus.files.kinds import kind_of, readable
from engine.corpus.ledger import shown
from engine.errors import InputError

CONNECT, READ = 10, 60
"""Seconds to wait for a server's first answer, and for each next one."""
MOST_FILES = 100_000
"""Files that are fetched from one address; beyond it somebody named a bucket by mistake."""
EXTRAS = {"s3": "s3fs", "gs": "gcsfs"}
"""What fsspec needs to read a scheme; the extra has the scheme's name."""
INSTEAD = "download it and give the folder"
_MAGIC = re.compile(r"[*?\[]")
_STATE = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "updated", "created")
"""What file systems call that which changes with a file's content."""

Count = Callable[[int], None]


@dataclass(frozen=True)
class RemoteFile:
    """A file at an address."""

    path: str
    """As its file system calls it."""
    name: str
    """Below the address, of safe characters."""
    size: int | None
    state: str
    """Changes when the file does, as far as its server says."""


def list_remote(address: str) -> list[RemoteFile]:
    """The files at an address that may hold text: one file, a folder's, or a glob's.

    Raises InputError with one sentence where there are none or they cannot be had.
    """
    with _explained(address):
        system, path = _system(address)
        found = _found(system, path, address)
        files = sorted(_files(found, path), key=lambda one: one.name)
    if not files:
        raise InputError(f"{shown(address)} has no file that can be read; give {readable()}")
    if len(files) > MOST_FILES:
        raise InputError(f"{shown(address)} reaches {len(files):,} files; give a narrower address")
    return files


def download(address: str, files: list[RemoteFile], folder: Path, count: Count) -> None:
    """Fetch the files into a folder; ``count`` is told the bytes, and may raise to break off.

    Raises InputError where a file breaks off or has another size than was said.
    """
    from fsspec.callbacks import Callback

    class Counting(Callback):  # type: ignore[misc]
        def relative_update(self, inc: int = 1) -> None:
            count(inc)

    with _explained(address):
        system, _ = _system(address)
        for file in files:
            target = folder / file.name
            system.get_file(file.path, str(target), callback=Counting())
            size = target.stat().st_size
            if file.size is not None and size != file.size:
                raise InputError(
                    f"{shown(file.path)} broke off after {size:,} of {file.size:,} bytes; try again"
                )


def _system(address: str) -> tuple[Any, str]:
    """fsspec's file system for an address, with patience of our own, and the path in it."""
    from fsspec.core import url_to_fs

    scheme = address.partition("://")[0].lower()
    options: dict[str, Any] = {}
    if scheme in ("http", "https"):
        import aiohttp

        patience = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=READ)
        options["client_kwargs"] = {"timeout": patience}
    elif scheme == "s3":
        limits = {"connect_timeout": CONNECT, "read_timeout": READ}
        options["config_kwargs"] = {**limits, "retries": {"max_attempts": 2}}
    try:
        return url_to_fs(address, use_listings_cache=False, **options)  # type: ignore[no-any-return]
    except ImportError:
        package = EXTRAS.get(scheme, "an fsspec package")
        raise InputError(
            f"{shown(address)} needs {package}: pip install 'cpt-tui[{scheme}]', or {INSTEAD}"
        ) from None


def _found(system: Any, path: str, address: str) -> dict[str, Any]:
    """What stands at a path, by its name: a file, all files of a folder, or those of a glob."""
    if _MAGIC.search(path) and not address.lower().startswith("http"):
        return {n: i for n, i in system.glob(path, detail=True).items() if i["type"] == "file"}
    info = system.info(path)
    if info["type"] == "directory":
        found: dict[str, Any] = system.find(path, detail=True)
        return {name: one for name, one in found.items() if kind_of(PurePosixPath(name).name)}
    return {path: info}


def _files(found: dict[str, Any], root: str) -> Iterator[RemoteFile]:
    """What was found without hidden files, numbered in the order of the paths."""
    base, several = root.rstrip("/"), len(found) > 1
    below = {path: path.removeprefix(base).strip("/") for path in found} if several else {}
    kept = [
        path
        for path in sorted(found)
        if not any(part.startswith(".") for part in below.get(path, "").split("/"))
    ]
    for number, path in enumerate(kept, 1):
        info = found[path]
        plain = below.get(path) or PurePosixPath(urlsplit(path).path).name or "text.txt"
        name = re.sub(r"[^\w.-]+", "_", plain)[-150:]
        yield RemoteFile(
            path=path,
            name=f"{number:06}-{name}" if several else name,
            size=info.get("size"),
            state=next((str(info[key]) for key in _STATE if info.get(key)), ""),
        )


@contextmanager
def _explained(address: str) -> Iterator[None]:
    """Any error of a file system as one sentence."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        why = _reason(error)
        if why is None:
            raise
        raise InputError(f"{shown(address)} cannot be read, {why}: {INSTEAD}") from None


def _reason(error: Exception) -> str | None:
    """What went wrong, in our words; None for what is no fault of the address.

    A file that an HTTP server cannot be asked for is a FileNotFoundError to fsspec too.
    """
    chain = [one for one in (error, error.__cause__) if one]
    status = next((s for one in chain if isinstance(s := getattr(one, "status", None), int)), None)
    names = " ".join(type(one).__name__ for one in chain)
    lost = re.search("Connection|Connector|Timeout|Payload|Disconnected", names)
    if status in (401, 403) or isinstance(error, PermissionError) or "Credential" in names:
        return "its server asks for a login (set the credentials of its own tools)"
    if status not in (None, 404):
        return f"its server answered with fault {status} (try again later)"
    if isinstance(error, FileNotFoundError) and not lost:
        return "there is nothing at this address"
    if isinstance(error, OSError) or lost or re.search("Client|Http", names):
        first = (str(chain[-1]).strip().splitlines() or [type(error).__name__])[0]
        return f"its server cannot be reached or broke off ({first[:100].rstrip('.')})"
    return None
