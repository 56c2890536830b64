"""Scan speed and peak memory: first scan, second scan, and how soon a stop is heeded.

``python -m tests.benchmarks.scan_speed --material DIR --scratch DIR [--sizes 10 100 1000]``. The
corpora are made of the material's sentences in random order, with one document in twenty a
near-duplicate, and removed afterwards. Each scan runs in a process of its own that imports all
that the worker imports.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from engine.corpus.corpus import Corpus
from engine.recipe.sections import Source

MB = 1_000_000
SOURCES = ("domains/medical", "domains/legal", "general/novels", "general/wikitext2")


def sentences(material: Path) -> list[str]:
    corpora = [Corpus(Source(path=str(material / name))) for name in SOURCES]
    texts = [document.text for corpus in corpora for document in corpus.documents()]
    return [s for text in texts for s in re.split(r"(?<=[.!?])\s+", text) if 30 < len(s) < 400]


def documents(pool: list[str], rng: random.Random) -> Iterator[str]:
    """Texts of 1 to 6 KB; words of a sentence are swapped, so that no two are the same."""
    kept: list[str] = []
    while True:
        if kept and rng.random() < 0.05:
            words = rng.choice(kept).split(" ")
            for _ in range(max(1, len(words) // 100)):
                words[rng.randrange(len(words))] = rng.choice(pool).split(" ")[0]
            yield " ".join(words)
            continue
        chosen = []
        for sentence in rng.choices(pool, k=rng.randint(8, 40)):
            words = sentence.split(" ")
            one, other = rng.randrange(len(words)), rng.randrange(len(words))
            words[one], words[other] = words[other], words[one]
            chosen.append(" ".join(words))
        text = "\n".join(chosen)
        if len(kept) < 2000:
            kept.append(text)
        yield text


def make(path: Path, size: int, pool: list[str]) -> None:
    rng = random.Random(size)
    written = 0
    with path.open("w") as out:
        for text in documents(pool, rng):
            written += out.write(json.dumps({"text": text}) + "\n")
            if written >= size:
                return


def child(corpus: Path, tokenizer: Path, home: Path) -> None:
    """One scan; prints a JSON line."""
    from engine.worker.job.environment import set_environment

    set_environment()
    from transformers import AutoTokenizer, LlamaConfig

    from engine.errors import Interrupted
    from engine.recipe.sections import Recipe
    from engine.runs.event_log import EventLog
    from engine.runs.run import create_run
    from engine.worker.job.context import Context
    from engine.worker.measure.scan import ScanStage, scan_texts
    from engine.worker.model.base import Base
    from engine.worker.model.job import Job
    from engine.worker.pipeline import order  # noqa: F401, for its memory

    recipe = Recipe.model_validate(
        {"model": {"id": "m"}, "corpus": {"path": str(corpus)}, "generic": {"path": "embedded"}}
    )
    config = LlamaConfig(max_position_embeddings=2048)
    base = Base(tokenizer, "m", "", AutoTokenizer.from_pretrained(tokenizer), config)
    run = create_run("scan", "", home)
    context = Context(run, recipe, EventLog(run.events_path), stage="scan")
    context.install_signals()
    started, used = time.perf_counter(), time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {}
    try:
        ScanStage(Job(context, base)).inputs()
        found = scan_texts(context, base).domain.to_json()
    except Interrupted:
        print(json.dumps({"left": time.time()}))
        return
    done = {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - used,
        "rss_before": before,
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "documents": found.get("documents"),
        "tokens": found.get("tokens"),
        "near": found.get("quality", {}).get("near_duplicate_documents"),
    }
    print(json.dumps(done))


def start(corpus: Path, tokenizer: Path, home: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.benchmarks.scan_speed", "--child", str(corpus)]
    command += ["--tokenizer", str(tokenizer), "--scratch", str(home)]
    environment = {**os.environ, "CPT_HOME": str(home)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def scan(corpus: Path, tokenizer: Path, home: Path, stop_after: float = 0) -> dict[str, float]:
    process = start(corpus, tokenizer, home)
    if stop_after:
        log = home / "runs"
        while not any(path.stat().st_size for path in log.glob("*/events.jsonl")):
            time.sleep(0.05)
        time.sleep(stop_after)
        asked = time.time()
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate()
        return {"left": json.loads(out)["left"] - asked, "gone": time.time() - asked}
    out, _ = process.communicate()
    return dict(json.loads(out.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--material", type=Path)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 1000], help="MB")
    parser.add_argument("--child", type=Path)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.tokenizer, arguments.scratch)
        return
    material: Path = arguments.material
    tokenizer = arguments.tokenizer or material / "tokenizers/smollm2"
    pool = sentences(material)
    print(f"{'MB':>5}{'scan':>8}{'seconds':>9}{'MB/s':>7}{'cpu s':>8}{'peak RSS MB':>13}"
          f"{'documents':>11}{'tokens':>13}{'near':>8}")  # fmt: skip
    for size in arguments.sizes:
        home = arguments.scratch / f"speed{size}"
        home.mkdir(parents=True)
        corpus = home / "corpus.jsonl"
        make(corpus, size * MB, pool)
        for name in ("first", "second"):
            found = scan(corpus, tokenizer, home)
            print(f"{size:5}{name:>8}{found['seconds']:9.1f}{size / found['seconds']:7.1f}"
                  f"{found['cpu']:8.1f}{found['rss']:13.0f}{found['documents']:11,}"
                  f"{found['tokens']:13,}{found['near']:8,}", flush=True)  # fmt: skip
        shutil.rmtree(home / "cache")
        shutil.rmtree(home / "runs")
        if size >= 100:
            for after in (3, 5, 8):
                stop = scan(corpus, tokenizer, home, stop_after=after)
                shutil.rmtree(home / "runs")
                print(f"{size:5}    stop{stop['left']:9.1f} seconds until the scan is left, "
                      f"{stop['gone']:.1f} until the process is gone", flush=True)  # fmt: skip
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
