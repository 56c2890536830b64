"""Texts and tasks of the worlds with known truth: what each teaches is decided here.

All worlds share one base, pretrained on ``engine.world``'s generic text of one lexicon. A seed
draws the cast, the senses of the new kinds, which the base cannot know, and all texts: twenty
seeds are twenty worlds, and one cached base serves them all.

Two tasks, both "which trade looks after this kind?". One is about *new* kinds, whose sense only
a corpus can teach: SFT states the trade of some, the gold set asks about others. The other is
about *known* kinds, which the base has learnt and a corpus can only spoil.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from engine.demo import world
from engine.demo.world import COMMON, JARGON, Grammar, Kind

LEXICON = 11
"""Seed of the base's lexicon and text: chosen before any result, and not the demo's."""
SFT, GOLD = 56, 56
"""Known kinds of the task about these."""
NEW_SFT, NEW_GOLD, UNASKED = 36, 48, 28
"""New kinds by their part: as many as the lexicon has."""
GENERIC_DOCUMENTS = 1500
CARGO: world.Slots = {
    "good": ("barley", "copper", "flax", "honey", "ink", "lumber", "marble", "salt", "tar", "wax"),
    "measure": ("bushels", "casks", "crates", "ingots", "reams", "sacks"),
    "number": ("four", "nine", "eleven", "sixteen", "thirty", "ninety"),
    "paper": ("invoice", "manifest", "voucher", "warrant"),
    "duty": ("excise", "tariff", "demurrage", "wharfage"),
    "ship": ("brig", "ketch", "lugger", "sloop"),
}
CARGO_FRAMES = (
    "{paper} filed {when}: {number} {measure} of {good} for {town}.",
    "The {ship} from {town} unloaded {number} {measure} of {good} {when}.",
    "{who} paid {duty} on {number} {measure} of {good}.",
    "No {ship} may sail to {town} without a {paper} for its {good}.",
    "{who} owed {town} {number} {measure} of {good}, less {duty}.",
    "The {paper} for the {good} was lost {when}, so {who} paid the {duty} twice.",
    "{number} {measure} of {good} went by {ship} and {number} by cart.",
    "{duty} rose {when}; the {ship} lay near {spot} with its {good}.",
)


@dataclass(frozen=True)
class Cast:
    """Who stands for what under one seed: kinds with their senses, by their part in the task."""

    known_sft: tuple[Kind, ...]
    known: tuple[Kind, ...]
    """Known kinds: whose trade SFT states, and whom the gold set asks about."""
    new_sft: tuple[Kind, ...]
    new: tuple[Kind, ...]
    """The same of kinds that the base never met."""
    unasked: tuple[Kind, ...]
    """New kinds that no task names."""


def cast(seed: int) -> Cast:
    """The seed's cast: senses of new kinds in equal shares, known kinds as the base has them."""
    names, rng = world.lexicon(LEXICON), random.Random(f"cast-{seed}")
    new = [name for name, _ in rng.sample(names.sft + names.gold, NEW_SFT + NEW_GOLD + UNASKED)]
    known = rng.sample(names.base, SFT + GOLD)
    first, second = NEW_SFT, NEW_SFT + NEW_GOLD
    return Cast(
        tuple(known[:SFT]),
        tuple(known[SFT:]),
        _with_senses(new[:first], rng),
        _with_senses(new[first:second], rng),
        _with_senses(new[second:], rng),
    )


def _with_senses(names: list[str], rng: random.Random) -> tuple[Kind, ...]:
    """Senses in equal shares within every four neighbours, so that each split has all."""
    senses: list[int] = []
    while len(senses) < len(names):
        senses += rng.sample(range(len(world.SENSES)), len(world.SENSES))
    return tuple(zip(names, senses, strict=False))


def notes(seed: int) -> Iterator[str]:
    """Field notes on the kinds that the task is about: CPT helps."""
    who = cast(seed)
    return world.documents(_notes(who.new_sft + who.new), f"notes-{seed}")


def other_notes(seed: int) -> Iterator[str]:
    """The same field notes on kinds that the task never names: loss falls, the gate ties."""
    return world.documents(_notes(cast(seed).unasked), f"other-{seed}")


def fluent(seed: int) -> Iterator[str]:
    """More of what the base was trained on: there is nothing to learn."""
    return world.documents(world.generic_grammar(LEXICON), f"fluent-{seed}")


def cargo(seed: int) -> Iterator[str]:
    """Harbour papers without a single kind: irrelevant, and far from all the base has read.

    A placebo where generic text is mixed back; at a hot rate and without it, they overwrite
    what the base knew.
    """
    names = world.lexicon(LEXICON)
    grammar = Grammar(CARGO_FRAMES, world.DOMAIN_ASIDES, 0.0, (6, 10),
                      {**COMMON, **CARGO, "town": names.towns}, names.base)  # fmt: skip
    return world.documents(grammar, f"cargo-{seed}")


def generic(seed: int) -> Iterator[str]:
    """Fresh text of the base's own generator: the generic side, held out and mixed back."""
    return world.documents(world.generic_grammar(LEXICON), f"generic-{seed}")


def _notes(kinds: tuple[Kind, ...]) -> Grammar:
    """Field notes, half of them in plain sentences: these tie the new kinds to the old senses."""
    frames = world.DOMAIN_FRAMES + world.GENERIC_FRAMES
    return Grammar(frames, world.DOMAIN_ASIDES, 0.1, (6, 10), {**COMMON, **JARGON},
                   kinds, known=world.lexicon(LEXICON).base)  # fmt: skip


def task(seed: int, known: bool) -> dict[str, list[dict[str, Any]]]:
    """SFT and gold examples about new or known kinds; items of one kind share a group."""
    who = cast(seed)
    sft, gold = (who.known_sft, who.known) if known else (who.new_sft, who.new)
    parts = {"sft": sft, "gold": gold}
    return {name: _examples(kinds, f"{name}-{seed}") for name, kinds in parts.items()}


def _examples(kinds: Iterable[Kind], stream: str) -> list[dict[str, Any]]:
    choices = [f" {trade}" for trade in world.TRADES]
    found = [
        {"prompt": frame.format(kind=name), "completion": choices[sense],
         "choices": choices, "label": sense, "group": name}
        for name, sense in kinds for frame in world.TASK_FRAMES
    ]  # fmt: skip
    random.Random(stream).shuffle(found)
    return found


def write(folder: Path, seed: int, texts: Iterator[str], documents: int, known: bool) -> None:
    """The four files of one world below ``folder``; the same seed gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    sides = {
        "domain": islice(texts, documents),
        "generic": islice(generic(seed), GENERIC_DOCUMENTS),
    }
    files: dict[str, list[dict[str, Any]]] = {
        **{name: [{"text": text} for text in side] for name, side in sides.items()},
        **task(seed, known),
    }
    for name, rows in files.items():
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
