"""Does the probe's 95% interval hold the full corpus's value 95% of the time?

Every document of both sides is scored once; then the adaptive probe (its own code, stop rule
included) is run on resamplings of them.

    python -m tests.benchmarks.coverage --material ../shared/material
"""

from __future__ import annotations

import argparse
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

PAIRS = (
    ("medical", "novels"),
    ("legal", "novels"),
    ("wikitext2", "novels"),
    ("wikitext2", "legal"),  # the hardest: the full ratio lies at the threshold
)
FOLDERS = {
    "medical": "domains/medical",
    "legal": "domains/legal",
    "novels": "general/novels",
    "wikitext2": "general/wikitext2",
}
WINDOW, LEAST = 512, 64


@dataclass
class Replay:
    """Stands where the probe's scorer stands, and hands out documents scored before."""

    base: Any
    pools: dict[int, Any]
    """By the id of the Scores that are being filled: all scored documents of that side."""
    sizes: list[int] = field(default_factory=list)

    def extend(self, scores: Any, tokens: int) -> None:
        pool = self.pools[id(scores)]
        while not scores.exhausted and tokens > 0:
            at = int(scores.order[scores.read])
            scores.read += 1
            scores.documents.append(at)
            scores.ids.append(pool.ids[at])
            scores.nll.append(pool.nll[at])
            scores.bytes.append(pool.bytes[at])
            tokens -= len(pool.ids[at])


def pools(material: Path, documents: int) -> tuple[Any, dict[str, Any]]:
    """(base, scored documents by corpus)."""
    from engine.corpus.corpus import Corpus
    from engine.recipe import sections
    from engine.worker.model import base as models
    from engine.worker.model.precision import Precision
    from engine.worker.scoring.documents import Scorer, Scores
    from engine.worker.tokens.store import encode

    base = models.resolve(sections.Model(id=str(material / "models/novel3m")))
    precision = Precision("fp32", "")
    scorer = Scorer(models.load(base), base, precision, WINDOW, LEAST)
    found = {}
    for name, folder in FOLDERS.items():
        texts = [d.text for d in Corpus(sections.Source(path=str(material / folder))).documents()]
        order = np.random.default_rng(0).permutation(len(texts))[:documents]
        ids = [x[: 2 * WINDOW] for x in encode(base.tokenizer, [texts[i] for i in order])]
        ids = [x for x in ids if len(x) > LEAST]
        scores = Scores(None, np.arange(len(ids)), ids=ids)  # type: ignore[arg-type]
        scores.nll = scorer.score(ids)
        scores.bytes = [scorer.text_bytes(i, n) for i, n in zip(ids, scores.nll, strict=True)]
        found[name] = scores
        print(f"{name}: {len(ids)} documents, {scores.tokens:,} scored tokens", flush=True)
    return base, found


def bits_per_byte(pool: Any) -> float:
    return float(pool.sums.sum()) / math.log(2) / sum(pool.bytes)


def coverage(base: Any, domain: Any, generic: Any, times: int, max_tokens: int) -> dict[str, Any]:
    """Share of resamplings whose interval holds the full value, and what they cost."""
    from types import SimpleNamespace

    from engine.recipe import sections
    from engine.worker.measure.fluency import FluencyProbe
    from engine.worker.scoring.documents import Scores

    truth = bits_per_byte(domain) / bits_per_byte(generic)
    held, tokens, widths = 0, [], []
    for seed in range(times):
        rng = np.random.default_rng(seed)
        sides = [
            Scores(None, rng.integers(0, len(p.ids), 20_000))  # type: ignore[arg-type]
            for p in (domain, generic)
        ]
        replay = Replay(base, {id(sides[0]): domain, id(sides[1]): generic})
        asked = sections.Probe(max_tokens=max_tokens, seed=seed)
        context = SimpleNamespace(
            recipe=SimpleNamespace(probe=asked), progress=lambda *a, **k: None
        )
        probe = FluencyProbe(context, replay, *sides)  # type: ignore[arg-type]
        ratio = probe.run().ratio
        held += ratio.low <= truth <= ratio.high
        tokens.append(sides[0].tokens)
        widths.append(ratio.high - ratio.low)
    return {
        "truth": truth,
        "held": held / times,
        "tokens": float(np.median(tokens)),
        "width": float(np.median(widths)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--material", type=Path, required=True)
    parser.add_argument("--documents", type=int, default=400)
    parser.add_argument("--times", type=int, default=200)
    asked = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    base, scored = pools(asked.material, asked.documents)
    print("pair | full value | budget | interval holds it | median tokens a side | median width")
    for domain, generic in PAIRS:
        for budget in (8_000, 200_000):
            row = coverage(base, scored[domain], scored[generic], asked.times, budget)
            print(
                f"{domain}/{generic} | {row['truth']:.3f} | {budget:,} | {row['held']:.1%} | "
                f"{row['tokens']:,.0f} | {row['width']:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
