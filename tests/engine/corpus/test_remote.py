"""Text of elsewhere: addresses and data sets fetched once, sealed, pinned, and mixed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

import fsspec
import pytest

from engine.cache import FETCHED, Entry, list_cache
from engine.corpus import hub as hubs
from engine.corpus.corpus import Corpus
from engine.corpus.ledger import Row
from engine.corpus.mixture import open_corpus
from engine.corpus.remote import fetched
from engine.errors import InputError
from engine.recipe.sections import Source
from tests.engine.corpus.sources import PROSE

LINES = "".join(json.dumps({"text": f"{PROSE}{n}", "n": n}) + "\n" for n in range(60)).encode()
FEW = b"".join(LINES.splitlines(keepends=True)[:20])


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    """Files in memory, as fsspec has them; gone after each test."""
    system = fsspec.filesystem("memory")
    system.pipe({"/box/a.jsonl": LINES, "/box/deep/b.jsonl.gz": gzip.compress(FEW)})
    system.pipe({"/box/.hidden.txt": b"no", "/box/model.bin": b"no"})
    yield system
    system.rm("/box", recursive=True)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A web server on loopback with one file."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(LINES)

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *given: object) -> None:
            super().__init__(*given, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def read(path: str, **more: object) -> tuple[Corpus, list[str]]:
    corpus = open_corpus(Source.model_validate({"path": path, **more}))
    corpus.check()
    return corpus, [document.text for document in corpus.documents()]


def cached() -> list[Entry]:
    return [entry for entry in list_cache() if entry.kind == FETCHED]


def forget() -> None:
    """As a new process begins."""
    fetched._OPENED.clear()


def test_a_folder_elsewhere_is_fetched_once_and_listed(
    memory: fsspec.AbstractFileSystem,
) -> None:
    corpus, texts = read("memory://box")
    assert len(texts) == 60 + 20
    first = next(corpus.documents())
    assert first.origin == "memory://box/000001-a.jsonl:1"
    (entry,) = cached()
    assert (entry.kind, entry.damage) == (FETCHED, "")
    assert "memory://box" in entry.about
    forget()
    before = corpus.fingerprint()
    assert open_corpus(corpus.source).fingerprint() == before
    memory.pipe("/box/a.jsonl", LINES[:3000])
    forget()
    assert open_corpus(corpus.source).fingerprint() != before


def test_a_glob_elsewhere(memory: fsspec.AbstractFileSystem) -> None:
    assert len(read("memory://box/*.jsonl")[1]) == 60
    with pytest.raises(InputError, match="has no file that can be read"):
        read("memory://box/*.parquet")


def test_a_pinned_text_is_read_without_its_server(memory: fsspec.AbstractFileSystem) -> None:
    meta = read("memory://box/a.jsonl")[0].fetch().meta
    memory.pipe("/box/a.jsonl", LINES[:3000])
    forget()
    assert len(read("memory://box/a.jsonl", sha256=meta.sha256)[1]) == 60
    for entry in cached():
        (entry.path / "texts" / "a.jsonl").write_bytes(LINES + b" ")
    forget()
    with pytest.raises(InputError, match="is not the text that this recipe was run on"):
        list(Corpus(Source(path="memory://box/a.jsonl", sha256=meta.sha256)).documents())


def test_a_file_over_http(site: str) -> None:
    corpus, texts = read(f"{site}/a.jsonl")
    assert len(texts) == 60
    assert corpus.label == f"{site}/a.jsonl"
    with pytest.raises(InputError, match="there is nothing at this address"):
        read(f"{site}/none.jsonl")


def test_servers_that_are_not_there_or_need_a_package() -> None:
    with pytest.raises(InputError, match="its server cannot be reached"):
        read("http://127.0.0.1:9/a.jsonl")
    for scheme, package in (("s3", "s3fs"), ("gs", "gcsfs")):
        if find_spec(package) is None:  # as in most installations
            with pytest.raises(
                InputError, match=rf"needs {package}: pip install 'cpt-tui\[{scheme}"
            ):
                read(f"{scheme}://bucket/a.jsonl")


def test_a_data_set_gives_no_more_than_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def rows(source: Source, commit: str) -> Iterator[Row]:
        for number in range(1, 10_000):
            asked.append(number)
            yield Row(number, {"text": f"{PROSE}{number}", "picture": b"\x00"})

    monkeypatch.setattr(hubs, "revision", lambda source: "abc")
    monkeypatch.setattr(hubs, "hub_rows", rows)
    corpus, texts = read("hub:o/n", take_tokens=1000)
    size = sum(map(len, texts))
    assert 5000 <= size < 5000 + 2 * len(PROSE)
    assert len(asked) == len(texts)
    assert corpus.fetch().meta.revision == "abc"
    assert cached()[0].about.startswith("hub:o/n 1000, ")
    assert len(read("hub:o/n", max_documents=50)[1]) == 50
    assert len(asked) < 400


def test_several_sources_are_one_corpus(tmp_path: Path, memory: fsspec.AbstractFileSystem) -> None:
    (tmp_path / "b.jsonl").write_bytes(LINES)
    sources = [{"path": "memory://box/a.jsonl"}, {"path": str(tmp_path / "b.jsonl")}]
    side = Source.model_validate({**sources[0], "also": sources[1:]})
    corpus = open_corpus(side)
    corpus.check()
    numbers = [document.source for document in corpus.documents()]
    assert numbers == [0] * 60 + [1] * 60
    assert corpus.ledger.files == 2
    assert corpus.ledger.bytes_text == 2 * len(LINES)
    assert len(corpus.samples(10)) == 2
    turned = Source.model_validate({**sources[1], "also": sources[:1]})
    assert open_corpus(turned).fingerprint() != corpus.fingerprint()
