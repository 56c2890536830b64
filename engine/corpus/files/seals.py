"""Seals: a cached folder is sealed when it is whole, and looked at before it is believed.

The seal holds size, sha256 and block hashes of every file. A file whose size or times changed
since it was last hashed is hashed whole again; of the others a few blocks are read each time,
and all of them once a week, because a disk that rots does not change a file's times.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from pydantic import ValidationError

from engine.artifacts.record import Record
from engine.corpus.files.digests import digests
from engine.files import private_dir, publish, sha256_file, write_atomic

SEAL = "seal.json"
DISCARDED = ".discarded-"
"""In the name of a folder that is being removed, before the process that removes it."""
PARTIAL = ".partial-"
"""In the name of a folder that is being built, before the process that builds it."""
LOOKED = "looked-at"
"""Its time is that of the last whole look."""
BLOCK = 1 << 20
SAMPLED = 16
"""Blocks of a file that are read at each look: 16 MiB take about 20 ms from the page cache."""
WHOLE_AFTER = 7 * 86_400
"""Seconds after which every byte is read again. An engineering choice: a whole look at 10 GB
takes about 15 s, so once a week costs nothing that anybody notices."""

_HELD: dict[tuple[int, int], int] = {}
"""Handles of the folders that this process holds, by device and inode; closed when it ends."""

_CHANCE = random.SystemRandom()
"""Not the global generator, whose state belongs to training."""


class SealedFile(Record):
    """What a file was when its folder was sealed."""

    size: int
    sha256: str
    blocks: list[str]
    """blake2b of each ``BLOCK``, 8 bytes in hex."""


class Seal(Record):
    """Every file of a folder, by name."""

    files: dict[str, SealedFile]


def seal_folder(folder: Path) -> None:
    """Bring a finished folder safely to the disk, and write what its files are.

    Raises OSError where the disk is full.
    """
    files = {}
    for path in sorted(
        p for p in folder.rglob("*") if p.is_file() and p.name not in (SEAL, LOOKED)
    ):
        _flush(path)
        size = path.stat().st_size
        blocks = [_hash_block(path, start) for start in range(0, size, BLOCK)]
        name = path.relative_to(folder).as_posix()
        files[name] = SealedFile(size=size, sha256=sha256_file(path), blocks=blocks)
    write_atomic(folder / SEAL, Seal(files=files).model_dump_json())
    _flush(folder)


def find_damage(folder: Path) -> str:
    """What is wrong with a sealed folder, in a few words; empty where it is as it was sealed."""
    try:
        seal = Seal.model_validate_json((folder / SEAL).read_bytes())
    except (OSError, ValidationError):
        return f"{SEAL} is missing or cannot be read"
    for name, sealed in seal.files.items():
        try:
            size = (folder / name).stat().st_size
        except OSError:
            return f"{name} is missing"
        if size != sealed.size:
            return f"{name} has {size:,} bytes instead of {sealed.size:,}"
    whole = _is_due(folder)
    return _changed_file(folder, seal, whole) or _rotten_file(folder, seal, whole)


def publish_sealed(temporary: Path, folder: Path) -> None:
    """Seal a finished folder and move it into place; a whole twin that came first stays.

    Raises OSError where the disk is full, or the move fails for another reason.
    """
    seal_folder(temporary)
    if folder.is_dir() and find_damage(folder):
        discard_folder(folder)
    publish(temporary, folder)
    shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def build_sealed(folder: Path) -> Iterator[Path]:
    """An empty folder to build in, which is sealed and takes the place of ``folder`` at the end.

    Several processes may build one folder at once: each has its own, and the first one done is
    kept. What killed processes left of it goes first; nothing is left where the building fails.
    """
    _sweep(folder)
    temporary = private_dir(folder.with_name(f"{folder.name}{PARTIAL}{os.getpid()}"))
    try:
        yield temporary
        publish_sealed(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what killed processes left of this folder."""
    for left in folder.parent.glob(f"{folder.name}{PARTIAL}*"):
        pid = int(left.name.rpartition("-")[2])
        if pid == os.getpid() or not psutil.pid_exists(pid):
            shutil.rmtree(left, ignore_errors=True)


def discard_folder(folder: Path) -> None:
    """Take a folder away: first out of its place, so that nobody opens what is half removed."""
    aside = folder.with_name(f"{folder.name}{DISCARDED}{os.getpid()}")
    with contextlib.suppress(OSError):
        folder.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def hold_folder(folder: Path) -> None:
    """Note that a folder is used, and keep ``cpt cache --clear`` off it until this process ends.

    A folder that is gone, or on a disk that cannot lock, is not held: it can be made again.
    """
    with contextlib.suppress(OSError):
        os.utime(folder)  # when it was last used
        handle = os.open(folder, os.O_RDONLY)
        found = os.fstat(handle)
        key = (found.st_dev, found.st_ino)
        if key in _HELD:
            os.close(handle)
            return
        _HELD[key] = handle
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _changed_file(folder: Path, seal: Seal, whole: bool) -> str:
    """A file whose hash is another, where its times gave a reason to hash it, or all are due."""
    paths = [folder / name for name in seal.files]
    found = [sha256_file(path) for path in paths] if whole else digests(paths)
    for (name, sealed), sha256 in zip(seal.files.items(), found, strict=True):
        if sha256 != sealed.sha256:
            return f"{name} is not as it was written"
    if whole:
        (folder / LOOKED).touch()
    return ""


def _rotten_file(folder: Path, seal: Seal, whole: bool) -> str:
    """A file of which one of a few random blocks is another."""
    for name, sealed in seal.files.items() if not whole else ():
        for number in _CHANCE.sample(range(len(sealed.blocks)), min(SAMPLED, len(sealed.blocks))):
            if _hash_block(folder / name, number * BLOCK) != sealed.blocks[number]:
                return f"{name} is not as it was written (at {number} MiB)"
    return ""


def _is_due(folder: Path) -> bool:
    """Whether the last whole look is too long ago; the sealing counts as one."""
    times = [p.stat().st_mtime for name in (SEAL, LOOKED) if (p := folder / name).exists()]
    return time.time() - max(times, default=0.0) > WHOLE_AFTER


def _hash_block(path: Path, start: int) -> str:
    with path.open("rb") as handle:
        handle.seek(start)
        return hashlib.blake2b(handle.read(BLOCK), digest_size=8).hexdigest()


def _flush(path: Path) -> None:
    """Bring a file, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
