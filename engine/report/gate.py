"""The gate for a statistician: every number of the verdict, and the arithmetic that gives it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.artifacts.all_stages import Artifacts
from engine.artifacts.arms import ArmsResult
from engine.artifacts.gate import BaselineArtifact, GateArtifact, GateVerdict, TagResult
from engine.errors import InputError
from engine.formatting import format_p_value
from engine.gate.secondary import McNemar, item_changes, mcnemar_display
from engine.gate.wording import percent
from engine.gold.draws import registered_gold
from engine.recipe.sections import Recipe
from engine.report.markdown import inert, table
from engine.runs.run import Run
from engine.stats.crossed_test import Squares, TestResult, crossed_error, paired_test
from engine.stats.power import POWER
from engine.summary.gate_lines import arm_rows

SAME = 1e-6
"""Points by which the arithmetic here may differ from the verdict's own."""


def render_gate(run: Run, recipe: Recipe, made: Artifacts, images: Mapping[str, str]) -> str:
    """Registration, arms, test, tags and contamination; empty before the baseline."""
    baseline, gate = made.baseline, made.gate
    if not baseline:
        return ""
    parts = [
        "## Was it worth it?",
        f"Registered before training: `{baseline.registration}` (sha256 of "
        f"`artifacts/registration.json`).{'' if gate else _promise(baseline)}",
    ]
    if gate:
        parts += [
            _describe_verdict(recipe, gate),
            images.get("seeds", ""),
            _render_seeds(recipe, baseline, gate),
            *_render_test(run, recipe, baseline, gate),
            _render_tags(gate.by_tag) if gate.by_tag else "",
            _describe_clean_part(gate) if gate.clean_outcome else "",
        ]
    parts.append(_render_arms(made.arms) if made.arms else "")
    return "\n\n".join(part for part in parts if part) + "\n"


def _promise(baseline: BaselineArtifact) -> str:
    """What the gate can show, as long as no verdict has a figure of its own."""
    return (
        " The baseline's own variance gives a minimum detectable effect of "
        f"{baseline.mde:.1f} points at 80% power."
    )


def _judged_base(baseline: BaselineArtifact, gate: GateArtifact) -> list[list[float]]:
    """The base arm's scores under all seeds that were judged."""
    return gate.base.scores if gate.base else baseline.per_item


def _render_arms(arms: ArmsResult) -> str:
    """More arms, their numbers and the verdict over training runs."""
    head = ("arm", "tokens", "points", "minus base", "CPT minus it", "forgetting, nats")
    rows = [[inert(cell) for cell in row] for row in arm_rows(arms)]
    note = (
        "Seeds, items and test are the gate's; p values in the sentences on the first page are "
        "Holm-corrected among these arms. An arm named by a seed is a training run of its own, "
        "scored under that seed alone."
    )
    parts = ["### More arms", note, table(head, rows)]
    if arms.recipe:
        parts.append(_describe_training_runs(arms.recipe))
    return "\n\n".join(parts)


def _describe_training_runs(recipe: GateVerdict) -> str:
    pairs = zip(recipe.base_scores, recipe.cpt_scores, strict=True)
    gains = ", ".join(f"{cpt - base:+.1f}" for base, cpt in pairs)
    return (
        f"Over training runs: **{recipe.outcome}**, {recipe.estimate:+.1f} points "
        f"({recipe.low:+.1f} to {recipe.high:+.1f}), {format_p_value(recipe.p_value)}, "
        f"df {recipe.degrees_of_freedom:.1f}; run by run {gains}."
    )


def _describe_verdict(recipe: Recipe, gate: GateVerdict) -> str:
    name = f"{gate.outcome} {gate.label}" if gate.label else gate.outcome
    level = percent(1 - (gate.alpha or recipe.gate.alpha))
    return (
        f"**{name}**: {gate.estimate:+.1f} points ({level} interval "
        f"{gate.low:+.1f} to {gate.high:+.1f}), {gate.items} items x {gate.seeds} seeds, margin "
        f"{gate.margin:g}, {format_p_value(gate.p_value)}; minimum detectable effect with "
        f"the spread that was seen {gate.mde:.1f} points.{_describe_tries(gate)} Forgetting "
        f"guard: {gate.guard}."
    )


def _describe_tries(gate: GateVerdict) -> str:
    """Empty for a run of a version that did not count them."""
    if gate.p_adjusted is None:
        return ""
    corrected = format_p_value(gate.p_adjusted)
    return f" Tries counted against this gold set: {gate.tries}. Holm-corrected: {corrected}."


def _render_seeds(recipe: Recipe, baseline: BaselineArtifact, gate: GateArtifact) -> str:
    """Both arms by seed, with the one-seed test that decides nothing."""
    seeds = recipe.gate.seeds
    tests = _test_by_seed(baseline, gate)
    rows = []
    for at, (b, c) in enumerate(zip(gate.base_scores, gate.cpt_scores, strict=True)):
        row = [f"{seeds[at] if at < len(seeds) else at}", f"{b:.1f}", f"{c:.1f}", f"{c - b:+.1f}"]
        if tests:
            row += [f"{tests[at].better}/{tests[at].worse}", format_p_value(tests[at].p_value)]
        rows.append(row)
    head = ("seed", "base", "CPT", "difference", "won/lost", "McNemar")
    note = (
        "\n\nMcNemar by seed is for display: it decided wrongly in 17-42% of simulated A/A gates."
    )
    return table(head[: 6 if tests else 4], rows) + (note if tests else "")


def _test_by_seed(baseline: BaselineArtifact, gate: GateArtifact) -> list[McNemar]:
    """Empty where a verdict has no scores by item."""
    if not (baseline.per_item and gate.per_item):
        return []
    return mcnemar_display(_judged_base(baseline, gate), gate.per_item)


def _read_groups(run: Run, recipe: Recipe) -> list[str] | None:
    """The source of each gold item, out of the registered copy; None where none is named."""
    found = registered_gold(run.path / "gate", recipe.gate)
    if found is None:
        raise InputError(f"{run.id} has no copy of its gold set")
    named = [item.group for item in found]
    return [name or f"item {at}" for at, name in enumerate(named)] if any(named) else None


def _render_test(
    run: Run, recipe: Recipe, baseline: BaselineArtifact, gate: GateArtifact
) -> list[str]:
    """The test with the numbers put in; said where the verdict used other arithmetic."""
    if not (baseline.per_item and gate.per_item):
        return []
    try:
        groups = _read_groups(run, recipe)
        base, alpha = _judged_base(baseline, gate), gate.alpha or recipe.gate.alpha
        found = paired_test(base, gate.per_item, alpha, groups)
        changes = item_changes(base, gate.per_item)
    except InputError:
        return []
    if found.squares is None:
        return []
    if max(abs(found.low - gate.low), abs(found.high - gate.high)) > SAME:
        return ["The interval is not that of the items kept here, whose steps are left out."]
    won = f"items won {changes.won}, lost {changes.lost}, tied {changes.tied}"
    lines = [
        f"mean D = {found.estimate:.4f} points, D[s,i] = CPT minus base; {won}",
        *_list_steps(found, found.squares, alpha, gate),
    ]
    head = "The test (crossed items x seeds, Satterthwaite degrees of freedom), numbers put in:"
    return [head, "\n".join(f"    {line}" for line in lines)]


def _list_steps(found: TestResult, squares: Squares, alpha: float, gate: GateVerdict) -> list[str]:
    """From mean squares to the interval and the smallest effect it could have shown."""
    from scipy.special import stdtrit

    n, count = squares.n_items, squares.n_seeds
    ms_items, ms_seeds, rest = squares.items, sum(squares.seeds), sum(squares.rest)
    se, df = crossed_error(squares)
    quantile = float(stdtrit(df, 1 - alpha / 2))
    arms = " + ".join(f"{square:.4f}" for square in squares.seeds)
    rests = " + ".join(f"{square:.4f}" for square in squares.rest)
    return [
        f"n = {n} items (those of one source averaged first), S = {count} seeds",
        f"MS_I of the differences = {ms_items:.4f}; MS_S = {arms} (base + CPT) = {ms_seeds:.4f}; "
        f"MS_E = {rests} = {rest:.4f}",
        f"SE^2 = max(MS_I + MS_S - MS_E, MS_I, MS_S) / (n S) = "
        f"max({ms_items + ms_seeds - rest:.4f}, {ms_items:.4f}, {ms_seeds:.4f}) / {n * count} = "
        f"{se**2:.6f}; SE = {se:.4f}",
        f"df = chosen^2 / (MS_I^2/(n-1) + sum of arms' MS_S^2/(S-1) + MS_E^2/((n-1)(S-1))), "
        f"clipped to [S-1, n+S] = [{count - 1}, {n + count}]: {df:.2f}",
        f"t({1 - alpha / 2:g}; {df:.2f}) = {quantile:.4f}; interval = {found.estimate:.4f} -+ "
        f"{quantile:.4f} x {se:.4f} = [{found.low:.4f}, {found.high:.4f}]",
        f"MDE = max(t({1 - alpha / 2:g}) SE, margin) + t({POWER:g}) SE, at the alpha that the last "
        f"look, the endpoint and the tries leave, = {gate.mde:.4f}"
        if gate.rules > 1
        else f"MDE = (t({1 - alpha / 2:g}) + t({POWER:g})) SE = {gate.mde:.4f}",
    ]


def _render_tags(tags: Sequence[TagResult]) -> str:
    """Results by tag, corrected among themselves."""
    rows = []
    for one in tags:
        ends = f"{one.low:+.1f} to {one.high:+.1f}"
        cells = [inert(one.tag), f"{one.items}", f"{one.estimate:+.1f}", ends]
        rows.append([*cells, format_p_value(one.p_adjusted)])
    head = ("tag", "items", "difference", "interval", "Holm-corrected")
    return table(head, rows)


def _describe_clean_part(gate: GateVerdict) -> str:
    estimate = gate.clean_estimate
    points = f", {estimate:+.1f} points" if estimate is not None else ""
    return (
        f"Without the items that also stand in the corpus: {gate.clean_outcome} on "
        f"{gate.clean_items} items{points}."
    )
