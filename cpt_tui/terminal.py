"""What this terminal can do, what time it is, and what happens when it is gone."""

from __future__ import annotations

import contextlib
import locale
import os
import signal
import sys
import threading
import time
from typing import Any

_PLAIN = str.maketrans("─│┌┐└┘├┤┬┴┼█░▁▂▃▄▅▆▇━•·…→←↓┄◆▲", "-|++++++++##._-=+*%#=*..><v-o^")


def now() -> float:
    """Unix seconds; the one clock of the screens, so that tests can stop it."""
    return time.time()


def ascii_only() -> bool:
    """Whether only ASCII glyphs may be drawn (``CPT_ASCII=1``, a plain console, no UTF-8)."""
    wish = os.environ.get("CPT_ASCII")
    if wish is not None:
        return wish not in ("", "0")
    if os.environ.get("TERM") in ("dumb", "linux", "vt100", "vt220") or _plain_locale():
        return True
    return "utf" not in locale.getpreferredencoding(False).lower()


def _plain_locale() -> bool:
    """Whether the user asked for the C locale; Python's own encoding is UTF-8 even then.

    ``LC_CTYPE=C.UTF-8`` beside ``LANG=C`` is what Python itself sets (PEP 538).
    """
    every, kind, rest = (os.environ.get(name, "") for name in ("LC_ALL", "LC_CTYPE", "LANG"))
    if every or kind not in ("", "C.UTF-8"):
        return (every or kind) in ("C", "POSIX")
    return rest in ("C", "POSIX")


def glyphs(text: str) -> str:
    """The text as it is, or its drawing characters in ASCII where the terminal needs that."""
    return text.translate(_PLAIN) if ascii_only() else text


def terminal_lost() -> bool:
    """Whether standard input was a terminal and is gone (SSH dropped, window closed)."""
    if sys.stdin is None or not sys.__stdin__:
        return False
    try:
        os.tcgetpgrp(sys.__stdin__.fileno())
    except (OSError, ValueError):
        return True
    return False


def end_when_hung_up(app: Any) -> None:
    """End the viewer when its terminal goes away; it must neither spin nor linger.

    The worker is a session of its own and is not touched.
    """

    def leave(*_: Any) -> None:
        timer = threading.Timer(2.0, os._exit, args=(129,))
        timer.daemon = True
        timer.start()
        with contextlib.suppress(Exception):
            app.exit(return_code=129)

    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, leave)
    if sys.__stdin__ and sys.__stdin__.isatty():
        app.set_interval(5.0, lambda: leave() if terminal_lost() else None)
