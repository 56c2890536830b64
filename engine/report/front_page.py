"""The report's first page: the verdict in plain words, how sure it is, its price, what is next."""

from __future__ import annotations

from typing import Any

from engine.formatting import format_duration, format_p_value
from engine.recipe.sections import Recipe
from engine.report.markdown import code, plain, table
from engine.runs.log_times import LogTimes
from engine.runs.run import Run
from engine.stats.power import items_needed
from engine.summary.findings import dig

NOT_THE_VERDICT = "Training loss always falls; it is never the verdict."
TIES = {
    "equivalent": "The two are equal for every purpose that the margin of {margin:g} points names.",
    "trivial": "There is a difference, but it is smaller than the {margin:g} points that were said "
    "to matter.",
    "underpowered": "The gold set was too small to tell: it can show differences of {mde:.1f} "
    "points and more.",
}


def front(
    run: Run, recipe: Recipe, made: dict[str, Any], log: LogTimes, shown: dict[str, str]
) -> str:
    """The page as Markdown; ``shown`` are the charts' image lines by name."""
    parts = [
        _title(run, recipe, made),
        _plain_words(recipe, made),
        shown.get("interval", ""),
        _task_table(made.get("finish")),
        _sure(recipe, made),
        _price(made, log),
        _next(run, made),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def verdict_of(made: dict[str, Any]) -> str:
    """``EARNED (at a cost)``, the decision before there is a gate, or ``NO VERDICT``."""
    if gate := made.get("gate"):
        return f"{gate['outcome']} ({gate['label']})" if gate["label"] else str(gate["outcome"])
    decision = made.get("decide") or {}
    return str(decision.get("outcome", "NO VERDICT"))


def _title(run: Run, recipe: Recipe, made: dict[str, Any]) -> str:
    lines = [f"# {plain(recipe.recipe.name)}: {verdict_of(made)}"]
    lines.append(f"Run `{run.id}`, model {code(recipe.model.id)}.")
    if recipe.recipe.purpose:
        lines.append(f"Purpose: {plain(recipe.recipe.purpose)}")
    decision = made.get("decide")
    if recipe.recipe.override and decision and decision["outcome"] != "GO":
        lines.append(
            f"> **Overridden.** The decision was {decision['outcome']}: "
            f"{plain(decision['sentence'])} It was overridden with: "
            f'"{plain(recipe.recipe.override)}"'
        )
    return "\n\n".join(lines)


def _plain_words(recipe: Recipe, made: dict[str, Any]) -> str:
    gate, decision = made.get("gate"), made.get("decide")
    if gate:
        said = f"{_outcome_words(gate)}\n\n{plain(gate['sentence'])}"
    elif decision:
        said = f"{plain(decision['sentence'])}\n\n{_untrained(made)}"
    else:
        said = "The run has not reached its decision."
    return f"## In plain words\n\n{said}"


def _untrained(made: dict[str, Any]) -> str:
    if "train" in made:
        return "It was trained, but no gate has judged it: nothing shows that it was worth it."
    return "Nothing was trained: no compute was spent beyond the measuring."


def _outcome_words(gate: dict[str, Any]) -> str:
    """What the verdict means to somebody who pays for it."""
    compared = (
        f"Both models were fine-tuned {gate['seeds']} times by the same recipe and asked the same "
        f"questions, {gate['items']} independent ones."
    )
    gain = f"{abs(gate['estimate']):.1f} points"
    if gate["outcome"] == "EARNED":
        cost = " It has forgotten some general language for it." if gate["guard"] == "red" else ""
        return f"Training on your text was worth it: the task went up by {gain}. {compared}{cost}"
    if gate["outcome"] == "HURT":
        if gate["high"] < 0:
            return f"Training on your text made the task worse, by {gain}. {compared}"
        return f"The trained model has forgotten too much general language. {compared}"
    tie = TIES.get(gate["label"], "").format(margin=gate["margin"], mde=gate["mde"])
    return f"Training on your text has not shown that it helps the task. {tie} {compared}"


def _task_table(finish: dict[str, Any] | None) -> str:
    """Stage two's four rows."""
    if not finish:
        return ""
    rows = []
    for row in finish["rows"]:
        ships = row["name"] == f"{finish['start']}+SFT"
        name = f"**{row['name']}** (the task model)" if ships else row["name"]
        rows.append([name, f"{row['gold']:.1f}", f"{row['generic']:.4f}", f"{row['domain']:.4f}"])
    head = ("model", "gold, points", "generic, nats/token", "domain, nats/token")
    rise = f"Its generic loss is {finish['generic_rise']:+.3f} nats over the base's: "
    rise += f"{finish['guard']}."
    if finish["guard"] in ("amber", "red"):
        share = 100 * finish["mix_back"]
        rise += f" More generic text in SFT (now {share:.0f}%) holds it: `cpt finish --mix-back`."
    return f"## The task model\n\n{plain(finish['why'])}\n\n{table(head, rows)}\n\n{rise}"


def _sure(recipe: Recipe, made: dict[str, Any]) -> str:
    gate = made.get("gate")
    if not gate:
        return ""
    shared = dig(made, "scan", "gate", "contaminated_share") or 0.0
    items = [
        "The test was written down and hashed before training; it could not be chosen afterwards.",
        f"A difference of {gate['mde']:.1f} points and more would have been seen in 4 of 5 runs.",
        _tries(gate),
        _constant(made, gate),
        f"{shared:.1%} of the gold items also stand in the training text"
        + (f"; without them: {gate['clean_outcome']}." if gate.get("clean_outcome") else "."),
        f"General language: {_guard_words(gate)}",
        *(plain(said) for said in dig(made, "arms", "sentences") or []),
        "The verdict speaks for this checkpoint and this task, not for the method."
        if not dig(made, "arms", "recipe")
        else "",
    ]
    return "## How sure is this?\n\n" + "\n".join(f"- {item}" for item in items if item)


def _constant(made: dict[str, Any], gate: dict[str, Any]) -> str:
    """Arms that answered all items alike: a gate of these tells little, whatever its interval."""
    arms = (("base", made.get("baseline") or {}), ("CPT", gate))
    told = [
        f"the {name} arm under {arm['constant_seeds']} of {gate['seeds']} seeds"
        for name, arm in arms
        if arm.get("constant_seeds")
    ]
    if not told:
        return ""
    return (
        f"One and the same answer was given to every item by {' and '.join(told)}: the "
        "fine-tuning had not learnt the task there, and a gate of such arms sees little."
    )


def _tries(gate: dict[str, Any]) -> str:
    """How often this gold set was asked; a run that did not count says nothing."""
    tries, adjusted = gate.get("tries"), gate.get("p_adjusted")
    if not tries:
        return ""
    said = "1 try has" if tries == 1 else f"{tries} tries have"
    corrected = "" if adjusted is None else f"; corrected for them, {format_p_value(adjusted)}"
    return f"{said} been counted against this gold set{corrected}."


def _guard_words(gate: dict[str, Any]) -> str:
    rise = gate.get("generic_rise")
    told = "not measured" if rise is None else f"loss {rise:+.3f} nats"
    means = {"green": "kept", "amber": "slightly worse", "red": "clearly worse"}
    return f"{means.get(gate['guard'], 'not known')} ({gate['guard']}, {told})."


def _price(made: dict[str, Any], log: LogTimes) -> str:
    """Time measured by stage, beside what was predicted before."""
    if not log.seconds:
        return ""
    predicted = dig(made, "probe", "cost") or {}
    beside = {"train": predicted.get("train_seconds"), "baseline": predicted.get("gate_seconds")}
    rows = [
        [plain(name), format_duration(spent), format_duration(beside.get(name))]
        for name, spent in log.seconds.items()
        if name != "report"
    ]
    rows.append(["**all**", format_duration(sum(log.seconds.values())), ""])
    head = ("stage", "time", "predicted")
    text = table(head, rows)
    if train := made.get("train"):
        flops = f", about {predicted['train_flops']:.1e} FLOPs" if predicted else ""
        text += f"\n\nTraining read {train['tokens']:,} tokens in {train['steps']:,} steps{flops}."
    if beside["baseline"]:
        text += " The gate's prediction (at baseline) is for both of its arms."
    return f"## What it cost\n\n{text}"


def _next(run: Run, made: dict[str, Any]) -> str:
    gate, decision = made.get("gate"), made.get("decide")
    if gate:
        items = _after_gate(run, made, gate)
    elif decision:
        items = [plain(decision["instead"])] if decision["instead"] else []
        if decision["outcome"] == "GO" and "train" not in made:
            items.append("Train: a GO is permission to run the gate, no promise.")
        elif "train" in made:
            items.append("Give the recipe a gold set and SFT data, and start a new run.")
    else:
        items = [f"Go on: `cpt resume {run.id}`"]
    return "## What to do next\n\n" + "\n".join(f"- {item}" for item in items) if items else ""


def _after_gate(run: Run, made: dict[str, Any], gate: dict[str, Any]) -> list[str]:
    outcome, done = gate["outcome"], "finish" in made
    items = []
    if outcome == "EARNED":
        items.append("Ship the trained model.")
    else:
        items.append("Ship the base model; it is at least as good a bet, and it is already there.")
    if not done:
        items.append(f"Train the task model: `cpt finish {run.id}`")
    if done or outcome == "EARNED":
        items.append(f"Write the folder to ship: `cpt export {run.id} DIR`")
    if outcome == "EARNED" and "arms" not in made:
        items.append(
            "For a sceptic: is it this text, or more training of any kind? "
            f"`cpt arms {run.id} --control TEXT` trains on as much irrelevant text; `--cpt-seeds` "
            "asks whether the recipe would earn it again."
        )
    if gate["label"] == "underpowered":
        items.append(_more(gate))
    if outcome == "HURT" or gate["guard"] in ("amber", "red"):
        items.append(
            "To forget less: more mix-back, a lower learning rate, or LoRA, in a new run; it "
            "counts as another try."
        )
    if gate["label"] in ("equivalent", "trivial"):
        items.append(
            "Leave this corpus be: what the task lacks is not in it. SFT data is the next lever."
        )
    return items


def _more(gate: dict[str, Any]) -> str:
    """What would change an underpowered verdict: the gate's own figures, else the prior's."""
    items, seeds = gate.get("items_wanted"), gate.get("seeds_wanted")
    if items or seeds:
        parts = [f"{items:,} gold items" if items else "", f"{seeds} seeds" if seeds else ""]
        return f"To get an answer: {' or '.join(p for p in parts if p)}, in a new run."
    needed = items_needed(max(gate["margin"], abs(gate["estimate"]), 1.0), gate["seeds"])
    if needed is None or needed <= gate["items"]:
        return "To get an answer: more seeds; more items alone would not do."
    return (
        f"To get an answer: about {needed:,} gold items (by typical variances), in a new run; it "
        "counts as another try."
    )
