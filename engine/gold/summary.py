"""The gate's files as evidence: how many items, how blunt the test, what is odd about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.artifacts.gate import GateFiles
from engine.gold.checks import check_void, majority, remarks, taught
from engine.gold.draws import gate_items
from engine.gold.example import Example
from engine.quality.contamination import Overlapped
from engine.recipe.gate import Gate
from engine.stats.power import prior_mde


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
    items = gate_items(gold_path, sft_path, gate)
    gold, sft = items.gold, items.sft.pool
    check_void(gold, sft)
    hit = overlapped.contaminated if overlapped else []
    return GateFiles(
        gold_items=len(gold),
        sft_examples=len(sft),
        metric=gate.metric,
        seeds=len(gate.seeds),
        majority_rate=majority(gold)[1],
        overlap_items=len(taught(gold, sft)),
        contaminated_share=len(hit) / len(gold),
        contaminated_items=hit,
        mde=prior_mde(effective_items(gold), len(gate.seeds)),
        plausible_gain=gate.plausible_gain,
        overlong_share=cuts.overlong_share,
        remarks=[*remarks(gold, sft, gate), *cuts.remarks],
    )


def effective_items(examples: Sequence[Example]) -> int:
    """Items after those of one group are counted as one: what the gate's test sees."""
    named = {example.group for example in examples if example.group}
    return len(named) + sum(not example.group for example in examples)


def item_groups(examples: Sequence[Example]) -> list[str] | None:
    """The source of each item; None where the file names none."""
    named = [example.group or f"item {number}" for number, example in enumerate(examples)]
    return named if any(example.group for example in examples) else None
