"""Evidence and recipes for the decision tree's tests, and the table of its leaves."""

from __future__ import annotations

import math
from typing import Any

from engine.artifacts.decision import Evidence
from engine.artifacts.gate import GateFiles
from engine.artifacts.probe import Continuation, Fluency, Pilot, SideLoss
from engine.artifacts.record import Interval
from engine.artifacts.scan import (
    ChatSigns,
    Contamination,
    Fertility,
    Quality,
    Scan,
    Shape,
    ShapePart,
    ShatteredTerm,
    SideScan,
    WordOrder,
)
from engine.recipe.sections import Recipe

ORDER = [
    *("hurts", "shape", "size", "surprise", "fertility", "explain", "goal", "gate"),
    *("chat", "facts", "distil", "mix_back", "method", "vocabulary", "cost"),
]
ANSWERS: dict[str, Any] = {
    "hurts": "unreadable",
    "fluency_goal": "read dosage tables",
    "explains_terms": "not_passable",
    "facts_once": False,
    "distil": False,
}


def side(tokens: int = 20_000_000, **more: Any) -> SideScan:
    given = {
        **{"source": "corpus", "fingerprint": "f", "files": 1, "documents": 900, "bytes": 9},
        **{"words": 9, "heldout_documents": 9, "heldout_tokens": 9, "duplicate_documents": 7},
        **{"duplicate_bytes": 0, "tokens": tokens},
    }
    return SideScan.model_validate({**given, **more})


def quality(near: int = 10, tokens: int = 0, **more: Any) -> Quality:
    """Of 100 documents, so many near-duplicates with so many tokens."""
    return Quality(
        documents=100, near_duplicate_documents=near, near_duplicate_tokens=tokens, **more
    )


def scan(tokens: int = 20_000_000, kind: str = "raw", **more: Any) -> Scan:
    shape = Shape(kind=kind, confidence=0.9, why="by its keys")
    return Scan(domain=side(tokens, **more), generic=side(), shape=shape)


def fluency(value: float, low: float, high: float) -> Fluency:
    loss = SideLoss(
        nats_per_token=3, bits_per_byte=1, median=1, trimmed=1, documents=9, tokens=9, bytes=9
    )
    ratio = Interval(value=value, low=low, high=high)
    return Fluency(domain=loss, generic=loss, ratio=ratio, nats_ratio=1.2)


def pilot(value: float, low: float, high: float, generic: float = 0.0) -> Pilot:
    gain = Interval(value=value, low=low, high=high)
    return Pilot(
        **{
            "domain_gain": value + generic,
            "generic_gain": generic,
            "gain": gain,
            "tokens": 9,
            "steps": 9,
        },
        **{"method": "lora", "lr": 1e-4, "seconds": 1},
    )


def ordered(low: float, high: float) -> Scan:
    """A text whose word order is worth so much."""
    ratio = Interval(value=(low + high) / 2, low=low, high=high)
    return scan(quality=quality(word_order=WordOrder(words=300_000, ratio=ratio)))


def repeating(tokens: int, passages: int) -> Scan:
    """A text of which so much came before."""
    return scan(tokens, quality=quality(0, repeated_passages_tokens=passages))


def thin(tokens: int) -> Scan:
    """A text beside generic text of so few tokens, on 20M of its own."""
    return scan().model_copy(update={"generic": side(tokens)})


def chatting(**signs: Any) -> Scan:
    """A base with these signs of a chat model."""
    return scan().model_copy(update={"chat": ChatSigns(**signs)})


def leaking(documents: int) -> Scan:
    """So many of 100 held-out documents stand in the training text."""
    found = Contamination(heldout_documents=100, heldout_in_train=documents)
    return scan().model_copy(update={"contamination": found})


def noisy(kind: str) -> Scan:
    """A text with words like those of bad OCR."""
    return scan(kind=kind, quality=quality(odd_words_share=0.05))


def parts(**shares: float) -> Scan:
    """A mixed corpus of these kinds."""
    found = [ShapePart(kind=kind, share=share, confidence=0.9) for kind, share in shares.items()]
    mixed = Shape(kind="mixed", confidence=0.9, why="by its keys", parts=found)
    return scan().model_copy(update={"shape": mixed})


def unread(why: str) -> Scan:
    """A text whose word order could not be measured."""
    return scan(quality=quality(word_order=WordOrder(words=90, why=why)))


def files(**more: Any) -> GateFiles:
    given = {
        **{"gold_items": 400, "sft_examples": 500, "metric": "choice", "seeds": 5},
        **{"majority_rate": 0.5, "overlap_items": 0, "contaminated_share": 0.0},
        **{"mde": 8.1, "plausible_gain": 10.0},
    }
    return GateFiles.model_validate({**given, **more})


def evidence(**more: Any) -> Evidence:
    given: dict[str, Any] = {
        "scan": scan(),
        "fluency": fluency(1.4, 1.3, 1.5),
        "pilot": pilot(0.08, 0.06, 0.1),
        "fertility": fertility(1.2),
        "explanations": [Continuation(term="t", prompt="p", text="x")],
        "gate": files(),
    }
    return Evidence(**{**given, **more})


def fertility(ratio: float) -> Fertility:
    return Fertility(
        domain_tokens_per_word=ratio,
        generic_tokens_per_word=1,
        domain_tokens_per_byte=0.3,
        generic_tokens_per_byte=0.3,
        ratio=ratio,
        worst_terms=[ShatteredTerm(term="apixaban", count=3, pieces=["ap", "ix", "aban"])],
    )


def recipe(interview: dict[str, Any] | None = None, **sections: Any) -> Recipe:
    gate = {"gold": "g.jsonl", "sft": "s.jsonl"}
    given = {"model": {"id": "m"}, "corpus": {"path": "c"}, "gate": gate}
    answers = {**ANSWERS, **(interview or {})}
    return Recipe.model_validate({**given, "interview": answers, **sections})


SPELT = [{"text": "</s>", "documents": 800}, {"text": "<s>", "documents": 3}]
LEAVES: list[tuple[str, dict[str, Any], dict[str, Any], str, str]] = [
    ("hurts", {}, {"hurts": None}, "open", "unanswered"),
    ("hurts", {}, {}, "go", "cannot read"),
    ("hurts", {}, {"hurts": "warped_facts"}, "note", "rarely repairs single facts"),
    ("hurts", {}, {"hurts": "fails_task"}, "no_go", "fine-tuning problem"),
    ("hurts", {}, {"hurts": "format"}, "no_go", "refusals"),
    ("hurts", {}, {"hurts": "more_training"}, "no_go", "names no fault"),
    ("shape", {"scan": None}, {}, "open", "not been scanned"),
    ("shape", {}, {}, "go", "raw documents: 900"),
    ("shape", {"scan": scan(kind="prompt_completion")}, {}, "no_go", "that is SFT data"),
    ("shape", {"scan": scan(kind="chat")}, {}, "no_go", "that is SFT data"),
    ("shape", {"scan": scan(kind="preference")}, {}, "no_go", "preference data"),
    ("shape", {"scan": scan(kind="short_rows", padding_share=0.83)}, {}, "note", "83%"),
    ("shape", {"scan": scan(kind="mixed")}, {}, "note", "mixed"),
    ("surprise", {"scan": ordered(0.99, 1.01)}, {}, "not_yet", "order of its words"),
    ("surprise", {"scan": ordered(1.0, 1.2)}, {}, "go", "permission"),
    ("surprise", {"scan": unread("it has no words")}, {}, "go", "permission"),
    ("shape", {"scan": scan(kind="classification")}, {}, "no_go", "that is task data"),
    ("shape", {"scan": scan(kind="code")}, {}, "note", "source code"),
    ("shape", {"scan": scan(quality=quality(odd_words_share=0.02))}, {}, "note", "2.0% of the w"),
    ("shape", {"scan": scan(quality=quality(odd_words_share=0.009))}, {}, "go", "raw documents"),
    ("shape", {"scan": scan(quality=quality(odd_words_share=0.04))}, {}, "not_yet", "OCR noise"),
    ("shape", {"scan": scan(quality=quality(boilerplate_share=0.4))}, {}, "note", "40% of the b"),
    ("shape", {"scan": scan(mojibake_documents=90)}, {}, "note", "wrongly decoded"),
    ("size", {"scan": None}, {}, "open", "not been counted"),
    ("size", {"scan": scan(199_999)}, {}, "no_go", "200k"),
    ("size", {"scan": scan(200_000)}, {}, "not_yet", "2M"),
    ("size", {"scan": scan(1_999_999)}, {"task_selected": False}, "not_yet", "task-near"),
    ("size", {"scan": scan(1_999_999)}, {"task_selected": True}, "note", "gate's own task"),
    ("size", {"scan": scan(9_999_999)}, {}, "note", "marginal"),
    ("size", {"scan": scan(10_000_000)}, {}, "go", "10M unique tokens"),
    ("size", {"scan": scan(30_000_000, quality=quality(tokens=29_900_000))}, {}, "no_go", "100k"),
    ("size", {"scan": scan(30_000_000, quality=quality(9, 9_000_000))}, {}, "go", "21M"),
    ("size", {"scan": scan(30_000_000, quality=quality(10, 9))}, {}, "note", "repeats itself"),
    ("size", {"scan": repeating(12_000_000, 11_000_000)}, {}, "not_yet", "came before"),
    ("shape", {"scan": leaking(10)}, {}, "go", "raw documents"),
    ("gate", {"gate": files(overlong_share=0.2)}, {}, "go", "400 gold items"),
    ("gate", {"gate": files(overlong_share=0.21)}, {}, "not_yet", "21% of the prompts do not fit"),
    ("shape", {"scan": noisy("raw")}, {}, "not_yet", "look like OCR noise"),
    ("shape", {"scan": noisy("code")}, {}, "note", "source code"),
    ("shape", {"scan": noisy("short_rows")}, {}, "note", "short rows"),
    ("shape", {"scan": parts(raw=0.3, code=0.7)}, {}, "note", "source code: 900 documents"),
    ("shape", {"scan": parts(raw=0.7, code=0.3)}, {}, "note", "running text and source code"),
    ("shape", {"scan": parts(raw=0.7, chat=0.3)}, {}, "note", "mixed"),
    ("shape", {"scan": leaking(11)}, {}, "note", "11% of the held-out documents"),
    ("shape", {"scan": scan(unknown_tokens=400_000)}, {}, "note", "2.0% of the tokens are unknown"),
    ("shape", {"scan": scan(special_strings=SPELT)}, {}, "note", "800 of 900 documents hold </s>"),
    ("size", {"scan": scan(30_000_000, quality=quality(50, 9_000_000))}, {}, "note", "repeats"),
    ("surprise", {"fluency": None}, {}, "open", "not measured"),
    ("surprise", {"fluency": None}, {"surprising": True}, "not_yet", "unverified"),
    ("surprise", {"fluency": None}, {"surprising": False}, "no_go", "unverified"),
    ("surprise", {}, {"surprising": False}, "go", "1.40 (95% 1.30 to 1.50)"),
    (
        "surprise",
        {"fluency": fluency(1.0, 0.9, 1.09), "pilot": pilot(0.01, 0, 0.02)},
        {},
        "no_go",
        "CPT is wasted compute",
    ),
    (
        "surprise",
        {"fluency": fluency(1.0, 0.9, 1.09), "pilot": None},
        {},
        "not_yet",
        "no pilot shows",
    ),
    (
        "surprise",
        {"fluency": fluency(1.0, 0.9, 1.09), "pilot": pilot(0.03, 0.01, 0.04)},
        {},
        "not_yet",
        "unclear",
    ),
    ("surprise", {"fluency": fluency(1.0, 0.9, 1.09)}, {}, "go", "not a promise"),
    ("surprise", {"pilot": None}, {}, "not_yet", "no pilot"),
    (
        "surprise",
        {"fluency": fluency(0.82, 0.78, 0.87), "pilot": pilot(-0.75, -1.0, -0.5, generic=1.6)},
        {},
        "not_yet",
        "new to this base too",
    ),
    ("surprise", {"pilot": pilot(0.08, 0.02, 0.1)}, {}, "not_yet", "unclear"),
    ("surprise", {"pilot": pilot(0.0, -0.1, 0.1)}, {}, "not_yet", "unclear"),
    ("surprise", {"pilot": pilot(math.nan, 0, 1)}, {}, "not_yet", "not finite"),
    ("surprise", {"fluency": fluency(1, 1, math.inf)}, {}, "not_yet", "not finite"),
    ("fertility", {"fertility": None}, {}, "open", "not measured"),
    ("fertility", {"fertility": fertility(math.nan)}, {}, "open", "not measured"),
    ("fertility", {}, {}, "go", "1.20"),
    ("fertility", {"fertility": fertility(1.5)}, {}, "note", "apixaban (3)"),
    ("fertility", {"fertility": fertility(2.0)}, {}, "note", "tokenizer problem"),
    ("explain", {}, {}, "go", "1 completions shown"),
    ("explain", {}, {"explains_terms": None}, "note", "unanswered"),
    ("explain", {}, {"explains_terms": "passable"}, "no_go", "isn't unknown"),
    ("explain", {"explanations": []}, {}, "note", "no completions on record"),
    ("goal", {}, {}, "go", "dosage"),
    ("goal", {}, {"fluency_goal": " "}, "not_yet", "no one has said"),
    ("gate", {"gate": None}, {}, "open", "not been checked"),
    ("gate", {}, {}, "go", "a constant guess scores 50%"),
    ("gate", {"gate": files(mde=12.0)}, {}, "not_yet", "cannot answer"),
    ("gate", {"gate": files(mde=math.nan)}, {}, "not_yet", "cannot answer"),
    ("gate", {"gate": files(gold_items=0)}, {}, "not_yet", "missing gold items"),
    ("gate", {"gate": files(contaminated_share=0.02)}, {}, "note", "2.0% of the items"),
    ("gate", {"gate": files(overlap_items=3)}, {}, "note", "3 prompts"),
    ("facts", {}, {"facts_once": None}, "note", "unanswered; 7 exact duplicates"),
    ("facts", {}, {}, "go", "several wordings"),
    ("facts", {"scan": scan(quality=quality(31))}, {}, "go", "31% of the rest are near-dup"),
    ("facts", {}, {"facts_once": True}, "note", "CPT won't teach them"),
    ("distil", {}, {"distil": None}, "note", "unanswered"),
    ("distil", {}, {}, "go", "no"),
    ("distil", {}, {"distil": True}, "note", "vocabulary extension off"),
    ("chat", {"scan": None}, {}, "open", "not been looked at"),
    ("chat", {}, {}, "note", "not looked at"),
    ("chat", {"scan": chatting()}, {}, "go", "no sign of it"),
    ("chat", {"scan": chatting(tokens=["[INST]"])}, {}, "go", "no chat template: a base model"),
    (
        "chat",
        {"scan": chatting(name="it")},
        {},
        "note",
        "its name says it, and",
    ),
    ("chat", {"scan": chatting(template=True)}, {}, "note", "the guard will read held-out answers"),
    ("mix_back", {"scan": None}, {}, "open", "not been counted"),
    ("mix_back", {}, {}, "go", "10.0% of the training tokens can be generic, 10% were asked"),
    ("mix_back", {"scan": thin(400_000)}, {}, "note", "can be generic"),
    ("mix_back", {"scan": thin(70_000)}, {}, "not_yet", "1.4% of the training tokens can be"),
    ("mix_back", {"scan": scan(5_000_000)}, {}, "note", "10.0% of the training tokens can be"),
    ("method", {}, {}, "note", "LoRA rank 64 for 20M unique tokens"),
    ("method", {"scan": None}, {}, "note", "by corpus size"),
    ("vocabulary", {}, {}, "note", "off on a first run"),
    ("vocabulary", {"fertility": fertility(2.1)}, {}, "note", "may offer it once finished"),
    ("vocabulary", {}, {"distil": True}, "note", "distilled"),
    ("cost", {}, {}, "open", "not timed"),
]
"""(node, evidence, answers, outcome, words of the answer)"""
