"""Normal forms: one text has one key, whichever code points it is written in.

The same word can be stored composed or decomposed (NFC and NFD: macOS file names, text out of
PDFs) and in full or half width (East Asian input). Every comparison of texts goes through here:
exact copies, shingles, gold items in the corpus, answers against gold. The training text itself
stays as it was read.
"""

from __future__ import annotations

import re
import unicodedata

_WIDTH = re.compile("[\u3000\uff01-\uffee]+")
"""Full-width Latin, half-width katakana and hangul, and the ideographic space."""
_INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
"""Soft hyphen, zero-width space and joiners, word joiner and BOM: no part of a word."""


def composed(text: str) -> str:
    """The text in NFC: for whoever reads letters, as languages and odd words do."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def normal_text(text: str) -> str:
    """NFC, and every character in its usual width: equal where two texts look the same.

    Case, punctuation and white space stay, and so do signs of their own meaning (``x²``).
    """
    if text.isascii() or unicodedata.is_normalized("NFKC", text):
        return text  # the check is eight times faster than the search
    return unicodedata.normalize("NFC", _WIDTH.sub(_usual_width, text))


def normal_words(text: str) -> str:
    """NFKC in lower case without invisible characters: equal where two texts read the same.

    Lower case and not case folding: these words are shown too, and ``ß`` stays one letter.
    """
    if text.isascii():
        return text.lower()
    for sign in _INVISIBLE:
        text = text.replace(sign, "")
    return unicodedata.normalize("NFKC", text).lower()


def _usual_width(found: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", found[0])
