"""Items: what there is to read in one file on disk: itself, or the members of an archive."""

from __future__ import annotations

import io
import os
import stat
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from engine.corpus.files.companions import companions
from engine.corpus.files.kinds import ARCHIVE, codecs_of, kind_of, suffixes, unknown_suffix
from engine.corpus.files.streams import BLOCK, Metered, Unpacked, open_bytes
from engine.corpus.ledger import BESIDE, Fault, Ledger, shown

HEAD = 8192
"""First bytes looked at to know what a file is."""

MEMBERS = 1_000_000
"""Members of an archive at most: its index is held in memory."""

SPOOLED = 8 << 30
"""Largest packed file that is unpacked to a temporary one, for readers that seek."""

LFS = b"version https://git-lfs"

MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
}


@dataclass(frozen=True)
class Member:
    """A file, or a member of an archive, with the reader it asks for."""

    name: str
    """As shown to the user; a member as ``archive.zip/member``."""
    kind: str
    size: int
    """Bytes on disk."""
    packed: bool
    source: Callable[[], tuple[Any, Callable[[], int] | None, int | None]]
    """Opens the raw stream; its position in the packed file, or None; its size, or None."""
    path: Path | None = None
    """The file itself where it lies on disk as it is."""

    def open(self, ledger: Ledger | None = None) -> io.BufferedReader:
        """The content, counted in the ledger. Raises Fault, here and while it is read."""
        stream, packed, bound = self.source()
        metered = Metered(stream, self.name, ledger, packed=packed, bound=bound)
        return io.BufferedReader(metered, BLOCK)

    def seekable(self, ledger: Ledger | None = None) -> BinaryIO:
        """The content for readers that jump about: the file, or a temporary one unpacked."""
        if self.path is not None:
            handle = open_bytes(self.path)
            _no_pointer(handle, self.name)
            if ledger is not None:
                ledger.bytes_found += self.size
            return handle
        spool = tempfile.TemporaryFile(prefix="cpt-")  # noqa: SIM115 (the reader closes it)
        try:
            with self.open(ledger) as content:
                while block := content.read(BLOCK):
                    spool.write(block)
                    if spool.tell() > SPOOLED:
                        limit = f"{SPOOLED >> 30} GB"
                        message = f"{self.name} unpacks to more than {limit}; unpack it yourself"
                        raise Fault("too large packed", message)
        except OSError as error:
            message = f"{self.name} cannot be unpacked to a temporary file ({error.strerror})"
            raise Fault("not readable", f"{message}; free some space or set TMPDIR") from None
        spool.seek(0)
        return spool


def members_of(
    path: Path, size: int, explicit: bool, ledger: Ledger, keep_companions: bool = False
) -> Iterator[Member]:
    """The items of one file; what an archive hides is counted. ``explicit``: any type is taken."""
    kind = kind_of(path.name)
    if kind == ARCHIVE:
        yield from _members(path, size, explicit, ledger, keep_companions)
        return
    codecs = codecs_of(path.name)

    def source() -> tuple[Any, Callable[[], int] | None, int | None]:
        handle = open_bytes(path)
        bound = os.fstat(handle.fileno()).st_size
        _no_pointer(handle, shown(path))
        if not codecs:
            return handle, None, bound  # a file that grows meanwhile does not keep us for ever
        return _unpacked(handle, codecs, shown(path)), handle.tell, None

    plain = None if codecs else path
    yield Member(shown(path), kind or "text", size, bool(codecs), source, plain)


def _head(handle: BinaryIO, size: int, name: str) -> bytes:
    """The first bytes of a file, which stay where they are."""
    try:
        head = handle.read(size)
        handle.seek(0)
    except OSError as error:
        message = f"{name} cannot be read: {error.strerror or error}"
        raise Fault("not readable", message) from None
    return head


def _no_pointer(handle: BinaryIO, name: str) -> None:
    if _head(handle, len(LFS), name) == LFS:
        message = f"{name} is a git-LFS pointer, not the file; fetch it with 'git lfs pull'"
        raise Fault("git-LFS pointer", message)


def _unpacked(handle: BinaryIO, codecs: tuple[str, ...], name: str) -> Any:
    """The stream below one or two compressions."""
    head = _head(handle, 8, name)
    if head and not any(head.startswith(m) for m, kind in MAGIC.items() if kind == codecs[0]):
        message = f"{name} is not {codecs[0]}, whatever its name says; give it its true suffix"
        raise Fault("broken archive", message)
    stream: Any = handle
    for codec in codecs:
        stream = Unpacked(stream, codec, name)
    return stream


def _members(
    path: Path, size: int, explicit: bool, ledger: Ledger, keep_companions: bool
) -> Iterator[Member]:
    """The members of a zip file, by name; nothing is written to disk under their names."""
    name = shown(path)
    handle = open_bytes(path)
    try:
        _no_pointer(handle, name)
        _count_members(handle, size, name)
        with zipfile.ZipFile(handle) as archive:
            infos = sorted(archive.infolist(), key=lambda info: info.filename)
            sizes = {i.filename: i.file_size for i in infos if not i.is_dir()}
            beside = set[str]() if keep_companions else companions(sizes)
            for info in infos:
                if info.is_dir() or _hidden(info.filename):
                    continue
                inner = f"{name}/{shown(info.filename)}"
                reason = _refusal(info) or (BESIDE if info.filename in beside else "")
                reason = reason or _unknown(info, explicit)
                if reason:
                    ledger.bytes_found += info.compress_size
                    ledger.skip(reason, info.compress_size)
                    if reason == BESIDE:
                        ledger.companions.append(inner)
                    else:
                        ledger.group(f"skipped: {reason}", inner)
                else:
                    yield _member(archive, info, inner)
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, struct.error) as error:
        what = " ".join(str(error).split())[:80]
        message = f"{name} is not a readable zip file ({what}); copy or download it again"
        raise Fault("broken archive", message) from None
    finally:
        handle.close()


def _count_members(handle: BinaryIO, size: int, name: str) -> None:
    """Refuse an index that would fill the memory, before zipfile reads it whole."""
    handle.seek(max(0, size - (1 << 16) - 22))
    tail = handle.read()
    handle.seek(0)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 20:
        return  # zipfile says what is wrong
    index = struct.unpack_from("<L", tail, at + 12)[0]
    wide = tail.rfind(b"PK\x06\x06")
    if wide >= 0 and len(tail) >= wide + 56:
        (large,) = struct.unpack_from("<Q", tail, wide + 40)
        index = large if index == 0xFFFFFFFF else max(index, large)
    if index > MEMBERS * 64:  # an entry of the index takes at least 46 bytes and its name
        message = f"{name} has an index for more than {MEMBERS:,} members; unpack it yourself"
        raise Fault("archive bomb", message)


def _hidden(member: str) -> bool:
    """Dot-files and what a Mac adds: left alone, as in a folder."""
    parts = member.replace("\\", "/").split("/")
    return parts[0] == "__MACOSX" or any(p.startswith(".") and p not in (".", "..") for p in parts)


def _refusal(info: zipfile.ZipInfo) -> str:
    """Why a member is not read; empty if it may be."""
    parts = info.filename.replace("\\", "/").split("/")
    if ".." in parts or not parts[0] or parts[0].endswith(":"):
        return "unsafe name in an archive"
    mode = info.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "link or device in an archive"
    if info.flag_bits & 1:
        return "encrypted"
    return "archive in an archive" if ".zip" in suffixes(info.filename)[:1] else ""


def _unknown(info: zipfile.ZipInfo, explicit: bool) -> str:
    if kind_of(info.filename) or (explicit and not suffixes(info.filename)):
        return ""
    return f"unknown type in an archive ({shown(unknown_suffix(info.filename))})"


class _Pieces(io.RawIOBase):
    """A member piece by piece: its own ``readinto`` loses what came before a fault."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def readable(self) -> bool:
        return True

    def readinto(self, view: Any) -> int:
        data = self._inner.read1(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._inner.close()
        super().close()


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Member:
    codecs = codecs_of(info.filename)

    def source() -> tuple[Any, Callable[[], int] | None, int | None]:
        try:
            inner = archive.open(info)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
            what = " ".join(str(error).split())[:80]
            message = f"{name} cannot be unpacked ({what}); pack or download it again"
            raise Fault("broken archive", message) from None
        share = info.compress_size / max(1, info.file_size)
        stream: Any = _Pieces(inner)

        def position() -> int:
            return int(inner.tell() * share)

        for codec in codecs:
            stream = Unpacked(stream, codec, name)
        return stream, position, None

    kind = kind_of(info.filename) or "text"
    return Member(name, kind, info.compress_size, True, source)
