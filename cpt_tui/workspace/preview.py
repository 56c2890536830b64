"""One run on a page: what it is about, what became of it, what each stage found."""

from __future__ import annotations

import json

from rich.text import Text

from cpt_tui.drawing.page import Page
from cpt_tui.run_list import RunRow
from cpt_tui.safe import clean_line
from engine.files import open_regular
from engine.formatting import format_short_duration
from engine.stages import EXTEND, LATER_STAGES, STAGES
from engine.summary.findings import finding

MOST_BYTES = 8 << 20
"""Of an artifact that is read for a preview."""
MOST_LINES = 4
"""Shown of what a stage found."""
SHOWN = ("gate", "arms", "finish", "train", "decide", "probe", "scan")
"""Stages in the order of what a person looks for first."""


def read_findings(row: RunRow) -> dict[str, list[str]]:
    """What each finished stage found, in lines. Reads files: call it in a thread."""
    found = {}
    for stage in (*STAGES, EXTEND, *LATER_STAGES):
        if stage not in SHOWN:
            continue
        try:
            with open_regular(row.run.artifact_path(stage)) as handle:
                evidence = json.loads(handle.read(MOST_BYTES))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(evidence, dict):
            found[stage] = finding(stage, evidence)
    return found


def preview_text(row: RunRow, found: dict[str, list[str]], width: int) -> Text:
    """The page, at most ``width`` cells wide."""
    page = Page()
    page.quote(row.name, width, indent=0)
    if row.name != row.run.id:
        page.add(clean_line(row.run.id, width), "dim")
    page.add()
    page.item("model", row.model or "not named", width, "dim", at=8)
    page.item("text", row.corpus or "not named", width, "dim", at=8)
    page.put(f"{'state':<8}", "dim").state(clean_line(row.word or "reading", width)).add()
    page.item("age", row.age, width, "dim", at=8)
    page.item("stage", row.stage, width, "dim", at=8)
    if row.seconds_left is not None:
        page.item("left", format_short_duration(row.seconds_left), width, "dim", at=8)
    if row.note:
        page.item("note", row.note, width, "bold yellow", at=8)
    if row.message and row.state in ("failed", "stopped"):
        page.add()
        page.quote(row.message, width, indent=0, limit=400)
    for stage in SHOWN:
        lines = found.get(stage)
        if lines:
            page.heading(stage)
            for line in lines[:MOST_LINES]:
                page.quote(line, width, indent=0, limit=300)
    page.text.rstrip()
    return page.text
