"""What the readers make of awkward files, and how fast: the tables of the closing notes.

``python -m tests.benchmarks.reading [awkward|encodings|csv|json|speed ...]``; needs the material
(``CPT_MATERIAL``). ``encodings FOLDER`` measures another collection whose folders are named by
the true encoding, such as the tests of a chardet 5.2 source distribution (425 files).
"""

from __future__ import annotations

import codecs
import csv
import gzip
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from engine.corpus.corpus import Corpus
from engine.corpus.files.members import Member, members_of
from engine.corpus.ledger import BESIDE, Fault, Ledger
from engine.corpus.readers.csv_tsv import table_rows
from engine.corpus.readers.decoding import decoded
from engine.errors import InputError
from engine.recipe.sections import Source
from tests.material import MATERIAL

READ, REFUSED, MIXED = "read", "refused by name", "read, the bad ones by name"

EXPECTED = {
    "chat_sharegpt": READ,
    "compressed": MIXED,
    "compressed/brown.zip": READ,
    "compressed/derived_wikitext2_test.txt.gz": READ,
    "compressed/derived_truncated.txt.gz": REFUSED,
    "compressed/golden-decompression/block-128k.zst": REFUSED,
    "compressed/golden-decompression/empty-block.zst": REFUSED,
    "compressed/golden-decompression/rle-first-block.zst": REFUSED,
    "compressed/golden-decompression/zeroSeq_2B.zst": READ,
    "compressed/golden-decompression-errors/*": REFUSED,
    "compressed/gzip/hufts-segv.gz": REFUSED,
    "csv_spectrum": MIXED,
    "encodings": MIXED,
    "json_malformed": MIXED,
    "lfs_pointers": REFUSED,
    "lfs_pointers/data.jsonl.gz": REFUSED,
    "lfs_pointers/tinystories.txt": REFUSED,
    "lfs_pointers/tinystories_6x192.pt": REFUSED,
    "mojibake_ftfy": MIXED,
    "naughty_strings": READ,
    "parquet_bad/*.parquet": REFUSED,
    "parquet_text": READ,
    "preference": READ,
    "sft_prompt_completion": READ,
}
"""What should become of each part of ``awkward/``, written down before it was read."""


class Given(NamedTuple):
    """What became of a file or a folder."""

    kind: str
    documents: int
    detail: str


def outcome(path: Path) -> Given:
    """Check and read, as ``cpt check`` does; anything but an InputError is a crash."""
    source = Corpus(Source(path=str(path)))
    try:
        source.check()
        count = sum(1 for _ in source.documents())
    except InputError as error:
        return Given(REFUSED, 0, str(error).replace(str(path.parent) + "/", ""))
    fine = ("empty text", BESIDE)
    skipped = {k: v for k, v in source.ledger.skipped.items() if k not in fine}
    said = ", ".join(f"{reason} {number}" for reason, number in skipped.items())
    return Given(MIXED if skipped else READ, count, said)


def awkward(root: Path) -> Iterator[tuple[str, str, Given]]:
    """(file or folder, expected, given)."""
    for pattern, expected in EXPECTED.items():
        for path in sorted(root.glob(pattern)):
            yield str(path.relative_to(root)), expected, outcome(path)


# encodings

LANGUAGES = re.compile(
    "-(arabic|bulgarian|croatian|czech|greek|hebrew|hungarian|polish|romanian|russian|slovak"
    "|slovene|turkish)$"
)
OTHER_NAMES = {"maccyrillic": "mac-cyrillic", "macroman": "mac-roman"}


def true_encoding(folder: str) -> str | None:
    """The encoding a folder is named by; None where Python has none of that name."""
    name = LANGUAGES.sub("", folder.lower())
    try:
        return codecs.lookup(OTHER_NAMES.get(name, name)).name
    except LookupError:
        return None


def text_item(path: Path) -> Member:
    """A file taken for plain text, whatever its suffix."""
    (item,) = members_of(path, path.stat().st_size, True, Ledger())
    return replace(item, kind="text")


def encodings(root: Path) -> tuple[Counter[str], list[str]]:
    """How many files became the text that their true encoding gives; and the others, by name."""
    counts: Counter[str] = Counter()
    others: list[str] = []
    for path in sorted(root.glob("*/*")):
        verdict, detail = judge(path, true_encoding(path.parent.name))
        counts[verdict] += 1
        if verdict != "same text":
            others.append(f"{verdict}: {path.relative_to(root)} {detail}")
    return counts, others


def judge(path: Path, true: str | None) -> tuple[str, str]:
    try:
        found = decoded(text_item(path), Ledger(), records=True)
        got = "".join(found.blocks).removeprefix("\ufeff")
    except Fault as fault:
        return "refused", f"({fault.reason})"
    if true is None:
        return "no truth to compare", f"read as {found.encoding}"
    want = path.read_bytes().decode(true, "replace").removeprefix("\ufeff")
    if got == want:
        return "same text", ""
    pairs = Counter((a, b) for a, b in zip(want, got, strict=False) if a != b)
    share = sum(pairs.values()) / max(1, len(want))
    detail = f"{true} read as {found.encoding}: {share:.2%} of the characters, {dict(pairs)}"
    return "other text", detail


# csv and json


def csv_truth(root: Path) -> Iterator[tuple[str, bool]]:
    """Each table, and whether its records equal the expected JSON."""
    for path in sorted((root / "csvs").glob("*.csv")):
        want = json.loads((root / "json" / f"{path.stem}.json").read_text())
        yield path.stem, [row.value for row in table_rows(text_item(path), Ledger())] == want


def json_verdicts(root: Path) -> dict[str, Counter[str]]:
    """By prefix (y valid, n invalid, i either): read, refused for what it is, or for no text."""
    table: dict[str, Counter[str]] = {}
    for path in sorted(root.glob("*.json")):
        given = outcome(path)
        verdict = given.kind
        if given.kind == REFUSED and path.name in given.detail:
            no_text = "no column of text" in given.detail or "holds no text" in given.detail
            verdict = "refused by name, no text in it" if no_text else REFUSED
        table.setdefault(path.name[0], Counter())[verdict] += 1
    return table


# speed

TIMED = """
import sys, time
from pathlib import Path
from engine.corpus import Corpus
from engine.recipe import Source
documents = Corpus(Source(path=sys.argv[1])).documents()
next(documents)
begun = time.process_time()
size = sum(len(document.text) for document in documents)
seconds = time.process_time() - begun
status = Path("/proc/self/status").read_text().splitlines()
peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
print(size / seconds / 1e6, peak)
"""


def make_files(folder: Path, texts: list[str], size: int) -> list[Path]:
    """One corpus of about ``size`` bytes in each format."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    repeat = max(1, size // sum(map(len, texts)))
    rows = [{"id": n, "text": text} for n, text in enumerate(texts * repeat)]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (folder / "a.txt").write_text("\n\n".join(row["text"] for row in rows))
    (folder / "a.jsonl").write_bytes(lines)
    (folder / "a.json").write_text(json.dumps(rows))
    (folder / "a.jsonl.gz").write_bytes(gzip.compress(lines, 6))
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    (folder / "a.jsonl.zst").write_bytes(zstd.compress(lines))
    with (folder / "a.csv").open("w", newline="") as out:
        writer = csv.DictWriter(out, ["id", "text"])
        writer.writeheader()
        writer.writerows(rows)
    pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet", row_group_size=10_000)
    pages = folder / "html"
    pages.mkdir()
    for number, row in enumerate(rows[: len(texts) * 2]):
        body = row["text"].replace("\n", "</p>\n<p>")
        page = f"<html><head><title>{number}</title></head><body><p>{body}</p></body></html>"
        (pages / f"{number}.html").write_text(page)
    names = ["a.txt", "a.jsonl", "a.json", "a.jsonl.gz", "a.jsonl.zst", "a.csv", "a.parquet"]
    return [*(folder / name for name in names), pages]


def speed(material: Path, size: int = 150_000_000) -> Iterator[tuple[str, float, float]]:
    """(format, MB of text for each second of one core, peak MB), each in its own process."""
    with (material / "domains/medical/corpus.jsonl").open() as lines:
        texts = [json.loads(line)["text"] for line in lines]
    with tempfile.TemporaryDirectory() as name:
        for path in make_files(Path(name), texts, size):
            command = [sys.executable, "-c", TIMED, str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            rate, peak = done.stdout.split()
            yield path.name, float(rate), float(peak)


def fingerprints(size: int = 1_000_000_000) -> tuple[float, float]:
    """Seconds of the first and the second fingerprint of a corpus of that many bytes."""
    with tempfile.TemporaryDirectory() as name:
        block = b"The river bends where the stone is soft.\n" * 25_000
        for number in range(10):
            with (Path(name) / f"{number}.txt").open("wb") as out:
                while out.tell() < size // 10:
                    out.write(block)
        time.sleep(2.5)
        seconds = []
        for _ in range(2):
            begun = time.monotonic()
            Corpus(Source(path=name)).fingerprint()
            seconds.append(time.monotonic() - begun)
    return seconds[0], seconds[1]


def main(arguments: list[str]) -> None:
    assert MATERIAL is not None, "set CPT_MATERIAL"
    root = MATERIAL / "awkward"
    wanted: list[Any] = arguments or ["awkward", "encodings", "csv", "json", "speed"]
    if "awkward" in wanted:
        for name, expected, given in awkward(root):
            mark = "ok " if given.kind == expected else "OFF"
            print(f"{mark} {name} | {expected} | {given.kind}, {given.documents} documents")
            print(f"      {given.detail[:150]}")
    if "encodings" in wanted:
        folder = Path(wanted[-1]) if Path(wanted[-1]).is_dir() else root / "encodings"
        counts, others = encodings(folder)
        print(dict(counts), *others, sep="\n  ")
    if "csv" in wanted:
        print(*csv_truth(root / "csv_spectrum"), sep="\n")
    if "json" in wanted:
        for prefix, counter in json_verdicts(root / "json_malformed").items():
            print(prefix, dict(counter))
    if "speed" in wanted:
        for name, rate, peak in speed(MATERIAL):
            print(f"{name:12} {rate:6.0f} MB/s {peak:5.0f} MB peak")
        first, second = fingerprints()
        print(f"fingerprint of 1 GB: {first:.2f} s, again {second:.3f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
