"""A run as a row of cells: what is shown of it at which width."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text

from cpt_tui.drawing.bars import bar
from cpt_tui.drawing.page import STATE_STYLES
from cpt_tui.run_list import RunRow
from cpt_tui.safe import clean_line
from cpt_tui.terminal import glyphs
from engine.formatting import format_short_duration

NAME, LONGEST_NAME = 16, 44
"""Cells of a run's name at least, and at most."""
VERDICT, AGE, MARK = 19, 6, 2
STAGE, BAR = 22, 4
"""``baseline ██░░ 42% 12m`` and its bar."""
ABOUT = 22
"""Cells of the model and of the text."""
GAP = 2


@dataclass(frozen=True)
class Column:
    """A column of the list."""

    name: str
    width: int


def columns(width: int) -> tuple[Column, ...]:
    """The columns that fit into a list of ``width`` cells; the names get what is left."""
    fixed = [Column("verdict", VERDICT), Column("stage", STAGE), Column("age", AGE)]
    for name in ("model", "text"):
        used = MARK + NAME + sum(GAP + column.width for column in fixed)
        if used + GAP + ABOUT <= width:
            fixed.append(Column(name, ABOUT))
    used = MARK + sum(GAP + column.width for column in fixed)
    return (Column("run", max(NAME, min(LONGEST_NAME, width - used))), *fixed)


def head_line(shown: tuple[Column, ...]) -> Text:
    """The names of the columns."""
    text = Text(" " * MARK, "dim", no_wrap=True, end="")
    for column in shown:
        text.append(f"{column.name:<{column.width}}" + " " * GAP)
    return text


def row_line(row: RunRow, shown: tuple[Column, ...], marked: bool) -> Text:
    """A run as a line of styled text, never markup."""
    made = {
        "run": Text(shortened(row.name, shown[0].width)),
        "verdict": verdict_cell(row),
        "stage": stage_cell(row),
        "age": Text(row.age, "dim"),
        "model": Text(clean_line(row.model, ABOUT), "dim"),
        "text": Text(clean_line(row.corpus, ABOUT), "dim"),
    }
    text = Text("* " if marked else "  ", no_wrap=True, end="")
    for column in shown:
        cell = made[column.name]
        cell.truncate(column.width, pad=True)
        text.append_text(cell).append(" " * GAP)
    text.right_crop(GAP)
    return text


def shortened(name: str, room: int) -> str:
    """A name on one line; a long one keeps its end, which tells runs apart."""
    cleaned = clean_line(name, 200)
    return cleaned if len(cleaned) <= room else f"{cleaned[: room - 7]}...{cleaned[-4:]}"


def verdict_cell(row: RunRow) -> Text:
    """``EARNED +4.35 amber``: the verdict or state, its size, what must be seen beside it."""
    text = Text(clean_line(row.word, 12), STATE_STYLES.get(row.word, ""))
    if row.effect is not None and row.state == "ended":
        text.append(f" {row.effect:+.2f}")
    style = "bold yellow" if row.changed else STATE_STYLES.get(row.guard, "")
    return text.append(f" {row.short_note}", style) if row.short_note else text


def stage_cell(row: RunRow) -> Text:
    """Where it is, how far, and what is left of that."""
    text = Text(clean_line(row.stage, 9))
    if row.share is not None:
        text.append(" " + glyphs(bar(row.share, 1.0, BAR)), "dim").append(f" {row.share:.0%}")
    if row.seconds_left is not None:
        text.append(f" {format_short_duration(row.seconds_left)}", "bold")
    return text
