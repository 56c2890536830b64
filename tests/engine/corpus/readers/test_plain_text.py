"""Pages, source code and papers: one document each, and the extra named where it is missing."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import pytest

from engine.corpus.readers import plain_text as text_readers
from engine.corpus.readers.pdf_docx import EXTRA
from engine.corpus.text import LONGEST
from engine.errors import InputError
from tests.engine.corpus.sources import PROSE, corpus, read, texts

PAGE = """<!doctype html><html><head><title>T</title><style>p { color: red }</style></head><body>
<script>var hidden = "<p>no</p>";</script><h1>Head  line</h1><p>One <b>bo</b>ld w<i>or</i>d,
   wrapped &amp; spaced&nbsp;out.</p><p>Two<br>lines</p><ul><li>a<li>b</ul>
<pre>def f():
    return  1</pre><table><tr><td>1</td><td>2</td></tr></table><!-- no --><noscript>no</noscript>
</body></html>"""


@pytest.mark.parametrize("suffix", [".html", ".htm", ".xhtml"])
def test_a_page_is_its_text(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_text(PAGE)
    source = corpus(tmp_path / f"a{suffix}")
    (found,) = read(source)
    assert "One bold word, wrapped & spaced" in found
    assert "Two\nlines" in found
    assert "def f():\n    return  1" in found
    assert not any(word in found for word in ("hidden", "color", "<", "no"))
    assert source.kinds() == {"page": len(PAGE.encode())}


BAD_PAGES = [
    "<p>" * 200_000 + "deep",
    "<div><p>" * 5000,
    "<a href='" + "x" * 1_000_000,
    "&#xFFFFFFFF; &#0; &bogus; <\x01\x02p>text</\x00p>",
    "<![CDATA[ <!-- <!doctype <html",
    "<table>" * 3000 + "<tr><td>" * 3000 + "cell",
    "\ufffe<svg><math><mtext></svg>after",
]


@pytest.mark.parametrize("page", BAD_PAGES, ids=range(len(BAD_PAGES)))
def test_broken_pages_do_not_crash(tmp_path: Path, page: str) -> None:
    (tmp_path / "a.html").write_text(page)
    (tmp_path / "b.txt").write_text("good")
    assert read(corpus(tmp_path))[-1] == "good"


def test_a_page_without_text_and_one_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.html").write_text("<html><script>only()</script></html>")
    with pytest.raises(InputError, match="holds no text"):
        corpus(tmp_path / "a.html").check()
    monkeypatch.setattr(text_readers, "LONGEST_PAGE", 1000)
    (tmp_path / "a.html").write_text(f"<p>{PROSE * 100}</p>")
    with pytest.raises(InputError, match="HTML page above"):
        corpus(tmp_path / "a.html").check()


ARTICLE = """<html><body><header><nav><a href="/">Home</a> <a href="/a">About us</a></nav></header>
<main><article><h1>Rivers</h1><p>{prose}</p><p>{prose}</p></article></main>
<aside><a href="x">Related posts</a></aside><footer>Cookie policy</footer></body></html>"""


def test_a_page_is_read_by_its_main_text(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(ARTICLE.format(prose=PROSE * 9))
    source = corpus(tmp_path / "a.html")
    (text,) = read(source)
    assert "Rivers" in text
    assert text.count(PROSE.strip()[:30]) == 18
    assert not [menu for menu in ("Home", "About", "Related", "Cookie") if menu in text]
    assert source.ledger.notes == []


def test_a_page_without_a_main_text_is_read_whole_and_said(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(f"<body><div class='sidebar'>{PROSE * 9}</div></body>")
    source = corpus(tmp_path / "a.html")
    assert PROSE.strip()[:30] in read(source)[0]
    assert "no main text" in source.ledger.notes[0]


def test_code_is_one_document_whatever_its_length(tmp_path: Path) -> None:
    body = "\n\n".join(f"def f{n}():\n    return {n}  # {PROSE.strip()}" for n in range(2000))
    (tmp_path / "a.py").write_text(body + "\n")
    (tmp_path / "b.rs").write_text('fn main() { println!("<|endoftext|>"); }\n<|endoftext|>\n')
    source = corpus(tmp_path)
    assert read(source)[0] == body
    assert len(read(source)) == 2
    assert {sample.kind for sample in source.samples(10)} == {"code"}
    assert next(source.documents()).origin.endswith("a.py:1")


def test_code_beyond_all_measure_is_cut_and_said(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("x = 1;\n" * (LONGEST // 7 + 1000))
    source = corpus(tmp_path / "a.js")
    assert len(read(source)) > 100
    assert "longer than 2,000,000 characters" in source.ledger.notes[0]


# papers


def make_pdf(words: list[str]) -> bytes:
    """A PDF with one line on each page, written by hand (pypdf writes no text)."""
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(words)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(words)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for i, line in enumerate(words):
        page = "/Type /Page /Parent 2 0 R /MediaBox [0 0 600 800]"
        fonts = "/Resources << /Font << /F 3 0 R >> >>"
        objects.append(f"<< {page} {fonts} /Contents {5 + 2 * i} 0 R >>")
        drawn = f"BT /F 12 Tf 50 700 Td ({line}) Tj ET"
        objects.append(f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream")
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    end = f"trailer << /Size {size} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF"
    return out + f"xref\n0 {size}\n0000000000 65535 f \n{table}{end}".encode()


def make_docx(path: Path) -> None:
    docx = pytest.importorskip("docx")
    document = docx.Document()
    document.add_heading("A title", 1)
    document.add_paragraph("First paragraph.")
    table = document.add_table(rows=1, cols=2)
    table.cell(0, 0).text, table.cell(0, 1).text = "left", "right"
    document.add_paragraph("Größe 川")
    document.save(str(path))


def test_a_pdf_is_its_text(tmp_path: Path) -> None:
    pytest.importorskip("pypdf")
    (tmp_path / "a.pdf").write_bytes(make_pdf(["First page here.", "And a second."]))
    assert read(corpus(tmp_path / "a.pdf")) == ["First page here.\n\nAnd a second."]


def test_a_docx_is_its_text_in_order(tmp_path: Path) -> None:
    make_docx(tmp_path / "a.docx")
    want = "A title\nFirst paragraph.\nleft\tright\nGröße 川"
    assert read(corpus(tmp_path / "a.docx")) == [want]
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.write(tmp_path / "a.docx", "inner/a.docx")
    assert read(corpus(tmp_path / "b.zip")) == [want]


def test_broken_papers_are_refused_by_name(tmp_path: Path) -> None:
    pytest.importorskip("pypdf")
    (tmp_path / "ok.txt").write_text("good")
    pdf = make_pdf(["First page here."])
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"a" * (300 << 20))
    bad = {
        "cut.pdf": pdf[: len(pdf) // 3],
        "none.pdf": b"",
        "junk.pdf": b"%PDF-1.4\n" + b"\xff" * 500,
        "blank.pdf": make_pdf([""]),
        "junk.docx": b"PK\x03\x04 junk",
        "bomb.docx": bomb.getvalue(),
    }
    for name, raw in bad.items():
        (tmp_path / name).write_bytes(raw)
        with pytest.raises(InputError) as caught:
            corpus(tmp_path / name).check()
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    source = corpus(tmp_path)
    assert read(source) == ["good"]
    assert sum(source.ledger.skipped.values()) == len(bad)


@pytest.mark.parametrize(("name", "module"), [("a.pdf", "pypdf"), ("a.docx", "docx")])
def test_the_extra_is_named_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str
) -> None:
    (tmp_path / name).write_bytes(b"whatever")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError) as caught:
        texts(tmp_path / name)
    assert EXTRA in str(caught.value)
