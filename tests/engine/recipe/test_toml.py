"""Recipes: every fault at once with its line; comments survive; ready recipes are valid."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.recipe.adapters import Lora
from engine.recipe.schema import place_beside, schema, with_directive
from engine.recipe.sections import Model, Recipe, Train
from engine.recipe.toml import (
    NAMES_ELSEWHERE,
    dump,
    load_recipe,
    locate,
    recipe_folder,
    validate,
    write_results,
)

MINIMAL = '[model]\nid = "m"\n\n[corpus]\npath = "c.txt"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "r.toml"
    path.write_text(text)
    return path


def fault(folder: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        load_recipe(write(folder, text))
    return str(caught.value)


def test_every_fault_is_named_with_key_and_line(tmp_path: Path) -> None:
    text = MINIMAL + 'colour = "red"\n[train]\nlr = "fast"\nepochs = -1\n[gate]\nseeds = "x"\n'
    message = fault(tmp_path, text)
    for part in (
        "4 faults",
        "line 6: corpus.colour: unknown key",
        "line 8: train.lr",
        "line 9: train.epochs",
        "line 11: gate.seeds",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[corpus]\npath = 'x'\n", "model: is required"),
        (MINIMAL + "[train]\nmethod = 'full'\n", "why_full"),
        (MINIMAL + "[train]\nepochs = 3\n", "why_epochs"),
        (MINIMAL + "[pack]\nmix_back = 0\n", "why_no_mix_back"),
        (MINIMAL + "[gate]\nseeds = [1, 2]\n", "five seeds"),
        (MINIMAL + "[gate]\nseeds = [1, 1, 2, 3, 4]\n", "differ"),
        (MINIMAL + "[probe.thresholds]\nnonsense = 1\n", "unknown threshold nonsense"),
        (MINIMAL + "[probe.thresholds]\ngo_gain = nan\n", "finite"),
        (MINIMAL + "[train]\nlr = nan\n", "train.lr"),
        (MINIMAL + "[vocab]\nextend = true\n", "vocab.extend"),
        ("[model\nid = 1\n", "not valid TOML"),
        (MINIMAL.replace('"m"', '"../m"'), "'..' is not allowed"),
        (MINIMAL.replace("c.txt", "x/../../c.txt"), "'..' is not allowed"),
        (MINIMAL + "# " + "hf_" + "A" * 30, "access token"),
        ("a" + ".b" * 20_000 + " = 1\n", "not valid TOML"),
        ("x = " + "[" * 5_000 + "\n", "not valid TOML"),
    ],
)
def test_bad_recipes_get_one_sentence_fast(tmp_path: Path, text: str, part: str) -> None:
    started = time.monotonic()
    assert part in fault(tmp_path, text)
    assert time.monotonic() - started < 2


def test_the_secret_itself_is_not_repeated(tmp_path: Path) -> None:
    token = "hf_" + "Z" * 34
    assert token not in fault(tmp_path, MINIMAL + f"[recipe]\npurpose = '{token}'\n")


def test_a_secret_is_refused_where_a_user_wrote_it_only(tmp_path: Path) -> None:
    """A run's own tables are no place to stop a resume at; they are masked when written."""
    token = "hf_" + "Z" * 34
    path = write(tmp_path, MINIMAL + "# mine\n")
    write_results(path, {"evidence": {"scan": {"notes": [f"near {token}"], token: 1}}})
    assert token not in path.read_text()
    assert load_recipe(path)[0].evidence["scan"]["notes"] == ["near hf_[masked]"]
    older = MINIMAL + f"[evidence.x]\ntext = '{token}'\n[[evidence.y]]\ntext = '{token}'\n"
    load_recipe(write(tmp_path, older))
    assert "line 11" in fault(tmp_path, older + f"[recipe]\nname = '{token}'\n")
    with pytest.raises(InputError, match="access token") as caught:
        validate({"model": {"id": "m"}, "corpus": {"path": token}}, "", "cpt check")
    assert token not in str(caught.value)


def test_a_huge_or_binary_file_is_refused(tmp_path: Path) -> None:
    assert "larger than 1 MB" in fault(tmp_path, "#" * (2 << 20))
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        load_recipe(tmp_path / "b.toml")
    with pytest.raises(InputError, match="cannot be read"):
        load_recipe(tmp_path / "none.toml")


def test_comments_and_order_survive(tmp_path: Path) -> None:
    text = "# mine\n[train]\nlr = 1e-4 # slow\n" + MINIMAL
    recipe, source = load_recipe(write(tmp_path, text))
    out = dump(recipe, source)
    assert "# mine" in out
    assert "# slow" in out
    assert out.index("[train]") < out.index("[model]")
    again = load_recipe(write(tmp_path, out))[0]
    assert again.train == recipe.train


def test_results_are_replaced_and_the_intent_kept(tmp_path: Path) -> None:
    path = write(tmp_path, "# mine\n" + MINIMAL)
    before = load_recipe(path)[0]
    for outcome in ("GO", "NO-GO"):
        write_results(path, {"verdict": {"outcome": outcome, "none": None, "list": [1, None]}})
    recipe, text = load_recipe(path)
    assert recipe.verdict == {"outcome": "NO-GO", "list": [1]}
    assert recipe.model_copy(update={"verdict": {}}) == before
    assert text.count("[verdict]") == 1


def test_relative_paths_belong_to_the_recipe_or_to_root(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL)
    assert load_recipe(path)[0].corpus.path == str(tmp_path / "c.txt")
    other = tmp_path / "other"
    (other / "m").mkdir(parents=True)
    recipe = load_recipe(path, other)[0]
    assert recipe.corpus.path == str(other / "c.txt")
    assert recipe.model.id == str(other / "m")
    assert load_recipe(path)[0].model.id == "m"


def test_schema_file_is_the_models(tmp_path: Path) -> None:
    stored = json.loads((recipe_folder() / "schema.json").read_text())
    assert stored == json.loads(json.dumps(schema())), "run: python -m engine.recipe.schema"


def test_the_schema_is_named_once_and_a_file_of_that_name_stays(tmp_path: Path) -> None:
    for text in (MINIMAL, "#:schema ../elsewhere.json\n" + MINIMAL):
        assert with_directive(text) == f"#:schema ./schema.json\n{MINIMAL}"
    place_beside(tmp_path / "r.toml")
    path = tmp_path / "schema.json"
    assert json.loads(path.read_text()) == json.loads(json.dumps(schema()))
    path.write_text("mine")
    place_beside(tmp_path / "r.toml")
    assert path.read_text() == "mine"


@pytest.mark.parametrize("path", sorted(recipe_folder().glob("*.toml")), ids=lambda p: p.stem)
def test_ready_recipes_are_valid(path: Path) -> None:
    assert path.read_text().startswith("#:schema ./schema.json\n")
    recipe, text = load_recipe(path)
    assert len(recipe.gate.seeds) >= 5
    assert load_recipe(path)[0] == recipe
    assert "#" in text


keys = st.lists(st.text("abcdefgh", min_size=1, max_size=5), min_size=1, max_size=3, unique=True)


@given(table=keys, key=st.text("abcdefgh", min_size=1, max_size=6), blanks=st.integers(0, 5))
def test_locate_finds_the_line(table: list[str], key: str, blanks: int) -> None:
    text = "\n" * blanks + f"[{'.'.join(table)}]\n# {key} = 0\n{key} = 1\n"
    assert locate(text, (*table, key)) == blanks + 3


def test_validate_names_no_line_where_there_is_no_text() -> None:
    with pytest.raises(InputError, match="corpus: is required"):
        validate({"model": {"id": "x"}}, "", "flags")


def test_recipe_round_trips_through_its_own_dump() -> None:
    values = {"model": {"id": "m"}, "corpus": {"path": "c"}, "train": {"lr": 0.001}}
    recipe = Recipe.model_validate(values)
    assert validate(__import__("tomllib").loads(dump(recipe)), "", "x") == recipe


def test_an_unknown_key_is_told_with_what_may_have_been_meant(tmp_path: Path) -> None:
    text = '[model]\nid = "m"\n[corpus]\npath = "c"\n[train]\nepoch = 1\n[lora]\nzzz = 1\n'
    said = fault(tmp_path, text)
    assert "train.epoch: unknown key; did you mean epochs?" in said
    assert "lora.zzz: unknown key; [lora] knows " in said


def test_a_name_of_another_trainer_is_answered_with_ours(tmp_path: Path) -> None:
    tables = {"model": Model.model_fields, "train": Train.model_fields, "lora": Lora.model_fields}
    for name, meant in NAMES_ELSEWHERE.items():
        table = next(t for t, keys in tables.items() if meant in keys)
        said = fault(tmp_path, f"[{table}]\n{name} = 1\n")
        assert f"{table}.{name}: unknown key; did you mean {meant}?" in said
