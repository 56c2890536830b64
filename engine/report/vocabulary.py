"""The report's part on the vocabulary: what new tokens did, or the offer of them."""

from __future__ import annotations

from engine.artifacts.all_stages import Artifacts
from engine.artifacts.training import ExtendArtifact, FirstRun, NewToken, TrainArtifact
from engine.recipe.sections import Recipe
from engine.report.markdown import inert, table
from engine.summary.findings import POINTS
from engine.thresholds import effective


def render_vocabulary(run: str, recipe: Recipe, made: Artifacts) -> str:
    """What an extension did; the offer after a run whose tokens are the bottleneck; or nothing."""
    if extend := made.extend:
        parts = [
            _describe_extension(extend),
            _render_lengths(extend),
            _render_losses(extend, made.train or TrainArtifact()),
            _render_tokens(extend.largest) if extend.largest else "",
        ]
        return "## Vocabulary\n\n" + "\n\n".join(part for part in parts if part) + "\n"
    return _offer_extension(run, recipe, made)


def _describe_extension(found: ExtendArtifact) -> str:
    text = (
        f"{found.tokens:,} new tokens, out of {found.candidates:,} that each save at least "
        f"{found.least:,} of {found.training_tokens:,} training tokens; "
        f"{found.on_the_way:,} stand there less often by themselves, being steps on the way to "
        "longer ones."
    )
    return text + (_describe_first_run(found.first_run) if found.first_run else "")


def _describe_first_run(first: FirstRun) -> str:
    if first.fertility_ratio is None or first.limit is None:
        return f" Asked for after run `{first.run}`."
    return (
        f" Asked for after run `{first.run}`, which measured {first.fertility_ratio:.2f} times "
        f"generic text's tokens a word (at least {first.limit:g})."
    )


def _render_lengths(found: ExtendArtifact) -> str:
    rows = [
        [side, f"{before:.1f}", f"{after:.1f}", f"{after / before - 1:+.1%}" if before else ""]
        for side, (before, after) in found.tokens_per_document.items()
    ]
    return table(("tokens a held-out document", "before", "after", "change"), rows)


def _render_losses(extend: ExtendArtifact, train: TrainArtifact) -> str:
    new = train.vocab
    points = (new and new.bits_per_byte) or extend.bits_per_byte
    rows = [
        [what, *(f"{points[at][side]:.4f}" for side in ("domain", "generic"))]
        for at, what in POINTS.items()
        if at in points
    ]
    text = table(("held-out bits/byte, same text", "domain", "generic"), rows)
    if new and new.rows_steps:
        text += (
            f"\n\nThe new rows were trained alone for the first {new.rows_steps:,} of "
            f"{train.steps:,} steps. Losses in nats/token above are of the new tokens. The gate's "
            "base arm reads with the base's own tokens."
        )
    return text


def _render_tokens(tokens: list[NewToken]) -> str:
    rows = [
        [
            inert(token.token),
            " · ".join(inert(piece) for piece in token.pieces),
            f"{token.count:,}",
            f"{token.saved:,}",
        ]
        for token in tokens
    ]
    return table(("new token", "old pieces", "times", "tokens saved"), rows)


def _offer_extension(run: str, recipe: Recipe, made: Artifacts) -> str:
    """To a second run, where this one has trained and its tokens cost what the threshold says."""
    fertility = made.evidence.fertility
    limit = effective(recipe.probe.thresholds)["fertility_problem"]
    if not made.train or not fertility or fertility.ratio < limit or recipe.interview.distil:
        return ""
    return (
        f"## Vocabulary\n\nA word of this corpus costs {fertility.ratio:.2f} times the tokens of a "
        f"generic one (at least {limit:g}). A second run may add tokens for it, and measure "
        "whether that pays:\n\n```toml\n[vocab]\nextend = true\n"
        f'first_run = "{run}"\n```\n'
    )
