"""The draft as a recipe of one's own: every effective value spelled out, and the line to run it."""

from __future__ import annotations

from pathlib import Path

from cpt_tui.interview.draft import Draft
from engine.artifacts.decision import Evidence
from engine.errors import InputError
from engine.files import hand_over, write_atomic


def owned_text(draft: Draft, evidence: Evidence) -> str:
    """The whole file. InputError where the draft is no recipe yet."""
    from engine.recipe.defaults import default_rank
    from engine.recipe.schema import with_directive
    from engine.recipe.seal import without_seal
    from engine.recipe.written.spelled_out import spell_out

    known = {}
    if scan := evidence.scan:
        rank, why = default_rank(None, scan.domain.effective_tokens)
        known["lora.rank"] = f"{rank}, {why}"
    recipe = draft.recipe(partial=True)
    return with_directive(spell_out(recipe, without_seal(draft.text), known))


def save_as(draft: Draft, evidence: Evidence, target: Path) -> str:
    """Write the recipe to a new file; returns the line that runs it. InputError where it is there.

    The schema is placed beside it, so that an editor knows its keys.
    """
    from engine.recipe.schema import place_beside

    path = target.expanduser()
    path = path if path.suffix == ".toml" else path.with_name(f"{path.name}.toml")
    if path.exists():
        raise InputError(f"{path} is there already; give another name")
    if missing := draft.missing():
        raise InputError(f"Needed first: {' and '.join(missing)}")
    write_atomic(path, owned_text(draft, evidence))
    place_beside(path)
    hand_over(path)
    return f"cpt run {path}"
