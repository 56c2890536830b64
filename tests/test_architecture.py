"""The house rules, held by code: imports run one way, light starts, small files."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "transformers", "numpy", "scipy", "datasets", "pyarrow", "peft")


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_nothing_in_the_engine_imports_the_screens() -> None:
    guilty = [
        p.name
        for p in sources("engine")
        if any(n.split(".")[0] in ("cpt_tui", "textual") for n in imported(p))
    ]
    assert guilty == []


def test_nothing_imports_the_worker_but_the_worker() -> None:
    outside = [p for p in sources("engine") + sources("cpt_tui") if "worker" not in p.parts]
    guilty = [p.name for p in outside if any(n.startswith("engine.worker") for n in imported(p))]
    assert guilty == []


def test_torch_lives_in_the_worker_only() -> None:
    outside = [p for p in sources("engine") + sources("cpt_tui") if "worker" not in p.parts]
    guilty = [
        p.name
        for p in outside
        if any(n.split(".")[0] in ("torch", "transformers", "peft") for n in imported(p))
    ]
    assert guilty == []


@pytest.mark.parametrize("module", ["cpt_tui.app", "cpt_tui.cli", "cpt_tui.headless"])
def test_the_app_starts_light(module: str) -> None:
    code = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_headless_commands_do_not_import_textual() -> None:
    code = "import sys, cpt_tui.cli, cpt_tui.headless; print('textual' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_files_stay_small() -> None:
    long = {
        str(p.relative_to(ROOT)): lines
        for p in sources("engine") + sources("cpt_tui")
        if (lines := len(p.read_text().splitlines())) > 400
    }
    assert long == {}


def test_no_code_in_data() -> None:
    """No pickle, no eval, no remote code anywhere."""
    for path in sources("engine") + sources("cpt_tui"):
        text = path.read_text()
        for banned in (
            "trust_remote_code=True",
            "import pickle",
            "torch.load(",
            " eval(",
            " exec(",
        ):
            assert banned not in text, (path.name, banned)
