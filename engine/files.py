"""Files that survive: the home directory, private folders, atomic writes, hashes, free space."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import platformdirs

from engine.errors import InputError, describe_os_error


def home() -> Path:
    """Root of runs and caches: ``CPT_HOME``, else the user's data directory."""
    override = os.environ.get("CPT_HOME")
    return Path(override).expanduser() if override else Path(platformdirs.user_data_dir("cpt"))


def cache_folder() -> Path:
    """All that can be made again."""
    return home() / "cache"


def check_home() -> None:
    """InputError where the home is there and is no folder that can be used."""
    folder = home()
    way = "give another with --home DIR, or set CPT_HOME"
    try:
        there = folder.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{describe_os_error(error)}; {way}") from None
    if not stat.S_ISDIR(there.st_mode):
        raise InputError(f"{folder}: is a file, and runs need a folder; {way}")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise InputError(f"{folder}: cannot be read (permission denied); {way}")


PRIVATE = 0o077
"""The umask of every process that writes below the home: its owner's files and no other's."""
_THEIRS = "CPT_UMASK"
"""Environment variable with the umask that the user had, for what leaves the home."""


def keep_private() -> None:
    """Whatever this process and its children write is readable by its owner only."""
    os.environ.setdefault(_THEIRS, f"{os.umask(PRIVATE):o}")
    os.umask(PRIVATE)


def hand_over(path: Path) -> None:
    """Give what left the home (an export, a recipe) the modes that the user's umask asks for."""
    try:
        umask = int(os.environ.get(_THEIRS, ""), 8) & 0o077
    except ValueError:
        return
    for one in (path, *path.rglob("*")):
        one.chmod((0o777 if one.is_dir() else 0o666) & ~umask)


def open_regular(path: Path) -> BinaryIO:
    """A regular file opened for reading; OSError for anything else, as a pipe would be waited on.

    Records of a run may come from another hand.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


REPAIR_BLOCK = 1 << 20
"""Bytes of the log's end that are looked through at a time for its last newline."""


def cut_torn_tail(path: Path) -> None:
    """Cut a torn tail: everything after the last newline, NULs of a power loss included.

    Looked for in blocks from the end, since one record may be megabytes long.
    """
    if not path.exists():
        return
    if not path.is_file():
        raise InputError(f"{path}: not a regular file, so nothing can be added to it; move it away")
    with path.open("rb+") as handle:
        end = handle.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - REPAIR_BLOCK)
            handle.seek(start)
            newline = handle.read(end - start).rfind(b"\n")
            if newline >= 0:
                handle.truncate(start + newline + 1)
                return
            end = start
        handle.truncate(0)


def private_dir(path: Path) -> Path:
    """Create ``path`` readable by its owner only, under any umask (runs hold private text)."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
    path.mkdir(exist_ok=True)  # FileExistsError where it is a file
    return path


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write to a temporary name, fsync, rename: a reader sees the old file or the new one.

    Raises OSError (for example: no space left); the old file is then intact.
    """
    raw = data.encode() if isinstance(data, str) else data
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as handle:
            handle.write(raw)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def to_json(value: Any) -> str:
    """``value`` as JSON; NaN and infinity are refused (ValueError)."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON, atomically; NaN and infinity are refused (ValueError)."""
    write_atomic(path, to_json(value))


HASH = "sha256"
"""The key of a sealed object's own hash."""


def write_sealed_json(path: Path, values: Mapping[str, object]) -> None:
    """Write an object with the hash of its own values, atomically."""
    plain = {key: value for key, value in values.items() if key != HASH}
    write_json(path, {**plain, HASH: digest(json.loads(json.dumps(plain)))})


def read_sealed_json(path: Path) -> dict[str, Any] | None:
    """An object and all its values; None where there is none, or it is not as it was written.

    An object without a hash is one that an older version wrote.
    """
    try:
        with open_regular(path) as handle:
            found = json.loads(handle.read())
        said = found.pop(HASH, None)
        return found if said is None or said == digest(found) else None
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return None


def publish(temporary: Path, folder: Path) -> None:
    """Move a finished folder into place; a twin that another process put there first stays.

    Raises OSError where the move fails for another reason.
    """
    try:
        temporary.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes, read in blocks."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest(value: Any) -> str:
    """Hex sha256 of a JSON-able value in canonical form; the unit of every fingerprint."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


SPARE_BYTES = 200 << 20
"""Free space wanted beyond the predicted need."""


def check_space(folder: Path, need: int, way: str = "set CPT_HOME to another disk") -> None:
    """InputError if the disk of ``folder`` has less than ``need`` bytes and a spare left."""
    free = shutil.disk_usage(folder).free
    if free < need + SPARE_BYTES:
        raise InputError(
            f"{folder}: {free / 1e9:.1f} GB free, about {(need + SPARE_BYTES) / 1e9:.1f} GB "
            f"needed; free some space or {way}"
        )
