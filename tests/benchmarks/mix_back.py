"""Mix-back promised against achieved, for corpora and generic sources of several sizes.

    python -m tests.benchmarks.mix_back --material ../shared/material [--packed 1]

Promised is what the decision states from counted tokens. Achieved is what packing reaches: by
packing itself up to ``--packed`` million tokens, beyond by the packer's arithmetic on the counts.
The hub source comes from the tests' hub on loopback.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.hubserver import serve

if TYPE_CHECKING:
    from engine.recipe.sections import Recipe

SIZES = (100_000, 1_000_000, 10_000_000, 50_000_000)
ASKED = 0.10
HEAD = (
    "| generic | fresh tokens | corpus | promised | achieved | repeats | decision | by |\n"
    + "|---" * 8
    + "|"
)


def sources(material: Path) -> dict[str, Any]:
    """``[generic]`` by its name in the table."""
    novels, tiny = str(material / "general/novels"), str(material / "general/tinystories")
    return {
        "embedded sample": {"path": "embedded"},
        "a file (novels)": {"path": novels},
        "two sources, 70 to 30": [
            {"path": novels, "share": 0.7},
            {"path": tiny + "/tiny_stories.txt", "share": 0.3},
        ],
        "hub, take_tokens = 400,000": {"path": "hub:o/web", "take_tokens": 400_000},
    }


def hub_file(material: Path) -> bytes:
    """WikiText as a data set of the tests' hub."""
    text = (material / "general/wikitext2/test.txt").read_text()
    text += (material / "general/wikitext2/valid.txt").read_text()
    parts = [text[at : at + 3000] for at in range(0, len(text), 3000)]
    return "".join(json.dumps({"text": part}) + "\n" for part in parts).encode()


def medical(material: Path, folder: Path, tokens: int) -> Path:
    """About so many tokens of medical text."""
    path, size = folder / f"medical-{tokens}.jsonl", 0
    with path.open("w") as out:
        for source in sorted((material / "domains/medical").glob("*.jsonl")):
            for line in source.open():
                text = json.loads(line)["text"]
                out.write(json.dumps({"text": text}) + "\n")
                size += len(text)
                if size > 2.9 * tokens:
                    return path
    return path


def table(material: Path, folder: Path, packed: int) -> None:
    """Print every row."""
    from engine.recipe.sections import Recipe

    print(HEAD, flush=True)
    for name, generic in sources(material).items():
        for size in SIZES:
            corpus = medical(material, folder, size if size <= packed else SIZES[0])
            recipe = Recipe.model_validate(
                {
                    "model": {"id": str(material / "models/novel3m")},
                    "corpus": {"path": str(corpus)},
                    "generic": generic,
                    "pack": {"mix_back": ASKED, "sequence_length": 512},
                }
            )
            print("| " + " | ".join([name, *cells(recipe, folder, size, size <= packed)]) + " |")


def cells(recipe: Recipe, folder: Path, size: int, packs: bool) -> list[str]:
    """A row: the corpus scanned and packed, or its scan with so many tokens in its place."""
    from engine.artifacts.decision import Evidence
    from engine.decision.case import Case
    from engine.decision.mix_back import mix_back, plan_mix_back
    from engine.runs.event_log import EventLog
    from engine.runs.run import create_run
    from engine.worker.job.context import Context
    from engine.worker.measure.scan import scan_texts
    from engine.worker.model.base import resolve
    from engine.worker.packing.stage import pack_texts
    from engine.worker.tokens.checks import open_stores

    run = create_run("mix", "", folder / "home")
    context, base = Context(run, recipe, EventLog(run.events_path)), resolve(recipe.model)
    context.stage = "scan"
    made = scan_texts(context, base)
    scan = made.scan
    if not packs:
        nothing = ("documents", "heldout_documents", "heldout_tokens")
        zeros: dict[str, object] = dict.fromkeys((*nothing, "left_out_documents"), 0)
        larger = {"tokens": size, "parts": [], "left_out_tokens": 0, **zeros}
        scan = scan.model_copy(update={"domain": scan.domain.model_copy(update=larger)})
    plan = plan_mix_back(scan.domain, scan.generic, recipe)
    achieved, by = plan.achievable, "counts"
    if packs:
        achieved = pack_texts(context, base, *open_stores(made.stores)).achieved_mix
        by = "packing"
    decided = mix_back(Case(Evidence(scan=scan), recipe)).outcome
    counts = [f"{plan.fresh:,}", f"{plan.domain:,}", f"{plan.achievable:.2%}", f"{achieved:.2%}"]
    return [*counts, str(plan.repeats), decided, by]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--material", type=Path, required=True)
    parser.add_argument("--packed", type=float, default=1, help="million tokens packed for real")
    asked = parser.parse_args()
    material = asked.material.resolve()
    with (
        tempfile.TemporaryDirectory() as made,
        serve(datasets={"o/web": {"train.jsonl": hub_file(material)}}) as hub,
    ):
        # The hub's libraries read these once, when they are imported.
        os.environ |= {"CPT_HOME": f"{made}/home", "HF_HOME": f"{made}/hf"}
        os.environ |= {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"}
        table(material, Path(made), round(asked.packed * 1e6))


if __name__ == "__main__":
    main()
