"""The hub, spoken to for real over loopback: read, slow, half, refused, gone; one sentence each."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.corpus import hub as hubs
from engine.corpus.ledger import Row
from engine.corpus.shape import detect_shape
from engine.errors import InputError
from tests.conftest import Command
from tests.engine.corpus.sources import PROSE, corpus
from tests.hubserver import COMMIT, Hub, serve

ROWS = [{"text": f"{PROSE}{n}", "n": n} for n in range(300)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
LONG = "".join(json.dumps({"text": f"{n} " + os.urandom(2000).hex()}) + "\n" for n in range(2000))

ASKER = """
import json, sys, time
from engine.corpus.corpus import Corpus
from engine.errors import InputError
from engine.recipe.sections import Source
for line in sys.stdin:
    asked = json.loads(line)
    source, begun, said = Corpus(Source(**asked["source"])), time.monotonic(), {}
    try:
        source.check()
        if asked["what"] == "fingerprint":
            said["fingerprint"] = source.fingerprint()
        if asked["what"] == "read":
            said["texts"] = []
            for document in source.documents():
                said["texts"].append(document.text[:99])
    except InputError as error:
        said["error"] = str(error)
    print(json.dumps({**said, "seconds": time.monotonic() - begun}), flush=True)
"""


def parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), out, row_group_size=50)
    return out.getvalue()


@pytest.fixture
def hub() -> Iterator[Hub]:
    data = {
        "o/lines": {"train.jsonl": LINES, "README.md": b"# words"},
        "o/packed": {"train.jsonl.gz": gzip.compress(LINES)},
        "o/parquet": {"data/train-00000-of-00001.parquet": parquet()},
        "o/long": {"train.jsonl": LONG.encode()},
        "o/none": {"README.md": b"# nothing"},
    }
    with serve(datasets=data) as running:
        yield running


class Asker:
    """A process of its own: the libraries read HF_ENDPOINT once, when they are imported."""

    def __init__(self, url: str, home: Path) -> None:
        env = {**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0"}
        command = [sys.executable, "-c", ASKER]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True)

    def __call__(self, path: str, what: str = "check", **source: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        asked = {"what": what, "source": {"path": path, **source}}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        said: dict[str, Any] = json.loads(self.process.stdout.readline())
        return said


@pytest.fixture
def ask(hub: Hub, tmp_path: Path) -> Iterator[Asker]:
    asker = Asker(hub.url, tmp_path / "hf")
    yield asker
    asker.process.kill()
    asker.process.communicate()


def test_data_sets_are_streamed(ask: Asker, hub: Hub) -> None:
    for name in ("o/lines", "o/packed", "o/parquet"):
        assert ask(f"hub:{name}", "read")["texts"] == [row["text"].strip() for row in ROWS], name
    assert len(ask("hub:o/lines", "read", max_documents=7)["texts"]) == 7
    assert "cannot be read" in ask("hub:o/lines", "read", split="nope")["error"]
    assert "cannot be read" in ask("hub:o/none", "read")["error"]
    assert not any("resolve/main" in one for one in hub.asked)  # the commit is pinned


def test_a_data_set_is_fetched_once_and_read_from_the_disk(ask: Asker, hub: Hub) -> None:
    first = ask("hub:o/lines", "fingerprint")["fingerprint"]
    asked = len(hub.asked)
    assert ask("hub:o/lines", "fingerprint", revision=COMMIT)["fingerprint"] == first
    assert len(ask("hub:o/lines", "read", revision=COMMIT)["texts"]) == 300
    assert len(hub.asked) == asked
    assert ask("hub:o/packed", "fingerprint")["fingerprint"] != first


REFUSALS = {
    "status:401": "asks for a login",
    "status:403": "refuses access",
    "status:404": "no public data set of this name",
    "status:429": "too many requests",
    "status:500": "fault 500",
    "status:503": "fault 503",
    "gated": "asks for permission first",
    "junk": "not a hub's",
    "redirect:http://127.0.0.1:9": "cannot be reached",
    "slow": "did not answer in 4 s",
}


def test_every_refusal_is_one_sentence_within_seconds(ask: Asker, hub: Hub) -> None:
    hub.delay = 6
    for fault, message in REFUSALS.items():
        hub.fault = fault
        said = ask("hub:o/lines")
        assert message in said["error"], fault
        assert "o/lines" in said["error"]
        assert "\n" not in said["error"]
        assert "\x1b" not in said["error"]
        assert said["seconds"] < 5, fault
    hub.fault = ""
    assert "no public data set" in ask("hub:nobody/nothing")["error"]
    assert "error" not in ask("hub:o/lines")


def test_a_hub_that_is_not_there(tmp_path: Path) -> None:
    for url in ("http://127.0.0.1:9", "http://no-such-host.invalid"):
        asker = Asker(url, tmp_path)
        said = asker("hub:o/lines")
        asker.process.kill()
        asker.process.communicate()
        assert "the hub" in said["error"]
        assert said["seconds"] < 5


def test_files_refused_after_the_check(ask: Asker, hub: Hub) -> None:
    hub.fault = "files-status:403"
    assert "refuses access" in ask("hub:o/lines", "read")["error"]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["files-half", "files-status:500"])
def test_a_hub_that_goes_away_is_said_and_can_be_tried_again(
    ask: Asker, hub: Hub, fault: str
) -> None:
    hub.fault, hub.after = fault, 1 << 20
    said = ask("hub:o/long", "read")
    assert "cannot be read" in said["error"]
    assert said["seconds"] < 60
    hub.fault = ""
    assert len(ask("hub:o/long", "read")["texts"]) == 2000


@pytest.mark.slow
def test_a_hub_that_falls_silent_does_not_hang_us(ask: Asker, hub: Hub) -> None:
    hub.fault, hub.after, hub.delay = "files-stall", 1000, 300
    said = ask("hub:o/long", "read")
    assert "broke off" in said["error"]
    assert said["seconds"] < 150


def test_the_command_says_it_and_leaves_with_1(
    hub: Hub, cpt: Command, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    hub.fault = "status:403"
    arguments = ["check", "hub:o/lines", "--model", str(tiny_model), "--hurts", "unreadable"]
    begun = time.monotonic()
    done = cpt(*arguments)
    assert done.returncode == 1
    assert "refuses access" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert time.monotonic() - begun < 10


@pytest.mark.slow
def test_a_check_cut_off_half_way_leaves_with_1_and_goes_through_the_next_time(
    hub: Hub, cpt: Command, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    hub.fault, hub.after = "files-half", 1 << 20
    arguments = ["check", "hub:o/long", "--model", str(tiny_model), "--hurts", "unreadable"]
    done = cpt(*arguments, timeout=200)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "hub:o/long (split train) cannot be read" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    hub.fault = ""
    done = cpt(*arguments, timeout=300)
    assert done.returncode in (0, 3), done.stdout + done.stderr


def test_models_come_from_the_same_server(hub: Hub, tmp_path: Path) -> None:
    hub.models["o/model"] = {"config.json": b"{}", "model.safetensors": os.urandom(1 << 20)}
    code = (
        "import sys; from pathlib import Path; from huggingface_hub import snapshot_download\n"
        "folder = Path(snapshot_download('o/model'))\n"
        "print(sorted((p.name, p.stat().st_size) for p in folder.iterdir()))"
    )
    env = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[('config.json', 2), ('model.safetensors', 1048576)]"


# without a server


def test_offline_hub_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    source = corpus("hub:owner/name")
    for read in (source.check, lambda: list(source.documents()), source.fingerprint):
        with pytest.raises(InputError, match="HF_HUB_OFFLINE is set"):
            read()


def test_a_hub_that_hangs_is_given_up() -> None:
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        hubs.within(0.05, lambda: str(time.sleep(1)))
    assert time.monotonic() - begun < 0.5


def test_hub_records_become_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Row(n, {"text": f"{PROSE}{n}", "id": n}) for n in range(1, 80)]
    monkeypatch.setattr(hubs, "revision", lambda source: "abc")
    monkeypatch.setattr(hubs, "hub_rows", lambda source, commit: iter(rows))
    source = corpus("hub:owner/name")
    source.check()
    documents = list(source.documents())
    assert len(documents) == 79
    assert documents[3].origin == "hub:owner/name:4"
    assert source.files() == []
    assert detect_shape(source).kind == "short_rows"
    with pytest.raises(InputError, match="no column"):
        list(corpus("hub:owner/name", text_column="nope").documents())
