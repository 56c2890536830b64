"""Which labelled rows a seed trains on, and which are spare and judge instead.

More rows than a seed trains on are split once, label by label and by the rows themselves: twice
as many as a seed takes are there to be drawn from, so that the verdict speaks for SFT samples
too, and what is left over is scored as gold items are. A row is never on both sides.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import InputError
from engine.files import digest
from engine.gold.copies import group_copies
from engine.gold.example import GOLD_TAG, SPARE_TAG, Example
from engine.gold.load import gold_items, load_examples, sft_items
from engine.gold.metrics import METRICS
from engine.normal_form import normal_words
from engine.recipe.gate import Gate

DRAWN_FROM = 2
"""Rows that a seed draws from, over those that it takes: half of two seeds' rows are then
others. More would leave fewer items to judge by; engineering choice."""


@dataclass(frozen=True)
class SftRows:
    """The rows that seeds train on."""

    pool: list[Example]
    size: int
    """Rows of one seed."""

    def draw(self, seed: int) -> list[Example]:
        """The rows of a seed, each label by its share of the pool; in the pool's order."""
        if self.size >= len(self.pool):
            return self.pool
        chosen = _stratified(self.pool, self.size, str(seed))
        return [self.pool[at] for at in sorted(chosen)]


@dataclass(frozen=True)
class GateItems:
    """All that a gate trains and scores on."""

    sft: SftRows
    gold: list[Example]
    """Gold items in the order of their numbers everywhere, spare rows behind them."""


def gate_items(gold_path: Path, sft_path: Path, gate: Gate) -> GateItems:
    """Read both files as the gate uses them. InputError where they cannot be judged by it."""
    gold = gold_items(gold_path, gate)
    size = gate.probe.max_examples
    if gate.rules == 1 or size is None:
        taken = sft_items(sft_path, gate)
        return GateItems(SftRows(taken, len(taken)), gold)
    rows = load_examples(sft_path, columns=gate.sft_columns, chat=gate.template == "chat")
    pool_at = set(_stratified(rows, min(len(rows), DRAWN_FROM * size), "pool"))
    pool = [row for at, row in enumerate(rows) if at in pool_at]
    left = [row for at, row in enumerate(rows) if at not in pool_at]
    wanted = gate.probe.spare and gate.max_items is None
    spare = spare_items(left, pool, gold, gate) if wanted else []
    if spare:
        gold = group_copies([*(_tagged(item, GOLD_TAG) for item in gold), *spare])
    return GateItems(SftRows(pool, min(size, len(pool))), gold)


def registered_gold(folder: Path, gate: Gate) -> list[Example] | None:
    """Gold items out of the copies below a run's ``gate/``, spare rows behind them.

    None where there is no copy. InputError where it cannot be read.
    """
    gold, sft = (sorted(folder.glob(f"{name}.*")) for name in ("gold", "sft"))
    if not gold:
        return None
    return gate_items(gold[0], sft[0], gate).gold if sft else gold_items(gold[0], gate)


def spare_items(
    left: Sequence[Example], pool: Sequence[Example], gold: Sequence[Example], gate: Gate
) -> list[Example]:
    """The rows that can be judged as the gold items are, and read like none of the others."""
    known = {_plain(example) for example in (*pool, *gold)}
    sources = {example.group for example in pool if example.group}
    metric, found = METRICS[gate.metric], []
    shared = {item.choices for item in gold}
    for row in left:
        item = _tagged(row, SPARE_TAG)
        if len(shared) == 1 and metric.choices:
            item = replace(item, choices=next(iter(shared)))
        seen = _plain(row) in known or row.group in sources
        if not seen and _is_judged(item, gold, gate):
            known.add(_plain(row))
            found.append(item)
    return found


def _is_judged(item: Example, gold: Sequence[Example], gate: Gate) -> bool:
    """Whether the metric can score it."""
    metric = METRICS[gate.metric]
    if metric.choices and (len(item.choices) < 2 or item.completion not in item.choices):
        return False
    try:
        metric.check([gold[0], item], gate)
    except InputError:
        return False
    return True


def _tagged(example: Example, tag: str) -> Example:
    return replace(example, tags=(*example.tags, tag))


def _plain(example: Example) -> str:
    return " ".join(normal_words(example.prompt).split())


def _stratified(rows: Sequence[Example], size: int, salt: str) -> Iterable[int]:
    """Places of ``size`` rows, each label by its share, as the rows' own hashes order them.

    Rows of one source stand together in that order.
    """
    labels: defaultdict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        labels[row.completion].append(at)
    if len(labels) * 2 > len(rows):  # free text: no labels
        labels = defaultdict(list, {"": list(range(len(rows)))})
    quotas = _shares({name: len(places) for name, places in labels.items()}, size)
    chosen: list[int] = []
    for name, places in labels.items():
        keys = {at: digest([salt, rows[at].group or rows[at].prompt, at]) for at in places}
        groups = {at: digest([salt, rows[at].group]) if rows[at].group else "" for at in places}
        ordered = sorted(places, key=lambda at: (groups[at] or keys[at], keys[at]))
        chosen += ordered[: quotas[name]]
    return chosen


def _shares(counts: dict[str, int], size: int) -> Counter[str]:
    """``size`` shared out by ``counts``: whole parts first, then the largest remainders."""
    total = sum(counts.values())
    exact = {name: size * count / total for name, count in counts.items()}
    quotas = Counter({name: int(value) for name, value in exact.items()})
    rest = sorted(exact, key=lambda name: (quotas[name] - exact[name], name))
    for name in rest[: size - sum(quotas.values())]:
        quotas[name] += 1
    return quotas
