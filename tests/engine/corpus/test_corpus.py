"""Corpus: files of every kind to cleaned documents, and one sentence for what cannot be read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.corpus import text
from engine.corpus.ledger import NOTES, Ledger
from engine.corpus.readers import decoding
from engine.corpus.readers import jsonl as lines
from engine.corpus.shape import detect_shape
from engine.corpus.text import clean, content_hash
from engine.errors import InputError
from tests.engine.corpus.sources import PROSE, added_memory, corpus, jsonl, texts
from tests.material import MATERIAL, needs_material


def squeezed(pieces: list[str]) -> str:
    return "".join("".join(pieces).split())


# cleaning and hashing


def test_clean_removes_only_what_it_says() -> None:
    dirty = "\ufeffone\x00 two  \r\nthree\t\r\n\r\n  four\rfive\ud800 \n\n"
    assert clean(dirty) == "one two\nthree\n\n  four\nfive\ufffd"


def test_surrogate_pairs_become_the_character() -> None:
    assert clean("\ud83d\ude00") == "\U0001f600"


ANYTHING = st.text(st.characters(exclude_categories=[]), max_size=200)


@given(ANYTHING)
def test_clean_is_idempotent_and_encodes(raw: str) -> None:
    once = clean(raw)
    assert clean(once) == once
    once.encode()


@given(ANYTHING)
def test_hash_ignores_whitespace_only(raw: str) -> None:
    assert content_hash(raw) == content_hash("  " + raw.replace(" ", " \n\t ") + "\n")
    assert len(content_hash(raw)) == 16
    assert content_hash(raw + " x") != content_hash(raw)


def test_clean_is_linear_in_runs_of_spaces() -> None:
    begun = time.process_time()
    clean((" " * 200_000 + "x") * 5 + " \n")
    assert time.process_time() - begun < 1


# splitting

MARKS = ["\n = Title = \n \n", "\n\n= A =\n\n", "\n<|endoftext|>\n", "<|endoftext|>", "= = B = ="]
SPACES = ["\n", "\n\n", "\r\n", " ", " \n \n"]
PARTS = st.sampled_from([*MARKS, *SPACES, "word", "x" * 9000, "。", "字" * 9000, "a sentence. "])


@settings(deadline=None, max_examples=150)
@given(st.lists(PARTS, max_size=60), st.integers(1, 30_000))
def test_nothing_is_lost_by_splitting(parts: list[str], size: int) -> None:
    whole = "".join(parts).replace("\r\n", "\n")
    blocks = [whole[i : i + size] for i in range(0, len(whole), size)]
    marks = text.choose_cut("one\n<|endoftext|>\n")
    for cut in (marks, text.AT_HEADINGS, text.IN_BLOCKS, None):
        pieces = [piece for _, piece in text.split(blocks, cut)]
        got, want = squeezed(pieces), squeezed([whole])
        assert got.replace("<|endoftext|>", "") == want.replace("<|endoftext|>", "")
        assert all(piece.strip() for piece in pieces)
        if cut is text.IN_BLOCKS:
            assert all(len(piece) <= text.WHOLE + 2 for piece in pieces)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(["alpha", "beta,", "gamma.\n", "delta.\n\n"]), min_size=1))
def test_words_stay_whole(parts: list[str]) -> None:
    whole = " ".join(parts * (40_000 // len(" ".join(parts)) + 1))
    words = [word for _, piece in text.split([whole], text.IN_BLOCKS) for word in piece.split()]
    assert words == whole.split()


def test_block_size_does_not_change_the_documents() -> None:
    whole = "".join(f"{PROSE * (i % 9)}\n\n" for i in range(400))
    one = [piece for _, piece in text.split([whole], text.IN_BLOCKS)]
    many = [piece for _, piece in text.split((c for c in whole), text.IN_BLOCKS)]
    assert one == many
    assert all(len(piece) < text.WHOLE for piece in one)


def test_a_short_file_is_one_document(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    assert texts(tmp_path / "a.txt") == ["one\n\ntwo"]


def test_separators_split_even_a_short_file(tmp_path: Path) -> None:
    raw = "<|endoftext|>\nfirst\n<|endoftext|>\nsecond.<|endoftext|>\nthird<|endoftext|>"
    (tmp_path / "a.txt").write_text(raw)
    assert texts(tmp_path / "a.txt") == ["first", "second.", "third"]


def test_origin_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("first\n\n<|endoftext|>\nsecond\n<|endoftext|>\n\nthird\n")
    lines = [d.origin.rsplit(":", 1)[1] for d in corpus(tmp_path / "a.txt").documents()]
    assert lines == ["1", "4", "7"]


def test_headings_split_articles(tmp_path: Path) -> None:
    article = (
        " \n = Title {} = \n \n" + PROSE * 100 + "\n = = Section = = \n \n" + PROSE * 10 + "\n"
    )
    (tmp_path / "wiki.txt").write_text("".join(article.format(i) for i in range(12)))
    source = corpus(tmp_path / "wiki.txt")
    found = [document.text for document in source.documents()]
    assert len(found) == 12
    assert all(one.lstrip().startswith("= Title") for one in found)
    assert any("article headings" in note for note in source.ledger.notes)


def test_long_file_in_blocks_is_noted(tmp_path: Path) -> None:
    (tmp_path / "long.md").write_text((PROSE * 8 + "\n\n") * 200)
    source = corpus(tmp_path / "long.md")
    found = list(source.documents())
    assert len(found) > 10
    assert f"{len(found)} documents" in source.ledger.notes[-1]


# formats


def test_every_format_gives_the_same_text(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"id": str(i), "text": f"{PROSE}{i} \U0001f600"} for i in range(150)]
    want = [row["text"] for row in rows]
    jsonl(tmp_path / "a.jsonl", rows)
    (tmp_path / "b.json").write_text(json.dumps(rows, indent=1))
    (tmp_path / "c.json").write_text("\n".join(json.dumps(row) for row in rows))
    (tmp_path / "d.json").write_text(json.dumps({"version": 1, "data": rows}))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "e.parquet", row_group_size=40)
    for name in ("a.jsonl", "b.json", "c.json", "d.json", "e.parquet"):
        source = corpus(tmp_path / name)
        source.check()
        assert [document.text for document in source.documents()] == want, name
        assert source.ledger.text_column == "text"
        assert source.ledger.bytes_read == source.ledger.bytes_total


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.json"])
def test_encodings_with_a_mark(tmp_path: Path, encoding: str, name: str) -> None:
    body = "Der Fluß — 川"
    record = body if name == "a.txt" else json.dumps({"text": body}, ensure_ascii=False)
    (tmp_path / name).write_text(record, encoding=encoding)
    assert texts(tmp_path / name) == [body]


def test_json_values_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "BLOCK", 7)
    rows = [{"text": PROSE * n, "n": 12345 * n} for n in (1, 0, 40, 3)]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    assert texts(tmp_path / "a.json") == [(PROSE * n).strip() for n in (1, 40, 3)]


def test_json_list_of_strings_and_one_object(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('["one text", "two texts"]')
    (tmp_path / "b.json").write_text('{"content": "a single object"}')
    assert texts(tmp_path) == ["one text", "two texts", "a single object"]


def test_bad_lines_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    raw = b'{"text": "good one"}\n{bad\n\n{"text": "\xff"}\n{"text": null}\n{"text": "good two"}\n'
    (tmp_path / "a.jsonl").write_bytes(raw)
    source = corpus(tmp_path / "a.jsonl")
    source.check()
    assert [document.text for document in source.documents()] == ["good one", "good two"]
    assert source.ledger.skipped == {"bad JSON line": 2, "no text in the record": 1}
    assert len(source.ledger.notes) == 1
    assert "a.jsonl:2" in source.ledger.notes[0]


def test_a_line_beyond_the_limit_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "LONGEST_RECORD", 100)
    rows = [{"text": "short one"}, {"text": "x" * 1000}, {"text": "short two"}]
    source = corpus(jsonl(tmp_path / "a.jsonl", rows))
    assert [document.text for document in source.documents()] == ["short one", "short two"]
    assert source.ledger.bytes_read == source.ledger.bytes_total
    assert source.ledger.skipped_bytes > 900


def test_text_column_by_name_by_preference_and_by_length(tmp_path: Path) -> None:
    row = {"title": PROSE * 3, "text": "the text itself", "note": "a note"}
    path = jsonl(tmp_path / "a.jsonl", [row] * 3)
    assert texts(path)[0] == "the text itself"
    assert texts(path, text_column="note")[0] == "a note"
    other = jsonl(tmp_path / "b.jsonl", [{"id": "x" * 500, "passage": PROSE}] * 3)
    assert texts(other)[0] == PROSE.strip()


def test_records_made_for_tuning_still_give_text(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Say hello.", "input": "", "output": "Hello."},
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}]},
    ]
    for number, row in enumerate(rows):
        jsonl(tmp_path / f"{number}.jsonl", [row] * 3)
    assert texts(tmp_path)[::3] == ["Say hello.\nHello.", "Hi\nYo"]


def test_max_documents_stops_and_says_so(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"text": f"{PROSE}{i}"} for i in range(20)])
    source = corpus(path, max_documents=5)
    assert len(list(source.documents())) == 5
    assert "max_documents" in source.ledger.notes[-1]


def test_reading_twice_gives_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(PROSE)
    (tmp_path / "b.csv").write_text("a,b")
    source = corpus(tmp_path)
    first, ledger = list(source.documents()), source.ledger
    assert list(source.documents()) == first
    assert source.ledger == ledger


def test_embedded_sample() -> None:
    source = corpus("embedded")
    source.check()
    assert "embedded sample" in source.label
    assert len(list(source.documents())) > 10
    assert len(source.fingerprint()) == 64


# folders


def test_folder_order_hidden_files_and_unknown_types(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.md", ".hidden.txt", ".git/c.txt", "C.txt", "x.doc", "noext"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"text of {name}")
    source = corpus(tmp_path)
    found = [str(path.relative_to(tmp_path)) for path in source.files()]
    assert found == ["C.txt", "a/z.md", "b.txt"]
    list(source.documents())
    assert source.ledger.skipped == {"unknown type": 2}
    assert source.ledger.bytes_total == sum(path.stat().st_size for path in source.files())
    assert ".doc" in source.ledger.notes[0]


def test_loops_pipes_and_broken_links(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "a.txt").write_text("the only text")
    (inner / "loop").symlink_to(tmp_path)
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "link.txt").symlink_to(inner / "a.txt")
    source = corpus(tmp_path)
    source.check()
    assert len(list(source.documents())) == 2
    assert source.ledger.skipped == {
        "broken link": 1,
        "not a regular file": 1,
        "link to a folder already read": 1,
    }


def test_names_that_are_no_unicode(tmp_path: Path) -> None:
    with Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\x1b[31m.txt")).open("w") as handle:
        handle.write("text under an odd name")
    with Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xfe.json")).open("w") as handle:
        handle.write("{")
    source = corpus(tmp_path)
    source.check()
    (document,) = source.documents()
    json.dumps([document.origin, *source.ledger.notes], ensure_ascii=False).encode()
    source.fingerprint()


def test_one_bad_file_does_not_stop_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"text": "kept before the break"}, {"text": ')
    (tmp_path / "b.parquet").write_bytes(b"PAR1 nothing PAR1")
    (tmp_path / "c.txt").write_bytes("schön".encode("latin-1") * 3)
    (tmp_path / "d.txt").write_bytes(bytes(range(256)))
    (tmp_path / "e.txt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    (tmp_path / "f.txt").write_text("")
    (tmp_path / "g.txt").write_text("the good one")
    source = corpus(tmp_path)
    source.check()
    found = [document.text for document in source.documents()]
    assert found == ["kept before the break", "the good one"]
    assert source.ledger.skipped == {
        "malformed JSON": 1,
        "broken parquet": 1,
        "not UTF-8 (encoding unknown)": 1,
        "binary": 1,
        "git-LFS pointer": 1,
        "empty": 1,
    }
    assert source.ledger.bytes_read == source.ledger.bytes_total
    assert len(source.ledger.notes) == 6


def test_a_late_bad_byte_drops_the_file_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes((PROSE.encode() * 40_000) + b"\xff")
    (tmp_path / "b.txt").write_text("good")
    source = corpus(tmp_path)
    assert [document.text for document in source.documents()] == ["good"]
    assert source.ledger.skipped_bytes == (tmp_path / "a.txt").stat().st_size


def test_notes_are_bounded() -> None:
    ledger = Ledger()
    for number in range(500):
        ledger.note(str(number))
    assert len(ledger.notes) == NOTES + 1
    assert ledger.notes[-1] == "and 450 more notes"


# one sentence for what cannot be read

FAULTS: list[tuple[str, bytes, str]] = [
    ("empty.txt", b"", "is empty"),
    ("blank.txt", b" \n\n", "holds no text"),
    ("program.txt", b"\x7fELF\x02\x01\x01\x00\x00", "is binary"),
    ("controls.txt", b"\x01\x02\x03\x04a" * 50, "is binary"),
    ("pointer.txt", b"version https://git-lfs.github.com/spec/v1\n", "git-LFS pointer"),
    ("pointer.parquet", b"version https://git-lfs.github.com/spec/v1\n", "git-LFS pointer"),
    ("packed.jsonl", b"\x1f\x8b\x08\x00", "gzip-compressed"),
    ("latin.txt", "größer".encode("latin-1"), "is not UTF-8"),
    ("broken.json", b'[{"text": "x"', "not valid JSON near line 1"),
    ("broken.parquet", b"PAR1garbagePAR1", "not a readable parquet file"),
    ("empty.parquet", b"", "not a readable parquet file"),
    ("bad.jsonl", b"{bad\n{worse\n", "bad.jsonl:1 is not JSON"),
    ("numbers.jsonl", b'{"id": 1, "label": "x"}\n', "no column of text (columns: id, label)"),
]


@pytest.mark.parametrize(("name", "content", "message"), FAULTS, ids=[f[0] for f in FAULTS])
def test_a_file_alone_that_cannot_be_read(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        corpus(tmp_path / name).check()
    assert message in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    (tmp_path / "folder").mkdir()
    (tmp_path / name).rename(tmp_path / "folder" / name)
    with pytest.raises(InputError):
        corpus(tmp_path / "folder").check()


def test_a_large_text_under_the_wrong_name_is_refused_soon(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("not json at all, just text\n" * 1_000_000)
    begun = time.process_time()
    with pytest.raises(InputError, match=r"a\.jsonl:1 is not JSON"):
        corpus(tmp_path / "a.jsonl").check()
    assert time.process_time() - begun < 3


def test_malformed_json_alone_is_an_error_while_reading(tmp_path: Path) -> None:
    rows = ", ".join(json.dumps({"text": PROSE}) for _ in range(200))
    (tmp_path / "a.json").write_text(f"[{rows}, ")
    with pytest.raises(InputError, match="not valid JSON"):
        texts(tmp_path / "a.json")


def test_paths_that_are_no_source(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "a.xls").write_text("a,b")
    os.mkfifo(tmp_path / "pipe")
    wrong = {
        str(tmp_path / "nowhere"): "does not exist",
        str(tmp_path / "empty"): "is an empty folder",
        str(tmp_path / "tables"): "no file of a known type (found .xls 1)",
        str(tmp_path / "pipe"): "neither a file nor a folder",
        "a\x00b": "is not a file name",
        "~nobody-of-this-name/x": "does not exist",
        "hub:": "write hub:owner/name",
    }
    for path, message in wrong.items():
        with pytest.raises(InputError) as caught:
            corpus(path).check()
        assert message in str(caught.value)


def test_named_column_that_is_absent(tmp_path: Path) -> None:
    jsonl(tmp_path / "a.jsonl", [{"text": PROSE}])
    (tmp_path / "SOURCE.txt").write_text("where it came from")
    for path in (tmp_path, tmp_path / "a.jsonl"):
        with pytest.raises(InputError, match='no column "body"; its columns are text'):
            corpus(path, text_column="body").check()
    corpus(tmp_path, text_column="text").check()


def test_permission_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("secret")
    (tmp_path / "b.txt").write_text("open")
    real = Path.open

    def guarded(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self.name == "a.txt":
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", guarded)
    with pytest.raises(InputError, match="permission denied"):
        corpus(tmp_path / "a.txt").check()
    source = corpus(tmp_path)
    assert [document.text for document in source.documents()] == ["open"]
    assert source.ledger.skipped == {"permission denied": 1}


def test_unknown_type_alone_is_read_if_it_decodes(tmp_path: Path) -> None:
    (tmp_path / "paper.troff").write_text(".SH Rivers")
    assert texts(tmp_path / "paper.troff") == [".SH Rivers"]


# fingerprint


def test_fingerprint_follows_content_not_place(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "a.txt").write_text(PROSE)
    mark = corpus(first).fingerprint()
    assert corpus(second).fingerprint() == mark
    assert corpus(first, max_documents=3).fingerprint() != mark
    assert corpus(first, text_column="x").fingerprint() != mark
    assert corpus(first, encoding="cp1252").fingerprint() != mark
    assert corpus(first, repair_mojibake=True).fingerprint() != mark
    (second / "a.txt").write_text(PROSE + "!")
    assert corpus(second).fingerprint() != mark
    (second / "a.txt").write_text(PROSE)
    (second / "a.txt").rename(second / "b.txt")
    assert corpus(second).fingerprint() != mark


# real material


@needs_material
def test_real_material_is_read_without_a_crash() -> None:
    assert MATERIAL is not None
    for folder in sorted(MATERIAL.glob("awkward/*")):
        source = corpus(folder)
        if folder.name == "lfs_pointers":  # but for where it is from, it holds no text
            with pytest.raises(InputError, match="no readable text"):
                source.check()
            continue
        source.check()
        for document in source.documents():
            document.text.encode()
        assert source.ledger.bytes_read == source.ledger.bytes_total
        detect_shape(source).model_dump_json()


@needs_material
def test_real_corpora_have_the_documents_they_should() -> None:
    assert MATERIAL is not None
    assert len(texts(MATERIAL / "general/wikitext2/valid.txt")) == 60
    medical = corpus(MATERIAL / "domains/medical/corpus.jsonl")
    assert sum(1 for _ in medical.documents()) == 4853
    assert medical.ledger.text_column == "text"
    assert not medical.ledger.skipped


# weight


def test_importing_the_corpus_is_light() -> None:
    heavy = "numpy pyarrow datasets torch transformers huggingface_hub chardet ftfy resiliparse"
    code = f"import sys, engine.corpus; print([m for m in {heavy.split()} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.parametrize("space", [" ", ""])
def test_memory_stays_flat_on_one_line(tmp_path: Path, space: str) -> None:
    path = tmp_path / "line.txt"
    with path.open("w") as handle:
        for _ in range(200):
            handle.write(f"word{space}" * (1_000_000 // (4 + len(space))))
    count, added = added_memory(path)
    assert count > 1000
    assert added < 120, added
