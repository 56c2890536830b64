"""The probe's parts: token losses, classes of tokens, passages, the pilot's rule."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from engine.artifacts.probe import Pilot
from engine.artifacts.record import Interval
from engine.recipe import sections
from engine.thresholds import effective
from engine.worker.measure.explain import passages
from engine.worker.measure.fluency import CLASSES, class_table, token_classes
from engine.worker.measure.pilot import LOOK, decided, evaluated, order_ratio
from engine.worker.measure.surprise import surprising_terms
from engine.worker.model import base as models
from engine.worker.model.fast_paths import Check, Paths, enable_fast_paths
from engine.worker.model.precision import Precision
from engine.worker.scoring.documents import Scorer, Scores
from engine.worker.tokens.store import encode
from tests.engine.decision.decision_cases import fluency
from tests.tiny import documents

FP32 = Precision("fp32", "test")
WINDOW, LEAST = 64, 16


@pytest.fixture
def base(tiny_model: Path) -> models.Base:
    return models.resolve(sections.Model(id=str(tiny_model)))


@pytest.fixture(params=[False, True], ids=["full logits", "chunked"])
def scorer(base: models.Base, request: pytest.FixtureRequest) -> Scorer:
    model = models.load(base)
    enable_fast_paths(model, Paths(chunked=Check(request.param)))
    return Scorer(model, base, FP32, WINDOW, LEAST)


def scored(scorer: Scorer, texts: list[str]) -> Scores:
    ids = encode(scorer.base.tokenizer, texts)
    made = Scores(SimpleNamespace(heldout=np.ones(len(ids), bool)), np.arange(len(ids)), ids=ids)  # type: ignore[arg-type]
    made.nll = scorer.score(ids)
    made.documents = list(range(len(ids)))
    made.bytes = [scorer.text_bytes(i, n) for i, n in zip(ids, made.nll, strict=True)]
    return made


def test_losses_are_those_of_a_plain_forward_with_enough_context(scorer: Scorer) -> None:
    ids = encode(scorer.base.tokenizer, documents(1, 5, size=60))[0][: WINDOW + 30]
    assert len(ids) > WINDOW
    found = scorer.score([ids])[0]
    with torch.no_grad():
        logits = scorer.model(input_ids=torch.tensor([ids[:WINDOW]]), use_cache=False).logits[0]
    expected = -torch.log_softmax(logits.float(), -1)[torch.arange(WINDOW - 1), ids[1:WINDOW]]
    assert np.isnan(found[:LEAST]).all()
    assert not np.isnan(found[LEAST:]).any()
    np.testing.assert_allclose(found[LEAST:WINDOW], expected[LEAST - 1 :].numpy(), atol=1e-4)
    # The second window's tokens have at least LEAST tokens before them in their own window.
    start = WINDOW - LEAST
    with torch.no_grad():
        logits = scorer.model(input_ids=torch.tensor([ids[start:]]), use_cache=False).logits[0]
    tail = len(ids) - WINDOW
    expected = -torch.log_softmax(logits.float(), -1)[-tail - 1 : -1]
    expected = expected[torch.arange(tail), ids[WINDOW:]]
    np.testing.assert_allclose(found[WINDOW:], expected.numpy(), atol=1e-4)


def test_batching_changes_no_loss(scorer: Scorer) -> None:
    ids = encode(scorer.base.tokenizer, documents(9, 6))
    together = scorer.score(ids)
    for alone, many in zip(ids, together, strict=True):
        np.testing.assert_allclose(scorer.score([alone])[0], many, atol=1e-4)


def test_token_classes_cover_every_token(scorer: Scorer) -> None:
    table = class_table(scorer.base)
    assert len(table) == len(scorer.base.tokenizer)

    def named(text: str) -> list[str]:
        return [CLASSES[table[i]] for i in encode(scorer.base.tokenizer, [text])[0]]

    assert set(named("river")) == {"words"}
    assert set(named("7")) == {"numbers"}
    assert set(named("!?")) == {"punctuation"}
    assert set(named("\n")) == {"whitespace"}
    side = scored(scorer, documents(6, 7))
    classes = token_classes(side, side, scorer.base)
    assert sum(c.domain_share for c in classes) == pytest.approx(1)
    mean = sum(c.domain_share * c.domain_nats for c in classes if c.domain_nats is not None)
    assert mean == pytest.approx(side.sums.sum() / side.counts.sum())


def test_a_class_that_is_absent_has_no_loss(scorer: Scorer) -> None:
    plain, other = scored(scorer, ["seven small keys " * 30]), scored(scorer, ["river 7 " * 60])
    found = {one.name: one for one in token_classes(plain, other, scorer.base)}
    assert found["numbers"].domain_share == 0
    assert found["numbers"].domain_nats is None
    assert found["numbers"].more_nats is None
    assert (found["numbers"].generic_nats or 0) > 0
    assert found["words"].more_nats is not None


@pytest.mark.parametrize(
    ("ended_by", "missing"),
    [("text", "more documents"), ("tokens", "max_tokens"), ("time", "budget_seconds")],
)
def test_an_open_interval_says_what_was_missing(ended_by: str, missing: str) -> None:
    open_one = fluency(1.1, 1.0, 1.2).model_copy(update={"budget_ended": True})
    assert open_one.undecided == "The budget ended before the interval decided."  # of an older run
    assert missing in open_one.model_copy(update={"ended_by": ended_by}).undecided
    assert fluency(1.4, 1.3, 1.5).undecided == ""


def test_passages_show_the_term_in_the_corpus(scorer: Scorer) -> None:
    side = scored(scorer, documents(12, 8, domain=True))
    found = passages(["zorvik", "nowhere"], side, scorer.base)
    assert found["nowhere"] == []
    assert 1 <= len(found["zorvik"]) <= 3
    assert all("zorvik" in text for text in found["zorvik"])
    assert all(len(text) < 260 for text in found["zorvik"])


def test_the_pilot_is_judged_on_held_out_documents_only(scorer: Scorer) -> None:
    side = scored(scorer, documents(40, 9))
    side.store.heldout[25:] = False  # type: ignore[attr-defined]
    assert evaluated(side, WINDOW) == list(range(25))


def test_order_is_worth_nothing_in_random_words(scorer: Scorer) -> None:
    side = scored(scorer, documents(40, 9))
    found = order_ratio(scorer, side, 300, 0)
    assert found is not None
    assert found.value == pytest.approx(1.0, abs=0.05)  # 64-token rows end in mid-word
    assert found.low < found.value < found.high


def test_a_script_without_spaces_has_no_words_to_shuffle(scorer: Scorer) -> None:
    side = scored(scorer, ["河流塑造土地把物質從一些地方帶走" * 8 for _ in range(6)])
    assert order_ratio(scorer, side, 100, 0) is None


@pytest.mark.parametrize(
    ("value", "half", "domain", "ends"),
    [
        (0.20, 0.02, 0.2, True),  # a clear gain
        (0.20, 0.19, 0.2, False),  # its interval still holds nothing
        (0.00, 0.01, 0.0, True),  # no gain, and none to come
        (0.01, 0.01, 0.0, False),  # four times that would be a gain
        (-0.7, 0.05, 1.4, True),  # the generic text learns more: no reference
        (-0.01, 0.02, 0.4, False),  # it learns as much: the full pilot may tell them apart
        (math.nan, 0.1, 0.0, False),
    ],
)
def test_a_look_ends_the_pilot_only_where_it_decides(
    value: float, half: float, domain: float, ends: bool
) -> None:
    gain = Interval(value=value, low=value - half, high=value + half)
    pilot = Pilot(
        domain_gain=domain,
        generic_gain=domain - value,
        gain=gain,
        tokens=1,
        steps=1,
        method="lora",
        lr=1e-3,
        seconds=0,
    )
    assert decided(pilot, LOOK, effective({})) is ends


def test_a_document_without_a_space_has_no_surprising_terms(scorer: Scorer) -> None:
    side = scored(scorer, ["河流塑造土地" * 12, *documents(12, 8, domain=True)])
    generic = SimpleNamespace(store=SimpleNamespace(meta={"terms": {}}))
    found = surprising_terms(side, generic, scorer.base)  # type: ignore[arg-type]
    assert found
    assert all(term.text.isalpha() for term in found)
