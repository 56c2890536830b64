"""Scoring the gate: prefix choices, eager masks, diverged models, room for prompts, stops."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InputError
from engine.gold.example import Example
from engine.recipe import sections as recipes
from engine.recipe.gate import Gate
from engine.worker.model import base as models
from engine.worker.model.fast_paths import Paths, enable_fast_paths
from engine.worker.model.precision import Precision
from engine.worker.scoring import likelihood
from engine.worker.scoring.examples import Encoder, pack_examples
from engine.worker.scoring.generate import BATCH, SPARE, batches, continuations, new_tokens
from engine.worker.scoring.gold import choice_answers, gold_scores
from engine.worker.scoring.likelihood import likelihoods, tree_of
from engine.worker.scoring.self_check import examine
from engine.worker.step.optimizer import make_optimizer
from engine.worker.step.rows import IGNORE
from engine.worker.step.step import Stepper
from tests.engine.worker.architectures import base_of, build
from tests.material import MATERIAL, needs_material
from tests.tiny import WORDS

FP32 = Precision("fp32", "test")
CHOICE, EXACT = (Gate.model_validate({"metric": m}) for m in ("choice", "exact_match"))
WORD = " river"


@pytest.fixture(scope="module")
def base(tiny_model: Path) -> models.Base:
    return models.resolve(recipes.Model(id=str(tiny_model)))


@pytest.fixture
def model(base: models.Base) -> torch.nn.Module:
    loaded = models.load(base)
    enable_fast_paths(loaded, examine(loaded, base, FP32))
    return loaded


def items(count: int, words: int = 6) -> list[Example]:
    choices = (WORD, " stone", " bright morning")
    return [
        Example(" ".join(WORDS[n % 5 : n % 5 + words + n % 3]), choices[n % 3], choices)
        for n in range(count)
    ]


@pytest.mark.parametrize("choices", [(WORD, " river stone"), (" 1", " 10", " 12")])
def test_a_choice_that_begins_another_does_not_always_win(
    base: models.Base, model: torch.nn.Module, choices: tuple[str, ...]
) -> None:
    """The model is taught the longest answer until it knows nothing else."""
    example = Example("the answer is", choices[-1], choices)
    stepper = Stepper(model, make_optimizer(model, 3e-3), FP32, 1.0, 8)
    rows = pack_examples([Encoder(base).training(example)] * 8, 64, base.eos)
    for _ in range(60):
        stepper.step(rows, 3e-3)
    assert gold_scores(model, base, [example], EXACT, FP32) == [1.0]
    assert gold_scores(model, base, [example], CHOICE, FP32) == [1.0]


def plain_likelihoods(
    model: torch.nn.Module, base: models.Base, gold: list[Example]
) -> list[list[float]]:
    """From the model's own forward over one prompt and one choice, and nothing else."""
    found = []
    for tree in (tree_of(Encoder(base), example) for example in gold):
        row = []
        for choice in tree.choices:
            ids = torch.tensor([tree.prompt + choice])
            logits = model(input_ids=ids, use_cache=False).logits[0].log_softmax(-1)
            at = torch.arange(len(tree.prompt), ids.shape[1])
            row.append(float(logits[at - 1, ids[0, at]].sum()))
        found.append(row)
    return found


@pytest.mark.parametrize(
    "name", ["llama", "gpt2", "gpt_neo", "gemma2", "mistral", "opt", "mamba", "falcon_h1"]
)
@torch.no_grad()
def test_likelihoods_are_those_of_a_plain_forward(
    base: models.Base, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gemma2 and gpt_neo run eager attention, where a boolean mask would be added."""
    network = build(name, len(base.tokenizer))
    other = base_of(base, network)
    enable_fast_paths(network, examine(network, other, FP32))
    monkeypatch.setattr(likelihood, "SCORE_TOKENS", {"cpu": 100, "cuda": 100})
    gold = items(7)
    trees = [tree_of(Encoder(other), example) for example in gold]
    for found, expected in zip(
        likelihoods(network, trees, other.eos, FP32),
        plain_likelihoods(network, other, gold),
        strict=True,
    ):
        assert found == pytest.approx(expected, abs=2e-4)


def test_a_diverged_model_has_no_score(base: models.Base, model: torch.nn.Module) -> None:
    with torch.no_grad():
        model.get_parameter("model.norm.weight").fill_(float("nan"))
    with pytest.raises(InputError, match="no finite log-likelihood"):
        gold_scores(model, base, items(3), CHOICE, FP32)


def test_choices_that_are_one_to_the_model_are_refused(
    base: models.Base, model: torch.nn.Module
) -> None:
    long = " river" * base.context
    example = Example("a", long + " a", (long + " a", long + " b"))
    with pytest.raises(InputError, match="none can win"):
        gold_scores(model, base, [example], CHOICE, FP32)


@torch.no_grad()
def test_bare_choices_are_scored_without_the_end(base: models.Base, model: torch.nn.Module) -> None:
    """What a comparison with lm-eval needs; the last token is the choice's own."""
    encoder, gold = Encoder(base), items(4)
    bare = choice_answers(model, encoder, gold, FP32, end=False)
    ended = choice_answers(model, encoder, gold, FP32)
    for example, one, other in zip(gold, bare, ended, strict=True):
        for text, nats, whole in zip(
            example.choices, one.likelihoods, other.likelihoods, strict=True
        ):
            ids = torch.tensor([encoder.before(example, 99) + encoder.answer(example, text)])
            logits = model(input_ids=ids, use_cache=False).logits[0, -1].log_softmax(-1)
            assert whole - nats == pytest.approx(float(logits[base.eos]), abs=2e-4)


@pytest.mark.parametrize("prompt", ["the river", "Q: a\nA:", "a line\n", "ends in a space ", "é—"])
@pytest.mark.parametrize("text", [" stone", "stone", " 12", "\nnext"])
def test_a_completion_follows_its_prompt_as_one_text(
    base: models.Base, prompt: str, text: str
) -> None:
    encoder = Encoder(base)
    pairs = encoder.training(Example(prompt, text))
    assert base.tokenizer.decode(pairs["id"][:-1]) == prompt + text


@needs_material
def test_a_llama_tokenizer_adds_no_second_space() -> None:
    """Alone, " stone" would be two spaces and the word: the base has never seen that there."""
    folder = str(MATERIAL / "models" / "stories260k")  # type: ignore[operator]
    llama = models.resolve(recipes.Model(id=folder))
    encoder = Encoder(llama)
    example = Example("Once upon a time there was a", " stone", (" stone", " little river"))
    for text in example.choices:
        joined = encoder.ids(example.prompt + text)
        assert encoder.before(example, 99) == [llama.bos, *encoder.ids(example.prompt)]
        assert encoder.ids(example.prompt) + encoder.answer(example, text) == joined
        assert encoder.answer(example, text) != encoder.ids(text)


# --- room ---------------------------------------------------------------------------------


@given(room=st.integers(-5, 40), bos=st.booleans(), words=st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_a_prompt_keeps_its_end_and_fits(
    base: models.Base, room: int, bos: bool, words: int
) -> None:
    encoder = WithBos(base) if bos else Encoder(base)
    text = " ".join(WORDS[:words])
    ids, head = encoder.ids(text), [0] if bos else []
    found = encoder.prompt(text, room)
    kept = found[len(head) :] if found[: len(head)] == head else found
    assert 1 <= len(found) <= max(1, room)
    if room >= len(head) + len(ids) and ids:
        assert found == head + ids
    elif kept != [base.eos]:
        assert kept == ids[len(ids) - len(kept) :]


class WithBos(Encoder):
    """As if the tokenizer's own training began each text with token 0."""

    def __init__(self, base: models.Base) -> None:
        super().__init__(_Bos(**vars(base)))


class _Bos(models.Base):
    bos = 0  # type: ignore[assignment]


def test_a_long_completion_is_taught_from_its_beginning(base: models.Base) -> None:
    text = " " + " ".join(WORDS * 20)
    pairs = Encoder(base).training(Example("p", text))
    taught = [int(label) for label in pairs["label"] if label != IGNORE]
    assert len(pairs) <= base.context
    assert taught == Encoder(base).ids(text)[: base.context // 2]


def test_one_long_answer_shrinks_no_other_prompt(base: models.Base) -> None:
    encoder = Encoder(base)
    prompt = " ".join(WORDS * 10)
    gold = [Example(prompt, WORD) for _ in range(BATCH)]
    gold.insert(3, Example(prompt, " " + " ".join(WORDS[:20])))
    rooms = {}
    for batch, prompts, new in batches(encoder, gold, new_tokens(encoder, gold, EXACT)):
        for i, ids in zip(batch, prompts, strict=True):
            rooms[i] = len(ids)
            assert len(ids) + new <= base.context
            assert new >= len(encoder.ids(gold[i].completion)) + SPARE
    assert sorted(rooms) == list(range(len(gold)))
    short = base.context - len(encoder.ids(WORD)) - SPARE
    assert {n for i, n in rooms.items() if i != 3} == {short}


def test_an_answer_beyond_the_context_is_refused_and_counted(
    base: models.Base, model: torch.nn.Module
) -> None:
    gold = [Example("p", WORD), Example("p", " " + " ".join(WORDS * 20))]
    with pytest.raises(InputError, match="1 of 2 gold completions are longer than half"):
        gold_scores(model, base, gold, EXACT, FP32)


# --- generation ---------------------------------------------------------------------------


def test_greedy_is_greedy_whatever_the_model_asks_for(
    base: models.Base, model: torch.nn.Module
) -> None:
    expected = continuations(model, base, ["the river", "a"], FP32)
    model.generation_config.repetition_penalty = 50.0  # type: ignore[union-attr]
    model.generation_config.suppress_tokens = list(range(100))  # type: ignore[union-attr]
    assert continuations(model, base, ["the river", "a"], FP32) == expected


@pytest.mark.parametrize("name", ["llama", "opt", "mamba", "falcon_h1", "gemma2", "rwkv"])
def test_prompts_are_continued_together_as_alone(base: models.Base, name: str) -> None:
    network = build(name, len(base.tokenizer))
    other = base_of(base, network)
    prompts = ["the river", "a", "bright stone walks under", "b"]
    enable_fast_paths(network, examine(network, other, FP32))
    together = continuations(network, other, prompts, FP32)
    enable_fast_paths(network, Paths())
    alone = [continuations(network, other, [prompt], FP32)[0] for prompt in prompts]
    assert alone == together


# --- stops --------------------------------------------------------------------------------


class Stop(Exception):
    """A stop, as the progress call raises it."""


def stop_after(calls: int) -> Callable[..., None]:
    left = [calls]

    def told(*share: float) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Stop

    return told


def counted(model: torch.nn.Module) -> list[int]:
    """Forward passes so far, as they happen."""
    passes = [0]
    model.get_decoder().register_forward_hook(  # type: ignore[operator]
        lambda *_: passes.__setitem__(0, passes[0] + 1)
    )
    return passes


def test_a_stop_ends_choices_within_a_batch(
    base: models.Base, model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(likelihood, "SCORE_TOKENS", {"cpu": 100, "cuda": 100})
    passes = counted(model)
    with pytest.raises(Stop):
        gold_scores(model, base, items(40), CHOICE, FP32, stop_after(2))
    assert passes == [2]


def test_a_stop_ends_generation_at_a_token(base: models.Base, model: torch.nn.Module) -> None:
    passes = counted(model)
    gold = [Example("the river", " ".join(WORDS[:12])) for _ in range(8)]
    with pytest.raises(Stop):
        gold_scores(model, base, gold, EXACT, FP32, stop_after(3))
    assert 1 <= passes[0] <= 3
    passes[0] = 0
    with pytest.raises(Stop):
        continuations(model, base, ["the river"], FP32, stop_after(2))
    assert 1 <= passes[0] <= 3


def test_progress_runs_from_start_to_end(base: models.Base, model: torch.nn.Module) -> None:
    shares: list[float] = []
    gold_scores(model, base, items(200), CHOICE, FP32, shares.append)
    assert shares[0] == 0.0
    assert shares == sorted(shares)
    assert shares[-1] < 1.0
