"""The demo: a ready recipe over an embedded world, so the whole story runs offline.

``demo:base`` names a small base model that comes with the package, ``demo:rebuilt`` the same one
trained here again from generated text, which takes minutes;
``demo:domain``, ``demo:generic``, ``demo:sft`` and ``demo:gold`` name generated files.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from engine.corpus.files.seals import build_sealed, discard_folder, find_damage
from engine.files import cache_folder, digest
from engine.recipe.sections import Recipe
from engine.recipe.toml import dump, load_recipe, recipe_folder
from engine.runs.run import Run, create_run

PREFIX = "demo:"
SEED = 7
"""Of the world. Chosen before it was looked at: the design was tuned on seeds 0 and 1."""
BASE, REBUILT = f"{PREFIX}base", f"{PREFIX}rebuilt"
BASE_SHA256 = "5498c7c6596201a62006ed142a7b2047a0ceaca1cdf9b799afc2fa64d24557a1"
"""Of the file that the base comes as; ``engine.worker.pipeline.demo_base`` writes one."""
Say = Callable[[str], None]
_FILES = {("corpus", "path"), ("generic", "path"), ("gate", "gold"), ("gate", "sft")}


def say_on_stderr(message: str) -> None:
    """For commands; screens have a way of their own."""
    print(f"cpt: {message}", file=sys.stderr)


def is_demo(recipe: Recipe) -> bool:
    """Whether the recipe's base is the embedded one."""
    return recipe.model.id in (BASE, REBUILT)


def shipped_base() -> Path:
    """The file that the base comes as: weights in bf16 and their tokenizer, packed."""
    return Path(str(files("engine") / "data" / "demo_base.safetensors.zst"))


def base_folder(rebuilt: bool = False) -> Path:
    """Where the demo's base is cached: keyed by everything that makes it."""
    from engine.demo import world

    source = "rebuilt" if rebuilt else BASE_SHA256
    return cache_folder() / "demo" / f"base-{digest([world.base_identity(SEED), source])[:16]}"


def materialise(recipe: Recipe, say: Say = say_on_stderr) -> Recipe:
    """Write the world's files and put their paths into the recipe; others pass unchanged.

    ``say`` is told where cached files were damaged and are written again.
    """
    values = recipe.model_dump(by_alias=True)
    asked = {values[s][k] for s, k in _FILES if str(values[s][k]).startswith(PREFIX)}
    if not asked:
        return recipe
    fluent = f"{PREFIX}fluent" in asked
    paths = world_files(fluent, say)
    for section, key in _FILES:
        name = str(values[section][key])
        if name.startswith(PREFIX):
            values[section][key] = str(
                paths["domain" if name == f"{PREFIX}fluent" else name[len(PREFIX) :]]
            )
    return Recipe.model_validate(values)


def world_files(fluent: bool, say: Say = say_on_stderr) -> dict[str, Path]:
    """The world's files by name, written once into the cache; damaged ones are written again."""
    from engine.demo import world

    key = digest([world.base_identity(SEED), fluent])[:16]
    folder = cache_folder() / "demo" / f"world-{key}"
    if not is_whole(folder, "text", say):
        with build_sealed(folder) as temporary:
            world.write_world(temporary, SEED, fluent)
    return {name: folder / f"{name}.jsonl" for name in ("domain", "generic", "sft", "gold")}


def is_whole(folder: Path, what: str, say: Say) -> bool:
    """Whether a cached part of the demo can be believed; a damaged one is said and taken away."""
    if not folder.is_dir():
        return False
    damage = find_damage(folder)
    if damage:
        say(f"the cached {what} of the demo is damaged ({damage}): it is made anew")
        discard_folder(folder)
    return not damage


def recipe_path(fluent: bool = False) -> Path:
    """The shipped recipe of the demo."""
    return recipe_folder() / ("demo-fluent.toml" if fluent else "demo.toml")


def create_demo(fluent: bool = False, say: Say = say_on_stderr, rebuild_base: bool = False) -> Run:
    """A fresh run of the demo, ready to start."""
    recipe, text = load_recipe(recipe_path(fluent))
    ready = materialise(recipe, say)
    if rebuild_base:
        ready = ready.model_copy(update={"model": ready.model.model_copy(update={"id": REBUILT})})
    return create_run(ready.recipe.name, dump(ready, text))


def start_demo(fluent: bool = False, say: Say = say_on_stderr) -> Run:
    """Create and launch the demo in a detached worker."""
    from engine.runs import launch

    run = create_demo(fluent, say)
    launch.start(run)
    return run
