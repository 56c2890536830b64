"""What the scan counts, against the truth: planted repeats, forms of Unicode, kinds of files.

``python -m tests.benchmarks.evidence --material DIR [repeats|forms|files ...]`` prints the tables.
No model is loaded; tokens are those of the material's SmolLM2 tokenizer.

- repeats: passages of other documents are planted until they are so much of the text. Found must
  be the planted share of passages, and the effective tokens those of the text before.
- forms: the gold set and some copies are written in another normal form than the corpus.
- files: one corpus in five kinds of file gives one kind of data, one number of tokens, one verdict.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import tempfile
import time
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
from transformers import AutoTokenizer

from engine.artifacts.decision import Evidence
from engine.artifacts.scan import Scan, SideScan
from engine.corpus.corpus import Corpus
from engine.corpus.shape import detect_shape
from engine.decision.decide import decide
from engine.gold.example import Example
from engine.recipe.sections import Recipe, Source
from engine.runs.event_log import EventLog
from engine.runs.run import create_run
from engine.worker.job.context import Context
from engine.worker.measure.scan import side_scan
from engine.worker.model.base import Base
from engine.worker.tokens.overlap import open_store

SHARES = (0.0, 0.1, 0.3, 0.6)
PASSAGE = 200
"""Words of a planted passage."""
SIZE = 1_500_000
"""Characters of a corpus, at most."""
END = "<|endoftext|>"
RECIPE = Recipe.model_validate({"model": {"id": "m"}, "corpus": {"path": "c"}})


@dataclass(frozen=True)
class Bench:
    """A place for runs, and the tokenizer."""

    folder: Path
    tokenizer: Any

    @property
    def context(self) -> Context:
        run = create_run("evidence", "", self.folder / "home")
        return Context(run, RECIPE, EventLog(run.events_path), stage="scan")

    def scan(self, path: Path) -> SideScan:
        """What a scan says of one side."""
        corpus = Corpus(Source(path=str(path)))
        store, _ = open_store(self.context, corpus, self.tokenizer, "text", [])
        return side_scan(store, cast(Base, SimpleNamespace(context=512)), corpus.source)

    def tokens(self, texts: Sequence[str]) -> int:
        return sum(map(len, self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]))


def write_jsonl(path: Path, texts: Sequence[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


# repeats


def planted(texts: Sequence[str], share: float, inside: bool, seed: int = 0) -> list[str]:
    """The texts with passages said again until those are ``share`` of all words.

    ``inside``: a passage of the document itself; else one of another document.
    """
    rng = random.Random(seed)
    words = [text.split() for text in texts]
    left = round(share / (1 - share) * sum(map(len, words)))
    more: list[list[str]] = [[] for _ in texts]
    while left > 0:
        at = rng.randrange(len(words))
        source = words[at] if inside else words[rng.randrange(len(words))]
        start = rng.randrange(max(1, len(source) - PASSAGE))
        passage = source[start : start + min(PASSAGE, left)]
        more[at] += passage
        left -= len(passage)
    return [" ".join([*own, *again]) for own, again in zip(words, more, strict=True)]


def repeats(bench: Bench, named: dict[str, list[str]]) -> Iterator[str]:
    """Rows: corpus, planted, found, and effective tokens over the true ones."""
    yield "| corpus | planted | where | passages found | effective / true tokens |"
    yield "|---|---|---|---|---|"
    for name, texts in named.items():
        for share in SHARES:
            for inside in (False, True) if share else (False,):
                path = bench.folder / f"{name}-{share}-{inside}.jsonl"
                found = bench.scan(write_jsonl(path, planted(texts, share, inside)))
                assert found.quality
                truth = bench.tokens([" ".join(text.split()) for text in texts])
                where = "in its own document" if inside else "in others"
                passages = found.quality.repeated_passages_share
                ratio = found.effective_tokens / truth
                yield f"| {name} | {share:.0%} | {where} | {passages:.1%} | {ratio:.3f} |"


# forms


FORMS = {
    "NFC": lambda text: unicodedata.normalize("NFC", text),
    "NFD": lambda text: unicodedata.normalize("NFD", text),
    "full width": lambda text: "".join(
        chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text
    ),
    "upper case": str.upper,
}


def forms(bench: Bench, named: dict[str, list[str]]) -> Iterator[str]:
    """Rows: of 50 copies and 50 gold items in another form, how many are found."""
    yield "| corpus | form | copies found, of 50 | gold items found, of 50 |\n|---|---|---|---|"
    for name, texts in named.items():
        whole = [unicodedata.normalize("NFC", text) for text in texts if len(text.split()) > 60]
        for form, change in FORMS.items():
            copies = [change(text) for text in whole[:50]]
            gold = [Example(change(" ".join(t.split()[10:50])), " yes") for t in whole[50:100]]
            path = write_jsonl(bench.folder / f"{name}-{form}.jsonl", [*whole, *copies])
            corpus = Corpus(Source(path=str(path)))
            store, found = open_store(bench.context, corpus, bench.tokenizer, "text", gold)
            assert found
            same = store.meta["duplicates"] + sum(n >= len(whole) for n in store.dropped)
            yield f"| {name} | {form} | {same} | {len(found.contaminated)} |"


# files


def write_all(folder: Path, texts: Sequence[str], lines: bool) -> list[Path]:
    """The corpus as text, packed text, records, packed records and a table of columns.

    In a text file documents of more than a line stand between separators.
    """
    folder.mkdir(parents=True)
    joined = "".join(f"{text}\n" if lines else f"{text}\n{END}\n" for text in texts)
    (folder / "a.txt").write_text(joined)
    (folder / "b.txt.gz").write_bytes(gzip.compress(joined.encode(), 1))
    records = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    (folder / "c.jsonl").write_text(records)
    (folder / "d.jsonl.gz").write_bytes(gzip.compress(records.encode(), 1))
    pq.write_table(pa.table({"text": list(texts)}), folder / "e.parquet")
    return sorted(folder.iterdir())


def judged(bench: Bench, path: Path) -> tuple[str, int, int, str]:
    """Kind of data, documents, tokens, and the verdict with what decides it."""
    shape, side = detect_shape(Corpus(Source(path=str(path)))), bench.scan(path)
    verdict = decide(Evidence(scan=Scan(domain=side, generic=side, shape=shape)), RECIPE)
    steps = [
        f"{step.node} {step.outcome}" for step in verdict.path if step.node in ("shape", "size")
    ]
    said = next(step.answer for step in verdict.path if step.node == "shape")
    return shape.kind, side.documents, side.tokens, f"{verdict.outcome}: {', '.join(steps)}: {said}"


def files(bench: Bench, named: dict[str, list[str]]) -> Iterator[str]:
    """Rows: corpus, and what its five kinds of file give; equal or what differs."""
    yield "| corpus | kind | documents | tokens | equal in 5 kinds of file |\n|---|---|---|---|---|"
    for name, texts in named.items():
        lines = not any("\n" in text for text in texts)
        paths = write_all(bench.folder / f"files-{name}", texts, lines)
        found = {path.name: judged(bench, path) for path in paths}
        first = found["c.jsonl"]
        other = {name: one for name, one in found.items() if one != first}
        same = "yes" if not other else f"no: {other}"
        yield f"| {name} | {first[0]} | {first[1]:,} | {first[2]:,} | {same} |"


def lines_of(seed: int, count: int = 4000) -> dict[str, list[str]]:
    """Corpora whose every line is a record, made up."""
    rng = random.Random(seed)
    atoms = ["C", "c1ccccc1", "N", "O", "(=O)", "Cl", "C(=O)O", "[nH]", "(C)", "[C@@H]", "#", "="]
    things = ["red", "steel", "chair", "lamp", "oak", "large", "cable", "of", "XL-200", "set", "2m"]
    made = {
        "molecules": lambda: "".join(rng.choices(atoms, k=rng.randint(4, 20))),
        "molecules with names": lambda: (
            f"{''.join(rng.choices(atoms, k=9))} CHEM{rng.randrange(10**6)}"
        ),
        "syslog": lambda: (
            f"Nov {rng.randint(1, 28):2} {rng.randrange(24):02}:{rng.randrange(60):02}:07 alpha "
            f"sshd[{rng.randrange(9999)}]: Accepted publickey for anna port {rng.randrange(65_000)}"
        ),
        "access log": lambda: (
            f"10.0.{rng.randrange(255)}.7 - - [10/Oct/2024:13:{rng.randrange(60):02}:36 -0700] "
            f'"GET /{rng.getrandbits(32):x} HTTP/1.1" 200 {rng.randrange(9999)}'
        ),
        "kernel log": lambda: f"[{rng.random() * 999:12.6f}] usb 1-{rng.randrange(9)}: new device",
        "numbers": lambda: ",".join(f"{rng.random():.4f}" for _ in range(8)),
        "links": lambda: f"https://www.example.com/{rng.getrandbits(64):x}/{rng.randrange(999)}",
        "hashes": lambda: f"{rng.getrandbits(128):032x}",
        "titles": lambda: " ".join(rng.choices(things, k=rng.randint(4, 10))),
        "SQL dump": lambda: (
            f"INSERT INTO t VALUES ({rng.randrange(10**6)}, '{rng.getrandbits(64):x}');"
        ),
        "names": lambda: (
            f"{rng.choice(things).title()} {rng.choice(things).title()}{rng.randrange(999)}"
        ),
    }
    return {name: list(dict.fromkeys(line() for _ in range(count))) for name, line in made.items()}


def real(material: Path, size: int = SIZE) -> dict[str, list[str]]:
    """The material's corpora and this project's own code."""
    places = {
        "medical": material / "domains/medical/corpus.jsonl",
        "legal": material / "domains/legal",
        "icelandic": material / "domains/icelandic",
        "solidity": material / "domains/solidity",
        "novels": material / "general/novels",
        "wikitext2": material / "general/wikitext2",
        "tinystories": material / "general/tinystories",
        "python": Path(__file__).parents[2] / "engine",
        "alpaca, chinese": material / "awkward/sft_prompt_completion/alpaca_zh_demo.json",
    }
    return {name: first(path, size) for name, path in places.items()}


def first(path: Path, size: int) -> list[str]:
    """Whole documents in random order, of so many characters in all."""
    found = list(dict.fromkeys(one.text for one in Corpus(Source(path=str(path))).documents()))
    random.Random(0).shuffle(found)
    taken, total = [], 0
    for text in found:
        if total + len(text) <= size:
            taken.append(text)
            total += len(text)
    return taken


TABLES = {"repeats": repeats, "forms": forms, "files": files}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--material", type=Path, required=True)
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], default=list(TABLES))
    asked = parser.parse_args()
    named = real(asked.material)
    some = {name: named[name] for name in ("novels", "medical", "icelandic")}
    tokenizer = AutoTokenizer.from_pretrained(asked.material / "tokenizers/smollm2")
    for table in asked.tables:
        used = {**named, **lines_of(0)} if table == "files" else some
        with tempfile.TemporaryDirectory() as folder:
            begun = time.process_time()
            for row in TABLES[table](Bench(Path(folder), tokenizer), used):
                print(row, flush=True)
            print(f"\n{table}: {time.process_time() - begun:.0f} CPU seconds\n")


if __name__ == "__main__":
    main()
