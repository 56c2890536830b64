"""Word order on the material's corpora: true and shuffled, with interval and CPU time.

``python -m tests.benchmarks.word_order --material DIR [--also DIR ...] [--coverage]`` prints the
table behind the threshold ``word_order``. ``--also`` adds any folder or file of text, and
``--packages DIR`` the man pages of five languages and Python's own library (``local_texts``). With
``--coverage`` the interval is checked too: disjoint parts of the large corpora are measured one
by one, and the spread of their values is set beside the mean standard error.
"""

from __future__ import annotations

import argparse
import random
import re
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from engine.corpus.corpus import Corpus
from engine.quality.text_quality import LONGEST
from engine.quality.word_order import T_95, word_order
from engine.recipe.sections import Source
from tests.benchmarks import local_texts

CORPORA = (
    "general/novels",
    "general/wikitext2",
    "general/tinystories/tiny_stories.txt",
    "domains/medical",
    "domains/legal",
    "domains/icelandic",
    "domains/solidity",
    "awkward/sft_prompt_completion/alpaca_zh_demo.json",
)
LANGUAGES = ("de", "fr", "pl", "ja", "zh")
PART = 300
"""Documents of a part in the check of the interval."""


def texts(path: Path) -> list[str]:
    """The start of every document in random order, as the scan samples them."""
    found = [document.text[:LONGEST] for document in Corpus(Source(path=str(path))).documents()]
    random.Random(0).shuffle(found)
    return found


NO_BLANKS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uff00-\uffef"
UNIT = re.compile(rf"[{NO_BLANKS}]|[^\s{NO_BLANKS}]+")
"""What is moved as a whole: a word between blanks, or a character of a script without them."""


def shuffled(documents: Sequence[str]) -> list[str]:
    """Each document with its words in random order."""
    rng = random.Random(1)
    mixed = []
    for text in documents:
        parts = UNIT.findall(text)
        rng.shuffle(parts)
        mixed.append(" ".join(parts))
    return mixed


def numbers(rows: int = 2000) -> list[str]:
    """Tables of random numbers."""
    rng = random.Random(2)
    return [
        "\n".join(" ".join(str(rng.randrange(1000)) for _ in range(8)) for _ in range(20))
        for _ in range(rows)
    ]


def row(name: str, documents: Sequence[str]) -> str:
    started = time.process_time()
    found = word_order(documents)
    used = time.process_time() - started
    if found.ratio is None:
        return f"| {name} | {found.words:,} | - | - | - | not known: {found.why} | {used:.2f} |"
    ratio = found.ratio
    return (
        f"| {name} | {found.words:,} | {found.run} | {found.share:.3f} | "
        f"{found.shuffled_share:.3f} | {ratio.value:.3f} ({ratio.low:.3f}-{ratio.high:.3f}) | "
        f"{used:.2f} |"
    )


def coverage(name: str, documents: list[str]) -> None:
    """Spread of the ratio over disjoint parts beside the mean of its standard errors."""
    parts = [documents[at : at + PART] for at in range(0, len(documents) - PART, PART)]
    found = [word_order(part).ratio for part in parts]
    known = [one for one in found if one is not None]
    if len(known) < 8:
        return
    spread = statistics.stdev(one.value for one in known)
    error = statistics.mean((one.high - one.low) / 2 / T_95 for one in known)
    mean = statistics.mean(one.value for one in known)
    inside = sum(one.low <= mean <= one.high for one in known)
    print(
        f"{name}: {len(known)} parts of {PART} documents, spread {spread:.4f}, mean standard "
        f"error {error:.4f}, {inside} intervals hold the mean"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--material", type=Path, required=True)
    parser.add_argument("--also", type=Path, nargs="*", default=[])
    parser.add_argument("--packages", type=Path)
    parser.add_argument("--coverage", action="store_true")
    asked = parser.parse_args()
    paths = [(name, asked.material / name) for name in CORPORA]
    paths += [(path.name, path) for path in asked.also]
    print("| corpus | words | run | seen | shuffled | ratio (95%) | CPU s |\n" + "|---" * 7 + "|")
    read = {name: texts(path) for name, path in paths}
    if asked.packages:
        read["Python"] = local_texts.python_sources()
        for language in LANGUAGES:
            found = local_texts.man_pages(asked.packages, language)
            read[f"man pages, {language}"] = [text[:LONGEST] for text in found]
    for name, documents in read.items():
        print(row(name, documents), flush=True)
        print(row(f"{name}, shuffled", shuffled(documents[:3000])), flush=True)
    print(row("random numbers", numbers()))
    for name, documents in read.items() if asked.coverage else ():
        coverage(name, documents)


if __name__ == "__main__":
    main()
