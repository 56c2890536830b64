"""Line records: strings and logs are rows in any file, prose and code are not."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest

from engine.corpus.corpus import Corpus
from engine.corpus.line_records import are_line_records
from engine.corpus.shape import detect_shape
from engine.recipe.sections import Source
from tests import tiny

RNG = random.Random(0)
ATOMS = ["C", "c1ccccc1", "N", "O", "(=O)", "Cl", "C(=O)O", "[nH]", "(C)", "[C@@H]", "#", "="]
MOLECULES = ["".join(RNG.choices(ATOMS, k=RNG.randint(4, 14))) for _ in range(1500)]
LOG = [
    f"2024-03-01 {n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02} INFO user {RNG.random():.3f} in"
    for n in range(800)
]
NUMBERS = [" ".join(str(RNG.randrange(10_000)) for _ in range(5)) for _ in range(1500)]
PROSE = " ".join(tiny.documents(60, 1)).split()


def wrapped(width: int = 70) -> list[str]:
    lines, line = [], ""
    for word in PROSE:
        if len(line) + len(word) + 1 > width:
            lines, line = [*lines, line], word
        else:
            line = f"{line} {word}".strip()
    return lines


SYSLOG = [
    f"Nov {RNG.randint(1, 28):2} {RNG.randrange(24):02}:{n % 60:02}:07 alpha cron[{n}]: run {n}"
    for n in range(800)
]
DUMP = [f"INSERT INTO users VALUES ({n}, '{RNG.getrandbits(64):x}');" for n in range(400)]
THINGS = ["red", "steel", "chair", "lamp", "oak", "large", "cable", "of", "XL-200", "set", "2m"]
TITLES = [" ".join(RNG.choices(THINGS, k=RNG.randint(4, 10))) for _ in range(1200)]
KINDS = {
    "molecules": MOLECULES,
    "log": LOG,
    "numbers": NUMBERS,
    "syslog": SYSLOG,
    "dump": DUMP,
    "titles": TITLES,
    "few molecules": MOLECULES[:60],
    "a short log": SYSLOG[:50],
}
NO_RECORDS = {
    "numbered verses": [f"(VS:VII_{n}) {' '.join(PROSE[9 * n : 9 * n + 9])}." for n in range(300)],
    "captions": [" ".join(PROSE[6 * n : 6 * n + 6]).replace(".", "") for n in range(500)],
    "a trace": ["12:00:01 ERROR x", "\tat a.b(C.java:1)", "\tat a.c(C.java:2)"] * 200,
    "hard-wrapped prose": wrapped(),
    "a sentence on each line": [" ".join(PROSE[at : at + 9]) + "." for at in range(0, 3000, 9)],
    "code": ["def f(x):", "    return x", ""] * 400,
    "a sequence": ["".join(RNG.choices("ACGT", k=60)) for _ in range(300)],
    "verse": ["Roses are red", "violets are blue", "sugar is sweet", ""] * 200,
    "a script without blanks": ["".join(map(chr, range(0x4E00, 0x4E14)))] * 900,
}


@pytest.mark.parametrize("lines", KINDS.values(), ids=KINDS)
def test_the_same_lines_are_the_same_rows_in_any_file(tmp_path: Path, lines: list[str]) -> None:
    text = "\n".join(lines) + "\n"
    (tmp_path / "a.txt").write_text(text)
    (tmp_path / "b.jsonl").write_text("".join(json.dumps({"text": one}) + "\n" for one in lines))
    with gzip.open(tmp_path / "c.txt.gz", "wt") as out:
        out.write(text)
    corpora = [Corpus(Source(path=str(path))) for path in sorted(tmp_path.iterdir())]
    assert {detect_shape(corpus).kind for corpus in corpora} == {"short_rows"}
    read = [[document.text for document in corpus.documents()] for corpus in corpora]
    assert read[0] == read[1] == read[2] == lines


@pytest.mark.parametrize("name", NO_RECORDS)
def test_lines_of_a_text_stay_together(name: str) -> None:
    assert not are_line_records("\n".join(NO_RECORDS[name]) + "\n")
