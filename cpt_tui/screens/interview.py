"""The interview: one question a page, the rule beside it, every answer saved at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import App
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Input, OptionList

from cpt_tui.interview import answers
from cpt_tui.interview.owned import save_as
from cpt_tui.interview.paths import name_matches
from cpt_tui.interview.questions import GO_ON, MARK, MEASURE, Choice
from cpt_tui.keys.registry import bindings
from cpt_tui.panels.path_input import PathInput
from cpt_tui.safe import clean_line
from cpt_tui.screens.confirm import ChoiceScreen, TextLineScreen
from cpt_tui.screens.interview_view import InterviewView
from engine.artifacts.decision import Verdict
from engine.errors import CptError, InputError
from engine.recipe.method_facts import TRAIN_METHODS, argued_methods
from engine.stages import CHECK_STAGES, STAGES

FEWEST_SEEDS = 5
"""Of a gate that needs no argument."""
DIALS = {
    "cap": ("train.max_tokens", "Training tokens at most?", "As 500000; generic ones count.", 1e12),
    "items": ("gate.max_items", "Gold items at most?", "Fewer cannot show small effects.", 1e6),
    "seeds": ("gate.seeds", "How many seeds?", "Each is one more fine-tuning of both arms.", 50),
}
"""What the price is made of: the key, the question, what it means, the largest number."""
CHECK_AFTER = 0.4
"""Seconds that the typing rests before a path is looked at."""


class InterviewScreen(InterviewView):
    """Walks the pages forth and back; measures on request; ends in a verdict."""

    PLACE = "interview"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("interview"),
        *(Binding(str(i), f"pick({i - 1})", show=False) for i in range(1, 10)),
    ]

    def go_to(self, index: int) -> None:
        """Show the page at ``index``; out of range stays."""
        if 0 <= index < len(self.questions):
            self.at = index
            self.term = 0
            self._say("")
            self.open_page()

    # keys

    @work(exclusive=True)
    async def action_next(self) -> None:
        """Forth; a text that was changed is checked and kept first."""
        field = self.query_one(Input)
        if self.question.is_text and field.value != self._refused and self._changed(field.value):
            if await self._keep_text(field.value):
                self.go_to(self.at + 1)
        else:
            self.go_to(self.at + 1)

    def _changed(self, value: str) -> bool:
        held = self._given()
        return value.strip() != ("" if held in (None, "embedded") else clean_line(held))

    def action_back(self) -> None:
        self.go_to(self.at - 1)

    @work
    async def action_jump(self) -> None:
        names = [f"{question.id:<11} {question.title}" for question in self.questions]
        index = await self.app.push_screen_wait(ChoiceScreen("Go to", names, self.at))
        if index is not None:
            self.go_to(index)

    def action_pick(self, index: int) -> None:
        if index < len(self._choices) and not self.question.is_text:
            self._choose(self._choices[index])

    def action_scroll_page(self, way: int) -> None:
        """Half a page down or up; the choices keep the focus."""
        page = self.query_one("#interview-page", VerticalScroll)
        page.scroll_relative(y=way * max(1, page.size.height // 2), animate=False)

    def action_term(self, way: int) -> None:
        """Another of the surprising terms, on their page."""
        if told := self.evidence.explanations:
            self.term = (self.term + way) % len(told)
            self.draw()

    @work
    async def action_leave(self) -> None:
        """Back to the screen before; a text that was typed is kept first, if it passes."""
        field = self.query_one(Input)
        typed = self.question.is_text and field.value.strip() and self._changed(field.value)
        if typed and field.value != self._refused and not await self._keep_text(field.value):
            return  # the fault is in place; Esc once more gives the text up
        self.leave()

    def action_watch(self) -> None:
        if self.draft.started:
            self.opener.open_run(self.draft.run)

    @work(exclusive=True, group="measure")
    async def action_measure(self) -> None:
        """Scan, probe and decide in a worker; progress stands in the header."""
        if missing := self.draft.missing():
            self._say(f"Needed first: {' and '.join(missing)}")
            return
        await self._launch(CHECK_STAGES)

    # answers

    @on(Input.Submitted, "#field")
    @work(exclusive=True)
    async def _text_given(self, event: Input.Submitted) -> None:
        if not self._changed(event.value) or await self._keep_text(event.value):
            self.go_to(self.at + 1)

    @on(Input.Changed, "#field")
    def _text_changed(self, event: Input.Changed) -> None:
        """A fault is one of the text that it was found in."""
        if self._refused and event.value != self._refused:
            self._refused = ""
            self._say("")
        if self.question.check is not None:
            self.say_check("")
            if event.value.strip() and self._changed(event.value):
                self._check_soon(event.value)

    @work(exclusive=True, group="check")
    async def _check_soon(self, value: str) -> None:
        """What stands at the path, before Enter; once the typing rests."""
        await asyncio.sleep(CHECK_AFTER)
        check = self.question.check
        if check is None:
            return
        try:
            found, style = await asyncio.to_thread(check, value.strip()), "green"
        except (CptError, OSError) as error:
            found, style = str(error), "yellow"
        if self.is_attached and self.query_one(Input).value == value:
            self.say_check(found, style)

    @on(PathInput.Matches)
    def _matches(self, event: PathInput.Matches) -> None:
        self.say_check(name_matches(event.names, self.size.width - 6))

    @on(OptionList.OptionSelected, "#options")
    def _option_chosen(self, event: OptionList.OptionSelected) -> None:
        if event.option_index < len(self._choices):
            self._choose(self._choices[event.option_index])

    async def _keep_text(self, value: str) -> bool:
        """Check a text answer and write it; False with the fault in place if refused."""
        question = self.question
        try:
            kept = await asyncio.to_thread(answers.check_text, question, value)
            self._save({question.key: kept})
        except (CptError, OSError) as error:
            self._refused = value
            self._say(str(error))
            return False
        return True

    def _save(self, given: Mapping[str, object]) -> None:
        """Write answers to the draft. InputError once training has begun on them."""
        answers.save(self.draft, self.view, given)
        self.judge()

    def _choose(self, choice: Choice) -> None:
        if str(choice.value).startswith(MARK):
            self._mark(str(choice.value).removeprefix(MARK))
        elif choice.value == MEASURE:
            self.action_measure()
        elif choice.value == "watch":
            self.action_watch()
        elif choice.value == "leave":
            self.action_leave()
        elif choice.value == GO_ON and not self.question.key:
            self.go_to(self.at + 1)
        elif self.question.key:
            self._keep_choice(choice)
        else:
            self._act(str(choice.value))

    def _mark(self, mark: str) -> None:
        """Mark the term in front and go to the next one without a mark."""
        told = self.evidence.explanations
        if not told:
            return
        terms = [item.term for item in told]
        marks = answers.marked(self.draft, terms[self.term % len(terms)], mark)
        try:
            self._save({"interview.term_marks": marks, "interview.explains_terms": None})
        except (CptError, OSError) as error:
            self._say(str(error))
            return
        if mark:
            self.term = answers.next_unmarked(terms, marks or {}, self.term)
        self._choices = ()
        self.draw()
        self.query_one("#interview-page", VerticalScroll).scroll_home(animate=False)

    def _keep_choice(self, choice: Choice) -> None:
        try:
            self._save({self.question.key: choice.value})
        except (CptError, OSError) as error:
            self._say(str(error))
            return
        if choice.value is None and answers.waits(self.question.id, self.evidence):
            self.draw()
            self.action_measure()
        else:
            self.go_to(self.at + 1)

    @work
    async def _act(self, name: str) -> None:
        """Choices that ask further: the method's, and those of the verdict."""
        try:
            if name in ("start", "override"):
                await self._train(name == "override")
                return
            if name == "save":
                await self._save_as()
                return
            given = await ask_method(self.app, name)
            if given:
                self._save(given)
        except (CptError, OSError) as error:
            self._say(str(error))
            return
        self.draw()

    async def _save_as(self) -> None:
        """Ask for a file, write the recipe, and say how it is run; that line is copied too."""
        start = str(Path.cwd() / f"{self.draft.recipe(partial=True).recipe.name}.toml")
        detail = "A new file: your answers, every value in force, the evidence below."
        asked = TextLineScreen("Save as", detail, start, path=True)
        given = await self.app.push_screen_wait(asked)
        if given:
            line = await asyncio.to_thread(save_as, self.draft, self.evidence, Path(given))
            self.app.copy_to_clipboard(line)
            self.opener.say_at_end(f"The recipe is yours; run it with: {line}")
            self.notify(f"Saved. Run it with: {line}", markup=False, timeout=20)

    async def _train(self, override: bool) -> None:
        if override and not await self._override():
            return
        if await self._launch(STAGES):
            self.opener.open_run(self.draft.run, instead=True)

    async def _override(self) -> bool:
        reason = await ask_override(self.app, self.verdict)
        if reason:
            self._save({"recipe.override": reason})
        return bool(reason)

    async def _launch(self, stages: tuple[str, ...]) -> bool:
        """Start a worker on the draft; False with the fault in place."""
        try:
            self._pid = await asyncio.to_thread(answers.launch_worker, self.draft, stages)
        except (CptError, OSError) as error:
            self._say(str(error))
            return False
        self._say("")
        return True


async def ask_method(app: App[object], name: str) -> Mapping[str, object]:
    """The recipe keys for a choice on the method page; empty if the user gave up."""
    if method := TRAIN_METHODS.get(name):
        keys = {"train.method": name, **{f"train.{m.why_key}": None for m in argued_methods()}}
        if not method.why_key:
            return keys
        why = await _line(app, f"Why {method.words}?", f"It {method.needs_why}. Kept for ever.")
        return {**keys, f"train.{method.why_key}": why} if why else {}
    if name in DIALS:
        key, question, detail, most = DIALS[name]
        number = _number(await _line(app, question, detail), 1, most)
        if number is None:
            return {}
        if name == "seeds" and number < FEWEST_SEEDS:
            why = await _line(app, "Why fewer than five seeds?", "The gate sees less with fewer.")
            reasoned = {key: list(range(int(number))), "gate.why_fewer_seeds": why}
            return reasoned if why and number > 1 else {}
        return {key: list(range(int(number))) if name == "seeds" else int(number)}
    if name == "epochs":
        epochs = _number(
            await _line(app, "How many epochs?", "Above 1 asks for a reason."), 1e-3, 100
        )
        if epochs is None or epochs <= 1:
            return {} if epochs is None else {"train.epochs": epochs, "train.why_epochs": None}
        why = await _line(app, "Why more than one epoch?", "Repeating text mostly memorises it.")
        return {"train.epochs": epochs, "train.why_epochs": why} if why else {}
    share = _number(await _line(app, "Share of generic text, 0 to 0.9?", "Proposed: 0.10"), 0, 0.9)
    if share is None or share > 0:
        return {} if share is None else {"pack.mix_back": share, "pack.why_no_mix_back": None}
    why = await _line(app, "Why no mix-back?", "Without generic text the model forgets more.")
    return {"pack.mix_back": 0.0, "pack.why_no_mix_back": why} if why else {}


async def ask_override(app: App[object], verdict: Verdict | None) -> str:
    """The reason to train past the verdict; empty if the user gave up."""
    outcome = verdict.outcome if verdict else "not decided"
    return await _line(
        app, f"The verdict is {outcome}. Why train anyway?", "Kept in the recipe and the report."
    )


async def _line(app: App[object], question: str, detail: str) -> str:
    return await app.push_screen_wait(TextLineScreen(question, detail))


def _number(text: str, low: float, high: float) -> float | None:
    """The number in the text; None for an empty text. InputError outside of its range."""
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"'{clean_line(text, 40)}' is not a number") from None
    if not low <= value <= high:
        raise InputError(f"{value:g} is outside of {low:g} to {high:g}")
    return value
