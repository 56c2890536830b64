"""The report's part on the vocabulary: what new tokens did, or the offer of them."""

from __future__ import annotations

from typing import Any

from engine.recipe.sections import Recipe
from engine.report.markdown import plain, table
from engine.summary.findings import POINTS, dig
from engine.thresholds import effective


def vocabulary(run: str, recipe: Recipe, made: dict[str, Any]) -> str:
    """What an extension did; the offer after a run whose tokens are the bottleneck; or nothing."""
    if "extend" in made:
        parts = [_said(made["extend"]), _lengths(made["extend"]), _losses(made), _tokens(made)]
        return "## Vocabulary\n\n" + "\n\n".join(part for part in parts if part) + "\n"
    return _offer(run, recipe, made)


def _said(found: dict[str, Any]) -> str:
    first = found["first_run"]
    return (
        f"{found['tokens']:,} new tokens, out of {found['candidates']:,} that each save at least "
        f"{found['least']:,} of {found['training_tokens']:,} training tokens; "
        f"{found['on_the_way']:,} stand there less often by themselves, being steps on the way to "
        f"longer ones. Asked for after run `{first['run']}`, which measured "
        f"{first['fertility_ratio']:.2f} times generic text's tokens a word (at least "
        f"{first['limit']:g})."
    )


def _lengths(found: dict[str, Any]) -> str:
    rows = [
        [side, f"{before:.1f}", f"{after:.1f}", f"{after / before - 1:+.1%}" if before else ""]
        for side, (before, after) in found["tokens_per_document"].items()
    ]
    return table(("tokens a held-out document", "before", "after", "change"), rows)


def _losses(made: dict[str, Any]) -> str:
    train = made.get("train") or {}
    points = dig(train, "vocab", "bits_per_byte") or made["extend"]["bits_per_byte"]
    rows = [
        [what, *(f"{points[at][side]:.4f}" for side in ("domain", "generic"))]
        for at, what in POINTS.items()
        if at in points
    ]
    text = table(("held-out bits/byte, same text", "domain", "generic"), rows)
    if steps := dig(train, "vocab", "rows_steps"):
        text += (
            f"\n\nThe new rows were trained alone for the first {steps:,} of {train['steps']:,} "
            "steps. Losses in nats/token above are of the new tokens. The gate's base arm reads "
            "with the base's own tokens."
        )
    return text


def _tokens(made: dict[str, Any]) -> str:
    rows = [
        [
            plain(one["token"]),
            " · ".join(plain(piece) for piece in one["pieces"]),
            f"{one['count']:,}",
            f"{one['saved']:,}",
        ]
        for one in made["extend"].get("largest") or []
    ]
    return table(("new token", "old pieces", "times", "tokens saved"), rows) if rows else ""


def _offer(run: str, recipe: Recipe, made: dict[str, Any]) -> str:
    """To a second run, where this one has trained and its tokens cost what the threshold says."""
    ratio = dig(made, "scan", "fertility", "ratio")
    limit = effective(recipe.probe.thresholds)["fertility_problem"]
    if "train" not in made or ratio is None or ratio < limit or recipe.interview.distil:
        return ""
    return (
        f"## Vocabulary\n\nA word of this corpus costs {ratio:.2f} times the tokens of a generic "
        f"one (at least {limit:g}). A second run may add tokens for it, and measure whether that "
        f'pays:\n\n```toml\n[vocab]\nextend = true\nfirst_run = "{run}"\n```\n'
    )
