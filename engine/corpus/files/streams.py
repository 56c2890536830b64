"""Streams: files opened for reading, unpacked on the way, counted, with every error a fault."""

from __future__ import annotations

import bz2
import io
import lzma
import stat
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from engine.corpus.ledger import Fault, Ledger, shown

BLOCK = 1 << 20

RATIO = 300
"""Unpacked bytes for each packed one at most, once ``FREE`` bytes have come: text packs 3 to 10
times, repetitive logs up to about 100; bombs start at 1,000 (gzip's own limit is 1,032)."""

FREE = 64 << 20
"""Bytes that may be unpacked whatever their ratio."""

LARGEST = 256 << 30
"""Unpacked bytes of one file at most."""

WINDOW = 256 << 20
"""Memory that a packed file may ask for: xz -9 needs 65 MB, zstd --long=27 needs 128 MB."""


def open_bytes(path: Path) -> BinaryIO:
    """The file opened for reading; never a pipe, a socket or a device."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise Fault("not a regular file", f"{shown(path)} is not a regular file; give a file")
        return path.open("rb")
    except PermissionError:
        message = f"{shown(path)} cannot be read: permission denied; change its mode or its owner"
        raise Fault("permission denied", message) from None
    except FileNotFoundError:
        message = f"{shown(path)} is gone since it was listed; start again"
        raise Fault("vanished", message) from None
    except OSError as error:
        message = f"{shown(path)} cannot be opened: {error.strerror or error}"
        raise Fault("not readable", message) from None


class _Decoder(Protocol):
    """What bz2, lzma and zstd decompressors have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    """zlib's decompressor with the face of the others; the checksum is verified by zlib."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.eof and not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max(0, max_length))


def zstandard() -> Any:
    """The module that packs and unpacks zstd, of Python's own or its backport."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


def _decoder(codec: str) -> _Decoder:
    if codec == "gzip":
        return _Gzip()
    if codec == "bzip2":
        return bz2.BZ2Decompressor()
    if codec == "xz":
        return lzma.LZMADecompressor(memlimit=WINDOW)
    zstd = zstandard()
    limit = {zstd.DecompressionParameter.window_log_max: WINDOW.bit_length() - 1}
    decoder: _Decoder = zstd.ZstdDecompressor(options=limit)
    return decoder


def _errors(codec: str) -> tuple[type[Exception], ...]:
    known: dict[str, type[Exception]] = {"gzip": zlib.error, "xz": lzma.LZMAError}
    own = zstandard().ZstdError if codec == "zstd" else known.get(codec, OSError)
    return own, OSError, ValueError, MemoryError


class Unpacked(io.RawIOBase):
    """The content of a compressed stream, all its members, a block at a time."""

    def __init__(self, source: BinaryIO, codec: str, name: str) -> None:
        self._source, self._codec, self._name = source, codec, name
        self._decoder = _decoder(codec)
        self._errors = _errors(codec)
        self._begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, view: Any) -> int:
        while True:
            data = self._more()
            if data is None:
                return 0
            try:
                out = self._decoder.decompress(data, len(view))
            except self._errors as error:
                raise self._fault(error) from None
            self._begun = True
            if out:
                view[: len(out)] = out
                return len(out)

    def close(self) -> None:
        self._source.close()
        super().close()

    def _more(self) -> bytes | None:
        """The decoder's next input, starting the next member; None at the end."""
        if self._decoder.eof:
            rest = self._decoder.unused_data or self._source.read(BLOCK)
            if not rest.strip(b"\0"):  # padding up to a block is allowed
                return None
            self._decoder = _decoder(self._codec)
            return rest
        if not self._decoder.needs_input:
            return b""
        data = self._source.read(BLOCK)
        if not data:
            if not self._begun:
                raise Fault("empty", f"{self._name} is empty; give a file with text")
            message = f"{self._name} ends too early, it is cut off; copy or download it again"
            raise Fault("cut-off archive", message)
        return data

    def _fault(self, error: Exception) -> Fault:
        what = " ".join(str(error).split())[:80] or type(error).__name__
        if "emory" in what:
            limit = f"more than {WINDOW >> 20} MB of memory"
            message = f"{self._name} asks for {limit} to unpack; pack it with a smaller window"
            return Fault("needs too much memory", message)
        message = f"{self._name} is broken {self._codec} ({what}); copy or download it again"
        return Fault("broken archive", message)


class Metered(io.RawIOBase):
    """A stream whose bytes are counted, bounded, and whose errors are faults."""

    def __init__(
        self,
        stream: Any,
        name: str,
        ledger: Ledger | None = None,
        *,
        bound: int | None = None,
        packed: Callable[[], int] | None = None,
    ) -> None:
        """``bound``: bytes at most; ``packed``: packed bytes so far, of an unpacked stream."""
        self._stream, self._name, self._ledger = stream, name, ledger
        self._bound, self._packed = bound, packed
        self._begun = ledger.bytes_read if ledger else 0
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, view: Any) -> int:
        if self._bound is not None:
            view = memoryview(view)[: max(0, self._bound - self.count)]
        try:
            got = self._stream.readinto(view) or 0
        except Fault:
            raise
        except Exception as error:  # zipfile and zlib raise many kinds
            what = " ".join(str(error).split())[:80] or type(error).__name__
            message = f"{self._name} broke off while it was read ({what}); copy it again"
            reason = "not readable" if self._packed is None else "broken archive"
            raise Fault(reason, message) from None
        self.count += got
        if self._packed is not None:
            self._check(self._packed())
        if self._ledger is not None:
            self._ledger.bytes_found += got
            self._ledger.bytes_read = self._begun + (self._packed() if self._packed else self.count)
        return got

    def _check(self, packed: int) -> None:
        """A bomb is refused once it has shown itself; memory is flat until then."""
        if self.count > max(FREE, RATIO * packed):
            how = f"unpacks to more than {RATIO} times its size"
        elif self.count > LARGEST:
            how = f"unpacks to more than {LARGEST >> 30} GB"
        else:
            return
        raise Fault("archive bomb", f"{self._name} {how}; unpack it yourself if you trust it")

    def close(self) -> None:
        self._stream.close()
        super().close()
