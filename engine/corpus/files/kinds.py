"""Kinds: which reader a file name asks for, and which compression lies around it."""

from __future__ import annotations


def _all(names: str) -> frozenset[str]:
    return frozenset(names.split())


TEXT = _all(".txt .text .md .markdown .mdx .rst .adoc .asciidoc .org .tex .srt .vtt .log")
PAGES = _all(".html .htm .xhtml")
LINES = _all(".jsonl .ndjson")
TABLES = _all(".csv .tsv")
ARROW = _all(".arrow .feather")
CODE = _all(
    ".py .pyi .pyx .js .mjs .cjs .jsx .ts .tsx .vue .svelte .css .scss .sass .less "
    ".java .kt .kts .scala .groovy .gradle .clj .cljs .cljc .c .h .cc .cpp .cxx .hpp .hh .hxx "
    ".inl .cu .cuh .m .mm .swift .cs .fs .fsx .vb .go .rs .zig .nim .cr .d .rb .php .pl .pm .lua "
    ".tcl .r .jl .dart .hs .ml .mli .elm .ex .exs .erl .hrl .lisp .lsp .cl .el .scm .rkt "
    ".sh .bash .zsh .fish .ps1 .bat .cmd .sql .asm .s .v .vh .sv .svh .vhd .vhdl .f .for .f77 "
    ".f90 .f95 .f03 .cob .cbl .pas .pp .adb .ads .pro .sol .proto .thrift .graphql .tf .hcl .nix "
    ".cmake .mk .awk .sed .vim .coq .lean .agda .thy .wat .glsl .hlsl .metal"
)

KINDS: dict[str, str] = {
    **dict.fromkeys(TEXT, "text"),
    **dict.fromkeys(CODE, "code"),
    **dict.fromkeys(PAGES, "page"),
    **dict.fromkeys(LINES, "lines"),
    **dict.fromkeys(TABLES, "table"),
    **dict.fromkeys(ARROW, "arrow"),
    ".json": "json",
    ".parquet": "parquet",
    ".pdf": "pdf",
    ".docx": "docx",
    ".zip": "zip",
}
"""The reader for a suffix in lower case."""

RECORDS = frozenset(("lines", "json", "table", "parquet", "arrow"))
"""Kinds that hold records with columns."""

CODECS = {
    ".gz": "gzip",
    ".zst": "zstd",
    ".zstd": "zstd",
    ".xz": "xz",
    ".bz2": "bzip2",
}

LAYERS = 2
"""Compressions around one file at most (x.jsonl.gz in a zip that was gzipped is no corpus)."""

READABLE = (
    "text (.txt, .md, .rst), records (.jsonl, .json, .csv, .tsv, .parquet, .arrow), .html, "
    "source code, .pdf or .docx, also as .gz, .zst, .xz, .bz2 or .zip"
)
"""What can be read, for a sentence that says what to give."""


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
    kind = KINDS.get(inner[0]) if inner else None
    return None if kind == "zip" and codecs_of(name) else kind


def unknown_suffix(name: str) -> str:
    """What an unknown type is called in a count: the suffix below the compression and above."""
    packed = len(codecs_of(name))
    known = suffixes(name)[: packed + 1]
    return "".join(reversed(known)) if len(known) > packed else f"no suffix{''.join(known)}"
