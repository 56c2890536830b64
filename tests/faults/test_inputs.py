"""Bad input: one sentence that names the place and the way out, the right code, in seconds."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from engine.runs.run import list_runs
from tests import tiny
from tests.conftest import Command
from tests.material import MATERIAL, needs_material


def refused(cpt: Command, *arguments: str, code: int = 1, seconds: float = 60.0) -> str:
    started = time.monotonic()
    done = cpt(*arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert time.monotonic() - started < seconds
    assert "Traceback" not in done.stderr + done.stdout
    message = done.stderr.strip()
    assert message.startswith("cpt: ")
    assert list_runs() == []
    return message


def check(corpus: Path | str, model: Path | str, *more: str) -> list[str]:
    return ["check", str(corpus), "--model", str(model), "--hurts", "unreadable", *more]


def test_missing_path(cpt: Command, tiny_model: Path, tmp_path: Path) -> None:
    assert "nowhere" in refused(cpt, *check(tmp_path / "nowhere", tiny_model))


def test_empty_and_binary_files(cpt: Command, tiny_model: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.touch()
    assert "empty" in refused(cpt, *check(empty, tiny_model))
    binary = tmp_path / "photo.txt"
    binary.write_bytes(bytes(range(256)) * 40)
    assert "photo.txt" in refused(cpt, *check(binary, tiny_model))


def test_wrong_column(cpt: Command, tiny_model: Path, tiny_files: dict[str, Path]) -> None:
    message = refused(cpt, *check(tiny_files["domain"], tiny_model, "--text-column", "body"))
    assert "body" in message


def test_model_folders(
    cpt: Command, tiny_model: Path, tiny_files: dict[str, Path], tmp_path: Path
) -> None:
    corpus = tiny_files["domain"]
    assert "no such model folder" in refused(cpt, *check(corpus, tmp_path / "none"))
    assert "config.json" in refused(cpt, *check(corpus, tmp_path))
    pointer = shutil.copytree(tiny_model, tmp_path / "pointer")
    (pointer / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert "git lfs pull" in refused(cpt, *check(corpus, pointer))
    pickle = shutil.copytree(tiny_model, tmp_path / "pickle")
    (pickle / "model.safetensors").rename(pickle / "pytorch_model.bin")
    assert "pickles" in refused(cpt, *check(corpus, pickle))
    remote = shutil.copytree(tiny_model, tmp_path / "remote")
    config = (remote / "config.json").read_text()
    (remote / "config.json").write_text(config.replace("{", '{"auto_map": {"x": "y"},', 1))
    assert "no remote code" in refused(cpt, *check(corpus, remote))


@needs_material
def test_lfs_pointers_of_a_real_model(cpt: Command, tiny_files: dict[str, Path]) -> None:
    assert MATERIAL is not None
    folder = MATERIAL / "awkward" / "lfs_pointers" / "broken_model_folder"
    assert "git lfs pull" in refused(cpt, *check(tiny_files["domain"], folder))


def test_unreadable_gold_set(
    cpt: Command, tiny_model: Path, tiny_files: dict[str, Path], tmp_path: Path
) -> None:
    gold = tmp_path / "gold.jsonl"
    gold.write_text('{"prompt": "a", "completion": "b"}\n{"prompt": "a"\n')
    more = ["--gold", str(gold), "--sft", str(tiny_files["sft"])]
    assert "gold.jsonl:2 is not JSON" in refused(
        cpt, *check(tiny_files["domain"], tiny_model, *more)
    )


def test_unknown_recipe_key(cpt: Command, tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text('[model]\nid = "x"\n[corpus]\npath = "y"\nspeed = 9\n')
    message = refused(cpt, "run", str(recipe))
    assert "line 5" in message
    assert "corpus.speed" in message


def test_usage_errors(cpt: Command) -> None:
    refused(cpt, "chekc", code=2)
    refused(cpt, "check", code=2)
    refused(cpt, "watch", "nothing", code=1)


def test_an_unreachable_hub_is_said_quickly(
    cpt: Command, tiny_files: dict[str, Path], tmp_path: Path
) -> None:
    done = cpt(*check(tiny_files["domain"], "nobody/no-such-model"), "--json", timeout=60)
    assert done.returncode == 1
    assert "nobody/no-such-model" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_escapes_never_reach_the_terminal(cpt: Command, tiny_model: Path, tmp_path: Path) -> None:
    evil = tmp_path / "e\x1b[2Jvil\u202e"
    evil.mkdir()
    rows = [{"text": t + " \x1b]0;owned\x07 \x9b31m [bold]x[/bold]"} for t in tiny.documents(30, 1)]
    tiny.write_jsonl(evil / "a\x1b[31m.jsonl", list(rows))
    done = cpt(*check(evil, tiny_model, "--generic", str(evil)))
    shown = done.stdout + done.stderr
    for bad in ("\x1b", "\x9b", "\u202e", "\x07"):
        assert bad not in shown
