"""Kinds: which reader a file name asks for, and which compression lies around it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FileKind:
    """One kind of file: the suffixes that ask for its reader, and what its rows are."""

    suffixes: frozenset[str]
    """In lower case."""
    shown: str
    """In a sentence that says what can be read."""
    records: bool = False
    """It holds records with columns."""
    code: bool = False
    """It holds source code."""
    unit: str = "line"
    """What a place in it is counted in."""


def _all(names: str) -> frozenset[str]:
    return frozenset(names.split())


TEXT = _all(".txt .text .md .markdown .mdx .rst .adoc .asciidoc .org .tex .srt .vtt .log")
CODE = _all(
    ".py .pyi .pyx .js .mjs .cjs .jsx .ts .tsx .vue .svelte .css .scss .sass .less "
    ".java .kt .kts .scala .groovy .gradle .clj .cljs .cljc .c .h .cc .cpp .cxx .hpp .hh .hxx "
    ".inl .cu .cuh .m .mm .swift .cs .fs .fsx .vb .go .rs .zig .nim .cr .d .rb .php .pl .pm .lua "
    ".tcl .r .jl .dart .hs .ml .mli .elm .ex .exs .erl .hrl .lisp .lsp .cl .el .scm .rkt "
    ".sh .bash .zsh .fish .ps1 .bat .cmd .sql .asm .s .v .vh .sv .svh .vhd .vhdl .f .for .f77 "
    ".f90 .f95 .f03 .cob .cbl .pas .pp .adb .ads .pro .sol .proto .thrift .graphql .tf .hcl .nix "
    ".cmake .mk .awk .sed .vim .coq .lean .agda .thy .wat .glsl .hlsl .metal"
)

KINDS: dict[str, FileKind] = {
    "text": FileKind(TEXT, "text (.txt, .md, .rst)"),
    "lines": FileKind(_all(".jsonl .ndjson"), ".jsonl", records=True),
    "json": FileKind(_all(".json"), ".json", records=True),
    "table": FileKind(_all(".csv .tsv"), ".csv, .tsv", records=True),
    "parquet": FileKind(_all(".parquet"), ".parquet", records=True, unit="row"),
    "arrow": FileKind(_all(".arrow .feather"), ".arrow", records=True, unit="row"),
    "page": FileKind(_all(".html .htm .xhtml"), ".html"),
    "code": FileKind(CODE, "source code", code=True),
    "pdf": FileKind(_all(".pdf"), ".pdf"),
    "docx": FileKind(_all(".docx"), ".docx"),
}
"""By the name of the reader (``readers/registry.py``)."""

ARCHIVE = "zip"
"""The kind of a file that holds others; no reader opens it."""

CODECS = {
    ".gz": "gzip",
    ".zst": "zstd",
    ".zstd": "zstd",
    ".xz": "xz",
    ".bz2": "bzip2",
}

LAYERS = 2
"""Compressions around one file at most (x.jsonl.gz in a zip that was gzipped is no corpus)."""


def readable() -> str:
    """What can be read, for a sentence that says what to give."""
    records = ", ".join(kind.shown for kind in KINDS.values() if kind.records)
    first, *others, last = (kind.shown for kind in KINDS.values() if not kind.records)
    parts = ", ".join((first, f"records ({records})", *others))
    return f"{parts} or {last}, also as .gz, .zst, .xz, .bz2 or .zip"


def holds_records(name: str) -> bool:
    """Whether a file of this name holds records with columns."""
    kind = kind_of(name)
    return kind in KINDS and KINDS[kind].records


def suffixes(name: str) -> list[str]:
    """The suffixes of a file name in lower case, the last one first."""
    parts = name.rpartition("/")[2].lstrip(".").lower().split(".")
    return [f".{part}" for part in parts[:0:-1]] if parts[-1] else []


def codecs_of(name: str) -> tuple[str, ...]:
    """Compressions around the file, the outermost first; no more than ``LAYERS``."""
    found: list[str] = []
    for suffix in suffixes(name)[:LAYERS]:
        if suffix not in CODECS:
            break
        found.append(CODECS[suffix])
    return tuple(found)


def kind_of(name: str) -> str | None:
    """The reader for a file name, by the suffix below its compression; None if unknown."""
    inner = suffixes(name)[len(codecs_of(name)) :]
    if inner[:1] == [f".{ARCHIVE}"]:
        return None if codecs_of(name) else ARCHIVE
    return next((k for k, kind in KINDS.items() if inner and inner[0] in kind.suffixes), None)


def unknown_suffix(name: str) -> str:
    """What an unknown type is called in a count: the suffix below the compression and above."""
    packed = len(codecs_of(name))
    known = suffixes(name)[: packed + 1]
    return "".join(reversed(known)) if len(known) > packed else f"no suffix{''.join(known)}"
