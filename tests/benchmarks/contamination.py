"""Contamination: gold items planted in a corpus, and gold items that are not there.

``python -m tests.benchmarks.contamination --material DIR``
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

from engine.corpus.corpus import Corpus
from engine.gold.example import Example
from engine.gold.load import load_examples
from engine.quality.contamination import Overlap, Overlapped
from engine.quality.shingles import words_of
from engine.recipe.sections import Source

CORPORA = ("domains/medical", "domains/legal", "general/novels", "general/wikitext2")
TASKS = ("medical_question_type", "medical_answers", "legal_unfair_clause")
SHARES = (0.01, 0.1, 0.5)
BATCH = 200


def read(folder: Path) -> list[str]:
    return [document.text for document in Corpus(Source(path=str(folder))).documents()]


def look(gold: list[Example], texts: list[str]) -> Overlapped:
    overlap = Overlap(gold)
    for at in range(0, len(texts), BATCH):
        overlap.feed(words_of(texts[at : at + BATCH]))
    return overlap.found()


def whole(prompt: str, corpus: list[str], rng: random.Random) -> str:
    return prompt


def passage(prompt: str, corpus: list[str], rng: random.Random) -> str:
    """Without what every prompt says."""
    return prompt.removeprefix("Passage: ").split("\nThe passage answers")[0]


def inside(prompt: str, corpus: list[str], rng: random.Random) -> str:
    """In the middle of another document, other case and punctuation."""
    host = rng.choice(corpus)
    return f"{host[:3000]}\n{prompt.upper().replace(',', ' ;')}\n{host[3000:6000]}"


def absent(material: Path, corpora: dict[str, list[str]]) -> None:
    print(f"{'gold set':24}{'corpus':20}{'items':>6}{'found':>7}{'common':>8}{'short':>7}")
    for task in TASKS:
        gold = load_examples(material / "tasks" / task / "test.jsonl")
        for name, texts in corpora.items():
            found = look(gold, texts)
            print(f"{task:24}{name:20}{len(gold):6}{len(found.contaminated):7}"
                  f"{len(found.common):8}{found.short:7}")  # fmt: skip


def planted(material: Path, corpus: list[str]) -> None:
    gold = load_examples(material / "tasks" / TASKS[0] / "test.jsonl")
    before = look(gold, corpus)
    print("\nstanding in the corpus before anything is planted, to be judged by eye:")
    for item, _, said in before.examples:
        print(f"  item {item + 1} ({gold[item].completion.strip()}): {said}")
    print(f"\n{'planted':>8}{'how':>9}{'items':>6}{'found':>7}{'as common':>10}{'missed':>7}"
          f"{'others':>7}{'seconds':>8}")  # fmt: skip
    for share in SHARES:
        for how in (whole, passage, inside):
            rng = random.Random(1)
            chosen = set(rng.sample(range(len(gold)), round(share * len(gold))))
            texts = corpus + [how(gold[item].prompt, corpus, rng) for item in chosen]
            rng.shuffle(texts)
            started = time.perf_counter()
            found = look(gold, texts)
            seconds = time.perf_counter() - started
            hit, common = set(found.contaminated), set(found.common)
            print(f"{share:8.0%}{how.__name__:>9}{len(chosen):6}{len(hit & chosen):7}"
                  f"{len(common & chosen):10}{len(chosen - hit - common):7}"
                  f"{len(hit - chosen - set(before.contaminated)):7}{seconds:8.1f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--material", type=Path, required=True)
    material: Path = parser.parse_args().material
    corpora = {name: read(material / name) for name in CORPORA}
    absent(material, corpora)
    planted(material, corpora[CORPORA[0]])


if __name__ == "__main__":
    main()
