"""Rules about the goal and the gate: can the result be judged at all?"""

from __future__ import annotations

from engine.artifacts.gate import GateFiles
from engine.decision.case import Case, Finding, asked, unmeasured
from engine.thresholds import THRESHOLDS


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
    if found.overlong_share > case.limits["overlong_prompts"]:
        return _too_long(found)
    if not found.mde <= found.plausible_gain:
        return _too_blunt(found)
    return _gate_remarks(found, case.limits["contamination"])


def _too_long(found: GateFiles) -> Finding:
    """So many prompts are cut that the gate would ask what the model never reads."""
    answer = (
        f"this gold set cannot answer: {found.overlong_share:.0%} of the prompts do not fit the "
        "model's context and lose their beginning"
    )
    way = "shorten the prompts, or choose a base with a longer context"
    return Finding("not_yet", answer, way, THRESHOLDS["overlong_prompts"].source)


def _too_blunt(found: GateFiles) -> Finding:
    """The smallest gain the gold set can show is above what the user could believe in."""
    answer = (
        f"this gold set cannot answer: {found.gold_items} items x {found.seeds} seeds show "
        f"{found.mde:.1f} points at best, you hope for {found.plausible_gain:g}"
    )
    items = found.items_wanted
    more = f"about {items:,} independent gold items would do" if items else ""
    if found.floor is not None and found.floor > found.plausible_gain:
        answer += f"; no number of seeds shows less than {found.floor:.1f} points"
        way = more or "no number of items does either: the gain you hope for is below the margin"
    elif items is None:
        way = f"no number of items is enough with {found.seeds} seeds: add seeds"
    else:
        way = f"{more}, or more seeds"
    if found.enough_spare_at is not None:
        way += (
            f"; or let each seed train on {found.enough_spare_at} SFT examples "
            f"(gate.probe.max_examples = {found.enough_spare_at}): the labelled rows left over "
            "then judge too, which is enough where few of them stand in the corpus"
        )
    return Finding("not_yet", answer, way, "typical variances, seed sd 2.9 points")


def _gate_remarks(found: GateFiles, limit: float) -> Finding:
    """A working gate with what the user should know about it."""
    answer = (
        f"{found.gold_items} gold items, {found.sft_examples} SFT examples, {found.seeds} seeds: "
        f"by typical variances shows about {found.mde:.1f} points and more; a constant guess "
        f"scores {found.majority_rate:.0%}"
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
