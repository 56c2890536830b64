"""The parts in their order, and one of them in this process: ``… parts NAME FILE [--small]``."""

from __future__ import annotations

import argparse
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.gpu.results import Report

Work = Callable[[Report, bool, Path], None]


@dataclass(frozen=True)
class Part:
    """One part: where its work is, and the seconds that it may take on a GPU."""

    module: str
    function: str
    seconds: int


PARTS = {
    "machine": Part("speed", "machine", 40),
    "parity": Part("correctness", "parity", 60),
    "checks": Part("correctness", "checks", 40),
    "attention": Part("correctness", "attention", 30),
    "lora": Part("correctness", "lora", 40),
    "resume": Part("correctness", "resume", 90),
    "oom": Part("correctness", "oom", 40),
    "export": Part("correctness", "export", 50),
    "head": Part("speed", "head", 40),
    "attention speed": Part("speed", "attention", 30),
    "135M full": Part("speed", "full_135m", 110),
    "135M lora": Part("speed", "lora_135m", 90),
    "1.7B lora": Part("speed", "lora_1700m", 110),
    "variants": Part("correctness", "variants", 120),
    "demo": Part("speed", "demo_run", 120),
}
"""Correctness first. The limits add up to more than there is: the whole has a limit of its own."""


def work_of(part: Part) -> Work:
    """The function, imported only where it runs."""
    from importlib import import_module

    found: Work = getattr(import_module(f"tests.benchmarks.gpu.{part.module}"), part.function)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=PARTS)
    parser.add_argument("file", type=Path)
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args()
    return int(not do(given.name, given.file, given.small))


def do(name: str, file: Path, small: bool) -> bool:
    """A part in this process; whether it came to its end."""
    report, work = Report(file, name), file.parent / name.replace(" ", "-")
    work.mkdir(parents=True, exist_ok=True)
    os.environ["CPT_HOME"] = str(work / "home")
    try:
        work_of(PARTS[name])(report, small, work)
    except Exception as error:
        traceback.print_exc()
        report.check("ends", False, note=f"{type(error).__name__}: {str(error)[:300]}")
        return False
    return True


if __name__ == "__main__":
    raise SystemExit(main())
