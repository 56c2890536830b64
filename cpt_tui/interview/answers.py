"""What the interview does with answers: check, save, ask further, launch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cpt_tui.feed import Feed
from cpt_tui.interview.draft import Draft
from cpt_tui.interview.questions import VERDICT, Question
from cpt_tui.safe import clean_line
from engine.artifacts.decision import Evidence
from engine.errors import InputError
from engine.files import home
from engine.runs import launch
from engine.runs.launch import process_lives
from engine.runs.view import RunView
from engine.summary.log_lines import progress_words


def check_text(question: Question, value: str) -> str | None:
    """The text as it is kept, checked where the page can; None for an empty answer.

    Raises InputError with a sentence for the user.
    """
    value = value.strip()
    if not value:
        if question.key in ("model.id", "corpus.path"):
            raise InputError("This answer is needed; nothing can be measured without it")
        return "embedded" if question.key == "generic.path" else None
    if question.check is not None:
        question.check(value)
        local = Path(value).expanduser()
        return str(local.resolve()) if local.exists() else value
    return value


def save(draft: Draft, view: RunView, given: Mapping[str, object]) -> None:
    """Write answers; InputError once training has begun, since the gate is pinned to them."""
    if draft.started and draft.frozen(view):
        raise InputError(
            "Training has begun on these answers, so they stand; "
            "for other answers begin a new interview (n on the home screen)"
        )
    draft.set(given)


def marks(draft: Draft) -> dict[str, str]:
    """The user's mark for each term; entries that are no mark are left out."""
    held = draft.get("interview.term_marks")
    known = held.items() if isinstance(held, dict) else ()
    return {term: mark for term, mark in known if mark in ("passable", "not_passable")}


def marked(draft: Draft, term: str, mark: str) -> dict[str, str] | None:
    """All marks with this one set, or taken back by an empty ``mark``; None if none is left."""
    held = {**marks(draft), term.strip(): mark}
    return {name: word for name, word in held.items() if word} or None


def next_unmarked(terms: list[str], held: dict[str, str], at: int) -> int:
    """The next term after ``at`` without a mark, round the end; ``at`` if all have one."""
    order = [(at + step) % len(terms) for step in range(1, len(terms) + 1)]
    return next((i for i in order if terms[i].strip() not in held), at)


def waits(page: str, evidence: Evidence) -> bool:
    """Whether a page needs a measurement that is not there yet."""
    from engine.decision.tree import NODES

    if page == VERDICT.id:
        return not evidence.scan
    return any(node.needs and not node.needs(evidence) for node in NODES if node.id == page)


def setup_words(draft: Draft, questions: tuple[Question, ...]) -> dict[str, str]:
    """A word for each page that is no node of the tree: what was answered."""
    found = {}
    for question in questions:
        if question.key and not question.node:
            value = draft.get(question.key)
            if not value and question.id == "generic":
                value = "embedded"
            found[question.id] = clean_line(Path(str(value)).name, 16) if value else ""
    return found


def silent_death(pid: int | None, feed: Feed) -> str:
    """A sentence if the worker we started ended without a word in the log; else empty."""
    if pid is None or feed.view.ended or feed.status.alive:
        return ""
    if process_lives(pid):
        return ""
    return f"The worker ended at once: {feed.run.last_words() or 'see worker.log'}"


def doing(feed: Feed | None) -> str:
    """What a living worker is at, in a line; empty if none lives."""
    if feed is None or not feed.status.alive:
        return ""
    stage = feed.view.stages.get(feed.view.current or feed.status.stage)
    if stage is None:
        return f"worker {feed.status.words}"
    told = progress_words(stage.progress, feed.view.at_work) if stage.progress else "working"
    return f"{stage.name}: {clean_line(told)}"


def launch_worker(draft: Draft, stages: tuple[str, ...]) -> int:
    """Check the recipe and all that it points at, and start a worker on it. Raises InputError."""
    from engine.demo.demo import is_demo
    from engine.preflight import check_recipe

    recipe = draft.recipe()
    if not is_demo(recipe):
        check_recipe(recipe, home(), draft.run.training_begun)
    draft.remember_measured()
    return launch.start(draft.run, stages)
