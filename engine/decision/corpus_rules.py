"""What the scan saw of the text's quality, in words, for the rules on shape, size and facts."""

from __future__ import annotations

from engine.artifacts.scan import Contamination, Quality, Scan, SideScan
from engine.decision import corpus_rules
from engine.decision.case import Case, Finding, asked, unmeasured
from engine.formatting import format_count
from engine.thresholds import THRESHOLDS

PASSAGES_TOLD = 0.01
"""Share of the tokens from which repeated passages are named."""
ODD_DOCUMENTS = 1.05
"""Mean over trimmed mean of bits per byte from which a few documents carry it; engine choice."""


HURTS: dict[str, tuple[str, str, str]] = {
    "unreadable": ("go", "the base cannot read your texts: what CPT is for", ""),
    "warped_facts": (
        "note",
        "fluent, but facts come out warped: CPT rarely repairs single facts",
        "consider retrieval, or state each fact in many wordings",
    ),
    "fails_task": (
        "no_go",
        "the model reads the text but fails the task: that is a fine-tuning problem",
        "write or collect 500 and more task examples (prompt, completion) and fine-tune on them",
    ),
    "format": (
        "no_go",
        "wrong format or refusals: behaviour, which raw text does not teach",
        "fine-tune on examples in the wanted format; for refusals or tone use preference tuning",
    ),
    "more_training": (
        "no_go",
        "'more training' names no fault that a gate could measure",
        "build an eval first: 200 gold items on which the model fails today",
    ),
}


def hurts(case: Case) -> Finding:
    """What hurts today (asked)."""
    if case.interview.hurts is None:
        return asked("open", "unanswered", "say what hurts today")
    return asked(*HURTS[case.interview.hurts])


SHAPES: dict[str, tuple[str, str]] = {
    "prompt_completion": (
        "prompt and completion pairs: that is SFT data",
        "fine-tune on it directly; for CPT bring the raw documents behind it",
    ),
    "chat": (
        "chat turns: that is SFT data",
        "fine-tune on it with the chat template; for CPT bring raw documents",
    ),
    "preference": (
        "chosen and rejected pairs: that is preference data",
        "use preference tuning (DPO and kin); for CPT bring raw documents",
    ),
    "classification": (
        "texts with labels: that is task data",
        "make it the gate's gold set and SFT data; for CPT bring raw documents of its domain",
    ),
}


def shape(case: Case) -> Finding:
    """What kind of data the corpus is (scan)."""
    scan = case.evidence.scan
    if scan is None:
        return unmeasured("the corpus has not been scanned", "run the scan")
    kind, side = scan.shape.kind, scan.domain
    if kind in SHAPES:
        answer, instead = SHAPES[kind]
        return Finding("no_go", f"{answer} ({scan.shape.why})", instead)
    outcome, answer, way = _readable(scan)
    odd = corpus_rules.remarks(scan, case.limits)
    if not odd:
        return Finding(outcome, answer, way)
    clean = "look at these before training; clean text first"
    words = side.quality.odd_words_share if side.quality and _speaks_of_words(scan) else 0.0
    noisy = words >= case.limits["odd_most"]
    if noisy:
        outcome, way = "not_yet", "clean it (better OCR, or a filter): CPT would learn the noise"
    source = THRESHOLDS["odd_most" if noisy else "odd_words"].source
    return Finding(outcome if noisy else "note", "; ".join([answer, *odd]), way or clean, source)


def _readable(scan: Scan) -> tuple[str, str, str]:
    """Outcome, answer and way out for a shape that CPT can read."""
    kind, side = scan.shape.kind, scan.domain
    if kind == "short_rows":
        saved = f"padding would have been {side.padding_share:.0%} of every batch"
        return "note", f"short rows, so they are packed: unpacked, {saved}", ""
    kinds = {part.kind for part in scan.shape.parts}
    if kind == "mixed" and not (kinds and kinds <= set(READ)):
        return "note", f"mixed: {scan.shape.why}", "sort task data out of the corpus"
    if kind == "mixed" and not _is_code(scan):
        return "note", f"running text and source code: {scan.shape.why}", ""
    if _is_code(scan):
        answer = f"source code: {side.documents:,} documents, packed like text"
        return "note", answer, "" if scan.generic_kind == "code" else GENERIC_CODE
    return "go", f"raw documents: {side.documents:,}", ""


GENERIC_CODE = "give generic code as the generic side; prose would make any code look surprising"
READ = ("raw", "code", "short_rows")
"""Kinds that CPT reads."""


def _is_code(scan: Scan) -> bool:
    """A repository: source code for most of its bytes, with its documentation."""
    parts = {part.kind: part.share for part in scan.shape.parts}
    code = parts.get("code", 0.0)
    mixed = scan.shape.kind == "mixed" and set(parts) <= set(READ)
    return scan.shape.kind == "code" or (mixed and code > sum(parts.values()) / 2)


def _speaks_of_words(scan: Scan) -> bool:
    """Whether odd words mean noise here.

    Names in code, molecules, hashes and fields of a log are odd by nature, so only running text
    is judged by them.
    """
    code = any(part.kind == "code" for part in scan.shape.parts)
    return scan.shape.kind == "raw" or (scan.shape.kind == "mixed" and not code)


def corpus_size(case: Case) -> Finding:
    """Unique tokens of this tokenizer after dedup (scan)."""
    scan, limits = case.evidence.scan, case.limits
    if scan is None:
        return unmeasured("the corpus has not been counted", "run the scan")
    tokens, found = scan.domain.effective_tokens, corpus_rules.unique(scan.domain)
    for name, judge in (("tokens_noise", _noise), ("tokens_small", _small)):
        if tokens < limits[name]:
            return judge(case, found, THRESHOLDS[name].source)
    source = THRESHOLDS["tokens_marginal"].source
    if tokens < limits["tokens_marginal"]:
        return Finding("note", f"{found}: marginal, expect a small gain if any", source=source)
    if corpus_rules.near_share(scan.domain.quality) >= limits["near_duplicates"]:
        return Finding("note", f"{found}: enough, but much of it repeats itself", source=source)
    return Finding("go", f"{found}: enough", source=source)


def _noise(case: Case, found: str, source: str) -> Finding:
    least = format_count(case.limits["tokens_noise"])
    way = "collect more text, put it in the prompt, or fine-tune on task examples"
    return Finding("no_go", f"{found}: below {least} the effect is noise", way, source)


def _small(case: Case, found: str, source: str) -> Finding:
    least = format_count(case.limits["tokens_small"])
    if case.interview.task_selected:
        return Finding("note", f"{found}: small, but chosen for the gate's own task", "", source)
    way = f"collect {least} or more, or choose the text for the gate's own task and say so"
    return Finding("not_yet", f"{found}: below {least} only task-near text pays", way, source)


def remarks(scan: Scan, limits: dict[str, float]) -> list[str]:
    """What is odd about the text; empty where nothing is."""
    side = scan.domain
    found = side.quality
    said = _leaks(scan.contamination, limits)
    if found and _speaks_of_words(scan) and found.odd_words_share >= limits["odd_words"]:
        said.append(
            f"{found.odd_words_share:.1%} of the words look like OCR noise or hashes (clean text "
            f"stays below {limits['odd_words']:.1%}): the base may be surprised by the noise alone"
        )
    if found and found.odd_characters_share >= limits["odd_characters"]:
        said.append(
            f"{found.odd_characters_share:.1%} of the characters are broken or control characters"
        )
    if found and found.boilerplate_share >= limits["boilerplate"]:
        said.append(f"{found.boilerplate_share:.0%} of the bytes are lines that many share")
    said += _unwritable(side, limits)
    if side.mojibake_documents > limits["mojibake"] * max(1, side.documents):
        said.append(
            f"{side.mojibake_documents:,} documents look wrongly decoded "
            "(corpus.repair_mojibake repairs them)"
        )
    return said


def _unwritable(side: SideScan, limits: dict[str, float]) -> list[str]:
    """Tokens that stand for nothing, and the most common special token that is spelt out."""
    said = []
    if side.unknown_share >= limits["unknown_tokens"]:
        said.append(
            f"{side.unknown_share:.1%} of the tokens are unknown ones: the tokenizer cannot write "
            "that text, and the model cannot learn it"
        )
    many = [
        s for s in side.special_strings if s.documents >= limits["special_strings"] * side.documents
    ]
    if many:
        one = many[0]
        whose = "a special token of this model" if one.own else "a special token of other models"
        said.append(
            f"{one.documents:,} of {side.documents:,} documents hold {one.text} ({whose}), which "
            "is trained as plain characters: take it out of the text"
        )
    return said


def _leaks(found: Contamination | None, limits: dict[str, float]) -> list[str]:
    """Held-out documents that also stand in the training text, where they are many."""
    if found is None or not found.heldout_documents:
        return []
    share = found.heldout_in_train / found.heldout_documents
    if share <= limits["heldout_leaks"]:
        return []
    return [
        f"{share:.0%} of the held-out documents also stood in the training text and left the "
        "held-out side: documents repeat each other's text"
    ]


def near_share(found: Quality | None) -> float:
    """Share of the documents that are near-duplicates of another one."""
    return found.near_duplicate_documents / max(1, found.documents) if found else 0.0


def unique(side: SideScan) -> str:
    """``2.1M unique tokens (0.4M in 310 near-duplicates left out, 0.2M in repeated passages)``"""
    text = f"{format_count(side.effective_tokens)} unique tokens"
    found, twice = side.quality, []
    if found and found.near_duplicate_documents:
        near = f"{format_count(found.near_duplicate_tokens)} in {found.near_duplicate_documents:,}"
        done = "left out" if side.left_out_documents else "counted off, but kept"
        twice.append(f"{near} near-duplicates {done}")
    if found and found.repeated_passages_tokens > PASSAGES_TOLD * side.tokens:
        again = f"{format_count(found.repeated_passages_tokens)} in passages that came before"
        twice.append(f"{again} counted off")
    return f"{text} ({', '.join(twice)})" if twice else text


def repeats(side: SideScan) -> str:
    """``7 exact duplicates left out, 31% of the rest are near-duplicates``"""
    kept = side.copies_kept
    text = f"{kept or side.duplicate_documents:,} exact duplicates {'kept' if kept else 'left out'}"
    if side.quality is None:
        return text
    return f"{text}, {near_share(side.quality):.0%} of the rest are near-duplicates"
