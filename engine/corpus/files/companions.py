"""Companions: files that lie beside a corpus and are none of its texts.

A read-me, a licence, a list of requirements or of checksums, the log of a download: of a kind that
is read, and hardly ever what anybody wants to train on. They are known by their names alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from engine.corpus.files.kinds import suffixes

_NAMES = re.compile(
    "(?:read_?me|licen[cs]e|copying|changelog|contributing|code[-_]of[-_]conduct|citation"
    "|requirements|checksums?|(?:sha[0-9]+|md5|b2)sums?)"
    r"(?:[-_.][\w.-]*)?",
    re.I,
)
"""With a language or a part behind the name: ``README.de.md``, ``LICENSE-MIT``."""
_UPPER_CASE = re.compile(
    "(?:SOURCES?|NOTICES?|COPYRIGHT|AUTHORS|CONTRIBUTORS|MAINTAINERS|CREDITS|CHANGES|HISTORY|NEWS"
    r"|INSTALL|TODO|SECURITY|MANIFEST|METADATA|ATTRIBUTIONS?|VERSION)(?:[-_.][\w.-]*)?"
)
"""Words that a text may be called by too; in capitals they are such files: ``SOURCE.txt``."""
_TEXTS = ("", ".txt", ".text", ".md", ".markdown", ".rst", ".adoc", ".org", ".html")
"""Suffixes that these names have; a ``license.jsonl`` is a data set."""
_SUFFIXES = (".sha1", ".sha256", ".sha512", ".md5", ".asc", ".sig", ".cff")
_JSON = frozenset(
    {
        *("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"),
        *("package.json", "package-lock.json", "composer.json", "tsconfig.json"),
    }
)
LOG = ".log"
MOST = 0.5
"""Logs are the corpus from more than this share of its files and of its bytes on."""


def is_companion(name: str) -> bool:
    """Whether a file of this name is none of a corpus's texts."""
    name = name.replace("\\", "/").rpartition("/")[2]
    last = (suffixes(name) or [""])[0]
    if last in _SUFFIXES or name.lower() in _JSON:
        return True
    known = last in _TEXTS or "." not in name.strip(".")
    return known and bool(_NAMES.fullmatch(name) or _UPPER_CASE.fullmatch(name))


def companions(sizes: Mapping[str, int]) -> set[str]:
    """Those of these files (names with their bytes) that lie beside the others.

    Logs are where they are the exception, and none is where there would be no other file.
    """
    named = {name for name in sizes if is_companion(name)}
    others = sizes.keys() - named
    logs = {name for name in others if name.lower().endswith(LOG)}
    total = sum(sizes[name] for name in others)
    many = len(logs) > MOST * len(others) and sum(sizes[n] for n in logs) > MOST * total
    found = named if many else named | logs
    return found if len(found) < len(sizes) else set()
