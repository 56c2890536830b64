"""What the interview shows: the page, the path taken, the choices, the fault in place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from cpt_tui.feed import Feed
from cpt_tui.interview import answers
from cpt_tui.interview.draft import Draft
from cpt_tui.interview.owned import owned_text
from cpt_tui.interview.questions import Choice, Question, choices_for, questions
from cpt_tui.panels import question as drawn
from cpt_tui.panels.panel import text_width
from cpt_tui.panels.path_input import PathInput
from cpt_tui.run_list import CHANGED
from cpt_tui.safe import clean, clean_line
from cpt_tui.screens.base import CptScreen
from engine.artifacts.decision import Evidence, Step, Verdict
from engine.errors import CptError
from engine.recipe.written.spelled_out import FOLD
from engine.runs.run import Run
from engine.runs.view import RunView
from engine.thresholds import effective

BEAT = 1.0
BESIDE_FROM = 120
"""Columns of the terminal from which two texts stand side by side."""


class InterviewView(CptScreen):
    """State and drawing of the interview; ``InterviewScreen`` adds keys and answers."""

    def __init__(self, run: Run | None = None, home: Path | None = None) -> None:
        super().__init__()
        self.draft = Draft(run, home)
        self.feed = Feed(run) if run else None
        self.questions = questions()
        self.at = 0
        self.evidence = Evidence()
        self.unreadable = ""
        """What of the measurements cannot be read; empty where all can."""
        self.steps: dict[str, Step] = {}
        self.verdict: Verdict | None = None
        self.limits: dict[str, float] = effective({})
        self.term = 0
        """Which of the surprising terms is in front."""
        self._choices: tuple[Choice, ...] = ()
        self._refused = ""
        self._pid: int | None = None

    def compose(self) -> ComposeResult:
        yield Static(markup=False, id="interview-header", classes="header")
        yield Static(markup=False, id="interview-path")
        with Horizontal(id="interview-body"):
            with VerticalScroll(id="interview-rail", can_focus=False):
                yield Static(markup=False, id="trail")
            with Vertical():
                with VerticalScroll(id="interview-page"):
                    yield Static(markup=False, id="question")
                with Vertical(id="answer"):
                    yield Static(markup=False, id="progress")
                    yield Static(markup=False, id="prompt")
                    yield PathInput(id="field")
                    yield Static(markup=False, id="check")
                    yield OptionList(id="options", markup=False, compact=True)
                    yield Static(markup=False, id="fault")
            with VerticalScroll(id="interview-toml", can_focus=False):
                yield Static(markup=False, id="toml")
        yield Footer(compact=True, show_command_palette=False)

    async def on_mount(self) -> None:
        if self.feed is not None:
            await self.feed.poll()
        self.judge()
        self.at = self._first_open()
        self.open_page()
        self.call_after_refresh(self.draw)
        self.set_interval(BEAT, self.refresh_feed)

    def on_resize(self) -> None:
        if self.is_mounted:
            self.call_after_refresh(self.draw)

    @property
    def watched(self) -> Run | None:
        return self.draft.run if self.draft.started else None

    @property
    def topic(self) -> str:
        return self.question.id

    @property
    def question(self) -> Question:
        return self.questions[self.at]

    @property
    def view(self) -> RunView:
        return self.feed.view if self.feed else RunView()

    def _first_open(self) -> int:
        """The first needed page without an answer; the verdict once it was measured."""
        if self.view.evidence("decide"):
            return len(self.questions) - 1
        for i, question in enumerate(self.questions):
            needed = question.id in ("model", "corpus", "hurts", "goal")
            if needed and not self.draft.get(question.key):
                return i
        return 0 if not self.draft.started else self._index("hurts")

    def _index(self, page: str) -> int:
        return next(i for i, question in enumerate(self.questions) if question.id == page)

    def judge(self) -> None:
        """Walk the tree on what is known now."""
        from engine.decision.decide import decide, walk

        try:
            case = self.draft.case(self.view)
            self.evidence, self.limits = case.evidence, case.limits
            self.steps = {step.node: step for step in walk(case)}
            self.verdict = decide(case.evidence, case.recipe)
            self.unreadable = self.draft.describe_unreadable(self.view)
            self._say("")
        except CptError as error:
            self.steps, self.verdict = {}, None
            self._say(str(error))

    async def refresh_feed(self) -> None:
        """One beat while a measurement may run."""
        if self.feed is None:
            if not self.draft.started:
                return
            self.feed = Feed(self.draft.run)
        before = self.feed.view.ended
        changed = await self.feed.poll()
        if not self.is_attached:
            return
        self._draw_header()
        if died := answers.silent_death(self._pid, self.feed):
            self._pid = None
            self._say(died)
        if changed:
            self.judge()
            if self.feed.view.failure:
                self._say(self.feed.view.failure.message)
            self.draw()
            if self.feed.view.ended and not before and self.verdict is not None:
                said = f"Measured. On what is known now: {self.verdict.outcome} (last page)."
                self.notify(said, markup=False)

    def open_page(self) -> None:
        """Show the current page from its top, with the answer that was given."""
        self._refused = ""
        question = self.question
        field, options = self.query_one(PathInput), self.query_one(OptionList)
        field.display, options.display = question.is_text, not question.is_text
        field.completes = question.check is not None
        self.say_check("")
        if question.is_text:
            held = self.draft.get(question.key)
            field.value = clean_line(held) if held and held != "embedded" else ""
        self._choices = ()
        self.draw()
        self.query_one("#interview-page", VerticalScroll).scroll_home(animate=False)
        (field if question.is_text else options).focus()

    def draw(self) -> None:
        """The page, the path and the choices, as they are now."""
        question, scene = self.question, self._scene()
        if question.id == "verdict" and self.verdict is not None:
            text = drawn.verdict_text(self.verdict, scene)
        else:
            number = f"{self.at + 1} of {len(self.questions)}"
            text = drawn.question_text(question, number, self.steps.get(question.node), scene)
        with self.app.batch_update():
            self.put_text("#question", text)
            self._draw_path()
            self._draw_choices()
            self._draw_header()
            self._draw_toml()

    def _scene(self) -> drawn.Scene:
        """What the page is drawn from, as it is known now."""
        return drawn.Scene(
            self.evidence,
            self.limits,
            max(40, text_width(self.query_one("#interview-page", VerticalScroll))),
            self.verdict.thresholds_overridden if self.verdict else {},
            answers.marks(self.draft),
            self.term,
            side_by_side=self.app.size.width >= BESIDE_FROM,
            unreadable=self.unreadable,
        )

    def _draw_path(self) -> None:
        given = answers.setup_words(self.draft, self.questions)
        items = drawn.trail_items(self.questions, given, self.steps)
        if self.verdict is not None:
            items[-1] = ("verdict", self.verdict.outcome, "bold")
        here = self.question.id
        strip = drawn.trail_strip(items, here, max(30, self.size.width - 2))
        self.put_text("#interview-path", strip)
        self.put_text("#trail", drawn.trail_rail(items, here, 36))

    def _draw_choices(self) -> None:
        question = self.question
        waits = answers.waits(question.id, self.evidence)
        outcome = self.verdict.outcome if self.verdict else ""
        frozen = self.draft.started and self.draft.frozen(self.view)
        choices = choices_for(question, waits, "frozen" if frozen else outcome)
        prompt = question.prompt if question.choices else ""
        if question.is_text:
            keys = "Tab completes, Enter keeps it" if question.check else "Enter keeps it"
            prompt = f"{question.prompt or 'in your words'}. {keys}"
        if question.measured and waits:
            prompt = f"{prompt} (not measured yet)".strip()
        self.put_text("#prompt", Text(prompt, "dim"))
        self.query_one("#prompt").display = bool(prompt)
        if choices == self._choices or question.is_text:
            return
        self._choices = choices
        options, given = self.query_one(OptionList), self._given()
        options.clear_options()
        for i, choice in enumerate(choices, 1):
            mark = "  (your answer)" if given is not None and choice.value == given else ""
            options.add_option(Option(Text(f"{i}  {choice.label}").append(mark, "bold")))
        values = [choice.value for choice in choices]
        options.highlighted = values.index(given) if given in values else 0

    def _given(self) -> Any:
        return self.draft.get(self.question.key) if self.question.key else None

    def _draw_toml(self) -> None:
        """The file that the answers make, beside the form where there is room."""
        if not self.query_one("#interview-toml").display:
            return
        try:
            text = owned_text(self.draft, self.evidence) if self.draft.started else ""
        except CptError as error:
            text = f"# {error}"
        intent = text.partition(FOLD)[0].rstrip()
        shown = Text("recipe.toml\n\n", "bold").append(clean(intent or "# no answer yet"), "dim")
        self.put_text("#toml", shown)

    def _draw_header(self) -> None:
        text = Text(no_wrap=True, overflow="ellipsis", end="")
        text.append("Interview  ", "bold").append(clean_line(self.draft.name, 30))
        if self.feed is not None and self.feed.status.state != "none":
            text.append("  worker ", "dim").append(clean_line(self.feed.liveness()), "bold")
        if self.feed is not None and self.feed.answers_changed:
            text.append(f"  {CHANGED}", "bold yellow")
        self.put_text("#interview-header", text)
        doing = answers.doing(self.feed)
        self.put_text("#progress", Text(doing, "bold"))
        self.query_one("#progress").display = bool(doing)

    def say_check(self, said: str, style: str = "dim") -> None:
        """What was found at the path that is being typed; empty takes it away."""
        self.put_text("#check", Text(clean_line(said), style))
        self.query_one("#check").display = bool(said)

    def _say(self, fault: str) -> None:
        """A sentence in place; empty takes it away."""
        self.put_text("#fault", Text(clean(fault)))
        self.query_one("#fault").display = bool(fault)
