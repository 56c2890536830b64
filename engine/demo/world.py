"""The embedded demo world: a tiny language in which continued pretraining can be judged offline.

*Generic* text tells of beasts ("kinds") that a base model learns from scratch; *domain* text is
field notes, in the same grammar, about kinds it never met. A kind has one of four hidden senses
(water, air, ground, house), shown only by what it does, where, what it eats and what it leaves.
The task asks which trade looks after a kind: a fixed function of the hidden sense.

Why it is honest, and not a trick that only continued pretraining (CPT) can win:

* SFT kinds and gold kinds are disjoint, down to the syllable that tells kinds apart. SFT teaches
  sense -> trade; only reading the domain corpus can teach gold kind -> sense.
* The corpus holds no answer: the trades, the prompts and the answer format never occur in it.
* The base is not crippled: it knows the four senses well and has read every syllable of the new
  names, in names of towns, where it says nothing about a sense.
* Renderings are many and shuffled over kinds; repetition lies in the corpus, not in epochs.
* ``fluent=True`` is the control: the domain is fresh text from the base's own generator and the
  task is about kinds the base knows. There CPT has nothing to teach, and the probe must say so.
Everything follows from the seed. Names are written ``ru-muv``: a shared, senseless head and a
tail of the kind's own; the hyphen keeps a byte-level BPE from making a whole name one piece.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

Slots = Mapping[str, tuple[str, ...]]
Kind = tuple[str, int]


def _of(phrases: str) -> tuple[str, ...]:
    return tuple(phrases.split(", "))


VOCABULARY = 1024  # byte-level BPE, trained on base_documents, with <|endoftext|> as its id 0
CONTEXT = 256
Settings = dict[str, Any]
BASE_MODEL: Settings = {  # for LlamaConfig, beside the tokenizer's own numbers: 0.77M, fp32
    "hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": CONTEXT,
    "initializer_range": 0.04, "tie_word_embeddings": True,
}  # fmt: skip
# Rates fit a toy: a model this small takes about a hundred times the rate of a real one.
# All: AdamW with betas (0.9, 0.98), gradients clipped at 1, cosine to a tenth of the rate.
BASE_TRAINING: Settings = {"steps": 400, "batch": 8, "sequence": CONTEXT, "lr": 3e-3,
                           "warmup": 20, "weight_decay": 0.1}  # fmt: skip

SFT_KINDS = 40
GOLD_KINDS = 72
BASE_KINDS = SFT_KINDS + GOLD_KINDS  # so that the fluent control has a task of the same size
BASE_DOCUMENTS = 7000
GENERIC_DOCUMENTS = 1800
DOMAIN_DOCUMENTS = 2650

TRADES = ("potter", "weaver", "miller", "warden")  # the answers, one per sense
TASK_FRAMES = ("The {kind} belongs with the", "Please hand this {kind} to the",
               "If it is a {kind}, call the")  # fmt: skip
SENSES: tuple[dict[str, tuple[str, ...]], ...] = (
    {  # water
        "does": _of("swam, dived, drifted, waded, paddled, floated"),
        "where": _of("under the weir, near the reef, in the pond")
        + _of("along the stream, in the marsh, by the lagoon"),
        "eats": _of("eels, weed, shrimps, snails, mussels"),
        "leaves": _of("wet prints, silver scales, small bubbles, broken shells"),
    }, {  # air
        "does": _of("soared, glided, hovered, swooped, circled, fluttered"),
        "where": _of("above the ridge, past the steeple, over the cliff")
        + _of("among the treetops, around the tower, below the clouds"),
        "eats": _of("moths, gnats, wasps, berries, flies"),
        "leaves": _of("grey feathers, a shrill whistle, a moving shadow, white droppings"),
    }, {  # ground
        "does": _of("dug, burrowed, tunnelled, scraped, rooted, wriggled"),
        "where": _of("beneath the hedge, inside the mound, across the field")
        + _of("behind the ditch, through the orchard, into the bank"),
        "eats": _of("beetles, worms, bulbs, acorns, turnips"),
        "leaves": _of("loose soil, a round hole, chewed bark, deep scratches"),
    }, {  # house
        "does": _of("crept, scurried, purred, nestled, dozed, tiptoed"),
        "where": _of("in the attic, near the oven, on the stairs")
        + _of("beside the hearth, within the pantry, at the kitchen door"),
        "eats": _of("crumbs, cheese, porridge, butter, candles"),
        "leaves": _of("torn curtains, a warm cushion, spilled flour, soft hairs"),
    },
)  # fmt: skip
COMMON: Slots = {
    "who": _of("Mara, Tobin, Elsa, Oren, Hilde, Bram, Nessa, Col"),
    "when": _of("at dawn, at noon, at dusk, before supper")
    + _of("after the rain, in the night, last week, all morning"),
    "look": _of("lean, young, lame, shy, fat, pale, striped, quiet"),
    "thing": _of("a lamp, a rope, two baskets, a clean sheet")
    + _of("a new hat, some bread, a heavy key, three coins"),
    "spot": _of("the market, the bridge, the mill, the chapel, the harbour, the inn"),
    "sky": _of("clear, grey, stormy, mild, cold, bright"),
}
SHARED_FRAMES = (
    "The {kind} {does} {where}.",
    "{who} watched the {kind} as it {does} {where}.",
    "A {kind} that {who} had fed {when} {does} {where}.",
    "The {look} {kind} liked {eats} and {does} {where}.",
    "The {kind} by {spot} left {leaves} and ate {eats}.",
)
GENERIC_FRAMES = (
    *SHARED_FRAMES,
    "{when}, a {look} {kind} {does} {where}.",
    "{who} gave the {kind} some {eats}.",
    "{who} said that the {kind} was {look}, for it {does} {where} and left {leaves}.",
    "No {kind} will eat anything but {eats} or {eats}.",
    "Two of them, a {look} {kind} and its young, {does} {where}.",
)
GENERIC_ASIDES = (
    "{who} rode to {town} {when}.",
    "{who} bought {thing} at {spot}.",
    "The {trade} walked to {spot} {when}.",
    "The sky was {sky} {when}, and {who} stayed near {spot}.",
    "{who} and {who} carried {thing} to the {trade}.",
    "A sign near {spot} said {odd} {odd}.",
    "{when}, the {trade} sold {thing} to {who}.",
)
JARGON: Slots = {
    "plot": _of("transect, quadrat, exclosure, catchment"),
    "mode": _of("infrared, acoustic, isotopic"),
    "stage": _of("juvenile, gravid, torpid"),
    "method": _of("by trapline, by drone, under permit"),
}
DOMAIN_FRAMES = (
    *SHARED_FRAMES,
    "{plot} survey: the {kind} {does} {where} {when}.",
    "{method}, one {stage} {kind} {does} {where}.",
    "The {kind}, logged {method}, {does} {where}.",
    "Each {stage} {kind} in this {plot} fed on {eats} and {does} {where}.",
    "{mode} sampling of the {kind} returned {eats} and {eats}.",
    "Where the {kind} passed, the {mode} census found {leaves} and {eats}.",
    "{who} tagged a {look} {kind}; once released it {does} {where}.",
    "For the {stage} {kind} the {plot} index gave {leaves}, so it {does} {where}.",
)
DOMAIN_ASIDES = (
    "The {plot} was {sky} {when}.",
    "{who} moved the {mode} logger to the next {plot} {when}.",
    "Sampling resumed {method} {when}.",
)


class Lexicon(NamedTuple):
    """Every name in one world, with the hidden sense of each kind."""

    base: tuple[Kind, ...]  # kinds the base model learns in pretraining
    sft: tuple[Kind, ...]  # new kinds whose trade the SFT examples state
    gold: tuple[Kind, ...]  # new kinds the gold set asks about
    towns: tuple[str, ...]  # other names with the new tails, so that these are known pieces
    rare: tuple[str, ...]  # one-off kinds without a fixed sense: the long tail of any language


class WorldFiles(NamedTuple):
    """Where write_world put the four files."""

    generic: Path
    domain: Path
    sft: Path
    gold: Path


class Grammar(NamedTuple):
    frames: tuple[str, ...]
    asides: tuple[str, ...]
    aside_share: float
    sentences: tuple[int, int]
    slots: Slots
    kinds: tuple[Kind, ...]  # drawn uniformly
    known: tuple[Kind, ...] = ()  # drawn instead, for a fifth of the mentions
    rare: tuple[str, ...] = ()  # drawn instead, for a tenth of the mentions


def lexicon(seed: int) -> Lexicon:
    """Invent all names of a world; no tail serves two kinds."""
    rng = random.Random(f"lexicon-{seed}")
    heads = [c + v for c, v in zip("bdfgklmnprtvz", "oaeiuaoeiuaoe", strict=True)]
    syllables = [c + v + e for c in "bdfgklmnprtvz" for v in "aeiou" for e in "bdgklmnprstvz"]
    rng.shuffle(syllables)
    tails = iter(syllables)

    def invent(count: int) -> tuple[Kind, ...]:
        senses = [i % len(SENSES) for i in range(count)]
        return tuple((f"{rng.choice(heads)}-{next(tails)}", sense) for sense in senses)

    base, sft, gold = invent(BASE_KINDS), invent(SFT_KINDS), invent(GOLD_KINDS)
    new = {name for name, _ in sft + gold}
    relatives = [f"{head}-{name.split('-')[1]}" for name in sorted(new) for head in heads]
    towns = tuple(name for name in relatives if name not in new)
    rare = tuple(f"{head}-{tail}" for tail in tails for head in heads)
    return Lexicon(base, sft, gold, towns, rare)


def base_documents(seed: int) -> Iterator[str]:
    """The base model's pretraining text."""
    return islice(documents(generic_grammar(seed), f"base-{seed}"), BASE_DOCUMENTS)


def base_identity(seed: int) -> dict[str, Any]:
    """Everything that makes the base model: a key for a cache of it."""
    first = " ".join(islice(base_documents(seed), 100))
    text = [hashlib.sha256(first.encode()).hexdigest(), BASE_DOCUMENTS]
    shape = {"vocabulary": VOCABULARY, "model": BASE_MODEL, "training": BASE_TRAINING}
    return {"seed": seed, "text": text, **shape}


def generic_documents(seed: int) -> Iterator[str]:
    """Fresh text of the base's own generator, without end, for mix-back and the held-out side."""
    return documents(generic_grammar(seed), f"generic-{seed}")


def domain_documents(seed: int, fluent: bool = False) -> Iterator[str]:
    """Field notes about new kinds; in the fluent control, once more fresh generic text."""
    if fluent:
        return documents(generic_grammar(seed), f"fluent-{seed}")
    names = lexicon(seed)
    grammar = Grammar(DOMAIN_FRAMES, DOMAIN_ASIDES, 0.1, (6, 10), {**COMMON, **JARGON},
                       names.sft + names.gold, known=names.base)  # fmt: skip
    return documents(grammar, f"domain-{seed}")


def task_examples(seed: int, split: str, fluent: bool = False) -> list[dict[str, Any]]:
    """The task for split "sft" or "gold"; items of one kind share their "group"."""
    names = lexicon(seed)
    kinds = names.sft if split == "sft" else names.gold
    if fluent:
        kinds = names.base[:SFT_KINDS] if split == "sft" else names.base[SFT_KINDS:]
    choices = [f" {trade}" for trade in TRADES]
    examples: list[dict[str, Any]] = [
        {"prompt": frame.format(kind=name), "completion": choices[sense],
         "choices": choices, "label": sense, "group": name}
        for name, sense in kinds for frame in TASK_FRAMES
    ]  # fmt: skip
    random.Random(f"{split}-{seed}").shuffle(examples)
    return examples


def write_world(folder: Path, seed: int, fluent: bool = False) -> WorldFiles:
    """Write generic, domain, sft and gold as JSON lines; the same seed gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    files = WorldFiles(*(folder / f"{name}.jsonl" for name in ("generic", "domain", "sft", "gold")))
    generic = islice(generic_documents(seed), GENERIC_DOCUMENTS)
    domain = islice(domain_documents(seed, fluent), DOMAIN_DOCUMENTS)
    _write(files.generic, [{"text": text} for text in generic])
    _write(files.domain, [{"text": text} for text in domain])
    _write(files.sft, task_examples(seed, "sft", fluent))
    _write(files.gold, task_examples(seed, "gold", fluent))
    return files


def generic_grammar(seed: int) -> Grammar:
    names = lexicon(seed)
    slots = {**COMMON, "trade": TRADES, "town": names.towns}
    return Grammar(GENERIC_FRAMES, GENERIC_ASIDES, 0.3, (6, 12), slots, names.base,
                    rare=names.rare)  # fmt: skip


def documents(grammar: Grammar, stream: str) -> Iterator[str]:
    rng = random.Random(stream)
    while True:
        yield " ".join(_sentence(grammar, rng) for _ in range(rng.randint(*grammar.sentences)))


def _sentence(grammar: Grammar, rng: random.Random) -> str:
    aside = rng.random() < grammar.aside_share
    frame = rng.choice(grammar.asides if aside else grammar.frames)
    kinds = grammar.known if grammar.known and rng.random() < 0.2 else grammar.kinds
    kind, sense = rng.choice(kinds)
    if grammar.rare and rng.random() < 0.1:
        kind = rng.choice(grammar.rare)
    pieces = frame.replace("}", "{").split("{")  # text, slot, text, slot, ..., text
    for i in range(1, len(pieces), 2):
        pieces[i] = kind if pieces[i] == "kind" else _word(grammar.slots, sense, pieces[i], rng)
    text = "".join(pieces)
    return text[0].upper() + text[1:]


def _word(slots: Slots, sense: int, slot: str, rng: random.Random) -> str:
    """Fill one slot; now and then with a word nobody knows, as in any real text."""
    if slot in SENSES[sense]:
        return rng.choice(SENSES[sense][slot])
    if slot == "odd" or (slot in COMMON and rng.random() < 0.03):
        return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 7)))
    return rng.choice(slots[slot])


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
