"""Surprise: the base's loss on both sides, its ratio and a pilot against the thresholds."""

from __future__ import annotations

from cpt_tui.drawing.bars import Mark, axis_range, bar, box, interval_scale, ridge, ruler
from cpt_tui.drawing.page import Page, wrapped
from cpt_tui.evidence.drawer import Limits
from cpt_tui.safe import clean_line
from engine.artifacts.decision import Evidence
from engine.artifacts.probe import Fluency, Pilot, SideLoss, TokenClass
from engine.artifacts.record import Interval
from engine.artifacts.scan import WordOrder
from engine.formatting import format_count, format_decimal, format_interval, format_signed

SHOWN_DOCUMENTS = 4
SHOWN_TERMS = 8


def draw(page: Page, found: Evidence, limits: Limits, width: int) -> None:
    """Distributions, ratio, pilot, classes, and the most surprising text."""
    fluency = found.fluency
    if fluency:
        page.heading("Loss of the base on held-out documents, bits per byte")
        _distributions(page, fluency, width)
        _ratio(page, fluency, limits, width)
    quality = found.scan.domain.quality if found.scan else None
    if quality and quality.word_order:
        _word_order(page, quality.word_order, limits, width)
    _pilot(page, found.pilot, limits, width)
    if fluency:
        _sides(page, fluency)
        _classes(page, fluency.classes)
        _documents(page, fluency, width)


def _distributions(page: Page, fluency: Fluency, width: int) -> None:
    """Both sides on one scale: a ridge over a box plot; bars where only means are known."""
    sides, room = _sides_of(fluency), max(16, min(90, width - 18))
    spreads = [side.spread for _, side in sides]
    if not all(len(spread) > 1 for spread in spreads):
        _means(page, fluency, room)
        return
    low, high = axis_range(spreads)
    for name, side in sides:
        page.put(f"{name:<10}", "dim")
        page.draw(ridge(side.spread, low, high, room), _style(name)).add()
        page.put(" " * 10).draw(f"{box(side.spread, low, high, room):<{room}}", _style(name))
        page.add(f" {side.bits_per_byte:.3f}", "bold")
    page.put(" " * 10).put(f"{ruler(low, high, room):<{room}}", "dim").add("  mean", "dim")
    page.put(" " * 10).draw("├ 5%  ━ middle half  │ median  ┤ 95%", "dim").add()


def _means(page: Page, fluency: Fluency, room: int) -> None:
    """Both means as bars."""
    largest = max(side.bits_per_byte for _, side in _sides_of(fluency))
    for name, side in _sides_of(fluency):
        page.put(f"{name:<10}", "dim").draw(bar(side.bits_per_byte, largest, min(40, room)))
        page.add(f" {side.bits_per_byte:.3f}", "bold")


def _sides_of(fluency: Fluency) -> tuple[tuple[str, SideLoss], ...]:
    return (("domain", fluency.domain), ("generic", fluency.generic))


def _style(name: str) -> str:
    """The two sides' colours, as on the loss chart; their names say the same."""
    return "cyan" if name == "domain" else "yellow"


def _ratio(page: Page, fluency: Fluency, limits: Limits, width: int) -> None:
    """The ratio with its interval, on one scale with the threshold."""
    ratio, limit = fluency.ratio, limits["fluent_ratio"]
    page.put("ratio     ", "dim").put(format_interval(ratio), "bold")
    page.add(" domain over generic")
    marks = [Mark(1.0, "1 alike"), Mark(limit, f"{limit:g} fluent below")]
    _scale(page, ratio, marks, width)
    if fluency.undecided:
        for line in wrapped(fluency.undecided, width - 10):
            page.put(" " * 10).add(line, "yellow")


def _scale(page: Page, value: Interval, marks: list[Mark], width: int) -> None:
    ends = (value.low, value.value, value.high)
    line, *names = interval_scale(ends, marks, max(20, min(72, width - 12)))
    page.put(" " * 10).draw(line).add()
    for row in names:
        page.put(" " * 10).add(row, "dim")


def _pilot(page: Page, pilot: Pilot | None, limits: Limits, width: int) -> None:
    """What a short run could take off the loss, net of its generic twin."""
    if not pilot:
        return
    page.put("pilot     ", "dim").put(format_interval(pilot.gain, 3), "bold")
    page.add(" nats, net of generic")
    fluent, go = limits["fluent_gain"], limits["go_gain"]
    _scale(page, pilot.gain, [Mark(fluent, f"{fluent:g}"), Mark(go, f"{go:g} go")], width)
    page.put(" " * 10)
    page.add(
        f"domain {pilot.domain_gain:+.3f}, generic {pilot.generic_gain:+.3f}, "
        f"{format_count(pilot.tokens)} tokens",
        "dim",
    )
    if pilot.order_ratio:
        worth = f"{pilot.order_ratio.value:.2f}"
        page.put(" " * 10).add(f"shuffled words then cost {worth} times the bits", "dim")


def _word_order(page: Page, order: WordOrder, limits: Limits, width: int) -> None:
    """Whether the order of the words is worth anything, by the text alone."""
    page.put("order     ", "dim")
    if order.ratio is None:
        page.add(f"not known: {clean_line(order.why, 80)}", "dim")
        return
    limit = limits["word_order"]
    page.put(format_interval(order.ratio), "bold")
    page.add(f" over shuffled {order.unit}")
    _scale(page, order.ratio, [Mark(1.0, "1 worth nothing"), Mark(limit, f"{limit:g}")], width)


def _sides(page: Page, fluency: Fluency) -> None:
    """The same loss in other averages, so that one odd document cannot hide."""
    page.heading("In numbers")
    page.add(f"{'':<22}{'domain':>10}{'generic':>10}", "dim")
    columns = zip(AVERAGES, _averages(fluency.domain), _averages(fluency.generic), strict=True)
    for label, ours, theirs in columns:
        page.put(f"{label:<22}", "dim").add(f"{ours:>10}{theirs:>10}")


AVERAGES = (
    "bits/byte, all bytes",
    "median document",
    "5% trimmed mean",
    "nats/token",
    "documents scored",
    "tokens scored",
)


def _averages(side: SideLoss) -> tuple[str, ...]:
    losses = (side.bits_per_byte, side.median, side.trimmed, side.nats_per_token)
    return (*(f"{loss:,.3f}" for loss in losses), f"{side.documents:,}", f"{side.tokens:,}")


def _classes(page: Page, classes: list[TokenClass]) -> None:
    """Where the loss sits: words, numbers, punctuation, white space."""
    if not classes:
        return
    page.heading("By class of token")
    page.add(f"{'':<12}{'share of tokens':>18}{'nats/token':>18}", "dim")
    sides = f"{'domain':>9}{'generic':>9}"
    page.add(f"{'':<12}{sides}{sides}{'more':>9}", "dim")
    for one in classes:
        page.put(f"{clean_line(one.name, 11):<12}", "dim")
        page.put(f"{one.domain_share:>9.1%}{one.generic_share:>9.1%}")
        page.put(f"{format_decimal(one.domain_nats):>9}{format_decimal(one.generic_nats):>9}")
        page.add(f"{format_signed(one.more_nats, 2):>9}", "bold")


def _documents(page: Page, fluency: Fluency, width: int) -> None:
    """What surprised the base most: terms, then documents."""
    if fluency.surprising_terms:
        page.heading("Most surprising terms (bits/byte, times seen)")
        listed = [
            f"{clean_line(term.text, 24)} {term.bits_per_byte:.1f} ({term.count:,}x)"
            for term in fluency.surprising_terms[:SHOWN_TERMS]
        ]
        page.quote(", ".join(listed), width, indent=0, limit=600)
    if fluency.surprising_documents:
        page.heading("Most surprising documents (bits/byte, their start)")
    for one in fluency.surprising_documents[:SHOWN_DOCUMENTS]:
        page.item(f"{one.bits_per_byte:.2f}", clean_line(one.text, 200), width, "bold", at=6)
