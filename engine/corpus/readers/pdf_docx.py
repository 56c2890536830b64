"""Papers: the text of .pdf and .docx files, by the optional extra ``documents``."""

from __future__ import annotations

import importlib.util
import zipfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

from engine.corpus.files.members import Member
from engine.corpus.files.streams import RATIO
from engine.corpus.ledger import Fault, Ledger, Row

EXTRA = "pip install 'cpt-tui[documents]'"
LONGEST_PAPER = 256 << 20
"""A .pdf or .docx beyond this many bytes is refused: its readers hold it in memory."""


def paper_rows(item: Member, ledger: Ledger) -> Iterator[Row]:
    """The text of a .pdf or .docx file as one document. Raises Fault."""
    module, read = {"pdf": ("pypdf", _pdf), "docx": ("docx", _docx)}[item.kind]
    if importlib.util.find_spec(module) is None:
        message = f"{item.name} is a .{item.kind} file, which needs an extra: {EXTRA}"
        raise Fault("needs the documents extra", message)
    begun = ledger.bytes_found
    with item.seekable(ledger) as handle:
        size = handle.seek(0, 2)
        handle.seek(0)
        if size > LONGEST_PAPER:
            message = f"{item.name} is larger than {LONGEST_PAPER >> 20} MB; give its text"
            raise Fault("too large a paper", message)
        text = _guarded(item, handle, read)
    if not text.strip():
        message = f"{item.name} holds no text (scanned pages?); give its text"
        raise Fault("no text", message)
    yield Row(1, text, ledger.bytes_found - begun)


def _guarded(item: Member, handle: BinaryIO, read: Callable[[BinaryIO], str]) -> str:
    """The text; whatever the library raises is the file's fault."""
    try:
        return read(handle)
    except (Exception, RecursionError) as error:
        if isinstance(error, Fault):
            raise
        what = " ".join(str(error).split())[:80] or type(error).__name__
        message = f"{item.name} is not a readable .{item.kind} file ({what}); give its text"
        raise Fault(f"broken {item.kind}", message) from None


def _pdf(handle: BinaryIO) -> str:
    import logging

    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    reader = PdfReader(handle)
    if reader.is_encrypted and not reader.decrypt(""):
        raise ValueError("it is locked with a password")
    return "\n\n".join(page.extract_text() for page in reader.pages)


def _docx(handle: BinaryIO) -> str:
    """Paragraphs and tables in their order, cells of a row joined with tabs."""
    with zipfile.ZipFile(handle) as archive:
        infos = archive.infolist()
        size = sum(info.file_size for info in infos)
        if size > max(RATIO * sum(i.compress_size for i in infos), LONGEST_PAPER):
            raise ValueError(f"it unpacks to {size:,} bytes")
    handle.seek(0)
    import docx
    from docx.table import Table

    parts: list[str] = []
    for block in docx.Document(handle).iter_inner_content():
        if isinstance(block, Table):
            parts += ["\t".join(cell.text for cell in row.cells) for row in block.rows]
        else:
            parts.append(block.text)
    return "\n".join(parts)
