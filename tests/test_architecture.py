"""The house rules, held by code: imports run down the layers, rooms stay small."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIBRARIES = ("torch", "transformers", "numpy", "scipy", "datasets", "pyarrow", "peft", "pydantic")
"""What the app starts without."""
MOST_MODULES = 12
MOST_LINES = 400
LAYERS = (
    ("engine.errors", "engine.redaction", "engine.thresholds"),
    ("engine.artifacts",),
    (
        "engine.stages",
        "engine.formatting",
        "engine.files",
        "engine.model_folder",
        "engine.normal_form",
    ),
    ("engine.gold.metrics",),  # below the recipe, whose [gate] metric takes its names from it
    ("engine.recipe",),
    ("engine.runs", "engine.stats"),
    ("engine.corpus",),
    ("engine.quality",),
    ("engine.gold",),
    ("engine.decision",),
    ("engine.gate",),
    ("engine.summary",),
    ("engine.report",),
    ("engine.release",),
    ("engine.demo", "engine.preflight", "engine.cache"),
    ("engine.worker.job",),
    ("engine.worker.model",),
    ("engine.worker.step",),
    ("engine.worker.tokens",),
    ("engine.worker.packing",),
    ("engine.worker.scoring",),
    ("engine.worker.measure",),
    ("engine.worker.vocabulary",),
    ("engine.worker.train",),
    ("engine.worker.gate",),
    ("engine.worker.release",),
    ("engine.worker.pipeline",),
    ("engine.worker.__main__", "engine.worker.doctor"),
    ("cpt_tui.safe", "cpt_tui.terminal", "cpt_tui.keys", "cpt_tui.glossary"),
    ("cpt_tui.feed", "cpt_tui.log_end"),
    ("cpt_tui.run_list",),
    ("cpt_tui.drawing",),
    ("cpt_tui.evidence",),
    ("cpt_tui.interview",),
    ("cpt_tui.workspace",),
    ("cpt_tui.panels",),
    ("cpt_tui.screens",),
    ("cpt_tui.app",),
    ("cpt_tui.commands",),
    ("cpt_tui.cli",),
)
"""Packages and single modules, lowest first. A module imports from its own package and from
what stands in a layer above its own in this list."""
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def sources() -> dict[str, Path]:
    """Every module of the product by its dotted name."""
    files = [p for top in ("engine", "cpt_tui") for p in sorted((ROOT / top).rglob("*.py"))]
    return {name_of(path): path for path in files}


@cache
def imports(module: str) -> tuple[tuple[str, str], ...]:
    """(imported module, name) of all imports, those inside of functions too."""
    found = []
    for node in ast.walk(ast.parse(sources()[module].read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.append((whole, "") if whole in sources() else (node.module, alias.name))
    return tuple(found)


def layer_of(module: str) -> str:
    """The entry of ``LAYERS`` that a module belongs to; empty for the packages around them."""
    while module and module not in RANK:
        module = module.rpartition(".")[0]
    return module


def modules() -> list[str]:
    return [name for name, path in sources().items() if path.name != "__init__.py"]


def test_every_module_has_a_layer() -> None:
    assert [name for name in modules() if not layer_of(name)] == []


def test_imports_run_down_the_layers() -> None:
    up = [
        f"{module} -> {other} {name}".strip()
        for module in modules()
        for other, name in imports(module)
        if (rank := RANK.get(layer_of(other))) is not None
        and layer_of(other) != layer_of(module)
        and rank >= RANK[layer_of(module)]
    ]
    assert up == []


def test_the_engine_does_not_know_the_screens_nor_the_worker() -> None:
    """The worker is launched, never imported; the screens stand above all."""
    guilty = [
        f"{module} -> {other}"
        for module in sources()
        for other, _ in imports(module)
        if (module.startswith("engine") and other.split(".")[0] in ("cpt_tui", "textual"))
        or (not module.startswith("engine.worker") and other.startswith("engine.worker"))
    ]
    assert guilty == []


def test_torch_lives_in_the_worker_only() -> None:
    guilty = [
        f"{module} -> {other}"
        for module in sources()
        for other, _ in imports(module)
        if other.split(".")[0] in ("torch", "transformers", "peft")
        and not module.startswith("engine.worker")
    ]
    assert guilty == []


def test_no_circles() -> None:
    """Not even within a package: an order of all modules exists."""
    left = {m: {o for o, _ in imports(m) if o in sources() and o != m} for m in sources()}
    while free := [module for module, others in left.items() if not others & left.keys()]:
        for module in free:
            del left[module]
    assert sorted(left) == []


def test_rooms_stay_small() -> None:
    rooms = Counter(str(path.parent.relative_to(ROOT)) for path in map(sources().get, modules()))
    assert {room: count for room, count in rooms.items() if count > MOST_MODULES} == {}
    packages = Counter(str(p.parent.parent.relative_to(ROOT)) for p in sources().values())
    lonely = [r for r, n in rooms.items() if n == 1 and not packages[r] and r != "engine/data"]
    assert lonely == []


def test_files_stay_small() -> None:
    lines = {name: len(path.read_text().splitlines()) for name, path in sources().items()}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def packages() -> list[str]:
    return [name for name, path in sources().items() if path.name == "__init__.py"]


@pytest.mark.parametrize("package", packages())
def test_a_package_says_what_is_in_it(package: str) -> None:
    """``__init__.py`` is a docstring with one line a module, and nothing is imported into it."""
    tree = ast.parse(sources()[package].read_text())
    rest = [n for n in tree.body[1:] if not isinstance(n, ast.Assign)]
    assert ast.get_docstring(tree)
    assert rest == []
    said = set(re.findall(r"\w+", ast.get_docstring(tree) or ""))
    inside = {m.removeprefix(f"{package}.").split(".")[0] for m in sources() if m != package}
    inside = {m for m in inside if f"{package}.{m}" in sources() and not m.startswith("_")}
    assert inside - said == set()


def test_a_public_class_name_exists_once() -> None:
    names = Counter(
        node.name
        for path in sources().values()
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_any_is_rare() -> None:
    """``Any`` stands at a library's edge only: at most 5 in a thousand lines."""
    texts = [path.read_text() for path in sources().values()]
    nodes = (node for text in texts for node in ast.walk(ast.parse(text)))
    count = sum(isinstance(node, ast.Name) and node.id == "Any" for node in nodes)
    assert 1000 * count <= 5 * sum(text.count("\n") for text in texts)


def loaded(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after ``code``."""
    code = f"import sys\n{code}\nprint(*{{m.split('.')[0] for m in sys.modules}})"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(out.stdout.split())


@pytest.mark.parametrize(
    "module",
    ["cpt_tui.app", "cpt_tui.cli", "cpt_tui.commands.follow", "cpt_tui.screens.home.home"],
)
def test_the_app_starts_light(module: str) -> None:
    assert loaded(f"import {module}") & set(LIBRARIES) == set()


def test_headless_commands_do_not_import_textual() -> None:
    assert "textual" not in loaded("import cpt_tui.cli, cpt_tui.commands.follow")


def test_no_code_in_data() -> None:
    """No pickle, no eval, no remote code anywhere."""
    banned = ("trust_remote_code=True", "import pickle", "torch.load(", " eval(", " exec(")
    guilty = [(n, word) for n, p in sources().items() for word in banned if word in p.read_text()]
    assert guilty == []
