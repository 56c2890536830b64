"""The real command in a real terminal (a pty): keys in, raw bytes out."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import TracebackType

from rich.cells import cell_len

COMMAND = "from cpt_tui.cli import main; main()"
KEYS = {
    "enter": "\r",
    "escape": "\x1b",
    "pageup": "\x1b[5~",
    "pagedown": "\x1b[6~",
    "end": "\x1b[F",
    "tab": "\t",
    "down": "\x1b[B",
    "f2": "\x1bOQ",
    "f3": "\x1bOR",
    "ctrl+p": "\x10",
}
_SEQUENCES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_].*?\x1b\\|.)"
)

_TOKENS = re.compile(
    rf"\x1b\[(?P<row>\d+);(?P<column>\d+)H|{_SEQUENCES.pattern}|(?P<text>[^\x1b]+)"
)


class Cells:
    """What a terminal shows of the bytes it got: moves and text, colours left out.

    The app writes only cells that changed, so a word seldom stands in the bytes as it is seen.
    """

    def __init__(self, width: int, height: int) -> None:
        self._rows = [[" "] * width for _ in range(height)]
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._x = self._y = 0

    def feed(self, block: bytes) -> None:
        text = self._rest + self._decoder.decode(block)
        whole = text.rfind("\x1b", max(0, len(text) - 64))
        cut = whole if whole >= 0 and not _SEQUENCES.match(text, whole) else len(text)
        self._rest = text[cut:]
        for found in _TOKENS.finditer(text[:cut]):
            if found["row"]:
                self._y, self._x = int(found["row"]) - 1, int(found["column"]) - 1
            elif found["text"]:
                self._put(found["text"])

    def _put(self, text: str) -> None:
        for char in text:
            if char in "\r\n":
                self._x, self._y = 0, self._y + (char == "\n")
            elif (width := cell_len(char)) and self._y < len(self._rows):
                row = self._rows[self._y]
                if self._x < len(row):
                    row[self._x : self._x + width] = [char, *[""] * (width - 1)]
                self._x += width

    @property
    def words(self) -> str:
        """The text that is seen, spaces folded."""
        return " ".join("\n".join(map("".join, self._rows)).split())


class Terminal:
    """``cpt`` under a pty of its own; ``raw`` is every byte that it wrote."""

    def __init__(self, home: Path, *arguments: str, size: tuple[int, int] = (100, 40)) -> None:
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        environment = {**os.environ, "CPT_HOME": str(home), "TERM": "xterm-256color"}
        self.raw = b""
        self.cells = Cells(*size)
        self._leader = leader
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
            preexec_fn=_take_terminal,
            env={**environment, "COLORTERM": "truecolor"},
        )
        os.close(follower)
        os.set_blocking(leader, False)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType
    ) -> None:
        self.kill()

    def read(self, quiet: float = 0.12, longest: float = 10.0) -> bytes:
        """What comes until nothing came for ``quiet`` seconds."""
        start, deadline = len(self.raw), time.monotonic() + longest
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self._leader], [], [], quiet)
            if not ready:
                break
            with contextlib.suppress(BlockingIOError):
                try:
                    block = os.read(self._leader, 65536)
                except OSError:
                    break
                if not block:
                    break
                self.raw += block
                self.cells.feed(block)
        return self.raw[start:]

    def press(self, *keys: str) -> str:
        """Keys one by one; returns the text that is seen then."""
        for key in keys:
            os.write(self._leader, KEYS.get(key, key).encode())
            self.read()
        return self.cells.words

    def go(self, key: str, needle: str) -> str:
        """A key, and then wait until the text is seen; returns all that is seen then.

        A key that follows an escape too soon would be read as one sequence with it.
        """
        start = len(self.raw)
        self.press(key)
        self.wait_for(needle, start)
        return self.cells.words

    def wait_for(self, needle: str, start: int = 0, seconds: float = 30.0) -> None:
        """Read until the text is seen, or came after byte ``start``; fails with what is seen."""
        deadline = time.monotonic() + seconds
        while needle not in self.cells.words and needle not in words(self.raw[start:]):
            assert time.monotonic() < deadline, self.cells.words
            self.read(0.1, 0.5)

    def hang_up(self) -> None:
        """The line is gone: the window was closed, SSH dropped."""
        os.close(self._leader)
        self._leader = -1

    def kill(self) -> None:
        """SIGKILL, as an out-of-memory killer or a lost machine would."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self._leader >= 0:
            self.hang_up()


def _take_terminal() -> None:
    """Make standard input the controlling terminal, as a shell's is."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def words(raw: bytes) -> str:
    """The text of terminal output without its control sequences, spaces folded."""
    return " ".join(_SEQUENCES.sub(" ", raw.decode(errors="replace")).split())
