"""The glossary: every term in a sentence; those of the screen one comes from stand first."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Footer, Input, Static

from cpt_tui import glossary
from cpt_tui.drawing.page import Page
from cpt_tui.safe import clean_line
from cpt_tui.screens.base import CptScreen

WIDEST = 100


class GlossaryScreen(CptScreen):
    """A page of terms; ``/`` narrows it down."""

    PLACE = "glossary"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "search", key_display="/"),
        Binding("j", "scroll_page(1)", "scroll", key_display="j/k"),
        Binding("k", "scroll_page(-1)", show=False),
        Binding("escape,g,f3,q", "leave", "back", key_display="esc"),
    ]

    def __init__(self, topic: str = "") -> None:
        super().__init__()
        self._topic = topic
        self._query = ""

    def compose(self) -> ComposeResult:
        yield Static(Text("Glossary"), markup=False, classes="header", id="glossary-header")
        with VerticalScroll(classes="body", id="glossary-page"):
            yield Static(markup=False, id="glossary-terms")
        field = Input(id="glossary-search", compact=True, placeholder="a word of the term")
        field.cursor_blink = False
        yield field
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(Input).display = False
        self.draw()
        self.query_one("#glossary-page").focus()

    def on_resize(self) -> None:
        self.draw()

    def draw(self) -> None:
        """The terms that match, and how many of all."""
        width = min(WIDEST, max(40, self.size.width - 4))
        terms = glossary.matching(glossary.entries(), self._query)
        head = Text("Glossary", "bold")
        if self._query:
            of = len(glossary.entries())
            head.append(f"  {len(terms)} of {of} terms hold '{clean_line(self._query, 40)}'", "dim")
        self.query_one("#glossary-header", Static).update(head)
        text = written(terms, "" if self._query else self._topic, width)
        self.query_one("#glossary-terms", Static).update(text)

    def action_search(self) -> None:
        field = self.query_one(Input)
        field.display = True
        field.focus()

    def action_scroll_page(self, way: int) -> None:
        page = self.query_one("#glossary-page")
        page.scroll_relative(y=way * max(1, page.size.height // 2), animate=False)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._query = event.value
        self.draw()
        self.query_one("#glossary-page").scroll_home(animate=False)

    @on(Input.Submitted)
    def _found(self) -> None:
        self.query_one("#glossary-page").focus()

    def action_leave(self) -> None:
        """First out of the search, then back to the screen before."""
        field = self.query_one(Input)
        if field.display:
            field.value = ""
            field.display = False
            self.query_one("#glossary-page").focus()
        else:
            self.leave()


def written(terms: list[glossary.Term], topic: str, width: int) -> Text:
    """The terms as a page, those of the topic first."""
    page = Page()
    here = [term for term in terms if topic in term.topics]
    if here:
        page.heading("On the screen you came from")
        for term in here:
            _entry(page, term, width)
        page.heading("All terms")
    for term in terms:
        _entry(page, term, width)
    if not terms:
        page.add("No term holds that. Esc shows all of them again.")
    page.text.rstrip()
    return page.text


def _entry(page: Page, term: glossary.Term, width: int) -> None:
    page.put(term.name, "bold cyan")
    page.add(f"  ({', '.join(term.aka)})" if term.aka else "", "dim")
    page.quote(term.meaning, width, limit=400)
    if term.where:
        page.item("  on screen:", term.where, width, "dim", at=13)
