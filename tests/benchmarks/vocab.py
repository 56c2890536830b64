"""Vocabulary extension where it should pay and where it should not, with and without it.

    python -m tests.benchmarks.vocab --model novel3m [--megabytes 1.5] [--method full|lora]

Two real bases read medical text, whose words they shatter, and text that their tokenizers were
made for: novel3m (4,096 pieces) novels, stories260k (512 pieces) stories. Each corpus is trained
on twice through real runs, first as it is and then with new tokens; all losses are bits/byte on
the same held-out texts. The second table asks how often a new token must stand in the training
text: its own loss in held-out text beside that of the old pieces, which the first run trained.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.recipe.toml import load_recipe
from engine.runs.run import Run, create_run
from engine.worker.model import base as models
from engine.worker.model.precision import Precision
from engine.worker.step.rows import IGNORE
from engine.worker.tokens.store import TokenStore
from engine.worker.vocabulary import heldout
from engine.worker.vocabulary.merges import Word
from tests.material import MATERIAL

PASSAGE = 2_000
"""Characters of a document made from a novel or from stories."""
OWN = {"novel3m": "novels", "stories260k": "stories"}
GENERIC = {"medical": "tinystories/tiny_stories.txt"}
"""Beside each corpus; wikitext2 where none is named."""
BUCKETS = (30, 100, 300, 1000)

RECIPE = """
[recipe]
schema = 1
name = "{name}"
override = "a benchmark: both corpora are trained on whatever the verdict"
[model]
id = "{model}"
dtype = "fp32"
[corpus]
path = "{corpus}"
heldout_share = 0.1
[generic]
path = "{generic}"
[interview]
hurts = "unreadable"
fluency_goal = "words"
[probe]
pilot = false
max_tokens = 20000
[probe.thresholds]
fertility_problem = 0
vocab_occurrences = {least}
[pack]
sequence_length = 256
[train]
{method}
lr = 1e-3
batch_tokens = {batch}
eval_tokens = 10000
eval_every = 100000
seed = {seed}
"""
METHODS = {
    "full": 'method = "full"\nwhy_full = "a small model"\ntrain_embeddings = true\n'
    "embeddings_lr = 1e-3",
    "lora": 'method = "lora"',
}


def corpora(folder: Path, size: int) -> dict[str, Path]:
    """About ``size`` bytes of each text."""
    assert MATERIAL is not None, "the real material is not here"
    lines = (MATERIAL / "domains/medical/corpus.jsonl").read_text().splitlines()
    medical = [json.loads(line)["text"] for line in lines]
    novels = passages(*sorted((MATERIAL / "general/novels").glob("*_*.txt")))
    stories = passages(MATERIAL / "general/tinystories/tiny_stories.txt")
    made = {}
    for name, texts in (("medical", medical), ("novels", novels), ("stories", stories)):
        np.random.default_rng(0).shuffle(texts)
        sizes = np.cumsum([len(text.encode()) for text in texts])
        kept = texts[: int(np.searchsorted(sizes, size))]
        made[name] = folder / f"{name}.jsonl"
        made[name].write_text("".join(json.dumps({"text": text}) + "\n" for text in kept))
    return made


def passages(*paths: Path) -> list[str]:
    texts = [path.read_text() for path in paths]
    return [t[at : at + PASSAGE] for t in texts for at in range(0, len(t), PASSAGE)]


def trained(text: str, name: str) -> tuple[Run, float]:
    """A real run to its end, and its training's seconds."""
    run = create_run(name, text)
    subprocess.run([sys.executable, "-m", "engine.worker", str(run.path)], check=False)
    assert run.artifact_path("train").is_file(), (run.path / "worker.log", run.path)
    events = [json.loads(line) for line in run.events_path.read_text().splitlines()]
    done = [e for e in events if e["kind"] == "stage.done" and e["stage"] == "train"]
    return run, done[-1]["seconds"]


def artifact(run: Run, stage: str) -> Any:
    return json.loads(run.artifact_path(stage).read_text())


@torch.no_grad()
def losses(model: torch.nn.Module, rows: Any) -> list[Any]:
    """Nats of each token of each text."""
    found = []
    for ids, labels in zip(rows.ids, rows.labels, strict=True):
        size = int((labels != IGNORE).sum()) + 1
        text = torch.from_numpy(ids[:size].astype(np.int64))
        logits = model(input_ids=text[None], use_cache=False).logits[0, :-1]
        found.append(torch.nn.functional.cross_entropy(logits, text[1:], reduction="none").numpy())
    return found


def by_occurrence(first: Run, second: Run, base: models.Base, wide: models.Base) -> list[list[Any]]:
    """[bucket, tokens, times in held-out text, bits old, bits new] of the new tokens' own text."""
    recipe = load_recipe(first.recipe_path)[0]
    store = TokenStore(Path(artifact(first, "scan")["stores"]["domain"]))
    texts = heldout.heldout_texts(store, base, recipe)
    sides = [
        (heldout.read(texts, one).rows, models.load_folder(run.path / "model").eval())
        for one, run in ((base, first), (wide, second))
    ]
    nats = [losses(model, rows) for rows, model in sides]
    made = artifact(second, "extend")
    stands_for = expansions(base, wide, made["first"])
    train = TokenStore(Path(made["stores"]["domain"]))
    often = np.zeros(len(wide.tokenizer), dtype=np.int64)
    for index in train.side(heldout=False):
        often += np.bincount(train.document(int(index)), minlength=len(often))
    sums: dict[int, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
    seen: dict[int, set[int]] = defaultdict(set)
    for old, new, row in zip(*nats, sides[1][0].ids, strict=True):
        at = 0
        for token, cost in zip(row[1 : len(new) + 1].tolist(), new, strict=True):
            size = len(stands_for.get(token, (token,)))
            if token in stands_for:
                bucket = int(np.searchsorted(BUCKETS, often[token], side="right"))
                for n, value in enumerate((1, old[at : at + size].sum(), cost)):
                    sums[bucket][n] += value
                seen[bucket].add(token)
            at += size
    names = [
        "under 30",
        *(f"{a} to {b}" for a, b in pairwise(BUCKETS)),
        "more",
    ]
    return [
        [names[b], len(seen[b]), n, old / n / math.log(2), new / n / math.log(2)]
        for b, (n, old, new) in sorted(sums.items())
    ]


def expansions(base: models.Base, wide: models.Base, first: int) -> dict[int, Word]:
    """Old pieces by new token, as the written tokenizer's merges have them."""
    state = json.loads(wide.tokenizer.backend_tokenizer.to_str())["model"]
    ids, made = state["vocab"], dict[int, Word]()
    for left, right in state["merges"]:
        if (new := ids[left + right]) >= first:
            made[new] = made.get(ids[left], (ids[left],)) + made.get(ids[right], (ids[right],))
    return made


def compare(name: str, corpus: Path, wanted: argparse.Namespace) -> None:
    """Both runs on one corpus, and the tables."""
    assert MATERIAL is not None
    values = {
        "model": MATERIAL / "models" / wanted.model,
        "corpus": corpus,
        "generic": MATERIAL / "general" / GENERIC.get(name, "wikitext2/test.txt"),
        "method": METHODS[wanted.method],
        "seed": wanted.seed,
        "least": wanted.least,
        "batch": wanted.batch,
    }
    text = RECIPE.format(name=name, **values)
    first, own = trained(text, name)
    more = f'\n[vocab]\nextend = true\nfirst_run = "{first.path}"\n'
    more += f"rows_share = {wanted.rows_share}\n"
    second, longer = trained(text + more, f"{name}-extended")
    made, after = artifact(second, "extend"), artifact(second, "train")
    recipe = load_recipe(first.recipe_path)[0]
    base, wide = (
        models.resolve(recipe.model),
        models.resolve(recipe.model.model_copy(update={"id": str(second.path / "extended")})),
    )
    model = models.load_folder(first.path / "model")
    fp32 = Precision("fp32", "")
    without = {}
    for side in ("domain", "generic"):
        store = TokenStore(Path(artifact(first, "scan")["stores"][side]))
        said = heldout.read(heldout.heldout_texts(store, base, recipe), base)
        without[side] = said.bits_per_byte(model, fp32, 16)
    bits = after["vocab"]["bits_per_byte"]
    ratio = artifact(first, "scan")["fertility"]["ratio"]
    print(f"\n## {wanted.model}, {name}, {wanted.method}: fertility {ratio:.2f} of generic")
    print(
        f"{made['tokens']} new tokens (of {made['candidates']} that stand {made['least']} times "
        f"in {made['training_tokens']:,} training tokens), {made['on_the_way']} of them steps on "
        f"the way; rows alone for {after['vocab']['rows_steps']} of {after['steps']} steps"
    )
    for side, (b, a) in made["tokens_per_document"].items():
        print(f"tokens a held-out document, {side}: {b:.1f} -> {a:.1f} ({a / b - 1:+.1%})")
    print("| held-out bits/byte | domain | generic |\n|---|---|---|")
    points = [
        ("base", bits["before"]),
        (f"trained without new tokens ({own:.0f} s)", without),
        ("new tokens, at their mean", bits["init"]),
        ("new tokens, rows trained alone", bits["rows"]),
        (f"new tokens, trained ({longer:.0f} s)", bits["end"]),
    ]
    for what, one in points:
        print(f"| {what} | {one['domain']:.4f} | {one['generic']:.4f} |")
    print("\n| times in training | tokens | times held out | bits, old pieces | bits, new |")
    print("|---|---|---|---|---|")
    for bucket, tokens, times, was, now in by_occurrence(first, second, base, wide):
        print(f"| {bucket} | {tokens} | {times:.0f} | {was:.2f} | {now:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=OWN, default="novel3m")
    parser.add_argument("--megabytes", type=float, default=1.5)
    parser.add_argument("--method", choices=METHODS, default="full")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--least", type=int, default=100, help="occurrences of a new token")
    parser.add_argument("--batch", type=int, default=8192, help="tokens of a step")
    parser.add_argument("--rows-share", type=float, default=0.1)
    parser.add_argument("--corpus", choices=("medical", "own"), action="append")
    wanted = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        files = corpora(Path(folder), round(wanted.megabytes * 1e6))
        for which in wanted.corpus or ("medical", "own"):
            name = OWN[wanted.model] if which == "own" else which
            compare(name, files[name], wanted)
    print(f"\n{time.monotonic() - started:.0f} s in all")


if __name__ == "__main__":
    main()
