"""Rules about this model on this text: surprise, fertility, and whether it explains the terms."""

from __future__ import annotations

from math import isfinite

from engine.artifacts.probe import Pilot
from engine.decision.case import Case, Finding, asked, unmeasured
from engine.decision.corpus_rules import ODD_DOCUMENTS
from engine.formatting import format_interval, is_finite
from engine.thresholds import THRESHOLDS


def surprise(case: Case) -> Finding:
    """Fluency probe and pilot, or the user's word in their place."""
    fluency, pilot, limits = case.evidence.fluency, case.evidence.pilot, case.limits
    if fluency is None:
        return _surprise_unmeasured(case.interview.surprising)
    if not is_finite(fluency.ratio) or (pilot is not None and not is_finite(pilot.gain)):
        way = "run the probe again; a loss that is not finite points to a broken model or dtype"
        return Finding("not_yet", "the probe gave a number that is not finite", way)
    ratio = f"{format_interval(fluency.ratio)} times the bits per byte of generic text"
    low_ratio = fluency.ratio.high < limits["fluent_ratio"]
    source = THRESHOLDS["fluent_ratio"].source
    way = "save the compute: fine-tune the base on task examples"
    if pilot is None:
        # A hard generic text makes any domain look easy: the ratio alone decides nothing.
        unknown = "looks fluent, but" if low_ratio else "surprising, but"
        answer = f"{ratio}: {unknown} no pilot shows what training could reduce"
        return Finding("not_yet", answer, "run the pilot", source)
    gain = (
        f"a pilot gained {format_interval(pilot.gain, 3)} nats more a token on the domain than its "
        "twin on generic text"
    )
    if _unfit_reference(pilot, limits):
        answer = (
            f"no answer: {ratio}, but a pilot gained {pilot.domain_gain:.2f} nats on the domain "
            f"and {pilot.generic_gain:.2f} on the generic text, which is new to this base too"
        )
        way = "give generic text like what the base was trained on; then it can be compared"
        return Finding("not_yet", answer, way, THRESHOLDS["go_gain"].source)
    if low_ratio and pilot.gain.value < limits["fluent_gain"]:
        return Finding("no_go", f"fluent: {ratio}, {gain}; CPT is wasted compute", way, source)
    if worthless := _worthless_order(case):
        way = "read the samples; bring running text, or say why this order-free text is right"
        answer = f"{ratio}, {gain}, but {worthless}"
        return Finding("not_yet", answer, way, THRESHOLDS["word_order"].source)
    if pilot.gain.value >= limits["go_gain"] and pilot.gain.low > limits["go_gain_low"]:
        hard = " (your generic text is the harder one)" if low_ratio else ""
        answer = f"{ratio}{hard}, {gain}: permission to run the gate, not a promise"
        return Finding("go", answer, source=THRESHOLDS["go_gain"].source)
    way = "a longer pilot or more held-out text may decide; a gain this small rarely earns"
    way = _odd_documents(case) or way
    return Finding("not_yet", f"unclear: {ratio}, {gain}", way, THRESHOLDS["go_gain"].source)


def _worthless_order(case: Case) -> str:
    """What to say where the order of the words is worth nothing; '' where it is, or is unknown.

    Unknown is no ground against a text: a handful of short documents has no order to be measured,
    and other rules judge its size and shape.
    """
    scan = case.evidence.scan
    quality = scan.domain.quality if scan else None
    order = quality.word_order if quality else None
    if order is None or order.ratio is None or order.ratio.high >= case.limits["word_order"]:
        return ""
    return (
        f"the order of its {order.unit} is worth nothing (other documents hold as many of its runs "
        f"of {order.run} when they are shuffled, {format_interval(order.ratio)} times): "
        "a list, a table, random strings, shuffled text?"
    )


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


CHAT_SOURCE = "Jindal 2024 (2410.10739): CPT of an instruct model costs it its instructions"


def chat(case: Case) -> Finding:
    """Is the base a chat model, by its name and its tokenizer (scan)?"""
    scan = case.evidence.scan
    if scan is None:
        return unmeasured("the tokenizer has not been looked at", "run the scan")
    signs = scan.chat
    if signs is None:
        return Finding("note", "not looked at by the version that scanned the text", measured=False)
    if not (signs.is_chat or signs.tokens):
        return Finding("go", "no sign of it: a base model")
    tokens = ", ".join(signs.tokens[:4])
    if not signs.is_chat:
        held = f"its tokenizer holds tokens of turns ({tokens}), but no chat template"
        return Finding("go", f"{held}: a base model, as far as this tells")
    named = f"its name says {signs.name}" if signs.name else "its name does not say so"
    template = "a" if signs.template else "no"
    answer = (
        f"a chat model, it seems: {named}, and its tokenizer has {template} chat template. CPT on "
        "raw text weakens how it follows instructions; the guard will read held-out answers too"
    )
    way = "take the base model that it was made from, and fine-tune that on instructions after CPT"
    return Finding("note", answer, way, CHAT_SOURCE)
