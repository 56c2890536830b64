"""Source code told from prose, by the lines of a text."""

from __future__ import annotations

import re

LOOKED_AT = 12_000
"""Characters of a text that are looked at."""
SHARE = 0.5
"""Code lines among code and prose lines from which a text is code. Measured on 695 files of
16 languages and 1,187 texts (manuals and other languages among them): 93% of the code, 1% of the
texts."""
LINES = 3
"""Lines of code that a text needs."""
COMMENT_WEIGHT = 0.25
"""A comment is prose, but it stands in code."""
DENSE, LONG_LINES = 0.06, 400
"""Minified code: share of brackets and signs, and characters in a line."""

_CODE = re.compile(
    r"""
    .*[;{}]$ | .*\)\s*:$ | .*[\w\])]\s*\($ | [)\]}]+[,;:)]*$
  | (?:def|class|elif|import|from\s[\w.]+\simport|return|function|var|let|const|local|my|sub|fn
      |func|use|package|typedef|template|export|if|for|while|else|set|echo)\b.*[(){}\[\];:='"$<>]
  | (?:SELECT|INSERT|CREATE|UPDATE|ALTER|DROP|FROM|WHERE|VALUES)\b
  | \#\s*(?:include|define|undef|ifn?def|endif|if|else|elif|pragma)\b
  | [$@%]?[\w.\[\]'"$>-]+\s*(?:[-+*/|&.:]?=|=>|<-)\s*\S
  | @\w+ | [\w.:$>-]+\([^)]*\)?[;,]?$ | [\w.>-]+\(.*\)[;,)]*$
  | [\w'"-]+\s*:\s*['"\[{\d-].*,$ | ['"][^'"]*['"],$
    """,
    re.X,
)
_WORD = r"[^\W\d_]+(?:['’\-][^\W\d_]+)?"
_PROSE = re.compile(
    rf"{_WORD}[,;:.]?(?:\s+[(\"'“]?{_WORD}[)\"'”]?[,;:.?!]*){{4,}}|[\u3040-\u30ff\u4e00-\u9fff]{{12}}"
)
"""Five words in a row, or twelve characters of a script without blanks."""
_COMMENT = re.compile(r"//|/\*|\*|--|;|%|\#(?!\s*(?:include|define|undef|ifn?def|endif|if|else))")
_BULLET = re.compile(r"[+-]\s|\*\s+\S.*[^*/;{}]$")


def is_code(text: str) -> bool:
    """Whether most of the lines that say something are code.

    A string of many lines (Python's documentation) counts as a comment, and a fenced example in
    a manual not at all.
    """
    text = text[:LOOKED_AT]
    code, prose, quoted, fenced = 0, 0.0, False, False
    for line in text.split("\n"):
        kind = _kind_of(line.strip()[:LONG_LINES])
        fenced ^= line.startswith("```")
        if quoted and kind:
            kind = "comment"
        quoted ^= (line.count('"""') + line.count("'''")) % 2 == 1
        code += kind == "code" and not fenced
        prose += {"prose": 1.0, "comment": COMMENT_WEIGHT}.get(kind, 0.0)
    return (code >= LINES and code >= SHARE * (code + prose)) or _is_minified(text)


def _kind_of(line: str) -> str:
    """``code``, ``prose``, ``comment`` (one with prose), or nothing."""
    is_prose = len(line) > 30 and _PROSE.search(line) is not None
    if _COMMENT.match(line) and not _BULLET.match(line):
        return "comment" if is_prose else ""
    if _CODE.match(line) and not _BULLET.match(line):
        return "code"
    return "prose" if is_prose else ""


def _is_minified(text: str) -> bool:
    if len(text) < LONG_LINES:
        return False  # one short line says nothing: a formula, a molecule
    signs = sum(text.count(sign) for sign in "{}()[];=<>")
    return text.count("\n") < len(text) / LONG_LINES and signs > DENSE * len(text)
