"""Mojibake: text that was decoded wrongly before it was saved; found and repaired by ftfy.

ftfy judges at 1 to 4 MB/s, so it is only asked about what may be mojibake: runs of non-ASCII
characters, each distinct one once.
"""

from __future__ import annotations

import re
from functools import lru_cache

from engine.corpus.ledger import Ledger
from engine.corpus.text import clean
from engine.recipe.sources import Source

_BLANK = bytes(b if b > 0x7F else 0x20 for b in range(256))
"""Every ASCII byte to a space."""

_LEADS = ("Ã", "Â")
"""Mojibake even beside plain ASCII, where a no-break space was lost."""


def is_mojibake(text: str) -> bool:
    """Whether ftfy finds something in the text and knows what it should have been."""
    if text.isascii():
        return False
    runs = set(text.encode("utf-8", "replace").translate(_BLANK).split())
    return any(map(_odd, runs)) and any(_repaired(line) != line for line in text.split("\n"))


def repair(text: str) -> str:
    """The text as it was meant, line by line (as ftfy itself works)."""
    return "\n".join(map(_repaired, text.split("\n")))


def _repaired(line: str) -> str:
    if line.isascii():
        return line
    import ftfy

    return ftfy.fix_encoding(line)


@lru_cache(maxsize=1 << 16)
def _odd(run: bytes) -> bool:
    """Whether a run of non-ASCII characters may be mojibake."""
    from ftfy.badness import is_bad

    text = run.decode("utf-8", "replace")
    if text.endswith(_LEADS):
        return True
    return bool(_rare().search(text)) and (is_bad(f"a{text}a") or is_bad(f" {text} "))


@lru_cache(maxsize=1)
def _rare() -> re.Pattern[str]:
    """One of the characters without which ftfy finds nothing: quick to tell for most scripts."""
    from ftfy.badness import MOJIBAKE_CATEGORIES

    common = ("common", "lower_common", "upper_common", "kaomoji")
    rare = "".join(v for k, v in MOJIBAKE_CATEGORIES.items() if k not in common)
    return re.compile(f"[{rare}ŒœÂÃÎÐ×ØÙà√≈‚]")


def mended(source: Source, text: str, origin: str, ledger: Ledger) -> str:
    """A cleaned text, with mojibake counted and, if the recipe says so, repaired."""
    if not is_mojibake(text):
        return text
    ledger.mojibake_documents += 1
    if source.repair_mojibake:
        ledger.group("mojibake repaired (ftfy)", origin)
        return clean(repair(text))
    ledger.group("decoded wrongly before it was saved (mojibake); see repair_mojibake", origin)
    return text
