"""Text edits: what a recipe asks to change in every text before it is tokenised.

Lines that many documents share (menus, footers, licence headers) are kept where they come first:
the text still says them once. Contacts are replaced by addresses that are reserved for examples
(RFC 2606, 3849 and 5737), so that the sentence around them stays one.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter

from engine.artifacts.scan import EditCounts
from engine.quality.boilerplate import line_key

EMAIL = "name@example.com"
ADDRESSES = {4: "192.0.2.1", 6: "2001:db8::1"}
_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])")
_ADDRESS = re.compile(
    r"(?<![\w.:])(?:(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)|(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{1,4}"
    r"(?![\w:]))"
)


class TextEdits:
    """Edits a stream of texts in order, and counts what it did."""

    def __init__(self, shared: frozenset[int] = frozenset(), mask: bool = False) -> None:
        self._shared, self._mask = shared, mask
        self._first: dict[int, int] = {}
        """The document in which each shared line came first."""
        self._documents = 0
        self._counts: Counter[str] = Counter()

    def anew(self) -> TextEdits:
        """The same edits for the same texts from the first one on."""
        return TextEdits(self._shared, self._mask)

    @property
    def counts(self) -> EditCounts:
        """What was changed so far."""
        return EditCounts(**self._counts)

    def apply(self, text: str) -> str:
        """The text as it is trained on; empty where nothing of it is left."""
        self._documents += 1
        if self._shared:
            text = self._without_shared(text)
        return self._masked(text) if self._mask else text

    def _without_shared(self, text: str) -> str:
        lines = text.split("\n")
        kept = [line for line in lines if not self._is_said(line)]
        if len(kept) == len(lines):
            return text
        self._counts["lines"] += len(lines) - len(kept)
        left = "\n".join(kept).strip("\n")
        self._counts["line_bytes"] += len(text.encode()) - len(left.encode())
        if not left.strip():
            self._counts["emptied_documents"] += 1
            return ""
        return left

    def _is_said(self, line: str) -> bool:
        key = line_key(line)
        if key is None or key not in self._shared:
            return False
        return self._first.setdefault(key, self._documents) != self._documents

    def _masked(self, text: str) -> str:
        if "@" in text:
            text, count = _EMAIL.subn(EMAIL, text)
            self._counts["emails"] += count
        if "." in text or ":" in text:
            text = _ADDRESS.sub(self._mask_address, text)
        return text

    def _mask_address(self, found: re.Match[str]) -> str:
        """Only what can be reached is somebody's: private and local addresses stay."""
        try:
            address = ipaddress.ip_address(found[0])
        except ValueError:
            return found[0]
        if not address.is_global:
            return found[0]
        self._counts["addresses"] += 1
        return ADDRESSES[address.version]
