"""Panel 4: the same pinned SFT from the base and from the CPT checkpoint, seed by seed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from cpt_tui.drawing.bars import Mark, bar, interval_scale
from cpt_tui.drawing.page import Page, padded
from cpt_tui.panels.panel import Panel, put_unreadable
from cpt_tui.safe import clean_line
from engine.artifacts.all_stages import Artifacts
from engine.artifacts.gate import GateVerdict
from engine.formatting import format_p_value, format_signed
from engine.gate.items import Items, ScoredItem
from engine.runs.view import RunView
from engine.summary import gate_lines
from engine.summary.log_lines import look_words, progress_words

FEW = 3
"""Items of each kind that the panel itself shows."""


class GatePanel(Panel):
    """Verdict first, then the interval, then what would change it, the pairs and the items."""

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.items = Items()
        """The gold items with their scores, as far as the run's files have them."""

    def written(self, view: RunView, width: int) -> Text:
        page, made = Page(), view.made
        put_unreadable(page, made, ("gate", "baseline", "arms"), width)
        if made.gate:
            verdict(page, made.gate, width)
            forgetting(page, made.gate, width)
            interval(page, made.gate, width)
            more_arms(page, view, width)
            changing(page, made.gate, width)
        elif "gate" not in made.unreadable:
            waiting(page, view)
        looks(page, view, width)
        pairs(page, view, width)
        tags(page, made.gate, width)
        listed(page, self.items, width)
        page.text.rstrip()
        return page.text


def waiting(page: Page, view: RunView) -> None:
    """What the gate is for, while it is not finished."""
    page.add("Gate: no verdict yet.", "bold")
    if baseline := view.made.baseline:
        items = "?" if baseline.items is None else baseline.items
        page.add(
            f"The base arm is in. Its own variance says: effects of {baseline.mde:.1f} points "
            f"and more can be seen with {items} items."
        )
    elif "baseline" not in view.made.unreadable:
        page.add("The base arm runs first, so its variance tells what can be seen at all.", "dim")
    if view.arms.get("cpt"):
        page.add(gate_lines.LOOKING_IS_NOT_TESTING, "italic")
    for name in ("baseline", "gate"):
        stage = view.stages[name]
        if stage.progress:
            page.add(f"{name}: {progress_words(stage.progress, view.at_work)}", "bold")


def looks(page: Page, view: RunView, width: int) -> None:
    """Where the estimate stands against the boundary, look by look; nothing for fixed seeds."""
    taken = [view.looks[seeds] for seeds in sorted(view.looks)]
    if not taken or taken[0].seeds == taken[0].most:
        return
    page.heading("Looks: a verdict begins at the boundary, and seeds stop there")
    for look in taken:
        page.quote(look_words(look), width)
    last = taken[-1]
    edge = last.boundary
    marks = [Mark(x, f"{x:+.1f}" if x else "0", ":" if x else "│") for x in (-edge, 0.0, edge)]
    ends = last.low, last.estimate, last.high
    reach = max(edge, abs(last.low), abs(last.high), 1e-9)
    line, *names = interval_scale(ends, marks, min(60, width - 4), (-reach, reach))
    page.put("  ").draw(line, "bold").add()
    for row in names:
        page.put("  ").add(row, "dim")
    page.add("  [ ] interval   o estimate   : boundary", "dim")


def verdict(page: Page, found: GateVerdict, width: int) -> None:
    """EARNED, TIE or HURT, said once, and its figures."""
    page.put("Verdict: ", "bold").state(found.outcome)
    page.add(f", {found.label}" if found.label else "", "bold")
    head, _, rest = found.sentence.partition(": ")
    said = rest if head.upper().startswith(found.outcome) and rest else found.sentence
    if said:
        page.quote(said[0].upper() + said[1:], width, indent=0, limit=600)
    if found.outcome == "TIE":
        page.add("A tie ships the base model.", "bold")


def interval(page: Page, found: GateVerdict, width: int) -> None:
    """The estimate with its interval against 0 and the margin."""
    page.heading("CPT minus base, points of the gold set's metric")
    low, value, high, margin = found.low, found.estimate, found.high, found.margin
    reach = max(abs(low), abs(high), margin * 1.5, 1e-9)
    marks = [Mark(x, f"{x:+g}" if x else "0", ":" if x else "│") for x in (-margin, 0.0, margin)]
    ends = (-reach, reach)
    line, *names = interval_scale((low, value, high), marks, min(60, width - 4), ends)
    page.put("  ").draw(line, "bold").add()
    for row in names:
        page.put("  ").add(row, "dim")
    page.put(f"  {value:+.2f}", "bold").put(f"  interval {low:+.2f} to {high:+.2f}")
    page.add(f"  margin {margin:g}  {format_p_value(found.p_value)}")
    page.add("  [ ] interval   o estimate   : margins", "dim")
    sees = f"can see {found.mde:.1f} points and more (MDE)"
    page.add(f"  {found.items} items x {found.seeds} seeds, {sees}", "dim")


def changing(page: Page, found: GateVerdict, width: int) -> None:
    """How firm the verdict is: tries counted, and what would make it another."""
    page.heading("What would change the verdict")
    for line in gate_lines.would_change(found):
        page.quote(line, width)
    if tried := gate_lines.describe_tries(found):
        page.quote(f"Tries: {tried}", width)


def pairs(page: Page, view: RunView, width: int) -> None:
    """Base against CPT for each seed, as far as they are in, and how far the seeds spread."""
    base, cpt = scores(view, "base"), scores(view, "cpt")
    if not base and not cpt:
        return
    page.heading("Seed by seed (order and adapter start shared by both arms)")
    page.add(f"  {'seed':>4}{'base':>9}{'CPT':>9}{'CPT-base':>10}", "dim")
    room = min(24, max(4, width - 47))
    differences = [cpt[s] - base[s] for s in base if s in cpt]
    longest = max(map(abs, differences), default=1.0)
    for seed in sorted({*base, *cpt}):
        page.put(f"  {seed:>4}{_points(base.get(seed)):>9}{_points(cpt.get(seed)):>9}")
        if seed not in base or seed not in cpt:
            page.add(f"{'waiting':>10}", "dim")
            continue
        difference = cpt[seed] - base[seed]
        page.put(f"{difference:>+10.2f}", "bold")
        page.put("  better " if difference > 0 else "  worse  " if difference < 0 else "  same   ")
        page.draw(bar(abs(difference), longest, room).rstrip("░"), "dim").add()
    named = (("base", list(base.values())), ("CPT", list(cpt.values())), ("CPT-base", differences))
    for name, values in named:
        if values:
            page.put(f"  {name:<9}", "dim").add(gate_lines.summarize_seeds(values))
    for arm in (view.arms[name] for name in ("base", "cpt") if view.arms.get(name)):
        newest = list(arm.values())[-1]
        if newest.done < newest.total:
            page.add(f"  {newest.arm} arm: {newest.done} of {newest.total} seeds done", "dim")


def more_arms(page: Page, view: RunView, width: int) -> None:
    """The control, earlier checkpoints, other training runs; while they are made, how far."""
    stage, found = view.stages.get("arms"), view.made.arms
    if stage is None:
        return
    page.heading("More arms, beside the verdict")
    if stage.progress and not found:
        page.add(f"arms: {progress_words(stage.progress, view.at_work)}", "bold")
    if found is None:
        return
    for said in found.sentences:
        page.quote(said, width, limit=600)
    if not found.rows:
        return
    page.add(f"  {'arm':<10}{'tokens':>11}{'points':>8}{'-base':>7}  {'CPT minus it':<23}", "dim")
    for name, tokens, points, over, ahead, _ in gate_lines.arm_rows(found):
        page.put("  ").put(padded(clean_line(name, 9), 10)).put(f"{tokens:>11}{points:>8}")
        page.put(f"{over:>7}", "bold").add(f"  {ahead:<23}".rstrip())


def scores(view: RunView, arm: str) -> dict[int, float]:
    """Points by seed: from the events, else from the artifacts by position."""
    seen = {seed: event.score for seed, event in view.arms.get(arm, {}).items()}
    return seen or dict(enumerate(_kept_scores(view.made, arm)))


def _kept_scores(made: Artifacts, arm: str) -> list[float]:
    if arm == "cpt":
        return made.gate.cpt_scores if made.gate else []
    kept = made.gate.base_scores if made.gate else []
    return kept or (made.baseline.scores if made.baseline else [])


def _points(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def tags(page: Page, found: GateVerdict | None, width: int) -> None:
    """The test on the items of each tag: secondary, never the verdict."""
    if found is None or not found.by_tag:
        return
    page.heading("By tag (secondary; p corrected among the tags)")
    room = max(6, min(18, width - 47))
    page.add(f"  {'tag':<{room}}{'items':>6}{'CPT-base':>10}  {'interval':<17}p", "dim")
    for name, items, estimate, ends, corrected in gate_lines.tag_rows(found):
        page.put("  ").put(padded(clean_line(name, room - 1), room)).put(f"{items:>6}")
        page.put(f"{estimate:>10}", "bold").add(f"  {ends:<17}{corrected}")


def listed(page: Page, items: Items, width: int) -> None:
    """Items won, lost and tied, with the clearest of them in their own words."""
    if not items.items:
        return
    page.heading("Items, CPT against base (Enter lists them all)")
    page.add("  " + (gate_lines.count_states(items) or "the CPT arm has no seed yet"), "bold")
    if items.fault:
        page.quote(items.fault, width)
    for state in ("lost", "won"):
        for item in items.of(state)[:FEW]:
            page.put(f"  {state:<6}", STATE[state])
            page.add(item_line(item, width - 8))


STATE = {"won": "green", "lost": "bold red", "tied": "dim", "waiting": "dim"}


def item_line(item: ScoredItem, width: int) -> str:
    """``#18 +40 Which sense of "potter" ...`` on one line, cut to ``width`` cells."""
    gap = "" if item.difference is None else f" {item.difference:+.0f}"
    text = item.text.prompt if item.text else "(text not at hand)"
    head = f"#{item.number + 1}{gap} "
    line = head + clean_line(text, 2 * width)
    return line if cell_len(line) <= width else set_cell_size(line, width - 3) + "..."


def item_text(item: ScoredItem, width: int) -> Text:
    """An item whole: prompt, gold answer, choices, and what each arm did, seed by seed."""
    page = Page()
    page.put(f"Item {item.number + 1}: ", "bold").put(item.state, STATE[item.state])
    gap = item.difference
    page.add(f", CPT minus base {gap:+.1f} points" if gap is not None else "")
    if item.text is None:
        page.add("Its text is not at hand: the gold set of this run cannot be read.", "dim")
    else:
        page.heading("Prompt")
        page.quote(item.text.prompt, width, limit=4000)
        page.heading("Gold answer")
        page.quote(item.text.completion, width, limit=2000)
        if item.text.choices:
            page.heading("Choices")
            for choice in item.text.choices[:20]:
                page.quote(choice, width, limit=300)
        about = [*(item.text.tags), *([f"source {item.text.group}"] if item.text.group else [])]
        if about:
            page.heading("Tags and source").quote(", ".join(about), width)
    page.heading("Score, seed by seed (1 is right)")
    _seeds(page, item, width)
    page.text.rstrip()
    return page.text


def _seeds(page: Page, item: ScoredItem, width: int) -> None:
    """Scores of both arms, and their answers where the run kept them."""
    seeds: Sequence[int] = sorted({*item.base.scores, *item.cpt.scores})
    page.add(f"  {'seed':>4}{'base':>8}{'CPT':>8}", "dim")
    for seed in seeds:
        told = (_score(arm.scores.get(seed)) for arm in (item.base, item.cpt))
        page.add(f"  {seed:>4}" + "".join(f"{value:>8}" for value in told))
    means = (_score(arm.mean) for arm in (item.base, item.cpt))
    page.add("  mean" + "".join(f"{value:>8}" for value in means), "bold")
    for name, arm in (("base", item.base), ("CPT", item.cpt)):
        for seed, answer in sorted(arm.answers.items()):
            page.item(f"  {name}, seed {seed}:", clean_line(answer, 600), width, "dim", at=16)


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def forgetting(page: Page, found: GateVerdict, width: int) -> None:
    """The second, separate line."""
    page.put("Forgetting, measured apart: ").state(found.guard)
    _generic_loss(page, found, width)
    if found.chat_rise is not None:
        said = f"Held-out answers of a chat model: {format_signed(found.chat_rise)} nats, "
        page.put(said).state(found.chat_guard)


def _generic_loss(page: Page, found: GateVerdict, width: int) -> None:
    if found.generic_rise is None:
        page.add(", generic loss was not measured")
        return
    low, high = found.generic_low, found.generic_high
    ends = f" ({low:+.3f} to {high:+.3f})" if low is not None and high is not None else ""
    said = f", {format_signed(found.generic_rise)} nats"
    if len(f"Forgetting, measured apart: {found.guard}{said}{ends}") > width - 2:
        page.add(said)
        said, ends = "", f" {ends}"
    page.add(f"{said}{ends}")
