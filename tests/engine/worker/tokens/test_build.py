"""The token store: one pass over the text, what it finds there, and what it never reads again."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.artifacts.scan import EditCounts, Quality
from engine.corpus.corpus import Corpus
from engine.errors import InputError, Interrupted
from engine.files import home
from engine.gold.example import Example
from engine.recipe import sections
from engine.recipe.sections import Recipe, Source
from engine.runs.event_log import EventLog
from engine.runs.events import Progress, read_all
from engine.runs.run import Run, create_run
from engine.worker.job.context import Context
from engine.worker.measure.scan import scan_texts
from engine.worker.model import base as models
from engine.worker.packing.stage import pack_texts
from engine.worker.tokens import store as tokens
from engine.worker.tokens.build import store_folder
from engine.worker.tokens.overlap import open_store
from engine.worker.tokens.store import MIN_HELDOUT, TokenStore, encode, encode_long, heldout_mask
from engine.worker.tokens.unique_documents import Seen
from tests import tiny

GOLD = [Example(" ".join(tiny.documents(1, 70 + n)[0].split()[:25]), " yes") for n in range(6)]


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    run = create_run("scan", "", tmp_path / "home")
    recipe = Recipe.model_validate(
        {"model": {"id": "m"}, "corpus": {"path": "c"}, "generic": {"path": "g"}}
    )
    return Context(run, recipe, EventLog(run.events_path), stage="scan")


def labels(run: Run) -> list[str]:
    """What the progress events said, in order, each once."""
    said = [event.label for event in read_all(run.events_path) if isinstance(event, Progress)]
    return list(dict.fromkeys(said))


def write(folder: Path, texts: list[str], name: str = "c.jsonl") -> Corpus:
    path = tiny.write_jsonl(folder / name, [{"text": text} for text in texts])
    return Corpus(Source(path=str(path), heldout_share=0.1))


def near(text: str, seed: int) -> str:
    """The text with one word in a hundred changed."""
    rng = random.Random(seed)
    words = text.split()
    for _ in range(max(1, len(words) // 100)):
        words[rng.randrange(len(words))] = "changed"
    return " ".join(words)


def test_a_store_holds_the_text_and_where_it_came_from(
    context: Context, tokenizer: Any, tmp_path: Path
) -> None:
    texts = tiny.documents(60, 1)
    corpus = write(tmp_path, [*texts[:30], texts[3], *texts[30:], texts[3]])
    store, found = open_store(context, corpus, tokenizer, "text", [])
    assert found is None
    assert [tokenizer.decode(store.document(n).tolist()) for n in range(60)] == texts
    assert store.nbytes.tolist() == [len(text.encode()) for text in texts]
    assert int(store.lengths.sum()) == store.offsets[-1]
    assert store.origin(0).endswith("c.jsonl:1")
    assert store.origin(59).endswith("c.jsonl:61")
    quality = Quality.model_validate(store.meta["quality"])
    assert store.meta["duplicates"] == 2
    assert store.meta["words"] == sum(len(text.split()) for text in texts)
    place = f"{tmp_path}/c.jsonl"
    assert quality.exact_examples == [f"{place}:{n} repeats {place}:4" for n in (31, 62)]


def test_near_duplicates_are_counted_and_left_out(
    context: Context, tokenizer: Any, tmp_path: Path
) -> None:
    texts = tiny.documents(200, 1, size=300)
    twins = [near(text, n) for n, text in enumerate(texts[:100])]
    corpus = write(tmp_path, texts + twins)
    store, _ = open_store(context, corpus, tokenizer, "text", [])
    quality = Quality.model_validate(store.meta["quality"])
    assert quality.near_duplicate_documents >= 95
    assert len(store.dropped) == quality.near_duplicate_documents
    assert store.dropped.min() >= 200
    sides = [store.side(heldout).tolist() for heldout in (True, False)]
    assert sorted([*sides[0], *sides[1]]) == sorted(set(range(300)) - set(store.dropped.tolist()))
    assert len(sides[0]) == MIN_HELDOUT
    assert quality.repeated_passages_share == pytest.approx(0.3, abs=0.05)
    assert quality.repeated_passages_tokens < 0.02 * store.lengths.sum()
    kept = corpus.source.model_copy(update={"keep_near_duplicates": True})
    both, _ = open_store(context, Corpus(kept), tokenizer, "text", [])
    assert both.folder != store.folder
    assert len(both.dropped) == 0
    split = sum(both.heldout[n] != both.heldout[200 + n] for n in range(100))
    assert split <= 100 - quality.near_duplicate_documents
    dropped = int(store.lengths[200:].sum())
    assert quality.near_duplicate_tokens == pytest.approx(dropped, rel=0.1)
    pair = quality.near_pairs[0]
    assert pair.similarity >= 0.8
    assert pair.kept != pair.dropped
    assert pair.text
    assert len(store.leaked) <= 2


def test_a_corpus_of_one_text_is_small(context: Context, tokenizer: Any, tmp_path: Path) -> None:
    base = tiny.documents(1, 1, size=400)[0]
    texts = [f"{base} page {n}" for n in range(300)]
    store, _ = open_store(context, write(tmp_path, texts), tokenizer, "text", [])
    quality = Quality.model_validate(store.meta["quality"])
    assert quality.near_duplicate_documents == 299
    assert store.lengths.sum() - quality.near_duplicate_tokens < 2 * store.lengths.max()
    assert store.heldout.sum() == MIN_HELDOUT  # no clean side is to be had


def test_leaks_are_named(context: Context, tokenizer: Any, tmp_path: Path) -> None:
    texts = tiny.documents(100, 1, size=200)
    holder = " ".join(texts[:58])
    corpus = write(tmp_path, [*texts, holder])
    store, _ = open_store(context, corpus, tokenizer, "text", [])
    assert not store.heldout[100]  # by its hash; the other way round it is the leak
    chosen = heldout_mask(store.hashes, np.arange(101), 0.1)
    assert store.leaked.tolist() == np.flatnonzero(chosen[:58]).tolist() != []
    assert store.heldout.tolist() == (chosen & (np.arange(101) >= 58)).tolist()
    assert all("also in training text" in line for line in store.meta["leaks"])


def test_a_second_scan_reads_no_text(context: Context, tokenizer: Any, tmp_path: Path) -> None:
    corpus = write(tmp_path, [*tiny.documents(50, 1), GOLD[2].prompt])
    _, found = open_store(context, corpus, tokenizer, "text", GOLD)
    assert found
    assert found.contaminated == [2]
    before = labels(context.run)
    assert "reading text" in before
    _, again = open_store(context, corpus, tokenizer, "text", GOLD)
    assert again == found or json.dumps(again.examples) == json.dumps(found.examples)  # type: ignore[union-attr]
    assert labels(context.run) == before


def test_new_gold_costs_one_reading_and_gives_the_same(
    context: Context, tokenizer: Any, tmp_path: Path
) -> None:
    texts = [*tiny.documents(50, 1), GOLD[0].prompt, GOLD[0].prompt, GOLD[4].prompt]
    one = open_store(context, write(tmp_path, texts, "a.jsonl"), tokenizer, "text", GOLD)
    corpus = write(tmp_path, texts, "b.jsonl")
    open_store(context, corpus, tokenizer, "text", [])
    two = open_store(context, corpus, tokenizer, "text", GOLD)
    said = labels(context.run)
    assert "comparing the text with the gold set" in said
    assert one[1] == two[1]
    open_store(context, corpus, tokenizer, "text", GOLD)
    assert labels(context.run) == said


def test_a_stop_is_heeded_and_leaves_nothing(
    context: Context, tokenizer: Any, tmp_path: Path
) -> None:
    corpus = write(tmp_path, tiny.documents(20, 1))
    context._signals = 1
    with pytest.raises(Interrupted):
        open_store(context, corpus, tokenizer, "text", [])
    assert list((tmp_path / "home/cache/tokens").iterdir()) == []


def test_no_text_is_one_sentence(context: Context, tokenizer: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no readable text was found"):
        open_store(context, write(tmp_path, ["  ", ""]), tokenizer, "text", [])


def test_a_huge_document_is_tokenised_in_parts(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = " ".join(tiny.documents(20, 5))
    whole = encode(tokenizer, [text])[0]
    monkeypatch.setattr(tokens, "LONGEST", 100)
    assert encode_long(tokenizer, [text, "", "a"], "uint16")[0].tolist() == whole
    many = encode_long(tokenizer, ["a river", text, "seven keys", text, ""], "uint16")
    assert [one.tolist() for one in many[1::2]] == [whole, whole]
    assert [tokenizer.decode(one.tolist()) for one in many[::2]] == ["a river", "seven keys", ""]
    assert encode_long(tokenizer, ["x" * 1000], "uint16")[0].size >= 10
    assert encode_long(tokenizer, [], "uint16") == []


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 30), max_size=20), max_size=12))
def test_seen_is_a_set(batches: list[list[int]]) -> None:
    seen, known = Seen(), set[int]()
    for batch in batches:
        mask = seen.fresh(np.array(batch, dtype=np.uint64))
        for key, fresh in zip(batch, mask.tolist(), strict=True):
            assert fresh == (key not in known)
            known.add(key)


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=300),
    st.floats(0.01, 0.5),
    st.integers(0, 2**32),
)
def test_the_split_keeps_groups_whole(groups: list[int], share: float, seed: int) -> None:
    n = len(groups)
    hashes = np.random.default_rng(seed).integers(0, 2**63, n).astype(np.uint64)
    first = np.array([groups.index(group) for group in groups])
    mask = heldout_mask(hashes, first, share)
    wanted = max(1, round(share * n), min(MIN_HELDOUT, n // 4))
    assert mask.sum() <= wanted
    assert mask.any() == (n > 1)
    sizes = np.bincount(first, minlength=n)
    if n > 1 and (sizes[first] <= max(1, wanted // tokens.LARGE)).any():
        for group in set(first.tolist()):
            assert len(set(mask[first == group].tolist())) == 1


@settings(deadline=None)
@given(st.integers(1, 300), st.floats(0.01, 0.5))
def test_without_groups_the_lowest_hashes_are_held_out(n: int, share: float) -> None:
    hashes = np.random.default_rng(n).permutation(n).astype(np.uint64)
    mask = heldout_mask(hashes, np.arange(n), share)
    wanted = max(1, round(share * n), min(MIN_HELDOUT, n // 4)) if n > 1 else 0
    assert sorted(hashes[mask].tolist()) == list(range(wanted))


def test_the_scan_fills_its_evidence(tiny_model: Path, tmp_path: Path) -> None:
    from engine.worker.model.base import resolve

    files = tiny.write_corpora(tmp_path / "files", count=80)
    long = [{"prompt": one.prompt, "completion": " yes"} for one in GOLD]
    gold = tiny.write_jsonl(tmp_path / "gold.jsonl", [*long, {"prompt": "a", "completion": " no"}])
    with files["domain"].open("a") as out:
        out.write(json.dumps({"text": GOLD[1].prompt}) + "\n")
    recipe = Recipe.model_validate(
        {
            "model": {"id": str(tiny_model)},
            "corpus": {"path": str(files["domain"])},
            "generic": {"path": str(files["generic"])},
            "gate": {"gold": str(gold), "sft": str(files["sft"])},
        }
    )
    run = create_run("scan", "", tmp_path / "home")
    context = Context(run, recipe, EventLog(run.events_path), stage="scan")
    found = scan_texts(context, resolve(recipe.model))
    seen = found.scan.contamination
    assert found.contaminated_items == [1]
    assert seen is not None
    assert seen.gold_in_corpus == [1]
    assert seen.gold_short == 1
    assert "domain.jsonl:81" in seen.examples[0]
    assert found.fertility is not None
    terms = found.fertility.worst_terms
    assert all(term.saved == term.count * (len(term.pieces) - 1) for term in terms)
    share = sum(term.saved for term in terms) / found.domain.tokens
    assert 0 < found.fertility.whole_word_saving == pytest.approx(share)
    assert found.domain.quality is not None
    assert found.domain.quality.documents == 81
    assert TokenStore(Path(found.stores.domain)).meta["quality"]


def test_two_runs_may_read_one_corpus_at_once(
    context: Context, tiny_model: Path, tokenizer: Any, tmp_path: Path
) -> None:
    """Two processes build the same store: both end with it whole, and nothing is left over."""
    corpus = write(tmp_path, tiny.documents(3000, 5))
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from transformers import AutoTokenizer\n"
        "from engine.corpus.corpus import Corpus\n"
        "from engine.runs.event_log import EventLog\n"
        "from engine.recipe.sections import Recipe, Source\n"
        "from engine.runs.run import create_run\n"
        "from engine.worker.job.context import Context\n"
        "from engine.worker.tokens.overlap import open_store\n"
        "run = create_run('r', '', Path(sys.argv[1]))\n"
        "recipe = Recipe.model_validate({'model': {'id': 'm'}, 'corpus': {'path': 'c'}})\n"
        "context = Context(run, recipe, EventLog(run.events_path), stage='scan')\n"
        "corpus = Corpus(Source(path=sys.argv[2], heldout_share=0.1))\n"
        "tokenizer = AutoTokenizer.from_pretrained(sys.argv[3])\n"
        "store, _ = open_store(context, corpus, tokenizer, 'text', [])\n"
        "print(int(store.offsets[-1]), (store.folder / 'tokens.bin').stat().st_size)\n"
    )
    arguments = [str(tmp_path / "home"), corpus.source.path, str(tiny_model)]
    twins = [
        subprocess.Popen(
            [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [twin.communicate(timeout=120)[0].split() for twin in twins]
    assert [twin.returncode for twin in twins] == [0, 0]
    assert said[0] == said[1]
    tokens_read, size = map(int, said[0])
    assert size == 2 * tokens_read
    assert list((home() / "cache" / "tokens").glob("*.partial*")) == []


def test_what_a_killed_scan_left_is_swept(context: Context, tokenizer: Any, tmp_path: Path) -> None:
    corpus = write(tmp_path, tiny.documents(30, 6))
    folder = store_folder(corpus, tokenizer)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = folder.with_suffix(f".partial-{ended.pid}")
    left.mkdir(parents=True)
    open_store(context, corpus, tokenizer, "text", [])
    assert not left.exists()


def test_a_scan_names_its_column_its_borders_and_what_no_token_writes(
    context: Context, tokenizer: Any, tmp_path: Path
) -> None:
    """The end mark of every record is a border; one in a sentence stays, and is said to."""
    texts = tiny.documents(40, 1)
    texts[3] = f"we write <|endoftext|> in here: {texts[3]}"
    rows: list[dict[str, object]] = [
        {"body": f"{text}</s>", "id": n} for n, text in enumerate(texts)
    ]
    folder = tmp_path / "c"
    folder.mkdir()
    tiny.write_jsonl(folder / "c.jsonl", rows)
    (folder / "README.md").write_text("about this")
    store, _ = open_store(context, Corpus(Source(path=str(folder))), tokenizer, "text", [])
    assert len(store) == 40
    assert store.meta["text_column"] == "body"
    assert store.meta["companions"] == ["README.md"]
    assert store.meta["separators"] == {"</s>": 40}
    assert store.meta["special_strings"] == [
        {"text": "<|endoftext|>", "documents": 1, "at_end": 0, "own": True}
    ]
    assert store.meta["unknown_tokens"] == 0
    assert tokenizer.eos_token_id not in store.document(3)


def test_edits_act_on_the_tokens_and_the_packing_ledger_balances(
    context: Context, tokenizer: Any, tmp_path: Path, tiny_model: Path
) -> None:
    footer = "this line ends every one of the texts"
    texts = [
        f"{text}\n{footer}\nmail me: me{n}@mail.org" for n, text in enumerate(tiny.documents(40, 1))
    ]
    texts += [footer, texts[3]]
    asked = {"drop_shared_lines": True, "mask_contacts": True}
    source = write(tmp_path, texts).source.model_copy(update=asked)
    store, _ = open_store(context, Corpus(source), tokenizer, "text", [])
    trained = [tokenizer.decode(store.document(n).tolist()) for n in range(len(store))]
    assert len(trained) == 40
    assert sum(footer in text for text in trained) == 1
    assert all("name@example.com" in text and "mail.org" not in text for text in trained)
    edits = EditCounts.model_validate(store.meta["edits"])
    assert edits.emptied_documents == 1
    assert edits.lines == 41  # in 39 of the texts, in the copy, and alone
    assert edits.emails == 41
    assert store.meta["duplicates"] == 1
    base = models.resolve(sections.Model(id=str(tiny_model)))
    said = dict(pack_texts(context, base, store, store).ledger.lines())
    assert said["documents in"] == 42
    assert said["documents of shared lines only"] == 1
    assert said["shared lines dropped"] == edits.lines
    assert said["e-mail and IP addresses masked"] == 41


def test_exact_copies_are_kept_on_request_and_stay_on_one_side(
    context: Context, tokenizer: Any, tmp_path: Path
) -> None:
    """Copies of four words have no shingle that would show them to be near-duplicates."""
    texts = tiny.documents(30, 1) + [f"too short {n} here" for n in range(30)]
    asked = {
        "keep_near_duplicates": True,
        "why_keep_near_duplicates": "the copies are weights",
        "keep_exact_copies": True,
        "heldout_share": 0.3,
    }
    corpus = Corpus(write(tmp_path, texts * 2).source.model_copy(update=asked))
    store, _ = open_store(context, corpus, tokenizer, "text", [])
    assert len(store) == 120
    assert (store.meta["duplicates"], store.meta["copies_kept"]) == (0, 60)
    assert store.heldout.any()
    assert (store.heldout[:60] == store.heldout[60:]).all()
    with pytest.raises(ValueError, match="needs keep_near_duplicates"):
        Source(path="c", keep_exact_copies=True)
