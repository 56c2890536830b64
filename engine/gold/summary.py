"""The gate's files as evidence: how many items, how blunt the test, what is odd about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.artifacts.gate import GateFiles
from engine.gold.checks import check_void, majority, remarks, taught
from engine.gold.classes import shared_choices
from engine.gold.draws import DRAWN_FROM, gate_items
from engine.gold.example import Example
from engine.gold.metrics import METRICS
from engine.quality.contamination import Overlapped
from engine.recipe.gate import Gate
from engine.stats.power import MOST_SEEDS, Terms, f1_shape, items_needed, prior_mde

LEAST_EXAMPLES = 100
"""SFT examples a seed below which no split is proposed; engineering choice."""
ROUND = 50
"""What a proposed number of examples is a multiple of."""
SPARE_LOSS = 1.15
"""Rows over the items that they become: copies of others do not judge; engineering choice."""


@dataclass(frozen=True)
class ContextCuts:
    """What a model's context cuts off gold set and SFT data."""

    overlong_share: float = 0.0
    """Share of the prompts that lose their beginning, of the file where it is larger."""
    remarks: tuple[str, ...] = ()
    """One sentence for each thing cut off."""


def gate_files(
    gold_path: Path,
    sft_path: Path,
    gate: Gate,
    overlapped: Overlapped | None = None,
    cuts: ContextCuts | None = None,
) -> GateFiles:
    """Check both files and say what the gate could show. InputError where it could show nothing.

    ``overlapped`` is what an ``Overlap`` of the same items found in the corpus. None means
    that the corpus was not looked at; the share is then 0, so pass it where there is a corpus.
    ``cuts`` says what the model's context cuts off, which takes its tokenizer.
    """
    cuts = cuts or ContextCuts()
    read = gate_items(gold_path, sft_path, gate)
    gold, sft = read.gold, read.sft.pool
    check_void(gold, sft)
    hit = overlapped.contaminated if overlapped else []
    terms, items = power_terms(gate, gold), effective_items(gold)
    wanted = items_needed(gate.plausible_gain, terms)
    lacking = 0 if wanted is None else wanted - items
    return GateFiles(
        gold_items=len(gold),
        sft_examples=read.sft.size,
        metric=gate.metric,
        seeds=len(gate.seeds),
        majority_rate=majority(gold)[1],
        overlap_items=len(taught(gold, sft)),
        contaminated_share=len(hit) / len(gold),
        contaminated_items=hit,
        mde=prior_mde(items, terms),
        floor=prior_mde(items, replace(terms, seeds=MOST_SEEDS)),
        items_wanted=wanted,
        enough_spare_at=_split(gold_path, sft_path, gate, lacking, len(sft))
        if lacking > 0
        else None,
        plausible_gain=gate.plausible_gain,
        overlong_share=cuts.overlong_share,
        remarks=[*remarks(gold, sft, gate), *cuts.remarks],
    )


def _split(gold_path: Path, sft_path: Path, gate: Gate, lacking: int, rows: int) -> int | None:
    """Examples a seed, at most, whose spare rows let the gold set show the plausible gain.

    ``lacking`` are the items that it wants more. None where the gate has a split already, and
    where the SFT data has too few rows for one.
    """
    size = int((rows - SPARE_LOSS * lacking) / DRAWN_FROM) // ROUND * ROUND
    if gate.probe.max_examples is not None or size < LEAST_EXAMPLES:
        return None
    probe = gate.probe.model_copy(update={"max_examples": size})
    tried = gate.model_copy(update={"probe": probe})
    judged = gate_items(gold_path, sft_path, tried).gold
    enough = prior_mde(effective_items(judged), power_terms(tried, judged)) <= gate.plausible_gain
    return size if enough else None


def power_terms(gate: Gate, gold: Sequence[Example]) -> Terms:
    """What an effect has to pass at the gate's last look, by its most powerful endpoint.

    In no simulated world does ranking show less than accuracy at equal alpha
    (``tests/benchmarks/label_gates.py``), so the larger share counts. Declared tries take theirs.
    """
    metric, seeds = METRICS[gate.metric], gate.look_sizes[-1]
    ranked = metric.choices and gate.ranking_share > 0 and bool(shared_choices(gold))
    share = max(gate.ranking_share, 1 - gate.ranking_share) if ranked else 1.0
    alpha = gate.look_alpha(seeds) * share / (1 + gate.earlier_tries)
    classes = Counter(example.label or example.completion for example in gold)
    shape = f1_shape(list(classes.values())) if metric.by_class else 1.0
    return Terms(seeds, alpha, gate.margin, shape)


def effective_items(examples: Sequence[Example]) -> int:
    """Items after those of one group are counted as one: what the gate's test sees."""
    named = {example.group for example in examples if example.group}
    return len(named) + sum(not example.group for example in examples)


def item_groups(examples: Sequence[Example]) -> list[str] | None:
    """The source of each item; None where the file names none."""
    named = [example.group or f"item {number}" for number, example in enumerate(examples)]
    return named if any(example.group for example in examples) else None
