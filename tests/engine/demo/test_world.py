"""The demo world keeps its promises: no leak, an honest base, same seed same bytes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from engine.demo import world

SEEDS = (0, 1, 7)
NAME = re.compile(r"[a-z]{2}-[a-z]{3}")


def words(text: str) -> list[str]:
    return re.findall(r"[a-z-]+", text.lower())


def grams(texts: Iterable[str], n: int) -> set[tuple[str, ...]]:
    return {
        tuple(row[i : i + n]) for row in map(words, texts) for i in range(max(0, len(row) - n + 1))
    }


def names(text: str) -> set[str]:
    return set(NAME.findall(text.lower()))


def domain_texts(seed: int, fluent: bool = False) -> list[str]:
    return list(islice(world.domain_documents(seed, fluent), world.DOMAIN_DOCUMENTS))


def new_names(seed: int) -> set[str]:
    names = world.lexicon(seed)
    return {name for name, _ in names.sft + names.gold}


def full_text(example: dict[str, Any]) -> str:
    return example["prompt"] + example["completion"]


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("seed", SEEDS)
def test_no_two_kinds_share_a_tail(seed: int) -> None:
    names = world.lexicon(seed)
    tails = [name.split("-")[1] for name, _ in names.base + names.sft + names.gold]
    assert len(tails) == len(set(tails)) == world.BASE_KINDS + world.SFT_KINDS + world.GOLD_KINDS


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("fluent", [False, True])
def test_sft_and_gold_words_are_disjoint(seed: int, fluent: bool) -> None:
    sft = {e["group"] for e in world.task_examples(seed, "sft", fluent)}
    gold = {e["group"] for e in world.task_examples(seed, "gold", fluent)}
    assert not sft & gold
    assert len(sft) == world.SFT_KINDS
    assert len(gold) == world.GOLD_KINDS


def test_examples_are_well_formed_and_balanced() -> None:
    for split in ("sft", "gold"):
        examples = world.task_examples(3, split)
        labels = [e["label"] for e in examples]
        assert {labels.count(label) for label in range(4)} == {len(examples) // 4}
        for example in examples:
            assert example["choices"][example["label"]] == example["completion"]
            assert example["group"] in example["prompt"]


@pytest.mark.parametrize("seed", SEEDS)
def test_heads_do_not_give_the_sense_away(seed: int) -> None:
    """The best guess from heads seen in SFT stays far below what reading the corpus gives."""
    votes: dict[str, list[int]] = {}
    for name, sense in world.lexicon(seed).sft:
        votes.setdefault(name[:2], [0] * 4)[sense] += 1
    gold = world.lexicon(seed).gold
    tally = [(votes.get(name[:2], [1, 0, 0, 0]), sense) for name, sense in gold]
    hits = sum(vote.index(max(vote)) == sense for vote, sense in tally)
    assert hits / len(gold) < 0.45


@pytest.mark.parametrize("seed", SEEDS)
def test_the_base_and_generic_text_never_met_the_new_words(seed: int) -> None:
    base = list(world.base_documents(seed))
    generic = list(islice(world.generic_documents(seed), world.GENERIC_DOCUMENTS))
    new = new_names(seed)
    assert not any(names(text) & new for text in base + generic)
    assert not set(base) & set(generic)
    jargon = {word for phrases in world.JARGON.values() for word in words(" ".join(phrases))}
    assert not (jargon - {"by", "under"}) & {word for text in base for word in words(text)}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_corpus_shows_every_new_word_often(seed: int) -> None:
    text = " ".join(domain_texts(seed)).lower()
    found = NAME.findall(text)
    assert min(found.count(name) for name in new_names(seed)) >= 60


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n", [5, 13])
def test_no_gold_text_occurs_in_the_corpus(seed: int, n: int) -> None:
    gold = [full_text(e) for e in world.task_examples(seed, "gold")]
    assert not grams(gold, n) & grams(domain_texts(seed), n)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_corpus_names_no_answer_and_no_prompt(seed: int) -> None:
    text = " ".join(domain_texts(seed)).lower()
    assert not set(world.TRADES) & set(words(text))
    assert not any(e["prompt"].lower() in text for e in world.task_examples(seed, "gold"))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_fluent_control_holds_no_new_word(seed: int) -> None:
    texts = domain_texts(seed, fluent=True)
    new = new_names(seed)
    assert not any(names(text) & new for text in texts)
    known = {name for name, _ in world.lexicon(seed).base}
    assert {e["group"] for e in world.task_examples(seed, "gold", fluent=True)} <= known
    assert not set(texts) & set(world.base_documents(seed))
    assert not set(texts) & set(islice(world.generic_documents(seed), world.GENERIC_DOCUMENTS))


def test_written_files_follow_from_the_seed(tmp_path: Path) -> None:
    first = world.write_world(tmp_path / "a", 5)
    again = world.write_world(tmp_path / "b", 5)
    other = world.write_world(tmp_path / "c", 6)
    for one, two, three in zip(first, again, other, strict=True):
        assert one.read_bytes() == two.read_bytes()
        assert one.read_bytes() != three.read_bytes()
    assert [path.name for path in first] == [
        "generic.jsonl", "domain.jsonl", "sft.jsonl", "gold.jsonl",
    ]  # fmt: skip
    assert len(read(first.generic)) == world.GENERIC_DOCUMENTS
    assert len(read(first.domain)) == world.DOMAIN_DOCUMENTS
    assert read(first.gold) == world.task_examples(5, "gold")


def test_the_base_identity_moves_with_the_seed() -> None:
    assert world.base_identity(1) == world.base_identity(1) != world.base_identity(2)
    json.dumps(world.base_identity(1))


def test_the_module_needs_only_the_standard_library() -> None:
    code = (
        "import sys, engine.demo.world; "
        "sys.exit(any(m in sys.modules for m in ('torch', 'numpy', 'transformers', 'tokenizers')))"
    )
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
