"""``cpt check`` on pairs of model and corpus whose right verdict was written down beforehand.

    python -m tests.benchmarks.decisions --material ../shared/material --packages DEBS
        [--only NAME] [--kept FILE]

Prints a Markdown table: expected, given, and the numbers behind it. Rows are run one by one and
kept in FILE, so that a sweep that was broken off goes on; DEBS holds the packages of
``local_texts``, without which their rows are left out. A row with a * had its answer known to
somebody before a rule that decides it was changed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks import local_texts

GATES = {
    "medical": "tasks/medical_question_type",
    "legal": "tasks/legal_unfair_clause",
}
NOVELS = "general/novels"


@dataclass(frozen=True)
class Case:
    """One pair; ``corpus`` is a path below the material or a maker of one in a folder."""

    name: str
    model: str | Callable[[Path, Path], Path]
    corpus: str | Callable[[Path, Path], Path]
    generic: str | Callable[[Path, Path], Path]
    expected: str
    gate: str | None = "medical"
    near: bool = False
    """Whether the user says that the text was chosen for the gate's task."""
    repair: bool = False
    """Whether wrongly decoded text is repaired while reading."""
    known: bool = True
    """Whether its answer was known before a rule was changed."""


def texts(material: Path, folder: str) -> list[str]:
    from engine.corpus.corpus import Corpus
    from engine.recipe.sections import Source

    return [d.text for d in Corpus(Source(path=str(material / folder))).documents()]


def written(folder: Path, name: str, documents: list[str]) -> Path:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    return path


def half(which: int, source: str) -> Callable[[Path, Path], Path]:
    """Every second document of a source, so that two halves share a distribution."""

    def make(material: Path, folder: Path) -> Path:
        name = f"{Path(source).stem}-half{which}"
        return written(folder, name, texts(material, source)[which::2])

    return make


def small(material: Path, folder: Path) -> Path:
    """20 KB of medical text."""
    chosen, size = [], 0
    for text in texts(material, "domains/medical"):
        chosen.append(text)
        size += len(text.encode())
        if size > 20_000:
            break
    return written(folder, "small", chosen)


def shuffled(material: Path, folder: Path) -> Path:
    """Medical text with the words of each document in random order."""
    return written(folder, "shuffled", mixed_up(texts(material, "domains/medical")[:3000]))


def noisy(material: Path, folder: Path) -> Path:
    """Novels as bad OCR gives them: 8% of the characters wrong."""
    rng = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyz1|!.,;'"
    found = [
        "".join(rng.choice(letters) if rng.random() < 0.08 else c for c in text)
        for text in texts(material, NOVELS)
    ]
    return written(folder, "noisy", found)


def copies(material: Path, folder: Path) -> Path:
    """60 medical documents, each 200 times with one word changed: big, and nothing new."""
    rng = random.Random(0)
    found = []
    short = [text for text in texts(material, "domains/medical") if len(text) < 3000]
    for text in short[:60]:
        words = text.split(" ")
        for number in range(200):
            mine = list(words)
            mine[rng.randrange(len(mine))] = f"edit{number}"
            found.append(" ".join(mine))
    rng.shuffle(found)
    return written(folder, "copies", found)


def mixed_up(documents: list[str], seed: int = 0) -> list[str]:
    """The words of each document in random order."""
    rng = random.Random(seed)
    found = []
    for text in documents:
        words = text.split()
        rng.shuffle(words)
        found.append(" ".join(words))
    return found


def pages(language: str, shuffle: bool = False, limit: int = 0) -> Callable[[Path, Path], Path]:
    """The man pages of a language, up to so many characters."""

    def make(material: Path, folder: Path) -> Path:
        packages = os.environ.get(PACKAGES, "")
        if not packages or not list(Path(packages).glob(f"manpages-{language}_*.deb")):
            raise FileNotFoundError(f"manpages-{language} is not in --packages")
        found = local_texts.man_pages(Path(packages), language)
        if limit:
            found = [t for n, t in enumerate(found) if sum(map(len, found[:n])) < limit]
        return written(folder, f"man-{language}", mixed_up(found) if shuffle else found)

    return make


def generated(make: Callable[[], list[str]]) -> Callable[[Path, Path], Path]:
    """Documents of ``local_texts``."""
    return lambda material, folder: written(folder, make.__name__, make())


def chat_model(material: Path, folder: Path) -> Path:
    """novel3m as a chat model is told by: a name and a template."""
    copy = folder / "novel3m-chat"
    if not copy.is_dir():
        shutil.copytree(material / NOVEL, copy, copy_function=shutil.copyfile)
        copy.chmod(0o700)
        (copy / "chat_template.jinja").write_text(CHATML)
    return copy


PACKAGES = "CPT_BENCHMARK_PACKAGES"
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
STORIES, NOVEL = "models/stories260k", "models/novel3m"
TINY = "general/tinystories/tiny_stories.txt"
CASES = (
    Case("medical, fit reference", NOVEL, "domains/medical", NOVELS, "GO"),
    Case("medical, unfit reference", NOVEL, "domains/medical", "general/wikitext2", "NOT YET"),
    Case("medical, no gate", NOVEL, "domains/medical", NOVELS, "NOT YET", None),
    Case("legal", NOVEL, "domains/legal", NOVELS, "GO", "legal"),
    Case("wikitext2", NOVEL, "general/wikitext2", NOVELS, "NOT YET"),
    Case("wikitext2, task-near", NOVEL, "general/wikitext2", NOVELS, "GO", near=True),
    Case("novels, its own text", NOVEL, half(0, NOVELS), half(1, NOVELS), "NO-GO", near=True),
    Case("medical for stories", STORIES, "domains/medical", TINY, "GO"),
    Case("legal for stories", STORIES, "domains/legal", TINY, "GO", "legal"),
    Case("stories, its own text", STORIES, half(0, TINY), half(1, TINY), "NO-GO", near=True),
    Case(
        "stories, repaired", STORIES, half(0, TINY), half(1, TINY), "NO-GO", near=True, repair=True
    ),
    Case("instructions", STORIES, "awkward/sft_prompt_completion", TINY, "NO-GO"),
    Case("chat", STORIES, "awkward/chat_sharegpt", TINY, "NO-GO"),
    Case("preference pairs", STORIES, "awkward/preference", TINY, "NO-GO"),
    Case("a task's rows", NOVEL, "tasks/medical_question_type", NOVELS, "NO-GO"),
    Case("20 KB", NOVEL, small, NOVELS, "NO-GO"),
    Case("copies that look big", NOVEL, copies, NOVELS, "NO-GO"),
    Case("OCR noise", NOVEL, noisy, NOVELS, "NOT YET", near=True),
    Case("shuffled words", NOVEL, shuffled, NOVELS, "NOT YET"),
    Case("medical, embedded sample", NOVEL, "domains/medical", "embedded", "NOT YET"),
    Case("Icelandic", NOVEL, "domains/icelandic", NOVELS, "GO"),
    Case("Icelandic for stories", STORIES, "domains/icelandic", TINY, "GO", known=False),
    Case("German", NOVEL, pages("de"), NOVELS, "GO", known=False),
    Case("French for stories", STORIES, pages("fr"), TINY, "GO", known=False),
    Case("Polish", NOVEL, pages("pl"), NOVELS, "GO", known=False),
    Case("Japanese", NOVEL, pages("ja"), NOVELS, "GO", known=False),
    Case("German, shuffled words", NOVEL, pages("de", True), NOVELS, "NOT YET", known=False),
    Case("German, 100 KB", NOVEL, pages("de", limit=100_000), NOVELS, "NO-GO", known=False),
    Case("Solidity", NOVEL, "domains/solidity", NOVELS, "GO"),
    Case(
        "Solidity beside Python",
        NOVEL,
        "domains/solidity",
        generated(local_texts.python_sources),
        "NOT YET",  # Python is as new to a reader of novels: no fit reference
        known=False,
    ),
    Case("Python", NOVEL, generated(local_texts.python_sources), NOVELS, "GO", known=False),
    Case("SMILES", NOVEL, generated(local_texts.molecules), NOVELS, "GO", near=True, known=False),
    Case("logs", NOVEL, generated(local_texts.logs), NOVELS, "GO", known=False),
    Case(
        "random strings",
        NOVEL,
        generated(local_texts.random_strings),
        NOVELS,
        "NOT YET",
    ),
    Case(
        "random numbers",
        NOVEL,
        generated(local_texts.number_tables),
        NOVELS,
        "NOT YET",
        near=True,
        known=False,
    ),
    Case("chat model", chat_model, "domains/medical", NOVELS, "GO", known=False),
    Case(
        "chat model, its own text",
        chat_model,
        half(0, NOVELS),
        half(1, NOVELS),
        "NO-GO",
        near=True,
        known=False,
    ),
)
WORLDS = (("same generator as the base*", True, "NO-GO"), ("new lexicon*", False, "GO"))


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from cpt_tui.cli import main; main()", *arguments]


def place(what: str | Callable[[Path, Path], Path], material: Path, folder: Path) -> str:
    if isinstance(what, str):
        return what if what == "embedded" else str(material / what)
    return str(what(material, folder))


def checked(case: Case, material: Path, folder: Path) -> tuple[dict[str, Any], float]:
    """The JSON of ``cpt check`` and its wall time in seconds."""
    arguments = ["check", place(case.corpus, material, folder), "--json"]
    arguments += ["--model", place(case.model, material, folder)]
    arguments += ["--generic", place(case.generic, material, folder)]
    arguments += ["--hurts", "unreadable", "--goal", "domain words are continued correctly"]
    if case.gate:
        task = material / GATES[case.gate]
        arguments += ["--gold", str(task / "test.jsonl"), "--sft", str(task / "train.jsonl")]
        arguments += ["--sft-examples", "400"]
    arguments += ["--task-selected"] * case.near + ["--repair-mojibake"] * case.repair
    started = time.monotonic()
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
    if not done.stdout.strip():
        return {"outcome": "FAILED", "message": done.stderr.strip()[:160]}, 0.0
    return json.loads(done.stdout), time.monotonic() - started


def world(fluent: bool) -> tuple[dict[str, Any], float]:
    """The demo's world through the decision; its base is unpacked on first use and not timed."""
    from cpt_tui.commands.follow import view_of
    from engine.demo import demo
    from engine.runs import launch
    from engine.stages import CHECK_STAGES

    run = demo.create_demo(fluent)
    launch.start(run, CHECK_STAGES)
    while not (view := view_of(run)).ended:
        time.sleep(0.5)
    stages = {name: view.evidence(name) for name in ("scan", "probe", "decide")}
    decide = stages["decide"] or {"outcome": "FAILED", "sentence": ""}
    found = {"outcome": decide["outcome"], "message": decide["sentence"], "stages": stages}
    seconds = sum(view.stages[name].seconds or 0 for name in stages)
    return found, seconds


def kept_rows(path: Path | None) -> dict[str, str]:
    """Rows of an earlier sweep by their name."""
    if path is None or not path.is_file():
        return {}
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {row["name"]: row["row"] for row in rows}


def keep_row(path: Path | None, name: str, line: str) -> None:
    if path is not None:
        with path.open("a") as handle:
            handle.write(json.dumps({"name": name, "row": line}) + "\n")


def row(name: str, expected: str, found: dict[str, Any], seconds: float) -> str:
    """One line of the table."""
    stages = found.get("stages", {})
    probe, decide = stages.get("probe") or {}, stages.get("decide") or {}
    domain = ((stages.get("scan") or {}).get("scan") or {}).get("domain") or {}
    quality = domain.get("quality") or {}
    tokens = domain.get("tokens", 0)
    fluency, pilot = probe.get("fluency"), probe.get("pilot")
    cells = [
        name,
        expected,
        found["outcome"] + ("" if found["outcome"] == expected else " **(differs)**"),
        decide.get("deciding_node", "-"),
        f"{tokens / 1e6:.2f}M",
        f"{(tokens - quality.get('near_duplicate_tokens', 0)) / 1e6:.2f}M",
        spread(fluency["ratio"], 2) if fluency else "-",
        f"{pilot['domain_gain']:.3f} / {pilot['generic_gain']:.3f}" if pilot else "-",
        spread(pilot["gain"], 3) if pilot else "-",
        f"{pilot['tokens'] // 1000}k" if pilot else "-",
        f"{seconds:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def spread(value: dict[str, float], digits: int) -> str:
    return f"{value['value']:.{digits}f} ({value['low']:.{digits}f}-{value['high']:.{digits}f})"


HEAD = (
    "| case | expected | given | deciding node | tokens | effective | ratio (95%) | "
    "pilot gain domain / generic | net gain (95%) | pilot | s |\n" + "|---" * 11 + "|"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--material", type=Path, required=True)
    parser.add_argument("--packages", type=Path, help="where the packages of man pages lie")
    parser.add_argument("--only", default="", help="only rows whose name holds this")
    parser.add_argument("--kept", type=Path, help="rows that are done, a JSON line each")
    asked = parser.parse_args()
    material = asked.material.resolve()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if asked.packages:
        os.environ[PACKAGES] = str(asked.packages.resolve())
    print(HEAD, flush=True)
    with tempfile.TemporaryDirectory() as made:
        os.environ.setdefault("CPT_HOME", f"{made}/home")
        rows: list[Row] = [_row_of(case, material, Path(made)) for case in CASES]
        rows += [Row(name, expected, partial(world, fluent)) for name, fluent, expected in WORLDS]
        done = kept_rows(asked.kept)
        for one in rows:
            if asked.only not in one.name:
                continue
            if one.name in done:
                print(done[one.name], flush=True)
                continue
            try:
                line = row(one.name, one.expected, *one.measure())
            except FileNotFoundError as error:
                print(f"| {one.name} | {one.expected} | left out: {error} |", flush=True)
                continue
            keep_row(asked.kept, one.name, line)
            print(line, flush=True)


def _row_of(case: Case, material: Path, made: Path) -> Row:
    name = f"{case.name}{'*' if case.known else ''}"
    return Row(name, case.expected, partial(checked, case, material, made))


class Row(NamedTuple):
    """A row of the table and how to make it."""

    name: str
    expected: str
    measure: Callable[[], tuple[dict[str, Any], float]]


if __name__ == "__main__":
    main()
