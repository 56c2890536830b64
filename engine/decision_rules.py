"""The rules behind ``decision.NODES``: one function a node, ``Case -> Finding``.

Each is total: it answers for any evidence, missing or odd, and never raises. A number that
is not finite counts as not measured, never as zero.
"""

from __future__ import annotations

from math import isfinite

from engine import decision_text
from engine.decision_case import Case, Finding, asked, finite, size, spread, unmeasured
from engine.evidence import GateFiles, Pilot, Scan
from engine.power import items_needed
from engine.thresholds import THRESHOLDS

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
    odd = decision_text.remarks(side, case.limits)
    if not odd:
        return Finding(outcome, answer, way)
    clean = "look at these before training; clean text first"
    noisy = side.quality is not None and side.quality.odd_words_share >= case.limits["odd_most"]
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
    if kind == "mixed":
        return "note", f"mixed: {scan.shape.why}", "sort task data out of the corpus"
    if kind == "code":
        way = "give generic code as the generic side; prose would make any code look surprising"
        return "note", f"source code: {side.documents:,} documents, packed like text", way
    return "go", f"raw documents: {side.documents:,}", ""


def corpus_size(case: Case) -> Finding:
    """Unique tokens of this tokenizer after dedup (scan)."""
    scan, limits = case.evidence.scan, case.limits
    if scan is None:
        return unmeasured("the corpus has not been counted", "run the scan")
    tokens, found = scan.domain.effective_tokens, decision_text.unique(scan.domain)
    for name, judge in (("tokens_noise", _noise), ("tokens_small", _small)):
        if tokens < limits[name]:
            return judge(case, found, THRESHOLDS[name].source)
    source = THRESHOLDS["tokens_marginal"].source
    if tokens < limits["tokens_marginal"]:
        return Finding("note", f"{found}: marginal, expect a small gain if any", source=source)
    if decision_text.near_share(scan.domain.quality) >= limits["near_duplicates"]:
        return Finding("note", f"{found}: enough, but much of it repeats itself", source=source)
    return Finding("go", f"{found}: enough", source=source)


def _noise(case: Case, found: str, source: str) -> Finding:
    least = size(case.limits["tokens_noise"])
    way = "collect more text, put it in the prompt, or fine-tune on task examples"
    return Finding("no_go", f"{found}: below {least} the effect is noise", way, source)


def _small(case: Case, found: str, source: str) -> Finding:
    least = size(case.limits["tokens_small"])
    if case.interview.task_selected:
        return Finding("note", f"{found}: small, but chosen for the gate's own task", "", source)
    way = f"collect {least} or more, or choose the text for the gate's own task and say so"
    return Finding("not_yet", f"{found}: below {least} only task-near text pays", way, source)


def surprise(case: Case) -> Finding:
    """Fluency probe and pilot, or the user's word in their place."""
    fluency, pilot, limits = case.evidence.fluency, case.evidence.pilot, case.limits
    if fluency is None:
        return _surprise_unmeasured(case.interview.surprising)
    if not finite(fluency.ratio) or (pilot is not None and not finite(pilot.gain)):
        way = "run the probe again; a loss that is not finite points to a broken model or dtype"
        return Finding("not_yet", "the probe gave a number that is not finite", way)
    ratio = f"{spread(fluency.ratio)} times the bits per byte of generic text"
    low_ratio = fluency.ratio.high < limits["fluent_ratio"]
    source = THRESHOLDS["fluent_ratio"].source
    way = "save the compute: fine-tune the base on task examples"
    if pilot is None:
        # A hard generic text makes any domain look easy: the ratio alone decides nothing.
        unknown = "looks fluent, but" if low_ratio else "surprising, but"
        answer = f"{ratio}: {unknown} no pilot shows what training could reduce"
        return Finding("not_yet", answer, "run the pilot", source)
    gain = f"a pilot gained {spread(pilot.gain, 3)} nats"
    if _unfit_reference(pilot, limits):
        answer = (
            f"no answer: {ratio}, but a pilot gained {pilot.domain_gain:.2f} nats on the domain "
            f"and {pilot.generic_gain:.2f} on the generic text, which is new to this base too"
        )
        way = "give generic text like what the base was trained on; then it can be compared"
        return Finding("not_yet", answer, way, THRESHOLDS["go_gain"].source)
    if low_ratio and pilot.gain.value < limits["fluent_gain"]:
        return Finding("no_go", f"fluent: {ratio}, {gain}; CPT is wasted compute", way, source)
    if pilot.order_ratio is not None and pilot.order_ratio.high < limits["order_ratio"]:
        answer = (
            f"{ratio}, {gain}, but the order of its words is worth nothing (shuffled, the text "
            f"costs {spread(pilot.order_ratio)} times the bits): a list, a table, shuffled text?"
        )
        way = "read the samples; bring running text, or say why this order-free text is right"
        return Finding("not_yet", answer, way, THRESHOLDS["order_ratio"].source)
    if pilot.gain.value >= limits["go_gain"] and pilot.gain.low > limits["go_gain_low"]:
        hard = " (your generic text is the harder one)" if low_ratio else ""
        answer = f"{ratio}{hard}, {gain}: permission to run the gate, not a promise"
        return Finding("go", answer, source=THRESHOLDS["go_gain"].source)
    way = "a longer pilot or more held-out text may decide; a gain this small rarely earns"
    way = _odd_documents(case) or way
    return Finding("not_yet", f"unclear: {ratio}, {gain}", way, THRESHOLDS["go_gain"].source)


def _odd_documents(case: Case) -> str:
    """Advice where a few documents carry the surprise, or wrongly decoded ones may; else ''.

    Measured: five stories with mojibake among 115 doubled the width of a clear answer.
    """
    fluency, scan = case.evidence.fluency, case.evidence.scan
    if scan is not None and scan.domain.mojibake_documents:
        return (
            f"{scan.domain.mojibake_documents:,} documents look wrongly decoded: repair them "
            "([corpus] repair_mojibake = true), then measure again"
        )
    if fluency is None or not fluency.domain.trimmed:
        return ""
    if fluency.domain.bits_per_byte > ODD_DOCUMENTS * fluency.domain.trimmed:
        return "a few odd documents carry the surprise: read the most surprising ones and clean"
    return ""


def _unfit_reference(pilot: Pilot, limits: dict[str, float]) -> bool:
    """Both pilots gained and the difference hides it: the generic text is no reference.

    Measured: medical text against wikitext2 on a novel reader gave a net gain of -0.75
    nats, while training on the medical text more than halved its loss.
    """
    both = min(pilot.domain_gain, pilot.generic_gain) >= limits["go_gain"]
    return both and pilot.gain.value < limits["go_gain"]


def _surprise_unmeasured(answer: bool | None) -> Finding:
    if answer is None:
        return unmeasured("not measured", "run the fluency probe")
    if answer:
        text, way = "you say the text is surprising (unverified)", "let the probe measure it"
        return Finding("not_yet", text, way, measured=False, unverified=True)
    text = "you say the base is fluent already (unverified): CPT is wasted compute"
    return Finding("no_go", text, "let the probe check it", measured=False, unverified=True)


def fertility(case: Case) -> Finding:
    """Tokens per word, domain over generic; never more than a note."""
    found, limits = case.evidence.fertility, case.limits
    if found is None or not isfinite(found.ratio):
        return unmeasured("not measured")
    source = THRESHOLDS["fertility_note"].source
    answer = f"{found.ratio:.2f} times the tokens per word of generic text"
    if found.ratio < limits["fertility_note"]:
        return Finding("go", answer, source=source)
    worst = ", ".join(f"{term.term} ({len(term.pieces)})" for term in found.worst_terms[:5])
    answer += f"; worst: {worst}" if worst else ""
    if found.ratio < limits["fertility_problem"]:
        return Finding("note", answer, source=source)
    way = "expect slow training; a second run may weigh a larger vocabulary"
    return Finding("note", f"tokenizer problem: {answer}", way, source)


def explain(case: Case) -> Finding:
    """Can the base explain the most surprising terms? The user marks its completions.

    An answer for all of them wins over the marks; else more than half of the marked terms
    passable is passable.
    """
    shown = len(case.evidence.explanations)
    mark, counted = _explained(case)
    about = f"{shown} completions shown" if shown else "no completions on record"
    about = f"{counted}, {about}" if counted else about
    if mark is None:
        return asked("note", f"unanswered ({about})")
    if mark == "not_passable":
        return asked("go" if shown else "note", f"the base cannot explain your terms ({about})")
    answer = f"the base explains your terms passably ({about}): the domain isn't unknown"
    way = "fine-tune on task examples; what is missing is the task, not the language"
    return Finding("no_go", answer, way, measured=False, unverified=not shown)


def _explained(case: Case) -> tuple[str | None, str]:
    """The answer and, where it comes from marks, their count in words.

    Marks of terms that this measurement did not show are left out, unless it showed none.
    """
    given, shown = case.interview.explains_terms, case.evidence.explanations
    if given is not None:
        return given, "your answer for all"
    marks = {term.strip(): mark for term, mark in case.interview.term_marks.items()}
    terms = {item.term.strip() for item in shown} if shown else set(marks)
    counted = [mark for term, mark in marks.items() if term in terms]
    if not counted:
        return None, ""
    passable = counted.count("passable")
    answer = "passable" if 2 * passable > len(counted) else "not_passable"
    return answer, f"{passable} of {len(counted)} marked terms passable"


def goal(case: Case) -> Finding:
    """Which token-level fluency must improve (free text)."""
    text = " ".join(case.interview.fluency_goal.split())
    if text:
        return asked("go", text)
    way = "name texts or terms that the model must read or write better"
    return asked("not_yet", "no one has said which fluency must improve", way)


def gate(case: Case) -> Finding:
    """Gold set, SFT data and metric: is there a gate, and could it answer?"""
    found, wanted = case.evidence.gate, case.recipe.gate
    named = (("gold set (gate.gold)", wanted.gold), ("SFT data (gate.sft)", wanted.sft))
    missing = [name for name, path in named if not path]
    if found is None and not missing:
        return unmeasured("the gate's files have not been checked", "check the gate's files")
    if found is not None:
        sizes = (("gold items", found.gold_items), ("SFT examples", found.sft_examples))
        missing = [name for name, count in sizes if count < 1]
    if found is None or missing:
        lack = " and ".join(missing)
        return Finding("not_yet", f"no gate, no CPT: missing {lack}", f"provide {lack} as jsonl")
    if not found.mde <= found.plausible_gain:
        return _too_blunt(found)
    return _gate_remarks(found, case.limits["contamination"])


def _too_blunt(found: GateFiles) -> Finding:
    """The smallest gain the gold set can show is above what the user could believe in."""
    answer = (
        f"this gold set cannot answer: {found.gold_items} items x {found.seeds} seeds show "
        f"{found.mde:.1f} points at best, you hope for {found.plausible_gain:g}"
    )
    items = items_needed(found.plausible_gain, found.seeds)
    if items is None:
        way = f"no number of items is enough with {found.seeds} seeds: add seeds"
    elif items > found.gold_items:
        way = f"about {items:,} gold items would do, or more seeds"
    else:
        way = "add gold items from other sources, or seeds"
    return Finding("not_yet", answer, way, "simulated power, seed sd 2.2 points")


def _gate_remarks(found: GateFiles, limit: float) -> Finding:
    """A working gate with what the user should know about it."""
    answer = (
        f"{found.gold_items} gold items, {found.sft_examples} SFT examples, {found.seeds} seeds: "
        f"shows {found.mde:.1f} points and more; a constant guess scores {found.majority_rate:.0%}"
    )
    remarks = []
    if found.contaminated_share > limit:
        remarks.append(
            f"{found.contaminated_share:.1%} of the items stand in the corpus: "
            "the verdict is also given without them"
        )
    if found.overlap_items > 0:
        remarks.append(f"{found.overlap_items} prompts also stand in the SFT data")
    remarks += found.remarks
    if not remarks:
        return Finding("go", answer)
    way = "take these items out of the gold set, or read the gate's result with care"
    source = THRESHOLDS["contamination"].source
    return Finding("note", f"{answer}; {'; '.join(remarks)}", way, source)
