"""What each stage found, in a few plain lines, from the record of its artifact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from engine.formatting import (
    format_bytes,
    format_count,
    format_duration,
    format_interval,
    format_memory,
    one_line,
)
from engine.summary import gate_lines
from engine.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from engine.artifacts.all_stages import Artifacts
    from engine.artifacts.arms import ArmsResult
    from engine.artifacts.decision import Step, Verdict
    from engine.artifacts.gate import BaselineArtifact, GateArtifact
    from engine.artifacts.probe import Cost, Fluency, Pilot, ProbeArtifact
    from engine.artifacts.scan import Contamination, EditCounts, ScanArtifact, Shape, SideScan
    from engine.artifacts.shipping import ExportArtifact, FinishArtifact, ReportArtifact
    from engine.artifacts.training import ExtendArtifact, PackArtifact, TrainArtifact

NEVER_THE_VERDICT = "CPT loss always falls; it is never the verdict."


COMPANIONS = 6
"""Files beside the corpus that are named in a line."""
POINTS = {
    "before": "before new tokens",
    "init": "with new tokens at their mean",
    "rows": "with new rows trained alone",
    "end": "trained",
}
"""Where a vocabulary extension is measured, in order."""


def finding(stage: str, evidence: Mapping[str, object]) -> list[str]:
    """What a stage found, in a few lines, from the plain values of its ``StageDone``."""
    if not evidence:
        return []
    from engine.artifacts.all_stages import Artifacts  # pydantic: not before there is evidence

    return describe_stage(stage, Artifacts.of({stage: evidence}))


def describe_stage(stage: str, made: Artifacts) -> list[str]:
    """What a stage found, in a few lines; nothing where it left no artifact.

    An artifact that its record refuses is named, with the fault.
    """
    if unreadable := made.describe_unreadable(stage):
        return [unreadable]
    teller = TELLERS.get(stage)
    return teller(made) if teller else []


def unanswered(path: list[Step]) -> list[str]:
    """The nodes of a path that only the user could answer and did not."""
    open_steps = [s for s in path if not s.measured and s.answer.startswith("unanswered")]
    return [step.node for step in open_steps]


def _scan(found: ScanArtifact) -> list[str]:
    lines = [
        f"{name}: {format_count(side.documents)} documents, "
        f"{format_count(side.tokens)} tokens, {format_bytes(side.bytes)}"
        for name, side in (("domain", found.domain), ("generic", found.generic))
    ]
    lines += [
        *_shape(found.scan.shape),
        *_read_as(found.domain),
        *_quality(found.domain),
        *_skipped(found.domain),
        *_edits(found.domain.edits),
        *_unwritable(found.domain),
        *_contamination(found.scan.contamination),
    ]
    if found.fertility:
        lines.append(f"domain words cost {found.fertility.ratio:.2f}x the tokens of generic words")
    remarks = found.gate.remarks if found.gate else []
    return [*lines, *(f"gate: {one_line(remark)}" for remark in remarks)]


def _shape(shape: Shape) -> list[str]:
    named = [f"{one_line(part.kind)} {part.share:.0%}" for part in shape.parts[:4]]
    return [f"shape: {', '.join(named)}".replace("_", " ")] if named else []


def _read_as(domain: SideScan) -> list[str]:
    """Which column is the text, and where one document ends."""
    lines = [f"text column: {one_line(domain.text_column)}"] if domain.text_column else []
    if domain.separators:
        marks = ", ".join(f"{one_line(m)} {n:,}x" for m, n in domain.separators.items())
        lines.append(f"taken as borders between documents, not trained on: {marks}")
    return lines


def _edits(edits: EditCounts | None) -> list[str]:
    if edits is None:
        return []
    lines = f"{edits.lines:,} shared lines dropped ({format_bytes(edits.line_bytes)})"
    return [f"edited: {lines}, {edits.emails + edits.addresses:,} contacts masked"]


def _unwritable(domain: SideScan) -> list[str]:
    """Tokens that stand for nothing, and strings that look like special tokens and are none."""
    lines = []
    if domain.unknown_tokens:
        share = f"{domain.unknown_share:.2%}"
        lines.append(f"<unk>: {share} of the tokens, which the tokenizer cannot write")
    if domain.special_strings:
        held = ", ".join(f"{one_line(s.text)} in {s.documents:,}" for s in domain.special_strings)
        lines.append(f"special tokens spelt out in documents, kept as plain text: {held}")
    return lines


def _quality(domain: SideScan) -> list[str]:
    if domain.quality is None:
        return []
    share = domain.quality.near_duplicate_tokens / max(1, domain.tokens)
    effective = format_count(domain.effective_tokens)
    passages = domain.quality.repeated_passages_share
    also = f", repeated passages: {passages:.1%}" if passages else ""
    return [f"near-duplicates: {share:.1%} of tokens{also}; {effective} effective tokens are left"]


def _skipped(domain: SideScan) -> list[str]:
    if not sum(domain.skipped.values()):
        return []
    reasons = ", ".join(f"{count:,} {one_line(why)}" for why, count in domain.skipped.items())
    lines = [f"skipped {format_bytes(domain.skipped_bytes)}: {reasons[:160]}"]
    if domain.companions:
        names = ", ".join(map(one_line, domain.companions[:COMPANIONS]))
        more = len(domain.companions) - COMPANIONS
        names += f" and {more:,} more" if more > 0 else ""
        lines.append(f"left out as no part of the corpus: {names}; keep_companions = true reads it")
    return lines


def _contamination(found: Contamination | None) -> list[str]:
    if found is None:
        return []
    parts = []
    if found.gold_items:
        both = f"{len(found.gold_in_corpus):,} of {found.gold_items:,} gold items"
        parts.append(f"{both} also stand in the corpus")
    if found.heldout_documents:
        leaked = f"{found.heldout_in_train:,} of {found.heldout_documents:,}"
        parts.append(f"{leaked} held-out documents stood in the training text and left")
    return [f"contamination: {'; '.join(parts)}"] if parts else []


def _probe(found: ProbeArtifact) -> list[str]:
    return [
        *(_fluency(found.fluency) if found.fluency else []),
        *([_pilot(found.pilot)] if found.pilot else []),
        *([_price(found.cost)] if found.cost else []),
    ]


def _fluency(fluency: Fluency) -> list[str]:
    return [
        f"bits/byte: domain {fluency.domain.bits_per_byte:.3f}, "
        f"generic {fluency.generic.bits_per_byte:.3f}, "
        f"ratio {format_interval(fluency.ratio)}",
        *([one_line(fluency.undecided)] if fluency.undecided else []),
        *_classes(fluency),
        *_terms(fluency),
    ]


def _classes(fluency: Fluency) -> list[str]:
    """Which class of tokens carries the gap."""
    gaps = [
        f"{one_line(one.name)} {one.more_nats:+.2f}"
        for one in fluency.classes
        if one.more_nats is not None
    ]
    return [f"nats/token more than generic: {', '.join(gaps)}"] if gaps else []


def _terms(fluency: Fluency) -> list[str]:
    terms = [one_line(term.text)[:24] for term in fluency.surprising_terms[:5]]
    return [f"most surprising terms: {', '.join(terms)}"] if terms else []


def _pilot(pilot: Pilot) -> str:
    order = pilot.order_ratio
    shuffled = f"; words shuffled cost {format_interval(order)}x the bits" if order else ""
    return (
        f"pilot's net gain {format_interval(pilot.gain, 3)} nats/token (domain "
        f"{pilot.domain_gain:+.3f}, its generic twin {pilot.generic_gain:+.3f}, "
        f"{format_count(pilot.tokens)} tokens each){shuffled}"
    )


def _price(cost: Cost) -> str:
    return (
        f"price here: training {format_duration(cost.train_seconds)}, "
        f"gate {format_duration(cost.gate_seconds)}, "
        f"{format_memory(cost.memory_gb)}, {cost.train_flops:.1e} FLOPs"
    )


def _decide(found: Verdict) -> list[str]:
    lines = [f"verdict: {one_line(found.outcome)}: {one_line(found.sentence)}"]
    if found.instead:
        lines.append(f"instead: {one_line(found.instead)}")
    if nodes := unanswered(found.path):
        lines.append(f"not answered: {one_line(', '.join(nodes))}")
    for name, value in found.thresholds_overridden.items():
        default = f" (default {THRESHOLDS[name].value:g})" if name in THRESHOLDS else ""
        lines.append(f"threshold moved by the recipe: {one_line(name)} = {value:g}{default}")
    return lines


def _baseline(found: BaselineArtifact) -> list[str]:
    scores = ", ".join(f"{score:.1f}" for score in found.scores)
    mde = f"; smallest effect it can see: {found.mde:.1f} points" if found.mde else ""
    items = "?" if found.items is None else found.items
    alike = found.constant_seeds
    return [
        f"base arm: {scores} points on {items} items{mde}",
        *([f"SFT of every seed: {found.plan.sentence}"] if found.plan else []),
        *([f"under {alike} seeds it answered all items alike: SFT taught little"] if alike else []),
    ]


def _extend(found: ExtendArtifact) -> list[str]:
    lines = [
        f"{found.tokens:,} new tokens, each saving {found.least:,} tokens of the training "
        f"text or more when it was chosen; {found.on_the_way:,} are steps on the way to longer "
        "ones and stand less often by themselves"
    ]
    for side, (before, after) in found.tokens_per_document.items():
        change = after / before - 1 if before else 0.0
        name = one_line(side)
        lines.append(f"{name}: {before:.0f} -> {after:.0f} tokens a document ({change:+.1%})")
    return lines


def _pack(found: PackArtifact) -> list[str]:
    return [
        f"{format_count(found.rows)} rows of {found.sequence_length} tokens, "
        f"mix-back {100 * found.achieved_mix:.2f}%"
    ]


def _train(found: TrainArtifact) -> list[str]:
    lines = []
    sides = (
        ("domain", found.domain_before, found.domain_after),
        ("generic", found.generic_before, found.generic_after),
    )
    for side, before, after in sides:
        if before is not None and after is not None:
            lines.append(f"{side} loss {before:.4f} -> {after:.4f} ({after - before:+.4f} nats)")
    points = found.vocab.bits_per_byte if found.vocab else {}
    for side, _, _ in sides:
        measured = [(what, points.get(at, {}).get(side)) for at, what in POINTS.items()]
        words = [f"{bits:.4f} {what}" for what, bits in measured if bits is not None]
        lines += [f"{side} bits/byte: {', '.join(words)}"] if words else []
    return [*lines, f"forgetting: {one_line(found.guard)}. {NEVER_THE_VERDICT}"]


def _gate(found: GateArtifact) -> list[str]:
    label = f" ({one_line(found.label)})" if found.label else ""
    return [
        f"verdict: {one_line(found.outcome)}{label}: {found.estimate:+.2f} points "
        f"({found.low:+.2f} to {found.high:+.2f}), margin {found.margin:g}",
        one_line(found.sentence),
        *_secondary(found),
        *gate_lines.would_change(found),
        *([f"tries: {tried}"] if (tried := gate_lines.describe_tries(found)) else []),
        *(
            f"tag {name}: {estimate} points ({ends}), {items} items, corrected {p}"
            for name, items, estimate, ends, p in gate_lines.tag_rows(found)
        ),
    ]


def _secondary(found: GateArtifact) -> list[str]:
    """The gold answers' log-probability, and the rate of the probe."""
    lines = []
    if gain := found.logprob:
        lines.append(
            f"gold answers' log-probability: {gain.value:+.3f} nats an answer "
            f"({gain.low:+.3f} to {gain.high:+.3f}); it decides nothing"
        )
    if found.probe:
        how = "chosen on the dev split" if found.probe.grid else "given"
        lines.append(f"rate of the CPT arm's probe: {found.probe.lr:g}, {how}")
    return lines


def _arms(found: ArmsResult) -> list[str]:
    return [*map(one_line, found.sentences), *gate_lines.arm_lines(found)]


def _finish(found: FinishArtifact) -> list[str]:
    return [
        one_line(found.why),
        *(
            f"{one_line(row.name):<9} gold {row.gold:.1f}, domain {row.domain:.4f}, "
            f"generic {row.generic:.4f} nats/token"
            for row in found.rows
        ),
        f"generic text in SFT's loss: {found.achieved_mix:.1%}",
    ]


def _export(found: ExportArtifact) -> list[str]:
    proof = found.proof
    lines = [
        f"exported to {one_line(found.path)} ({format_bytes(found.bytes)})",
        f"largest logit difference after a reload in a fresh process: "
        f"{proof.largest:.2g} (tolerance {proof.tolerance:.2g})",
        f"GGUF: {one_line(found.gguf)}",
    ]
    return [*lines, f"pushed to {one_line(found.pushed)}"] if found.pushed else lines


def _report(found: ReportArtifact) -> list[str]:
    return [f"report: {one_line(found.path)}"]


A = TypeVar("A")
Teller = Callable[["Artifacts"], list[str]]


def _tell(artifact: Callable[[Artifacts], A | None], describe: Callable[[A], list[str]]) -> Teller:
    """A stage's teller: what describes its artifact, given all of them."""

    def tell(made: Artifacts) -> list[str]:
        record = artifact(made)
        return [] if record is None else describe(record)

    return tell


TELLERS: dict[str, Teller] = {
    "scan": _tell(lambda made: made.scan, _scan),
    "probe": _tell(lambda made: made.probe, _probe),
    "decide": _tell(lambda made: made.decide, _decide),
    "baseline": _tell(lambda made: made.baseline, _baseline),
    "extend": _tell(lambda made: made.extend, _extend),
    "pack": _tell(lambda made: made.pack, _pack),
    "train": _tell(lambda made: made.train, _train),
    "gate": _tell(lambda made: made.gate, _gate),
    "arms": _tell(lambda made: made.arms, _arms),
    "finish": _tell(lambda made: made.finish, _finish),
    "export": _tell(lambda made: made.export, _export),
    "report": _tell(lambda made: made.report, _report),
}
