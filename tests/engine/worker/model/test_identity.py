"""Identity is the state that is used: whichever file it came from, a change has its name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.runs.events import TrainStep
from engine.runs.run import Run, create_run
from engine.worker.model import identity
from tests import tiny
from tests.faults.driving import alarms, events, recipe, walk, walk_until
from tests.folders import change_config, resolved, shard, store, stored

Change = Callable[[Path], object]
TEMPLATE = "{% for m in messages %}{{ m.content }}\n{% endfor %}Answer:"


def weights(folder: Path) -> None:
    store(folder, {name: value * 1.01 for name, value in stored(folder).items()})


def vocabulary(folder: Path) -> None:
    """One merge less: other ids for the same text."""
    path = folder / "tokenizer.json"
    state = json.loads(path.read_text())
    state["model"]["merges"].pop()
    path.write_text(json.dumps(state))


def normaliser(folder: Path) -> None:
    change_config(folder, "tokenizer.json", normalizer={"type": "Lowercase"})


def added_token(folder: Path) -> None:
    path = folder / "tokenizer.json"
    state = json.loads(path.read_text())
    new = dict(state["added_tokens"][0], id=5, content=state_text(state, 5), special=False)
    state["added_tokens"].append(new)
    path.write_text(json.dumps(state))


def state_text(state: dict[str, Any], number: int) -> str:
    return next(text for text, at in state["model"]["vocab"].items() if at == number)


def special_token(folder: Path) -> None:
    change_config(folder, "tokenizer_config.json", eos_token="!")


def template_file(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(TEMPLATE)


def template_key(folder: Path) -> None:
    change_config(folder, "tokenizer_config.json", chat_template=TEMPLATE)


CHANGES: dict[str, tuple[Change, set[str]]] = {
    "weights": (weights, {"weights"}),
    "a merge": (vocabulary, {"tokenizer"}),
    "the normaliser": (normaliser, {"tokenizer"}),
    "an added token": (added_token, {"added tokens"}),
    "the end of text": (special_token, {"special tokens", "added tokens"}),
    "chat_template.jinja": (template_file, {"chat template"}),
    "the template's key": (template_key, {"chat template"}),
    "a config value": (lambda f: change_config(f, rms_norm_eps=1e-4), {"config"}),
    "the generation config": (
        lambda f: change_config(f, "generation_config.json", eos_token_id=[0, 7]),
        {"generation config"},
    ),
}
NO_CHANGES: dict[str, Change] = {
    "a note of the tokenizer": lambda f: change_config(f, "tokenizer_config.json", x_note=1),
    "who saved it": lambda f: change_config(f, transformers_version="4.0.0"),
    "the dtype it is saved in": lambda f: change_config(f, dtype="bfloat16"),
    "a file that nobody reads": lambda f: (f / "notes.txt").write_text("mine"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_is_found_and_named(kind: str, tiny_model: Path, tmp_path: Path) -> None:
    change, named = CHANGES[kind]
    folder = Path(shutil.copytree(tiny_model, tmp_path / "m"))
    before = resolved(folder)
    change(folder)
    after = resolved(folder)
    assert before.identity != after.identity
    found = set(identity.changed_parts(dict(before.parts), dict(after.parts)))
    assert found <= named
    assert found


@pytest.mark.parametrize("kind", NO_CHANGES)
def test_what_is_not_used_is_no_change(kind: str, tiny_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "m"))
    before = resolved(folder)
    NO_CHANGES[kind](folder)
    assert resolved(folder).identity == before.identity


def test_every_shard_and_the_index_are_in_it(tiny_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "m"))
    parts = [dict(resolved(folder).parts)["weights"]]
    paths = shard(folder)
    parts.append(dict(resolved(folder).parts)["weights"])
    raw = paths[-1].read_bytes()
    paths[-1].write_bytes(raw[:-4] + bytes(4))
    parts.append(dict(resolved(folder).parts)["weights"])
    change_config(folder, "model.safetensors.index.json", metadata={"note": 1})
    parts.append(dict(resolved(folder).parts)["weights"])
    assert len(set(parts)) == 3  # the metadata of an index is not used
    assert parts[2] == parts[3]


def test_using_a_tokenizer_does_not_change_it(tiny_model: Path) -> None:
    """Padding and truncation are state of a fast tokenizer that calls leave behind."""
    base = resolved(tiny_model)
    base.tokenizer(["a", "b c d"], padding=True, truncation=True, max_length=2)
    assert identity.tokenizer_parts(base.tokenizer).items() <= dict(base.parts).items()


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run with a gate that was stopped while it trained; tests work on copies."""
    folder = tmp_path_factory.mktemp("stopped")
    model = tiny.write_model(folder / "m")
    template_file(model)
    files = tiny.write_corpora(folder / "c")
    text = recipe(model, files, gate=True).replace("[gate]", '[gate]\ntemplate = "chat"')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPT_HOME", str(folder / "home"))
        run = create_run("stopped", text)
        assert walk_until(run, 5).code == 6
    return {"run": run, "model": model}


@pytest.fixture
def run(stopped: dict[str, Any], private_home: Path, tmp_path: Path) -> Run:
    """A copy of the stopped run, and of its model."""
    path = private_home / "runs" / "stopped-1"
    shutil.copytree(stopped["run"].path, path)
    copy = Path(shutil.copytree(stopped["model"], tmp_path / "m"))
    text = (path / "recipe.toml").read_text().replace(str(stopped["model"]), str(copy))
    (path / "recipe.toml").write_text(text)
    return Run(path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda f: (f / "chat_template.jinja").write_text("zq"), "its chat template changed"),
        (vocabulary, "its tokenizer changed"),
        (weights, "its weights changed"),
        (special_token, "its added tokens and its special tokens changed"),
    ],
)
def test_a_change_between_stop_and_resume_is_refused_by_name(
    change: Change, named: str, run: Run, tmp_path: Path
) -> None:
    """Before the corpus is read again, and with nothing trained or judged."""
    trained = len(events(run, TrainStep))
    change(tmp_path / "m")
    end = walk(run)
    assert end.code == 1
    assert named in end.message
    assert "start a new run" in end.message
    assert len(events(run, TrainStep)) == trained


def test_before_training_a_change_is_said_and_measured_again(
    tiny_model: Path, tiny_files: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "m"))
    run = create_run("early", recipe(folder, tiny_files))
    checks = ("scan", "probe", "decide")
    walk(run, checks)
    weights(folder)
    walk(run, checks)
    assert [m for m in alarms(run) if "its weights changed since this run last stopped" in m]
