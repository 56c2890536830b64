"""Everything that only a GPU can show, in one run of less than eight minutes on one card.

``python -m tests.benchmarks.gpu --out DIR [--small] [--only NAME …] [--budget 460]``. Correctness
first: losses against transformers' Trainer in fp32 and bf16, the start-up checks, attention by
document, LoRA beside a bf16 base, QLoRA, Liger and compiled kernels where they are installed,
resumed runs, memory that ends, an export. Then tokens a second, share of peak and memory, ours and
Trainer's best, and the demo. Each part has a process and a time limit of its own, so that a failure
costs one part. ``gpu.json`` and ``gpu.md`` in ``--out`` are written anew after every part.
``--small`` runs all of it on a CPU with models of a few thousand parameters, in one process.

Nothing outside this repository is needed: weights are random, tokenizers are trained on the spot.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from engine.worker.job.environment import ENVIRONMENT
from tests.benchmarks.gpu.parts import PARTS, do
from tests.benchmarks.gpu.results import Report, Row, read, table

ROOT = Path(__file__).parents[3]
"""Of the repository: what is run is what is here, installed or not."""
ENDS_WITHIN = 5
"""Seconds for which a part is not begun any more."""


def run_part(name: str, folder: Path, small: bool, seconds: float, apart: bool = True) -> list[Row]:
    """A part's rows, from a process that is ended after ``seconds``, or from this one."""
    file = folder / f"{name.replace(' ', '-')}.jsonl"
    command = [sys.executable, "-m", "tests.benchmarks.gpu.parts", name, str(file)]
    report, log = Report(file, name), folder / f"{name.replace(' ', '-')}.log"
    began = time.monotonic()
    if not apart:
        do(name, file, small)
        return read(file)
    with log.open("w") as out:
        try:
            done = subprocess.run(
                command + (["--small"] if small else []),
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=seconds,
                env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT)},
                cwd=ROOT,
                check=False,
            )
            if done.returncode not in (0, 1):
                tail = log.read_text(errors="replace")[-300:]
                report.check("ends", False, note=f"exit status {done.returncode}: {tail}")
        except subprocess.TimeoutExpired:
            report.check("ends", False, note=f"cut off after {seconds:.0f} s")
    report.figure("seconds of this part", time.monotonic() - began, "s")
    return read(file)


def write(rows: list[Row], out: Path) -> None:
    """Both files, as far as the run has come."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "gpu.json").write_text(json.dumps([asdict(row) for row in rows], indent=1))
    (out / "gpu.md").write_text(table(rows))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--small", action="store_true", help="tiny models, to see that it runs")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="these parts and no others")
    parser.add_argument("--budget", type=float, default=460, help="seconds of the whole run")
    given = parser.parse_args(arguments)
    ends = time.monotonic() + given.budget
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="cpt-gpu-") as scratch:
        for name in given.only or PARTS:
            left = ends - time.monotonic()
            if left < ENDS_WITHIN:
                rows.append(Row(name, "begins", note="not tried: no time was left"))
            else:
                most = min(PARTS[name].seconds, left)
                found = run_part(name, Path(scratch), given.small, most, not given.small)
                print(table(found), flush=True)
                rows += found
            write(rows, given.out)
    return int(any(row.ok is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
