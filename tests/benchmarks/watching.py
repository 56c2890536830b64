"""What a screen costs: CPU seconds to the first screen, share of a core and bytes while watching.

``python -m tests.benchmarks.watching [SECONDS]`` prints a table. CPU seconds are those of the
viewer's process, read from the kernel, so that other work on the machine does not count; bytes
are those that the terminal received. The watched run gets two training steps a second and an
evaluation every ten seconds.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from engine.runs.history import History
from tests.cpt_tui import worlds
from tests.cpt_tui.terminal import Terminal
from tests.longlogs import training_run

SIZES = ((80, 24), (120, 30), (200, 60))
SECONDS = 20.0
STEPS_A_SECOND = 2
EVAL_EVERY = 20
MANY = 2000
"""Runs of the longest list."""
MILLION = 1_000_000


def cpu(terminal: Terminal) -> float:
    """CPU seconds of the viewer so far."""
    times = psutil.Process(terminal.process.pid).cpu_times()
    return float(times.user + times.system)


def look(terminal: Terminal, seconds: float) -> tuple[float, float]:
    """(share of a core, bytes a second) over a while."""
    before, start, begun = cpu(terminal), len(terminal.raw), time.monotonic()
    while (left := begun + seconds - time.monotonic()) > 0:
        terminal.read(min(0.5, left), left)
    spent = time.monotonic() - begun
    return (cpu(terminal) - before) / spent, (len(terminal.raw) - start) / spent


@contextmanager
def training(root: Path) -> Iterator[worlds.World]:
    """A run that goes on by itself, its clock the real one."""
    worlds.T0 = time.time() - 1000
    world = worlds.mid_training(root, upto=400)
    over = threading.Event()

    def work() -> None:
        step = 400
        while not over.wait(1 / STEPS_A_SECOND):
            step += 1
            world.t = time.time() - 1
            world.emit(worlds.train_step(step, 4000))
            world.status("running", "train", alive=True)
            if step % EVAL_EVERY == 0:
                world.emit(worlds.eval_point(step))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield world
    finally:
        over.set()
        thread.join()


def first_screen(home: Path, *arguments: str, needle: str) -> float:
    """CPU seconds until the screen stands, the median of three."""
    taken = []
    for _ in range(3):
        with Terminal(home, *arguments, size=(80, 24)) as terminal:
            terminal.wait_for(needle)
            taken.append(cpu(terminal))
    return sorted(taken)[1]


def many_runs(root: Path) -> Path:
    """A home with thousands of small runs."""
    for number in range(MANY):
        world = worlds.World(root, f"run{number % 40}-20260101-000000-{number:04x}")
        world.start()
        world.emit(worlds.train_step(5))
        world.log.close()
    return root


def long_log(root: Path) -> Path:
    """A run of a million steps, without an index."""
    training_run(root, MILLION, 2 * MILLION)
    return root


def say(what: str, value: str) -> None:
    print(f"{what:<44} {value}", flush=True)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    os.environ.setdefault("CPT_ASCII", "0")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        worlds.finished(root / "one")
        say("first screen, home", f"{first_screen(root / 'one', needle='Ready'):.2f} CPU s")
        watch = first_screen(root / "one", "watch", needle="Evidence")
        say("first screen, a finished run", f"{watch:.2f} CPU s")
        with Terminal(root / "one", "watch", size=(80, 24)) as terminal:
            terminal.wait_for("Evidence")
            look(terminal, 3)
            share, rate = look(terminal, seconds)
            say("a finished run, idle", f"{share:.2%} of a core, {rate:.0f} B/s")
        with training(root / "live"):
            for size in SIZES:
                with Terminal(root / "live", "watch", size=size) as terminal:
                    terminal.wait_for("Held-out")
                    look(terminal, 3)
                    share, rate = look(terminal, seconds)
                say(f"watching live, {size[0]}x{size[1]}", f"{share:.2%} of a core, {rate:.0f} B/s")
        many = many_runs(root / "many")
        say(f"first screen, {MANY:,} runs", f"{first_screen(many, needle='Ready'):.2f} CPU s")
        long = long_log(root / "long")
        before = time.process_time()
        History(next((long / "runs").iterdir()) / "events.jsonl").catch_up()
        say("reading 1M steps without an index", f"{time.process_time() - before:.1f} CPU s")
        with Terminal(long, "watch", size=(80, 24)) as terminal:
            terminal.wait_for("reading history")
            held = cpu(terminal)
            terminal.go("2", "Packing")
            say("a key while 1M steps are read", f"{cpu(terminal) - held:.2f} CPU s to its screen")


if __name__ == "__main__":
    main()
