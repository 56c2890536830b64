"""Glossary: what the field's words mean, and where their number stands. Data: glossary.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Term:
    """One entry."""

    name: str
    meaning: str
    """One plain sentence."""
    where: str = ""
    """Where its number is on screen."""
    aka: tuple[str, ...] = ()
    """Other words for it, and labels that stand for it."""
    topics: tuple[str, ...] = ()
    """Interview pages and run panels that use it."""

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aka)


@cache
def entries() -> tuple[Term, ...]:
    """All entries by name."""
    raw = tomllib.loads(Path(__file__).with_name("glossary.toml").read_text(encoding="utf-8"))
    terms = [_term(entry) for entry in raw["term"]]
    return tuple(sorted(terms, key=lambda term: term.name.lower()))


def _term(entry: dict[str, Any]) -> Term:
    aka, topics = tuple(entry.get("aka", ())), tuple(entry.get("topics", ()))
    return Term(entry["name"], entry["meaning"], entry.get("where", ""), aka, topics)


def find(label: str) -> Term | None:
    """The entry of a label, by its name or another word for it; None if there is none."""
    wanted = label.strip().lower()
    return next((t for t in entries() if wanted in {name.lower() for name in t.names}), None)


def matching(terms: Iterable[Term], query: str) -> list[Term]:
    """Entries that hold every word of the query; those named by it first."""
    query = query.strip().lower()
    found = [t for t in terms if all(word in _text(t) for word in query.split())]
    return sorted(found, key=lambda t: not _named(t, query))


def _text(term: Term) -> str:
    return " ".join((*term.names, term.meaning, term.where)).lower()


def _named(term: Term, query: str) -> bool:
    return any(name.lower().startswith(query) for name in term.names)


def about(topic: str) -> list[Term]:
    """The entries that a page or panel uses."""
    return [term for term in entries() if topic in term.topics]
