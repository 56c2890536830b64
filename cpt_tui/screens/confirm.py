"""Small questions on top of a screen: yes or no, a choice, a line of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from cpt_tui.interview.paths import name_matches
from cpt_tui.keys.registry import bindings
from cpt_tui.panels.path_input import PathInput
from cpt_tui.safe import clean, clean_line

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer]):
    """A small question; the glossary is one key away from it too."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("dialog")

    def action_glossary(self) -> None:
        from cpt_tui.screens.glossary import GlossaryScreen

        self.app.push_screen(GlossaryScreen())


class ConfirmScreen(Dialog[bool]):
    """Asks before anything is done to a worker. Enter alone never says yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes"),
        Binding("n,escape,enter,q", "answer(False)", "no"),
    ]

    def __init__(self, question: str, detail: str = "", yes: str = "yes") -> None:
        super().__init__()
        self._question, self._detail, self._yes = question, detail, yes

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Text(clean(self._question), "bold"), markup=False)
            yield Static(Text(clean(self._detail)), markup=False)
            yield Static(Text(f"\ny  {self._yes}      n or Esc  no"), markup=False)

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)


class ChoiceScreen(Dialog[int | None]):
    """A list to choose from with arrows and Enter, or by number."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "give_up", "back"),
        Binding("j", "move(1)", show=False),
        Binding("k", "move(-1)", show=False),
        Binding("g", "end(0)", show=False),
        Binding("G", "end(-1)", show=False),
        *(Binding(str(i), f"pick({i})", show=False) for i in range(10)),
    ]

    def __init__(self, question: str, choices: Sequence[str], start: int = 0) -> None:
        super().__init__()
        self._question, self._choices, self._start = question, list(choices), start
        self._typed = ""

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Text(clean(self._question), "bold"), markup=False)
            room = min(64, self.app.size.width - 12)
            options = [
                Option(Text(f"{i:>2}  {clean(choice, room)}"))
                for i, choice in enumerate(self._choices, 1)
            ]
            yield OptionList(*options, markup=False, compact=True)

    def on_mount(self) -> None:
        choices = self.query_one(OptionList)
        choices.highlighted = self._start
        choices.focus()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_index)

    def action_move(self, by: int) -> None:
        at = (self.query_one(OptionList).highlighted or 0) + by
        self.query_one(OptionList).highlighted = at % len(self._choices)

    def action_end(self, at: int) -> None:
        """The first choice, or the last."""
        self.query_one(OptionList).highlighted = at % len(self._choices)

    def action_pick(self, digit: int) -> None:
        """A number chooses; where another digit could follow, it waits for it or for Enter."""
        number = int(f"{self._typed}{digit}")
        if not 1 <= number <= len(self._choices):
            self._typed = ""
            return
        if number * 10 <= len(self._choices):
            self._typed = str(number)
            self.query_one(OptionList).highlighted = number - 1
            return
        self.dismiss(number - 1)

    def action_give_up(self) -> None:
        self.dismiss(None)


class TextLineScreen(Dialog[str]):
    """Asks for a line of text; empty means no."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "give_up", "back")]

    def __init__(
        self, question: str, detail: str = "", start: str = "", path: bool = False
    ) -> None:
        super().__init__()
        self._question, self._detail, self._start = question, detail, start
        self._path = path

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Text(clean(self._question), "bold"), markup=False)
            yield Static(Text(clean(self._detail)), markup=False)
            field = PathInput(clean(self._start))
            field.completes = self._path
            yield field
            keys = "Tab completes, " if self._path else ""
            yield Static(Text(f"{keys}Enter keeps it, Esc goes back", "dim"), id="hint")

    @on(PathInput.Matches)
    def _matches(self, event: PathInput.Matches) -> None:
        said = name_matches(event.names, 68) if event.names else "Enter keeps it, Esc goes back"
        self.query_one("#hint", Static).update(Text(clean_line(said), "dim"))

    @on(Input.Submitted)
    def _done(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip())

    def action_give_up(self) -> None:
        self.dismiss("")
