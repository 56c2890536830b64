"""Shape detection: precision and recall per kind, and whether the confidence means something.

``python -m tests.benchmarks.shapes --material DIR``. The true kinds stand in ``TRUE`` and
``generated`` and were written down before the first run.
"""

from __future__ import annotations

import argparse
import json
import random
import sysconfig
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from engine.artifacts.scan import Shape
from engine.corpus.corpus import Corpus
from engine.corpus.shape import detect_shape
from engine.recipe.sections import Source

TRUE = {
    "general/novels": "raw",
    "general/tinystories": "raw",
    "general/wikitext2": "raw",
    "domains/medical": "raw",
    "domains/legal": "raw",
    "tasks/medical_question_type": "prompt_completion",
    "tasks/medical_answers": "prompt_completion",
    "tasks/legal_unfair_clause": "prompt_completion",
    "awkward/sft_prompt_completion": "prompt_completion",
    "awkward/sft_prompt_completion/alpaca_en_demo.json": "prompt_completion",
    "awkward/sft_prompt_completion/alpaca_zh_demo.json": "prompt_completion",
    "awkward/sft_prompt_completion/alpaca_seed_tasks.jsonl": "prompt_completion",
    "awkward/sft_prompt_completion/v1_sft_demo.jsonl": "chat",
    "awkward/chat_sharegpt": "chat",
    "awkward/chat_sharegpt/glaive_toolcall_en_demo.json": "chat",
    "awkward/chat_sharegpt/sharegpt_dummy_conversation.json": "chat",
    "awkward/chat_sharegpt/mt_bench_question.jsonl": "chat",
    "awkward/preference": "preference",
    "awkward/preference/dpo_en_demo.json": "preference",
    "awkward/preference/kto_en_demo.json": "preference",
    "awkward/parquet_text": "short_rows",
    "awkward/parquet_text/train-00000-of-00001.parquet": "short_rows",
    "awkward/parquet_text/validation-00000-of-00001.parquet": "short_rows",
    "awkward/csv_spectrum": "short_rows",
    "awkward/naughty_strings": "raw",
}
KINDS = ("raw", "code", "prompt_completion", "chat", "preference", "classification", "short_rows",
         "mixed")  # fmt: skip

Rows = list[dict[str, Any]]


def shape(path: Path) -> Shape:
    return detect_shape(Corpus(Source(path=str(path))))


def lines(path: Path, count: int) -> Rows:
    return [json.loads(line) for line in path.read_text().splitlines()[:count]]


def write(path: Path, rows: Iterable[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(row) for row in rows))


def sized(rows: Rows, size: int) -> Rows:
    """Rows, repeated or cut, of about ``size`` bytes as JSON lines."""
    out: Rows = []
    total = 0
    while total < size:
        for row in rows:
            out.append(row)
            total += len(json.dumps(row))
            if total >= size:
                break
    return out


def sources(material: Path) -> dict[str, Rows]:
    """Rows of every kind, out of the material and of this machine's Python."""
    medical = lines(material / "domains/medical/corpus.jsonl", 1500)
    alpaca = json.loads(
        (material / "awkward/sft_prompt_completion/alpaca_en_demo.json").read_text()
    )
    chats = json.loads(
        (material / "awkward/chat_sharegpt/glaive_toolcall_en_demo.json").read_text()
    )
    pairs = json.loads((material / "awkward/preference/dpo_en_demo.json").read_text())
    typed = lines(material / "tasks/medical_question_type/train.jsonl", 1600)
    clauses = lines(material / "tasks/legal_unfair_clause/train.jsonl", 3000)
    stdlib = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    headers = sorted(Path(sysconfig.get_path("include")).rglob("*.h"))
    manuals = sorted(Path(sysconfig.get_path("purelib")).glob("*.dist-info/METADATA"))
    read = lambda paths: [{"text": path.read_text("utf-8", "replace")} for path in paths]  # noqa: E731
    return {
        "raw": [{"text": row["text"]} for row in medical],
        "raw with metadata": [
            {"text": row["text"], "category": row["source"], "source": "MedQuAD"} for row in medical
        ],
        "raw manuals with code": [row for row in read(manuals) if len(row["text"]) > 3000],
        "code python": read(stdlib),
        "code headers": read(headers),
        "prompt_completion": alpaca,
        "prompt_completion summaries": [
            {"document": row["text"], "summary": row["title"]} for row in medical
        ],
        "chat": chats,
        "chat marks": [
            {"text": f"### Instruction:\n{row['instruction']}\n\n### Response:\n{row['output']}"}
            for row in alpaca
        ],
        "chat chatml": [
            {
                "text": "\n".join(
                    f"<|im_start|>{turn['from']}\n{turn['value']}<|im_end|>"
                    for turn in row["conversations"]
                )
            }
            for row in chats
        ],
        "preference": pairs,
        "preference kto": [
            {"prompt": row["instruction"], "completion": row["output"], "label": n % 2 == 0}
            for n, row in enumerate(alpaca)
        ],
        "classification": [{"text": row["prompt"], "label": row["label"]} for row in typed],
        "classification numbers": [
            {"sentence": row["prompt"], "label": int(row["label"] == "fair")} for row in clauses
        ],
        "classification stars": [
            {"review": row["prompt"], "stars": n % 5 + 1} for n, row in enumerate(clauses)
        ],
        "short_rows": [{"sentence": row["prompt"]} for row in clauses],
    }


def generated(folder: Path, material: Path) -> dict[Path, str]:
    """Folders of one kind and of several, with their true kind."""
    rows = sources(material)
    truth: dict[Path, str] = {}
    for name, some in rows.items():
        path = folder / name.replace(" ", "-") / "data.jsonl"
        write(path, some)
        truth[path.parent] = name.split()[0]
    for name, suffix in (("code python", "txt"), ("code python", "py"), ("code headers", "h"),
                         ("chat marks", "txt"), ("raw manuals with code", "md")):  # fmt: skip
        path = folder / f"{name}-{suffix}".replace(" ", "-")
        path.mkdir()
        for number, row in enumerate(rows[name][:80]):
            (path / f"{number}.{suffix}").write_text(row["text"])
        truth[path] = name.split()[0]
    for one, other in (("raw", "chat"), ("raw", "prompt_completion"), ("raw", "classification"),
                       ("raw", "code python"), ("code headers", "preference")):  # fmt: skip
        for share in (0.2, 0.5, 0.8):
            path = folder / f"mixed-{one}-{other}-{share}".replace(" ", "-")
            write(path / "a.jsonl", sized(rows[one], round(600_000 * share)))
            write(path / "b.jsonl", sized(rows[other], round(600_000 * (1 - share))))
            truth[path] = "mixed"
    return truth


def judge(truth: dict[Path, str], named: Callable[[Path], str]) -> list[tuple[str, str]]:
    """Print every wrong one; returns (true, given) pairs."""
    pairs = []
    for path, kind in truth.items():
        found = shape(path)
        pairs.append((kind, found.kind))
        if found.kind != kind:
            print(f"WRONG {named(path)}: true {kind}, given {found.kind} "
                  f"({found.confidence:.2f}; {found.why})")  # fmt: skip
    return pairs


def table(pairs: list[tuple[str, str]]) -> None:
    count = Counter(pairs)
    print(f"{'kind':20}{'true':>6}{'given':>7}{'precision':>11}{'recall':>8}")
    for kind in KINDS:
        true = sum(n for (t, _), n in count.items() if t == kind)
        given = sum(n for (_, g), n in count.items() if g == kind)
        hit = count[kind, kind]
        print(f"{kind:20}{true:6}{given:7}{hit / max(1, given):11.2f}{hit / max(1, true):8.2f}")
    print(f"{'all':20}{len(pairs):6}{'':18}{sum(t == g for t, g in pairs) / len(pairs):8.2f}")


def calibration(folder: Path, material: Path, runs: int) -> None:
    """Random mixtures near the border of 90%, seen by few or many rows of a shuffled file.

    All rows have one column, so that only the text tells them apart.
    """
    rows = sources(material)
    rng = random.Random(5)
    bins: dict[float, list[bool]] = {}
    for run in range(runs):
        one, other = rng.sample(["raw", "chat marks", "chat chatml", "code python"], 2)
        share = 1 - rng.random() ** 2 * 0.3
        total = rng.choice([30_000, 100_000, 300_000, 3_000_000])
        a = sized(rng.sample(rows[one], len(rows[one])), round(total * share))
        b = sized(rng.sample(rows[other], len(rows[other])), round(total * (1 - share)))
        mixed = a + (b if share < 0.99 else [])
        rng.shuffle(mixed)
        path = folder / f"calibration{run}.jsonl"
        write(path, mixed)
        found = shape(path)
        path.unlink()
        true = _true(one.split()[0], other.split()[0], a, mixed)
        bins.setdefault(min(9, int(found.confidence * 10)) / 10, []).append(found.kind == true)
    print("confidence  corpora  right")
    for low in sorted(bins):
        print(
            f"{low:.1f}-{low + 0.1:.1f} {len(bins[low]):12} {sum(bins[low]) / len(bins[low]):6.2f}"
        )


def _true(one: str, other: str, mine: Rows, everything: Rows) -> str:
    """The kind by all rows' characters: 90% of one kind, or of data for fine-tuning."""
    share = sum(len(row["text"]) for row in mine) / sum(len(row["text"]) for row in everything)
    if share >= 0.9 or one == other:
        return one
    return other if share <= 0.1 else "mixed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--material", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=300)
    arguments = parser.parse_args()
    material: Path = arguments.material
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("the material")
        real = judge({material / path: kind for path, kind in TRUE.items()},
                     lambda path: str(path.relative_to(material)))  # fmt: skip
        table(real)
        print("\ngenerated")
        made = judge(generated(folder, material), lambda path: path.name)
        table(made)
        print("\nboth")
        table(real + made)
        print()
        calibration(folder, material, arguments.runs)


if __name__ == "__main__":
    main()
