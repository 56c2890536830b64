"""The evidence part of report.md: what was read, what it is like, what the base makes of it.

What an older run did not measure is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.artifacts.all_stages import Artifacts
from engine.artifacts.gate import GateFiles
from engine.artifacts.probe import (
    Continuation,
    Cost,
    Fluency,
    Pilot,
    ProbeArtifact,
    SideLoss,
    TokenClass,
)
from engine.artifacts.scan import (
    Contamination,
    Fertility,
    Quality,
    ScanArtifact,
    Shape,
    SideScan,
    WordOrder,
)
from engine.formatting import format_decimal, format_duration, format_interval, format_memory
from engine.report.markdown import inert, table

KEPT_NOTES = 200


KEPT_EXAMPLES = 5


KEPT_TERMS = 10


SIDES = ("domain", "generic")

QUALITY_ROWS: tuple[tuple[str, Callable[[Quality], str]], ...] = (
    ("near-duplicate documents", lambda q: f"{q.near_duplicate_documents:,}"),
    ("of documents looked at", lambda q: f"{q.documents:,}"),
    ("their tokens", lambda q: f"{q.near_duplicate_tokens:,}"),
    ("13-word passages that came before", lambda q: f"{q.repeated_passages_share:.1%}"),
    ("bytes in shared lines", lambda q: f"{q.boilerplate_share:.1%}"),
    ("gzip ratio", lambda q: f"{q.gzip_ratio:.2f}"),
    ("odd words", lambda q: f"{q.odd_words_share:.1%}"),
    ("odd characters", lambda q: f"{q.odd_characters_share:.2%}"),
)
"""Label and cell of each row of the quality table."""

FLUENCY_ROWS: tuple[tuple[str, Callable[[SideLoss], str]], ...] = (
    ("bits/byte", lambda side: f"{side.bits_per_byte:.3f}"),
    ("bits/byte, median document", lambda side: f"{side.median:.3f}"),
    ("bits/byte, 5% trimmed", lambda side: f"{side.trimmed:.3f}"),
    ("nats/token", lambda side: f"{side.nats_per_token:.3f}"),
    ("documents scored", lambda side: f"{side.documents:,}"),
    ("tokens scored", lambda side: f"{side.tokens:,}"),
)
"""The same of the fluency table."""


def render_evidence(made: Artifacts) -> str:
    """The whole part; empty before the scan."""
    if not made.scan:
        return ""
    probe = made.probe or ProbeArtifact()
    parts = [
        "## Evidence",
        *_render_scan(made.scan),
        *(_render_fluency(probe.fluency) if probe.fluency else []),
        _describe_pilot(probe.pilot) if probe.pilot else "",
        _render_fertility(made.scan.fertility) if made.scan.fertility else "",
        _render_explanations(probe.explanations) if probe.explanations else "",
        _render_contamination(made.scan.gate, made.scan.scan.contamination),
        _render_cost(probe.cost) if probe.cost else "",
    ]
    return _join(parts) + "\n"


def _join(blocks: Sequence[str]) -> str:
    return "\n\n".join(block for block in blocks if block)


def _list_examples(title: str, items: Sequence[str], kept: int = KEPT_EXAMPLES) -> str:
    """A titled list of inert texts, cut with a count of the rest; empty without items."""
    if not items:
        return ""
    more = [f"- and {len(items) - kept:,} more"] if len(items) > kept else []
    return "\n".join([title, "", *(f"- {inert(item)}" for item in items[:kept]), *more])


def _render_scan(made: ScanArtifact) -> list[str]:
    domain, generic = made.domain.quality, made.generic.quality
    return [
        _render_sides(made),
        _render_left_out(made.domain),
        _render_shape(made.scan.shape),
        _render_quality(domain, generic) if domain else "",
    ]


def _render_sides(made: ScanArtifact) -> str:
    head = (
        *("side", "source", "documents", "bytes", "tokens", "effective"),
        *("exact copies", "held out"),
    )
    sides = zip(SIDES, (made.domain, made.generic), strict=True)
    return table(head, [[name, *_side_cells(side)] for name, side in sides])


def _side_cells(side: SideScan) -> list[str]:
    counts = (side.documents, side.bytes, side.tokens, side.effective_tokens)
    others = (side.duplicate_documents, side.heldout_documents)
    return [inert(side.source), *(f"{count:,}" for count in (*counts, *others))]


def _render_left_out(domain: SideScan) -> str:
    """What was not used, by reason, and a line for each file that was odd."""
    lines = []
    if domain.skipped:
        reasons = ", ".join(f"{count:,} {inert(why)}" for why, count in domain.skipped.items())
        lines.append(f"Skipped ({domain.skipped_bytes:,} bytes): {reasons}.")
    if domain.companions:
        names = ", ".join(map(inert, domain.companions))
        lines.append(
            f"Beside the corpus and left out ([corpus] keep_companions = true reads it): {names}."
        )
    if domain.copies_kept:
        lines.append(f"The recipe keeps {domain.copies_kept:,} exact copies.")
    if edits := domain.edits:
        lines.append(
            f"Edited before training: {edits.lines:,} shared lines dropped ({edits.line_bytes:,} "
            f"bytes; each stays where it comes first), {edits.emptied_documents:,} documents of "
            f"such lines only left out, {edits.emails:,} e-mail and {edits.addresses:,} IP "
            "addresses masked."
        )
    if domain.text_column:
        lines.append(f"Text column: {inert(domain.text_column)}.")
    if domain.separators:
        marks = ", ".join(f"{inert(mark)} {n:,} times" for mark, n in domain.separators.items())
        lines.append(f"Taken as borders between documents, not trained on: {marks}.")
    if domain.special_strings:
        held = ", ".join(
            f"{inert(one.text)} in {one.documents:,} documents ({one.at_end:,} end with it)"
            for one in domain.special_strings
        )
        lines.append(f"Special tokens spelt out, tokenised as plain text: {held}.")
    if domain.unknown_tokens:
        lines.append(
            f"{domain.unknown_tokens:,} tokens ({domain.unknown_share:.2%}) are unknown ones, "
            "which the tokenizer cannot write."
        )
    if domain.encodings:
        files = ", ".join(f"{inert(name)} {n:,}" for name, n in domain.encodings.items())
        lines.append(f"Files by encoding: {files}.")
    if domain.mojibake_documents:
        lines.append(f"{domain.mojibake_documents:,} documents look wrongly decoded.")
    return _join([*lines, _list_examples("Files that were odd:", domain.notes, KEPT_NOTES)])


def _render_shape(shape: Shape) -> str:
    if not shape.parts:
        return f"Shape: {inert(shape.kind)} (confidence {shape.confidence:.2f})."
    rows = []
    for part in shape.parts:
        samples = " / ".join(f'"{inert(sample)}"' for sample in part.samples)
        rows.append([inert(part.kind), f"{part.share:.1%}", f"{part.confidence:.2f}", samples])
    return table(("kind of data", "share of bytes", "confidence", "samples"), rows)


def _render_quality(domain: Quality, generic: Quality | None) -> str:
    """Near-duplicates, boilerplate, repetition and languages of both sides."""
    sides = [domain, generic] if generic else [domain]
    rows = [[label, *(cell(side) for side in sides)] for label, cell in QUALITY_ROWS]
    languages = ", ".join(f"{inert(one.name)} {one.share:.0%}" for one in domain.languages)
    blocks = [
        table(("quality", *SIDES[: len(sides)]), rows),
        f"Languages: {languages}." if languages else "",
        _render_word_order(domain.word_order) if domain.word_order else "",
        *_list_repeats(domain),
        _list_examples("Measured on a part:", domain.notes),
    ]
    return _join(blocks)


def _render_word_order(order: WordOrder) -> str:
    if order.ratio is None:
        return f"Word order: not known, {inert(order.why)}."
    named = "Word order" if order.unit == "words" else "Order of the characters"
    return (
        f"{named}: {order.share:.1%} of the runs of {order.run} {order.unit} stand in another "
        f"document too, {order.shuffled_share:.1%} with the {order.unit} shuffled: "
        f"{format_interval(order.ratio)} times ({order.words:,} {order.unit}; shuffled text 1.0)."
    )


def _list_repeats(quality: Quality) -> list[str]:
    pairs = [f"{p.similarity:.2f} {p.dropped} like {p.kept}" for p in quality.near_pairs]
    lines = [f"{line.documents:,}x {line.text}" for line in quality.boilerplate]
    return [
        _list_examples("Near-duplicates, for example:", pairs),
        _list_examples("Exact copies, for example:", quality.exact_examples),
        _list_examples("Lines that many documents share:", lines),
    ]


def _render_fluency(fluency: Fluency) -> list[str]:
    return [
        _render_losses(fluency),
        _render_classes(fluency.classes) if fluency.classes else "",
        *_list_surprises(fluency),
    ]


def _render_losses(fluency: Fluency) -> str:
    sides = (fluency.domain, fluency.generic)
    rows = [[label, *(cell(side) for side in sides)] for label, cell in FLUENCY_ROWS]
    text = f"Bits/byte ratio {format_interval(fluency.ratio, 3)}."
    return table(("fluency of the base", *SIDES), rows) + f"\n\n{text} {fluency.undecided}".rstrip()


def _render_classes(classes: Sequence[TokenClass]) -> str:
    rows = [
        [
            inert(one.name),
            f"{one.domain_share:.1%}",
            f"{one.generic_share:.1%}",
            format_decimal(one.domain_nats, 3),
            format_decimal(one.generic_nats, 3),
        ]
        for one in classes
    ]
    head = ("tokens", "domain share", "generic share", "domain nats/token", "generic nats/token")
    return table(head, rows)


def _list_surprises(fluency: Fluency) -> list[str]:
    """The terms and documents that surprised the base most."""
    terms = ", ".join(
        f"{inert(term.text)} ({term.bits_per_byte:.1f})" for term in fluency.surprising_terms
    )
    documents = [
        f"{one.bits_per_byte:.2f} bits/byte: {one.text}" for one in fluency.surprising_documents
    ]
    return [
        f"Most surprising terms (bits/byte): {terms}." if terms else "",
        _list_examples("Most surprising documents:", documents),
    ]


def _describe_pilot(pilot: Pilot) -> str:
    text = (
        f"Pilot ({pilot.tokens:,} tokens, {pilot.method}, rate {pilot.lr:g}): nats per token "
        f"gained on held-out domain text {pilot.domain_gain:.3f}, by its twin on held-out generic "
        f"text {pilot.generic_gain:.3f}; the difference, domain net of generic, is "
        f"{format_interval(pilot.gain, 3)}."
    )
    if pilot.full_tokens < pilot.wanted_tokens:
        text += (
            f" Recipe and corpus ask for {pilot.wanted_tokens:,} tokens; [probe] budget_seconds "
            f"allowed {pilot.full_tokens:,} on this machine, which a replay uses again."
        )
    if order := pilot.order_ratio:
        shuffled = format_interval(order, 3)
        text += f" With its words shuffled the text costs {shuffled} times the bits."
    return text


def _render_fertility(fertility: Fertility) -> str:
    text = (
        f"Fertility: {fertility.domain_tokens_per_word:.2f} tokens/word on the domain, "
        f"{fertility.generic_tokens_per_word:.2f} on generic text (ratio {fertility.ratio:.2f})."
    )
    if fertility.whole_word_saving:
        text += f" Whole-word tokens would save {fertility.whole_word_saving:.1%} of the tokens."
    rows = [
        [inert(term.term), inert(" · ".join(term.pieces)), f"{term.count:,}", f"{term.saved:,}"]
        for term in fertility.worst_terms[:KEPT_TERMS]
    ]
    return f"{text}\n\n{table(('term', 'pieces', 'times', 'tokens saved'), rows)}" if rows else text


def _render_explanations(explanations: Sequence[Continuation]) -> str:
    """The base's words on the terms, beside the corpus's own."""
    lines = ["The base on the most surprising terms (model output), and your corpus:", ""]
    for one in explanations:
        lines.append(f"- {inert(one.prompt)} … {inert(one.text)}")
        lines += [f"  - corpus: {inert(passage)}" for passage in one.passages[:2]]
    return "\n".join(lines)


def _render_contamination(gate: GateFiles | None, overlap: Contamination | None) -> str:
    if not gate and not overlap:
        return ""
    sentences = []
    if gate:
        sentences.append(
            f"Contamination: {gate.contaminated_share:.1%} of {gate.gold_items:,} gold "
            "items stand in the corpus, by 13 words in a row."
        )
    found = overlap or Contamination()
    sentences += _describe_overlap(found)
    return _join([" ".join(sentences), _list_examples("For example:", found.examples)])


def _describe_overlap(found: Contamination) -> list[str]:
    sentences = []
    if found.gold_common:
        sentences.append(f"{len(found.gold_common):,} more share only wording of many documents.")
    if found.gold_short:
        sentences.append(f"{found.gold_short:,} are too short to be looked for.")
    if found.heldout_documents:
        sentences.append(
            f"{found.heldout_in_train:,} of {found.heldout_documents:,} held-out "
            "documents also stood in the training text and left the held-out side."
        )
    return sentences


def _render_cost(cost: Cost) -> str:
    """Predicted before commitment; the gate beside the training."""
    gate_flops = f"{cost.gate_flops:.2e}" if cost.gate_flops else "-"
    rows = [
        ["time", format_duration(cost.train_seconds), format_duration(cost.gate_seconds)],
        ["FLOPs", f"{cost.train_flops:.2e}", gate_flops],
        ["memory", format_memory(cost.memory_gb), format_memory(cost.gate_memory_gb)],
    ]
    timed = f"{cost.tokens:,} tokens at {cost.tokens_per_s:,.0f} tokens/s on this machine."
    return table(("predicted cost", "training", "gate"), rows) + f"\n\n{timed}"
