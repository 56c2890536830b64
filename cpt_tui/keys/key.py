"""A key, and the places where keys work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """A key, what it does, and where it works."""

    id: str
    keys: str
    action: str
    label: str
    """Footer text; short, since 80 columns hold about eight of them."""
    help: str
    places: tuple[str, ...]
    footer: bool = True
    display: str | None = None
    priority: bool = False
    """Works before the focused widget gets the key."""

    @property
    def palette(self) -> bool:
        """Whether the command palette lists it; keys that do the same as another are left out."""
        return self.id not in ("interview.left", "interview.right")


LISTS = ("home", "items", "compare", "report", "traceback", "item", "help")
"""Lists and pages, where ``g`` goes to the first row; F3 opens the glossary there."""
ALL = ("home", "interview", "run", "report", "traceback", "items", "item", "compare")
ELSEWHERE = tuple(place for place in (*ALL, "help") if place not in LISTS)
