"""Panel 4: the same pinned SFT from the base and from the CPT checkpoint, seed by seed."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from cpt_tui.widgets.bars import Mark, bar, interval_scale
from cpt_tui.widgets.page import Page
from cpt_tui.widgets.panel import Panel
from engine import words
from engine.plain import progress_words
from engine.view import RunView


class GatePanel(Panel):
    """Verdict first, then the interval, then the pairs."""

    def written(self, view: RunView, width: int) -> Text:
        page = Page()
        found = view.evidence("gate")
        if found:
            verdict(page, found, width)
            forgetting(page, found)
            interval(page, found, width)
        else:
            waiting(page, view)
        pairs(page, view, found, width)
        return page.text


def waiting(page: Page, view: RunView) -> None:
    """What the gate is for, while it is not finished."""
    page.add("Gate: no verdict yet.", "bold")
    baseline = view.evidence("baseline")
    if baseline.get("mde") is not None:
        page.add(
            f"The base arm is in. Its own variance says: effects of {baseline['mde']:.1f} points "
            f"and more can be seen with {baseline.get('items', '?')} items."
        )
    else:
        page.add("The base arm runs first, so its variance tells what can be seen at all.", "dim")
    for name in ("baseline", "gate"):
        stage = view.stages[name]
        if stage.progress:
            page.add(f"{name}: {progress_words(stage.progress)}", "bold")


def verdict(page: Page, found: dict[str, Any], width: int) -> None:
    """EARNED, TIE or HURT, and the sentence."""
    label = found.get("label")
    word = f"{found['outcome']}, {label}" if label else found["outcome"]
    page.put("Verdict: ", "bold").state(found["outcome"])
    page.add(word.removeprefix(found["outcome"]), "bold")
    if found.get("sentence"):
        page.quote(found["sentence"], width, indent=0, limit=600)
    if found["outcome"] == "TIE":
        page.add("A tie ships the base model.", "bold")


def interval(page: Page, found: dict[str, Any], width: int) -> None:
    """The estimate with its interval against 0 and the margin."""
    page.heading("CPT minus base, points of the gold set's metric")
    low, value, high = (float(found[key]) for key in ("low", "estimate", "high"))
    margin = float(found["margin"])
    reach = max(abs(low), abs(high), margin * 1.5, 1e-9)
    marks = [Mark(x, f"{x:+g}" if x else "0", ":" if x else "│") for x in (-margin, 0.0, margin)]
    ends = (-reach, reach)
    line, *names = interval_scale((low, value, high), marks, min(60, width - 4), ends)
    page.put("  ").draw(line, "bold").add()
    for row in names:
        page.put("  ").add(row, "dim")
    page.put(f"  {value:+.2f}", "bold").put(f"  interval {low:+.2f} to {high:+.2f}")
    page.add(f"  margin {margin:g}  {words.p_value(found['p_value'])}")
    page.add("  [ ] interval   o estimate   : margins", "dim")
    sees = f"can see {found['mde']:.1f} points and more"
    page.add(f"  {found['items']} items x {found['seeds']} seeds, {sees}", "dim")


def pairs(page: Page, view: RunView, found: dict[str, Any], width: int) -> None:
    """Base against CPT for each seed, as far as they are in."""
    base, cpt = scores(view, "base", found), scores(view, "cpt", found)
    if not base and not cpt:
        return
    page.heading("Seed by seed (order and adapter start shared by both arms)")
    page.add(f"  {'seed':>4}{'base':>9}{'CPT':>9}{'CPT-base':>10}", "dim")
    room = min(24, max(4, width - 47))
    differences = [abs(cpt[s] - base[s]) for s in base if s in cpt] or [1.0]
    for seed in sorted({*base, *cpt}):
        page.put(f"  {seed:>4}{_points(base.get(seed)):>9}{_points(cpt.get(seed)):>9}")
        if seed not in base or seed not in cpt:
            page.add(f"{'waiting':>10}", "dim")
            continue
        difference = cpt[seed] - base[seed]
        page.put(f"{difference:>+10.2f}", "bold")
        page.put("  better " if difference > 0 else "  worse  " if difference < 0 else "  same   ")
        page.draw(bar(abs(difference), max(differences), room).rstrip("░"), "dim").add()
    for arm in view.arms.values():
        newest = list(arm.values())[-1]
        if newest.done < newest.total:
            page.add(f"  {newest.arm} arm: {newest.done} of {newest.total} seeds done", "dim")


def scores(view: RunView, arm: str, found: dict[str, Any]) -> dict[int, float]:
    """Points by seed: from the events, else from the verdict by position."""
    seen = {seed: event.score for seed, event in view.arms.get(arm, {}).items()}
    listed = found.get(f"{arm}_scores") or []
    if not listed and arm == "base":
        listed = view.evidence("baseline").get("scores") or []
    return seen or dict(enumerate(listed))


def _points(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def forgetting(page: Page, found: dict[str, Any]) -> None:
    """The second, separate line."""
    page.put("Forgetting, measured apart: ").state(found.get("guard", "unknown"))
    rise = found.get("generic_rise")
    if rise is None:
        page.add(", generic loss was not measured")
    else:
        page.add(f", {words.signed(rise)} nats")
