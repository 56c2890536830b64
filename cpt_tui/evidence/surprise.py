"""Surprise: the base's loss on both sides, its ratio and a pilot against the thresholds."""

from __future__ import annotations

from typing import Any

from cpt_tui.drawing.bars import Mark, bar, box, interval_scale, ridge, ruler, spread_range
from cpt_tui.drawing.page import Page, padded
from cpt_tui.evidence.drawer import Found, Limits
from cpt_tui.safe import clean_line
from engine.formatting import format_count, format_points

SHOWN_DOCUMENTS = 4
SHOWN_TERMS = 8
SIDES = ("domain", "generic")


def draw(page: Page, found: Found, limits: Limits, width: int) -> None:
    """Distributions, ratio, pilot, classes, references, and the most surprising text."""
    fluency = found.get("fluency")
    if fluency:
        page.heading("Loss of the base on held-out documents, bits per byte")
        _distributions(page, fluency, width)
        _ratio(page, fluency, limits, width)
    _pilot(page, found.get("pilot"), limits, width)
    if fluency:
        _sides(page, fluency)
        _classes(page, fluency.get("classes") or [])
        _references(page, fluency, width)
        _documents(page, fluency, width)


def _distributions(page: Page, fluency: dict[str, Any], width: int) -> None:
    """Both sides on one scale: a ridge over a box plot; bars where only means are known."""
    spreads = {name: fluency[name].get("spread") or [] for name in SIDES}
    room = max(16, min(90, width - 18))
    if not all(len(spread) > 1 for spread in spreads.values()):
        largest = max(fluency[name]["bits_per_byte"] for name in SIDES)
        for name in SIDES:
            value = fluency[name]["bits_per_byte"]
            page.put(f"{name:<10}", "dim").draw(bar(value, largest, min(40, room)))
            page.add(f" {value:.3f}", "bold")
        return
    low, high = spread_range(list(spreads.values()))
    for name in SIDES:
        side, spread = fluency[name], spreads[name]
        page.put(f"{name:<10}", "dim").draw(ridge(spread, low, high, room), _style(name)).add()
        page.put(" " * 10).draw(f"{box(spread, low, high, room):<{room}}", _style(name))
        page.add(f" {side['bits_per_byte']:.3f}", "bold")
    page.put(" " * 10).put(f"{ruler(low, high, room):<{room}}", "dim").add("  mean", "dim")
    page.put(" " * 10).draw("├ 5%  ━ middle half  │ median  ┤ 95%", "dim").add()


def _style(name: str) -> str:
    """The two sides' colours, as on the loss chart; their names say the same."""
    return "cyan" if name == "domain" else "yellow"


def _ratio(page: Page, fluency: dict[str, Any], limits: Limits, width: int) -> None:
    """The ratio with its interval, on one scale with the threshold."""
    ratio, limit = fluency["ratio"], limits["fluent_ratio"]
    page.put("ratio     ", "dim").put(format_points(ratio, 2), "bold")
    page.add(" domain over generic")
    marks = [Mark(1.0, "1 alike"), Mark(limit, f"{limit:g} fluent below")]
    _scale(page, ratio, marks, width)
    if fluency.get("budget_ended"):
        page.put(" " * 10).add("The budget ended before the interval decided.", "yellow")


def _scale(page: Page, value: dict[str, float], marks: list[Mark], width: int) -> None:
    ends = (value["low"], value["value"], value["high"])
    line, *names = interval_scale(ends, marks, max(20, min(72, width - 12)))
    page.put(" " * 10).draw(line).add()
    for row in names:
        page.put(" " * 10).add(row, "dim")


def _pilot(page: Page, pilot: dict[str, Any] | None, limits: Limits, width: int) -> None:
    """What a short run could take off the loss, net of its generic twin."""
    if not pilot:
        return
    page.put("pilot     ", "dim").put(format_points(pilot["gain"], 3), "bold")
    page.add(" nats/token net gain")
    fluent, go = limits["fluent_gain"], limits["go_gain"]
    _scale(page, pilot["gain"], [Mark(fluent, f"{fluent:g}"), Mark(go, f"{go:g} go")], width)
    page.put(" " * 10)
    page.add(
        f"domain {pilot['domain_gain']:+.3f}, generic {pilot['generic_gain']:+.3f}, "
        f"{format_count(pilot['tokens'])} tokens",
        "dim",
    )

    if order := pilot.get("order_ratio"):
        _order(page, order, limits, width)


def _order(page: Page, order: dict[str, float], limits: Limits, width: int) -> None:
    """What the order of the words is worth to a model that has just read the text."""
    limit = limits["order_ratio"]
    page.put("order     ", "dim").put(format_points(order, 2), "bold")
    page.add(" if words are shuffled")
    _scale(page, order, [Mark(1.0, "1 worth nothing"), Mark(limit, f"{limit:g} least")], width)


def _sides(page: Page, fluency: dict[str, Any]) -> None:
    """The same loss in other averages, so that one odd document cannot hide."""
    page.heading("In numbers")
    page.add(f"{'':<22}{'domain':>10}{'generic':>10}", "dim")
    for label, key, digits in (
        ("bits/byte, all bytes", "bits_per_byte", 3),
        ("median document", "median", 3),
        ("5% trimmed mean", "trimmed", 3),
        ("nats/token", "nats_per_token", 3),
        ("documents scored", "documents", 0),
        ("tokens scored", "tokens", 0),
    ):
        values = "".join(f"{fluency[name][key]:>10,.{digits}f}" for name in SIDES)
        page.put(f"{label:<22}", "dim").add(values)


def _classes(page: Page, classes: list[dict[str, Any]]) -> None:
    """Where the loss sits: words, numbers, punctuation, white space."""
    if not classes:
        return
    page.heading("By class of token")
    page.add(f"{'':<12}{'share of tokens':>18}{'nats/token':>18}", "dim")
    sides = f"{'domain':>9}{'generic':>9}"
    page.add(f"{'':<12}{sides}{sides}{'more':>9}", "dim")
    for one in classes:
        page.put(f"{clean_line(one['name'], 11):<12}", "dim")
        page.put(f"{one['domain_share']:>9.1%}{one['generic_share']:>9.1%}")
        page.put(f"{one['domain_nats']:>9.2f}{one['generic_nats']:>9.2f}")
        page.add(f"{one['domain_nats'] - one['generic_nats']:>+9.2f}", "bold")


def _references(page: Page, fluency: dict[str, Any], width: int) -> None:
    """The corpus among reference texts under the same base."""
    references = fluency.get("references") or []
    if not references:
        return
    share = fluency.get("percentile")
    place = f": harder than {share:.0f}% of them" if share is not None else ""
    page.heading(f"Among reference texts{place}")
    rows = [(one["bits_per_byte"], clean_line(one["name"], 28), "") for one in references]
    rows.append((fluency["domain"]["bits_per_byte"], "your corpus", "bold cyan"))
    rows.append((fluency["generic"]["bits_per_byte"], "your generic text", "bold yellow"))
    largest = max(value for value, _, _ in rows)
    for value, name, style in sorted(rows):
        page.put(padded(name, 30), style or "dim")
        page.draw(bar(value, largest, max(8, min(30, width - 40))), style)
        page.add(f" {value:.3f}", style)


def _documents(page: Page, fluency: dict[str, Any], width: int) -> None:
    """What surprised the base most: terms, then documents."""
    terms = fluency.get("surprising_terms") or []
    if terms:
        page.heading("Most surprising terms (bits/byte, times seen)")
        listed = [
            f"{clean_line(t['text'], 24)} {t['bits_per_byte']:.1f} ({t['count']:,}x)"
            for t in terms[:SHOWN_TERMS]
        ]
        page.quote(", ".join(listed), width, indent=0, limit=600)
    documents = fluency.get("surprising_documents") or []
    if documents:
        page.heading("Most surprising documents (bits/byte, their start)")
    for one in documents[:SHOWN_DOCUMENTS]:
        page.item(f"{one['bits_per_byte']:.2f}", clean_line(one["text"], 200), width, "bold", at=6)
