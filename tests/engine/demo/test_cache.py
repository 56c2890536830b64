"""The demo's cached files are looked at before they are believed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from engine.corpus.files.seals import SEAL, find_damage, publish_sealed
from engine.corpus.files.streams import zstandard
from engine.demo import demo, world
from engine.demo.demo import is_whole, world_files
from engine.files import digest, sha256_file
from engine.recipe.toml import load_recipe


def flip(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(bytes(raw))


@pytest.mark.parametrize("fault", ["flipped", "cut", "lost", "unsealed"])
def test_a_damaged_world_is_said_and_written_again(fault: str) -> None:
    said: list[str] = []
    paths = world_files(False, said.append)
    whole = {name: path.read_bytes() for name, path in paths.items()}
    gold = paths["gold"]
    if fault == "flipped":
        flip(gold, 40)
    elif fault == "cut":
        os.truncate(gold, 40)
    elif fault == "lost":
        gold.unlink()
    else:
        (gold.parent / SEAL).unlink()
    assert said == []
    again = world_files(False, said.append)
    assert {name: path.read_bytes() for name, path in again.items()} == whole
    assert len(said) == 1
    assert "cached text of the demo is damaged" in said[0]
    world_files(False, said.append)
    assert len(said) == 1


def test_a_damaged_base_is_said_and_taken_away() -> None:
    """The folder is what ``base_stage`` asks about before it builds."""
    folder = demo.base_folder()
    built = folder.with_name("building")
    built.mkdir(parents=True)
    (built / "model.safetensors").write_bytes(b"weights" * 100)
    publish_sealed(built, folder)
    said: list[str] = []
    assert is_whole(folder, "base", said.append)
    flip(folder / "model.safetensors", 100)
    assert not is_whole(folder, "base", said.append)
    assert not folder.exists()
    assert "model.safetensors is not as it was written" in said[0]


def test_a_whole_twin_stays_and_a_damaged_one_goes(tmp_path: Path) -> None:
    folder = tmp_path / "base"

    def publish(text: str) -> None:
        built = tmp_path / "building"
        built.mkdir()
        (built / "model").write_text(text)
        publish_sealed(built, folder)

    publish("one")
    publish("two")
    assert (folder / "model").read_text() == "one"
    assert not (tmp_path / "building").exists()
    flip(folder / "model", 0)
    publish("two")
    assert (folder / "model").read_text() == "two"
    assert find_damage(folder) == ""


def test_the_base_that_is_shipped_is_the_one_of_this_world() -> None:
    """Its header names what it was made of: another world or recipe needs another file."""
    raw = zstandard().decompress(demo.shipped_base().read_bytes())
    about = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]
    assert about["made of"] == digest(world.base_identity(demo.SEED))
    assert demo.shipped_base().stat().st_size < 1_500_000
    assert sha256_file(demo.shipped_base()) == demo.BASE_SHA256


def test_the_rebuilt_base_has_a_place_of_its_own() -> None:
    assert demo.base_folder() != demo.base_folder(rebuilt=True)
    plain, rebuilt = (demo.create_demo(rebuild_base=rebuild) for rebuild in (False, True))
    recipes = [load_recipe(run.recipe_path)[0] for run in (plain, rebuilt)]
    assert [recipe.model.id for recipe in recipes] == [demo.BASE, demo.REBUILT]
    assert all(demo.is_demo(recipe) for recipe in recipes)
