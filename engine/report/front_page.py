"""The report's first page: the verdict in plain words, how sure it is, its price, what is next."""

from __future__ import annotations

from collections.abc import Mapping

from engine.artifacts.all_stages import Artifacts
from engine.artifacts.decision import Verdict
from engine.artifacts.gate import BaselineArtifact, GateArtifact, GateVerdict
from engine.artifacts.probe import Cost
from engine.artifacts.shipping import FinishArtifact, TaskRow
from engine.formatting import format_duration, format_p_value
from engine.gate.wording import NOT_JUDGED
from engine.recipe.sections import Recipe
from engine.report.markdown import code, inert, table
from engine.runs.events import Unreadable
from engine.runs.run import Run
from engine.runs.view import RunView
from engine.stats.power import Terms, items_needed

TIES = {
    "equivalent": "The two are equal for every purpose that the margin of {margin:g} points names.",
    "trivial": "There is a difference, but it is smaller than the {margin:g} points that were said "
    "to matter.",
    "underpowered": "The gold set was too small to tell: it can show differences of {mde:.1f} "
    "points and more.",
}


def render_front_page(
    run: Run, recipe: Recipe, made: Artifacts, log: RunView, images: Mapping[str, str]
) -> str:
    """The page as Markdown; ``images`` are the charts' image lines by name."""
    parts = [
        _render_title(run, recipe, made),
        _render_faults(made.unreadable, log.broken),
        f"## In plain words\n\n{_explain_state(made)}",
        images.get("interval", ""),
        _render_task_table(made.finish) if made.finish else "",
        _render_certainty(made, made.gate) if made.gate else "",
        _render_price(made, log),
        _render_next_steps(run, made),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def name_outcome(made: Artifacts) -> str:
    """``EARNED (at a cost)``, the decision before there is a gate, or ``NO VERDICT``."""
    if gate := made.gate:
        return f"{gate.outcome} ({gate.label})" if gate.label else gate.outcome
    if made.decide and "gate" not in made.unreadable:
        return made.decide.outcome
    return "NO VERDICT"


def _render_title(run: Run, recipe: Recipe, made: Artifacts) -> str:
    intent = recipe.recipe
    lines = [f"# {inert(intent.name)}: {name_outcome(made)}"]
    lines.append(f"Run `{run.id}`, model {code(recipe.model.id)}.")
    if intent.purpose:
        lines.append(f"Purpose: {inert(intent.purpose)}")
    if intent.override and made.decide and made.decide.outcome != "GO":
        lines.append(_describe_override(made.decide, intent.override))
    return "\n\n".join(lines)


def _describe_override(decision: Verdict, why: str) -> str:
    return (
        f"> **Overridden.** The decision was {decision.outcome}: {inert(decision.sentence)} "
        f'It was overridden with: "{inert(why)}"'
    )


def _render_faults(unreadable: Mapping[str, str], broken: int) -> str:
    """A line for each stage whose artifact this version cannot read, and for the log's lines."""
    lines = [
        f"> **Not readable.** What the stage {stage} left has a fault ({inert(fault)}), so this "
        "report goes without it."
        for stage, fault in unreadable.items()
    ]
    if broken:
        lines.append(f"> **Not readable.** {Unreadable.of(broken).message}.")
    return "\n\n".join(lines)


def _explain_state(made: Artifacts) -> str:
    """What the run has come to, for somebody who reads no further."""
    if gate := made.gate:
        return f"{_explain_outcome(gate)}\n\n{inert(gate.sentence)}"
    if "gate" in made.unreadable:
        return "The gate has judged, but its verdict cannot be read."
    if decision := made.decide:
        return f"{inert(decision.sentence)}\n\n{_explain_no_verdict(made)}"
    return "The run has not reached its decision."


def _explain_no_verdict(made: Artifacts) -> str:
    if made.train:
        return "It was trained, but no gate has judged it: nothing shows that it was worth it."
    return "Nothing was trained: no compute was spent beyond the measuring."


def _explain_outcome(gate: GateVerdict) -> str:
    """What the verdict means to somebody who pays for it."""
    compared = (
        f"Both models were fine-tuned {gate.seeds} times by the same recipe and asked the same "
        f"questions, {gate.items} independent ones."
    )
    gain = f"{abs(gate.estimate):.1f} points"
    if gate.outcome == "EARNED":
        cost = " It has forgotten some general language for it." if gate.guard == "red" else ""
        return f"Training on your text was worth it: the task went up by {gain}. {compared}{cost}"
    if gate.outcome == NOT_JUDGED:
        return f"The fine-tuning does not learn the task, so nothing can be compared. {compared}"
    if gate.outcome == "HURT":
        if gate.high < 0:
            return f"Training on your text made the task worse, by {gain}. {compared}"
        return f"The trained model has forgotten too much general language. {compared}"
    tie = TIES.get(gate.label, "").format(margin=gate.margin, mde=gate.mde)
    return f"Training on your text has not shown that it helps the task. {tie} {compared}"


def _render_task_table(finish: FinishArtifact) -> str:
    """Stage two's four rows."""
    head = ("model", "gold, points", "generic, nats/token", "domain, nats/token")
    rows = [_task_cells(row, f"{finish.start}+SFT") for row in finish.rows]
    rise = f"Its generic loss is {finish.generic_rise:+.3f} nats over the base's: {finish.guard}."
    if finish.guard in ("amber", "red"):
        share = 100 * finish.mix_back
        rise += f" More generic text in SFT (now {share:.0f}%) holds it: `cpt finish --mix-back`."
    return f"## The task model\n\n{inert(finish.why)}\n\n{table(head, rows)}\n\n{rise}"


def _task_cells(row: TaskRow, shipped: str) -> list[str]:
    name = f"**{row.name}** (the task model)" if row.name == shipped else row.name
    return [name, f"{row.gold:.1f}", f"{row.generic:.4f}", f"{row.domain:.4f}"]


def _render_certainty(made: Artifacts, gate: GateArtifact) -> str:
    arms = made.arms
    items = [
        "The test was written down and hashed before training; it could not be chosen afterwards.",
        f"A difference of {gate.mde:.1f} points and more would have been seen in 4 of 5 runs."
        if gate.outcome != NOT_JUDGED
        else "",
        _describe_tries(gate),
        _describe_constant_arms(made.baseline, gate),
        _describe_contamination(made, gate),
        f"General language: {_describe_guard(gate)}",
        *(inert(sentence) for sentence in (arms.sentences if arms else [])),
        "The verdict speaks for this checkpoint and this task, not for the method."
        if not (arms and arms.recipe)
        else "",
    ]
    return "## How sure is this?\n\n" + "\n".join(f"- {item}" for item in items if item)


def _describe_contamination(made: Artifacts, gate: GateVerdict) -> str:
    files = made.evidence.gate
    share = files.contaminated_share if files else 0.0
    without = f"; without them: {gate.clean_outcome}." if gate.clean_outcome else "."
    return f"{share:.1%} of the gold items also stand in the training text{without}"


def _describe_constant_arms(baseline: BaselineArtifact | None, gate: GateArtifact) -> str:
    """Arms that answered all items alike: a gate of these tells little, whatever its interval."""
    counts = {"base": baseline.constant_seeds if baseline else 0, "CPT": gate.constant_seeds}
    alike = [
        f"the {name} arm under {count} of {gate.seeds} seeds"
        for name, count in counts.items()
        if count
    ]
    if not alike:
        return ""
    return (
        f"One and the same answer was given to every item by {' and '.join(alike)}: the "
        "fine-tuning had not learnt the task there, and a gate of such arms sees little."
    )


def _describe_tries(gate: GateVerdict) -> str:
    """How often this gold set was asked; a run that did not count says nothing."""
    if gate.p_adjusted is None:
        return ""
    count = "1 try has" if gate.tries == 1 else f"{gate.tries} tries have"
    corrected = format_p_value(gate.p_adjusted)
    return f"{count} been counted against this gold set; corrected for them, {corrected}."


def _describe_guard(gate: GateVerdict) -> str:
    rise = gate.generic_rise
    loss = "not measured" if rise is None else f"loss {rise:+.3f} nats"
    answers = "" if gate.chat_rise is None else f"; held-out answers {gate.chat_rise:+.3f} nats"
    means = {"green": "kept", "amber": "slightly worse", "red": "clearly worse"}
    return f"{means.get(gate.guard, 'not known')} ({gate.guard}, {loss}{answers})."


def _render_price(made: Artifacts, log: RunView) -> str:
    """Time measured by stage, beside what was predicted before."""
    if not log.spent:
        return ""
    cost = made.evidence.cost
    text = table(("stage", "time", "predicted"), _price_rows(log, cost))
    if train := made.train:
        flops = f", about {cost.train_flops:.1e} FLOPs" if cost else ""
        text += f"\n\nTraining read {train.tokens:,} tokens in {train.steps:,} steps{flops}."
    if cost and cost.gate_seconds:
        text += " The gate's prediction (at baseline) is for both of its arms."
    return f"## What it cost\n\n{text}"


def _price_rows(log: RunView, cost: Cost | None) -> list[list[str]]:
    predicted = {"train": cost.train_seconds, "baseline": cost.gate_seconds} if cost else {}
    rows = [
        [inert(name), format_duration(spent), format_duration(predicted.get(name))]
        for name, spent in log.spent.items()
        if name != "report"
    ]
    return [*rows, ["**all**", format_duration(sum(log.spent.values())), ""]]


def _render_next_steps(run: Run, made: Artifacts) -> str:
    if made.gate:
        items = _list_steps_after_gate(run, made, made.gate)
    elif "gate" in made.unreadable:
        items = [f"Judge again: `cpt gate {run.id}`"]
    elif made.decide:
        items = _list_steps_after_decision(made, made.decide)
    else:
        items = [f"Go on: `cpt resume {run.id}`"]
    return "## What to do next\n\n" + "\n".join(f"- {item}" for item in items) if items else ""


def _list_steps_after_decision(made: Artifacts, decision: Verdict) -> list[str]:
    items = [inert(decision.instead)] if decision.instead else []
    if made.train:
        items.append("Give the recipe a gold set and SFT data, and start a new run.")
    elif decision.outcome == "GO":
        items.append("Train: a GO is permission to run the gate, no promise.")
    return items


def _list_steps_after_gate(run: Run, made: Artifacts, gate: GateVerdict) -> list[str]:
    earned = gate.outcome == "EARNED"
    ship = "Ship the trained model."
    if not earned:
        ship = "Ship the base model; it is at least as good a bet, and it is already there."
    steps = [
        ship,
        "" if made.finish else f"Train the task model: `cpt finish {run.id}`",
        f"Write the folder to ship: `cpt export {run.id} DIR`" if made.finish or earned else "",
        _advise_arms(run) if earned and not made.arms else "",
        _advise_more_data(gate) if gate.label == "underpowered" else "",
        _advise_less_forgetting(gate),
        _advise_other_lever(gate),
    ]
    return [step for step in steps if step]


def _advise_arms(run: Run) -> str:
    return (
        "For a sceptic: is it this text, or more training of any kind? "
        f"`cpt arms {run.id} --control TEXT` trains on as much irrelevant text; `--cpt-seeds` "
        "asks whether the recipe would earn it again."
    )


def _advise_more_data(gate: GateVerdict) -> str:
    """What would change an underpowered verdict: the gate's own figures, else the prior's."""
    items, seeds = gate.items_wanted, gate.seeds_wanted
    if items or seeds:
        parts = [f"{items:,} gold items" if items else "", f"{seeds} seeds" if seeds else ""]
        return f"To get an answer: {' or '.join(p for p in parts if p)}, in a new run."
    effect = max(gate.margin, abs(gate.estimate), 1.0)
    needed = items_needed(effect, Terms(gate.seeds, margin=0))
    if needed is None or needed <= gate.items:
        return "To get an answer: more seeds; more items alone would not do."
    return (
        f"To get an answer: about {needed:,} gold items (by typical variances), in a new run; it "
        "counts as another try."
    )


def _advise_less_forgetting(gate: GateVerdict) -> str:
    if gate.outcome != "HURT" and gate.guard not in ("amber", "red"):
        return ""
    return (
        "To forget less: more mix-back, a lower learning rate, or LoRA, in a new run; it counts "
        "as another try."
    )


def _advise_other_lever(gate: GateVerdict) -> str:
    if gate.label not in ("equivalent", "trivial"):
        return ""
    return "Leave this corpus be: what the task lacks is not in it. SFT data is the next lever."
