"""Sources of a side: several tables, their shares, families, and the pins of a lock."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.errors import InputError
from engine.recipe.generic_families import FAMILIES, family_of
from engine.recipe.sections import Recipe, Source
from engine.recipe.toml import dump, load_recipe, write_results

MODEL = '[model]\nid = "m"\n'
TWO = """
[[corpus]]
path = "a"  # mine
share = 0.25
heldout_share = 0.1
[[corpus]]
path = "b"
share = 0.75
"""


def load(folder: Path, text: str) -> Recipe:
    path = folder / "r.toml"
    path.write_text(MODEL + text)
    return load_recipe(path)[0]


def fault(folder: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        load(folder, text)
    return str(caught.value)


def test_several_tables_are_one_side_and_survive_their_own_dump(tmp_path: Path) -> None:
    recipe = load(tmp_path, TWO)
    assert [part.path for part in recipe.corpus.parts] == [f"{tmp_path}/a", f"{tmp_path}/b"]
    assert recipe.corpus.shares == [0.25, 0.75]
    assert [part.heldout_share for part in recipe.corpus.parts] == [0.1, 0.1]
    assert not any(part.also for part in recipe.corpus.parts)
    for template in ("", MODEL + TWO, MODEL + '[corpus]\npath = "a"\n'):
        text = dump(recipe, template)
        assert text.count("[[corpus]]") == 2, text
        (tmp_path / "again.toml").write_text(text)
        assert load_recipe(tmp_path / "again.toml")[0] == recipe
    assert "# mine" not in dump(recipe)


def test_one_table_in_an_array_is_one_source(tmp_path: Path) -> None:
    recipe = load(tmp_path, '[[corpus]]\npath = "a"\n')
    assert recipe.corpus.parts == (recipe.corpus,)
    assert recipe.corpus.shares is None


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (TWO.replace("0.75", "0.5"), "sum to 0.75; make it 1"),
        (TWO.replace("share = 0.75\n", ""), "give every source a share"),
        (TWO + "heldout_share = 0.2\n", "heldout_share belongs into the first table"),
        (TWO + "colour = 1\n", "line 11: corpus.2.colour: unknown key"),
        (TWO.replace('"b"', '"../b"'), "line 9: corpus.2.path: '..' is not allowed"),
        (TWO.replace("share = 0.25", "share = 2"), "line 6: corpus.1.share"),
        ("[[corpus]]\n[[corpus]]\npath = 'b'\n", "line 3: corpus.1.path: is required"),
        ('[corpus]\npath = "https://me:pw@host/a.jsonl"\n', "access token"),
        ('[corpus]\npath = "s3://me@bucket/a"\n', "an address with a login"),
        ('[corpus]\npath = "https://host/a?X-Amz-Signature=1"\n', "an address with a login"),
        ('[corpus]\npath = "a"\nrevision = "main"\n', "revision has no effect"),
        ('[corpus]\npath = "a"\nsha256 = "12"\n', "corpus.sha256"),
    ],
)
def test_faults_name_the_table(tmp_path: Path, text: str, part: str) -> None:
    assert part in fault(tmp_path, text)


def test_addresses_are_no_paths(tmp_path: Path) -> None:
    for path in ("https://host/x/../a.jsonl", "s3://b/a*.parquet", "gs://b/a", "memory://a"):
        assert load(tmp_path, f'[corpus]\npath = "{path}"\n').corpus.path == path


MODELS = {
    "HuggingFaceTB/SmolLM2-135M": "SmolLM2",
    "/models/my-smollm2": "SmolLM2",
    "EleutherAI/pythia-160m-deduped": "Pythia",
    "allenai/OLMo-2-0425-1B": "OLMo",
    "someone/llama": "other",
    "olmo-fans/llama": "OLMo",
    "/home/olmo/llama": "other",
}


@pytest.mark.parametrize(("model", "family"), MODELS.items())
def test_families(model: str, family: str) -> None:
    assert family_of(model).name == family


def test_a_family_is_told_by_its_config(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt_neox"}))
    assert family_of(str(tmp_path)).name == "Pythia"
    (tmp_path / "config.json").write_text("{")
    assert family_of(str(tmp_path)).name == "other"


def test_every_family_is_a_side_that_a_recipe_takes() -> None:
    for family in FAMILIES:
        shares = [source.share for source in family.sources]
        assert sum(shares) == pytest.approx(1)
        assert family.source
        assert all(Source(path=source.path).is_remote for source in family.sources)


def test_the_family_is_named_where_the_recipe_is_read(tmp_path: Path) -> None:
    text = '[corpus]\npath = "a"\n[generic]\npath = "family"\nheldout_share = 0.2\n'
    smol = text + 'take_tokens = 1000\n[model]\nid = "x/SmolLM2-1.7B"\n'
    (tmp_path / "r.toml").write_text(smol)
    recipe, text = load_recipe(tmp_path / "r.toml")
    assert [part.take_tokens for part in recipe.generic.parts] == [540, 360, 100]
    assert recipe.generic.parts[2].heldout_share == 0.2
    assert dump(recipe, text).count("[[generic]]") == 3


def test_a_replay_pins_what_the_run_has_fetched(tmp_path: Path) -> None:
    text = '[[corpus]]\npath = "hub:o/n"\n[[corpus]]\npath = "https://h/a"\ntake_tokens = 9\n'
    path = tmp_path / "r.toml"
    path.write_text(MODEL + text)
    pins = {
        "hub:o/n": {"revision": "c0ffee", "sha256": "1" * 64, "bytes": 3},
        "https://h/a 9": {"sha256": "2" * 64},
    }
    write_results(path, {"provenance": {"fetched": pins}})
    one, two = load_recipe(path)[0].corpus.parts
    assert (one.revision, one.sha256) == ("c0ffee", "1" * 64)
    assert (two.revision, two.sha256) == (None, "2" * 64)
    path.write_text(path.read_text().replace("hub:o/n", 'hub:o/n"\nrevision = "mine', 1))
    assert load_recipe(path)[0].corpus.sha256 is None
