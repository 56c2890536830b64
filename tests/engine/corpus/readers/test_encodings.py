"""Encodings: found, reported, or refused by name; never guessed into other letters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.corpus.ledger import Fault
from engine.corpus.readers import decoding, encodings
from engine.corpus.readers.decoding import settle
from engine.corpus.text import clean
from engine.errors import InputError
from tests.engine.corpus.sources import PROSE, corpus, read, texts

JAPANESE = (
    "春はあけぼの。やうやう白くなりゆく山ぎは、少しあかりて、紫だちたる雲のほそくたなびきたる。"
)
POEMS = {
    "cp1251": "Мороз и солнце; день чудесный! Ещё ты дремлешь, друг прелестный — пора, красавица.",
    "koi8-r": "Мороз и солнце; день чудесный! Еще ты дремлешь, друг прелестный, пора, красавица.",
    "cp1252": "Füllest wieder Busch und Tal still mit Nebelglanz, lösest endlich auch einmal für "
    "“meine Seele” ganz; öffnest über müde Höhen schöne Wälder, grüne Flüsse, süße Träume",
    "iso8859-2": "Litwo! Ojczyzno moja! ty jesteś jak zdrowie; ile cię trzeba cenić, ten tylko się "
    "dowie, kto cię stracił. Dziś piękność twą w całej ozdobie widzę i opisuję, bo tęsknię po "
    "tobie. Panno święta, co Jasnej bronisz Częstochowy i w Ostrej świecisz Bramie! Ty, co gród "
    "zamkowy nowogródzki ochraniasz z jego wiernym ludem! Jak mnie dziecko do zdrowia powróciłaś",
    "shift_jis": JAPANESE,
    "euc_jp": JAPANESE,
    "iso2022_jp": JAPANESE,
    "gb18030": "床前明月光，疑是地上霜。举头望明月，低头思故乡。春眠不觉晓，处处闻啼鸟。",
    "big5": "床前明月光，疑是地上霜。舉頭望明月，低頭思故鄉。春眠不覺曉，處處聞啼鳥。",
    "cp949": "나 보기가 역겨워 가실 때에는 말없이 고이 보내 드리우리다. 영변에 약산 진달래꽃",
    "iso8859-7": "Σε γνωρίζω από την κόψη του σπαθιού την τρομερή, σε γνωρίζω από την όψη",
    "utf-16": "Füllest wieder Busch und Tal",
    "utf-16-le": "Füllest wieder Busch und Tal",
    "utf-16-be": "Füllest wieder Busch und Tal",
    "utf-32": "Füllest wieder Busch und Tal",
    "utf-32-le": "Füllest wieder Busch und Tal",
    "utf-8-sig": "春はあけぼの",
}


@pytest.mark.parametrize("encoding", POEMS)
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.json", "a.csv", "a.py", "a.html"])
def test_every_encoding_in_every_format(tmp_path: Path, encoding: str, name: str) -> None:
    poem = POEMS[encoding]
    shapes = {
        "a.txt": poem,
        "a.py": poem,
        "a.html": f"<p>{poem}</p>",
        "a.jsonl": json.dumps({"text": poem}, ensure_ascii=False),
        "a.json": json.dumps([{"text": poem}], ensure_ascii=False),
        "a.csv": f'id,text\n1,"{poem}"\n',
    }
    (tmp_path / name).write_bytes(shapes[name].encode(encoding))
    source = corpus(tmp_path / name)
    assert read(source) == [clean(poem)]
    (found,) = source.ledger.encodings
    assert "".encode(found) in (b"", "".encode(encoding))
    assert source.ledger.encodings[found] == 1


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_unicode_with_a_mark_is_never_misread(text: str, encoding: str) -> None:
    assume(not text.startswith("\0"))  # UTF-16 with a mark and a NUL is UTF-32's mark
    raw = text.encode(encoding)
    try:
        found = settle(lambda: iter([raw]), None, "x")
    except Fault:
        assert text.count("\0") or encoding == "utf-8"  # taken for binary; never for other text
        return
    assert raw.decode(found).removeprefix("\ufeff") == text.removeprefix("\ufeff")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ((PROSE * 9).encode() + b"\xff", "too little in it tells the encoding"),
        ("größer".encode("latin-1"), "too little in it tells the encoding"),
        (("Größe und Länge, schön. " * 20).encode() + b"\xc3(", "damaged UTF-8"),
        ("Füllest wieder Busch".encode("utf-16")[:-1], "is not all utf-16"),
        (b"\xff\xfe\x00\xd8a\x00", "is not all utf-16"),
        (bytes(range(256)) * 40, "is binary"),
        (PROSE.encode() + b"\0" * (2 << 20), "is binary"),
    ],
)
def test_refused_by_name(tmp_path: Path, raw: bytes, message: str) -> None:
    (tmp_path / "a.txt").write_bytes(raw)
    with pytest.raises(InputError, match=message) as caught:
        texts(tmp_path / "a.txt")
    assert "a.txt" in str(caught.value)
    (tmp_path / "b.txt").write_text("good")
    source = corpus(tmp_path)
    assert read(source) == ["good"]
    assert sum(source.ledger.skipped_sizes.values()) == len(raw)


def test_the_user_names_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("größer".encode("cp850"))
    (tmp_path / "b.txt").write_text("größer in UTF-8")
    assert texts(tmp_path, encoding="IBM850") == ["größer", "größer in UTF-8"]
    for wrong in ("no such encoding", "base64", "rot13"):
        with pytest.raises(ValueError, match="unknown encoding"):
            corpus(tmp_path / "a.txt", encoding=wrong)


def test_a_page_says_it_itself(tmp_path: Path) -> None:
    head = '<html><head><meta http-equiv="Content-Type" content="text/html; charset={}"></head>'
    for declared in ("iso-8859-1", "windows-1252"):
        page = head.format(declared) + "<p>größer – 5 €</p></html>"
        (tmp_path / "a.html").write_bytes(page.encode("cp1252"))
        assert texts(tmp_path / "a.html") == ["größer – 5 €"]
    untrue = head.format("utf-16") + "<p>größer</p>"
    (tmp_path / "a.html").write_text(untrue)
    assert texts(tmp_path / "a.html") == ["größer"]


def test_a_few_foreign_lines_amid_english(tmp_path: Path) -> None:
    """With all lines, the detector takes this for Windows-1252 (measured)."""
    for encoding in ("cp1251", "shift_jis", "iso8859-7", "cp949"):
        whole = f"{PROSE}\n" * 200 + POEMS[encoding] + f"\n{PROSE}" * 200
        (tmp_path / "a.py").write_bytes(whole.encode(encoding))
        assert texts(tmp_path / "a.py") == [clean(whole)]


def test_escapes_of_a_terminal_are_no_japanese(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a \x1b[31mred\x1b[0m word, and \x1b$ and \x1b(B\n" * 20)
    source = corpus(tmp_path / "a.txt")
    assert "red" in read(source)[0]
    assert list(source.ledger.encodings) == ["utf-8"]


def test_a_few_stray_nuls_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(PROSE.encode() * 20 + b"\0\0" + PROSE.encode())
    assert texts(tmp_path / "a.txt") == [(PROSE * 21).strip()]


@pytest.mark.parametrize("late", [b"\xff", "größer und schöner, über müde Höhen ".encode("cp1252")])
def test_long_files_are_settled_before_the_first_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: bytes
) -> None:
    monkeypatch.setattr(decoding, "IN_MEMORY", 1000)
    monkeypatch.setattr(decoding, "BLOCK", 100)
    (tmp_path / "a.txt").write_bytes(PROSE.encode() * 100 + late)
    if late == b"\xff":
        with pytest.raises(InputError, match="not UTF-8"):
            next(corpus(tmp_path / "a.txt").documents())
        return
    source = corpus(tmp_path / "a.txt")
    assert read(source) == [(PROSE * 100 + late.decode("cp1252")).strip()]
    assert source.ledger.encodings == {"cp1252": 1}
    assert "read as cp1252 (detected)" in source.ledger.notes[0]


def test_the_suspects_are_bounded() -> None:
    blocks = [b"plain line\n" * 1000, b"\xe4" * (5 << 20), b"\n\xe4\n"]
    assert len(encodings.suspects(blocks)) <= encodings.SAMPLE + encodings.LINE


def test_lines_of_a_file_are_judged_one_by_one(tmp_path: Path) -> None:
    rows = [json.dumps({"text": f"{PROSE} größer {n}"}, ensure_ascii=False) for n in range(50)]
    raw = [row.encode() for row in rows]
    raw[7] = rows[7].encode("latin-1")
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(raw))
    source = corpus(tmp_path / "a.jsonl")
    assert len(read(source)) == 49
    assert source.ledger.skipped_sizes == {"bad JSON line": len(raw[7]) + 1}
