"""A tiny real model and corpus, made on the spot: what tests train when no material is needed."""

from __future__ import annotations

import json
import random
from pathlib import Path

WORDS = [
    "the",
    "a",
    "river",
    "stone",
    "walks",
    "under",
    "bright",
    "quiet",
    "morning",
    "light",
    "and",
    "finds",
    "seven",
    "small",
    "keys",
    "near",
    "old",
    "doors",
    "where",
    "people",
    "wait",
    "for",
    "rain",
    "while",
    "birds",
    "sing",
    "over",
    "fields",
    "of",
    "tall",
    "yellow",
    "grass",
]
DOMAIN_WORDS = ["zorvik", "plimo", "trasket", "ombly", "quarn", "festig", "ulbex", "drovin"]


def documents(count: int, seed: int, domain: bool = False, size: int = 120) -> list[str]:
    """Random sentences; domain ones use words of their own half of the time."""
    rng = random.Random(seed)
    pool = WORDS + DOMAIN_WORDS * 4 if domain else WORDS
    texts = []
    for _ in range(count):
        words = [rng.choice(pool) for _ in range(rng.randint(size // 2, size))]
        texts.append(" ".join(words) + ".")
    return texts


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_corpora(folder: Path, count: int = 60) -> dict[str, Path]:
    """Domain and generic corpora, gold and SFT files; returns their paths by name."""
    folder.mkdir(parents=True, exist_ok=True)
    domain = [{"text": t} for t in documents(count, 1, domain=True)]
    generic = [{"text": t} for t in documents(count, 2)]
    items = [
        {"prompt": f"{word} {DOMAIN_WORDS[n % 8]} is", "completion": f" {WORDS[n % 3]}"}
        for n, word in enumerate(WORDS * 2)
    ]
    return {
        "domain": write_jsonl(folder / "domain.jsonl", list(domain)),
        "generic": write_jsonl(folder / "generic.jsonl", list(generic)),
        "gold": write_jsonl(folder / "gold.jsonl", list(items[::2])),
        "sft": write_jsonl(folder / "sft.jsonl", list(items[1::2])),
    }


def write_model(folder: Path, tied: bool = True, vocabulary: int = 320) -> Path:
    """A two-layer Llama of about 30,000 parameters with a byte-level tokenizer, as safetensors."""
    import torch
    from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
    from tokenizers import models as token_models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(token_models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents(40, 0), trainer)
    end = "<|endoftext|>"
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=end, eos_token=end, pad_token=end
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        tie_word_embeddings=tied,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def recipe_text(model: Path, files: dict[str, Path], extra: str = "", gate: bool = False) -> str:
    """A recipe that trains the tiny model past any verdict in seconds."""
    gold = (
        f'[gate]\ngold = "{files["gold"]}"\nsft = "{files["sft"]}"\nseeds = [0, 1]\n'
        'why_fewer_seeds = "a test"\nplausible_gain = 100\n[gate.probe]\nlr = 1e-3\n'
        'batch = 8\nepochs = 2\nwhy_unlearnt = "a test of the machinery"\n'
        if gate
        else ""
    )
    return f"""
[recipe]
schema = 1
name = "tiny"
override = "a test of the machinery"
[model]
id = "{model}"
dtype = "fp32"
[corpus]
path = "{files["domain"]}"
heldout_share = 0.2
[generic]
path = "{files["generic"]}"
heldout_share = 0.2
[interview]
hurts = "unreadable"
fluency_goal = "words"
[probe]
context = 16
pilot_tokens = 2000
min_documents = 4
[pack]
sequence_length = 64
[train]
method = "full"
why_full = "tiny"
train_embeddings = true
lr = 1e-3
batch_tokens = 512
eval_tokens = 1000
checkpoint_every = 4
{extra}
[launch]
threads = 1
{gold}
"""
