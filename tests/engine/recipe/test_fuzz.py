"""Whatever stands in a recipe: it is read, or refused in a sentence, and in no long time."""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cpt_tui.run_list import run_row
from engine.errors import InputError
from engine.recipe.sections import Recipe
from engine.recipe.toml import amend, dump, load_recipe, write_results
from engine.runs.run import create_run

MINIMAL = '[model]\nid = "m"\n\n[corpus]\npath = "c.txt"\n'
SECTIONS = [
    name for name in Recipe.model_fields if name not in ("evidence", "verdict", "provenance")
]


def keys() -> list[tuple[str, ...]]:
    """Every key of every section, by its place."""
    found: list[tuple[str, ...]] = [("arms", "control", "path"), ("gate", "probe", "lrs")]
    for name in SECTIONS:
        section = Recipe.model_fields[name].annotation
        found += [(name, key) for key in getattr(section, "model_fields", {})]
    return found


NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from([0, 1, -1, 2**31, 2**63, 10**12, 10**30, 1e-300, 1e300]),
)
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(
        ["..", "~nobody/x", "a\0b", "/" + "x" * 5000, "**/" * 50, "[", "(", "hub:", ""]
    ),
)
VALUES = st.one_of(
    NUMBERS,
    TEXTS,
    st.booleans(),
    st.lists(st.one_of(NUMBERS, TEXTS), max_size=3),
    st.dictionaries(st.sampled_from(["path", "method", "x", "lr"]), NUMBERS, max_size=2),
)


def loaded(folder: Path, raw: bytes) -> Recipe | None:
    """The recipe, gone through all that is done with one; None where it is refused."""
    path = folder / "r.toml"
    path.write_bytes(raw)
    try:
        recipe, text = load_recipe(path)
    except InputError:
        return None
    run = create_run(recipe.recipe.name, dump(recipe, text), folder)
    assert load_recipe(run.recipe_path)[0].train == recipe.train
    write_results(run.recipe_path, {"verdict": {"outcome": "GO"}})
    assert run_row(run).state != "unreadable"
    return recipe


@given(st.lists(st.tuples(st.sampled_from(keys()), VALUES), min_size=1, max_size=3))
@settings(max_examples=120, deadline=None)
@example([(("train", "betas"), [0.9, 1.0])])
@example([(("model", "id"), "~nobody/x")])
@example([(("recipe", "schema_version"), 1)])
@example([(("corpus", "path"), "/" + "x" * 5000)])
def test_any_value_is_taken_or_refused(changes: list[tuple[tuple[str, ...], Any]]) -> None:
    document: dict[str, Any] = {"model": {"id": "m"}, "corpus": {"path": "c.txt"}}
    for (*tables, key), value in changes:
        table = document
        for name in tables:
            table = table.setdefault(name, {}) if isinstance(table, dict) else {}
        if isinstance(table, dict):
            table[key] = value
    with tempfile.TemporaryDirectory() as folder:
        recipe = loaded(Path(folder), tomlkit.dumps(document).encode(errors="replace"))
        if recipe is not None:
            check_finite(recipe.model_dump())


def check_finite(values: object) -> None:
    if isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, (list, tuple)):
        for value in values:
            check_finite(value)
    assert not isinstance(values, float) or math.isfinite(values)


@given(st.one_of(st.binary(max_size=60), st.text("[]{}=.\"'#\n ab1,", max_size=60).map(str.encode)))
@settings(max_examples=120, deadline=None)
@example(b"\xff\xfe[\x00m\x00")
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        loaded(Path(folder), raw)
        loaded(Path(folder), MINIMAL.encode() + raw)


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("train", "betas = [0.9, 1.0]"),
        ("train", "betas = [-0.1, 0.9]"),
        ("train", "betas = [nan, 0.9]"),
        ("train", "seed = -1"),
        ("train", f"seed = {2**63}"),
        ("train", "clip = inf"),
        ("train", "weight_decay = nan"),
        ("train", "warmup = 1.0"),
        ("train", "epochs = inf"),
        ("train", f"batch_tokens = {10**15}"),
        ("train", "batch_tokens = 0"),
        ("train", "lr = 2"),
        ("probe", f"bootstrap = {10**10}"),
        ("probe", "seed = -3"),
        ("probe", f"max_tokens = {2**64}"),
        ("gate", "seeds = [0, 1, 2, 3, -4]"),
        ("gate", f"seeds = [0, 1, 2, 3, {2**70}]"),
        ("gate", "pattern = '('\nmetric = 'regex'"),
        ("gate", f"max_new_tokens = {10**9}"),
        ("lora", f"rank = {10**9}"),
        ("lora", "targets = []"),
        ("launch", f"threads = {10**6}"),
        ("corpus", "heldout_share = nan"),
        ("probe.thresholds", "go_gain = 1e300"),
    ],
)
def test_what_would_end_the_worker_is_refused_with_its_line(
    tmp_path: Path, table: str, line: str
) -> None:
    text = f"[{table}]\n{line}\n"
    text = MINIMAL.rstrip() + f"\n{line}\n" if table == "corpus" else f"{MINIMAL}{text}"
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"line \d+: {table}"):
        load_recipe(path)


def test_all_faults_come_at_once_paths_among_them(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(
        '[model]\nid = "../m"\n[corpus]\npath = "a\\u0000b"\n[gate]\ngold = "x/../y"\nmetrik = 1\n'
        '[train]\nseed = -1\n[arms.control]\npath = "../c"\n[vocab]\nfirst_run = "../r"\n'
    )
    with pytest.raises(InputError) as caught:
        load_recipe(path)
    message = str(caught.value)
    for part in (
        "7 faults",
        "line 2: model.id: '..'",
        "line 4: corpus.path: holds a NUL",
        "line 6: gate.gold: '..'",
        "line 7: gate.metrik: unknown key; did you mean metric?",
        "line 9: train.seed",
        "line 11: arms.control.path: '..'",
        "line 13: vocab.first_run: '..'",
    ):
        assert part in message, part


def test_a_recipe_from_windows_is_read_everywhere(tmp_path: Path) -> None:
    """A byte order mark and CRLF, in a recipe and in a run's own."""
    path = tmp_path / "r.toml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
    recipe, text = load_recipe(path)
    run = create_run("bom", dump(recipe, text), tmp_path)
    marked = b"\xef\xbb\xbf" + run.recipe_path.read_bytes()
    run.recipe_path.write_bytes(marked)
    assert load_recipe(run.recipe_path)[0].corpus == recipe.corpus
    assert run_row(run).about == "m on c.txt"
    write_results(run.recipe_path, {"verdict": {"outcome": "GO"}})
    run.recipe_path.write_bytes(marked)
    amend(run.recipe_path, {"finish": {"run": True}})
    assert load_recipe(run.recipe_path)[0].finish.run


@pytest.mark.parametrize(
    "text",
    [
        MINIMAL + "".join(f"k{n} = 1\n" for n in range(40_000)),
        "".join(f"[t{n}]\n" for n in range(40_000)),
        MINIMAL + "[probe.thresholds]\n" + "".join(f"k{n} = 1\n" for n in range(40_000)),
        MINIMAL + "[gate]\nseeds = [" + "1," * 300_000 + "]\n",
        "a" + ".b" * 400_000 + " = 1\n",
        "x = {" + "a." * 400_000 + "b = 1}\n",
        "x = " + "{a=" * 200_000,
        MINIMAL + 'text_column = "' + "x" * 900_000 + '"\n',
        "x" * 1_000_000,
        '"' + "a " * 400_000,
    ],
    ids=[
        "keys",
        "tables",
        "thresholds",
        "seeds",
        "dotted",
        "inline",
        "nested",
        "text",
        "word",
        "open",
    ],
)
def test_a_megabyte_is_refused_in_a_few_seconds_of_cpu(tmp_path: Path, text: str) -> None:
    """And in a message that fits a screen. Before, 60,000 keys took minutes."""
    path = tmp_path / "r.toml"
    path.write_text(text)
    began = time.process_time()
    with pytest.raises(InputError) as caught:
        load_recipe(path)
    assert time.process_time() - began < 5
    assert len(str(caught.value)) < 20_000
