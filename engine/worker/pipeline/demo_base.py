"""Stage ``base`` of the demo: unpack the base that comes with the package, or train it again.

``python -m engine.worker.pipeline.demo_base FILE`` trains it and writes it as the file that comes
with the package; its hash, which is printed, belongs into ``engine.demo.demo``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers import models as token_models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from engine.corpus.files.seals import build_sealed, hold_folder
from engine.corpus.files.streams import zstandard
from engine.demo import demo, world
from engine.errors import InputError
from engine.files import digest
from engine.recipe import sections
from engine.runs.events import Alarm, StageDone, StageStarted, TrainStep
from engine.worker.job.context import Context
from engine.worker.job.rate import RecentRate
from engine.worker.model import base as models
from engine.worker.model.fast_paths import enable_fast_paths
from engine.worker.model.precision import Precision
from engine.worker.scoring import self_check
from engine.worker.scoring.examples import PAIR, pack_examples
from engine.worker.step.optimizer import learning_rate, make_optimizer
from engine.worker.step.rows import Rows
from engine.worker.step.step import Stepper
from engine.worker.tokens.store import encode

EOS = "<|endoftext|>"
FP32 = Precision("fp32", "toy base")

Facts = dict[str, int]
Built = tuple[Any, PreTrainedTokenizerFast, Facts]
"""A Llama, its tokenizer, and its counts of parameters, tokens and documents."""
Tell = Callable[[int, int, float, float, float], None]
"""Hears step, tokens seen, loss, gradient norm and rate; what it raises ends the training."""


def base_stage(context: Context) -> models.Base:
    """The demo's base: from the cache, or built now with its loss on screen."""
    context.stage = "base"
    context.emit(StageStarted(stage="base"))
    rebuilt = context.recipe.model.id == demo.REBUILT
    folder, started = demo.base_folder(rebuilt), time.monotonic()
    cached = demo.is_whole(
        folder, "base", lambda said: context.emit(Alarm(level="amber", stage="base", message=said))
    )
    if not cached and rebuilt:
        _write(folder, *train_base(_Screen(context).tell))
    elif not cached:
        _write(folder, *unpack_base(demo.shipped_base()))
    hold_folder(folder)
    base = models.resolve(sections.Model(id=str(folder), revision=None, dtype="auto"))
    facts = json.loads((folder / "built.json").read_text())
    context.emit(
        StageDone(
            stage="base",
            seconds=round(time.monotonic() - started, 2),
            evidence={"cached": cached, "rebuilt": rebuilt, **facts},
            skipped=cached,
        )
    )
    return dataclasses.replace(base, name=recipe_name(context))


def recipe_name(context: Context) -> str:
    return context.recipe.model.id


def train_base(tell: Tell = lambda step, seen, loss, norm, rate: None) -> Built:
    """The recipe of the base: its model and tokenizer, and what they were made of."""
    texts = list(world.base_documents(demo.SEED))
    tokenizer = train_tokenizer(texts)
    torch.manual_seed(demo.SEED)
    model = empty_model(tokenizer)
    unbuilt = models.Base(demo.base_folder(True), "demo base", "", tokenizer, model.config)
    enable_fast_paths(model, self_check.examine(model, unbuilt, FP32))
    eos = tokenizer.eos_token_id
    documents = [labelled([eos, *ids, eos]) for ids in encode(tokenizer, texts)]
    rows = pack_examples(documents, world.BASE_TRAINING["sequence"], eos)
    tokens = _pretrain(model, rows, tell)
    facts = {"parameters": models.count(model), "tokens": tokens, "documents": len(texts)}
    return model, tokenizer, facts


def empty_model(tokenizer: PreTrainedTokenizerFast) -> Any:
    """The base's architecture with fresh weights."""
    eos = tokenizer.eos_token_id
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            bos_token_id=eos,
            eos_token_id=eos,
            pad_token_id=eos,
            **world.BASE_MODEL,
        )
    )


def _write(folder: Path, model: Any, tokenizer: PreTrainedTokenizerFast, facts: Facts) -> None:
    """A transformers folder in the cache, written aside, sealed and renamed."""
    with build_sealed(folder) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        (temporary / "built.json").write_text(json.dumps(facts))


# --- the file that it comes as -----------------------------------------------------------------


def pack_base(model: Any, tokenizer: PreTrainedTokenizerFast, facts: Facts) -> bytes:
    """The base as one file: safetensors in bf16 with the tokenizer in its header, packed."""
    names = {name for name, _ in model.named_parameters()}
    tensors = {n: t.to(torch.bfloat16) for n, t in model.state_dict().items() if n in names}
    about = {
        "tokenizer": tokenizer.backend_tokenizer.to_str(),
        "facts": json.dumps(facts),
        "made of": digest(world.base_identity(demo.SEED)),
    }
    packed: bytes = zstandard().compress(save(tensors, about), level=19)
    return packed


def unpack_base(path: Path) -> Built:
    """The base of a packed file, in fp32. InputError where it is not the one that was released."""
    raw = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(raw).hexdigest() != demo.BASE_SHA256:
        raise InputError(
            f"{path} is not as it was released: install cpt anew, or train the demo's base here "
            "with: cpt demo --rebuild-base"
        )
    whole = zstandard().decompress(raw)
    size = int.from_bytes(whole[:8], "little")
    about = json.loads(whole[8 : 8 + size])["__metadata__"]
    tokenizer = fast_tokenizer(Tokenizer.from_str(about["tokenizer"]))
    model = empty_model(tokenizer)
    model.load_state_dict(load(whole), strict=False)  # a tied head has no tensor of its own
    return model, tokenizer, json.loads(about["facts"])


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE on the base's text, end-of-text as BOS, EOS and padding."""
    tokenizer = Tokenizer(token_models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=world.VOCABULARY,
        special_tokens=[EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{EOS} $A", special_tokens=[(EOS, tokenizer.token_to_id(EOS))]
    )
    return fast_tokenizer(tokenizer)


def fast_tokenizer(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """As transformers takes it, with its special token."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=EOS, eos_token=EOS, pad_token=EOS
    )


def labelled(ids: list[int]) -> Any:
    """A document as (id, label) pairs with loss on every token but the first."""
    pairs: Any = np.zeros(len(ids), dtype=PAIR)
    pairs["id"] = pairs["label"] = ids
    return pairs


def _pretrain(model: torch.nn.Module, rows: Rows, tell: Tell) -> int:
    """Next-token training on packed, document-masked rows; returns the tokens seen."""
    settings = world.BASE_TRAINING
    batch, steps = settings["batch"], settings["steps"]
    optimizer = make_optimizer(model, settings["lr"], settings["weight_decay"], (0.9, 0.98))
    stepper = Stepper(model, optimizer, FP32, 1.0, batch)
    order = np.random.default_rng(demo.SEED).permutation(len(rows))
    seen = 0
    for step in range(steps):
        picked = order[np.arange(step * batch, (step + 1) * batch) % len(order)]
        part = Rows(rows.ids[picked], rows.positions[picked], rows.labels[picked])
        rate = learning_rate(step, steps, settings["lr"], "cosine", settings["warmup"], 0.1)
        loss, norm = stepper.step(part, rate)
        seen += part.targets
        tell(step + 1, seen, loss, norm, rate)
    return seen


@dataclass
class _Screen:
    """Tells the screen of each step, and ends the training where a stop was asked for."""

    context: Context

    def __post_init__(self) -> None:
        self.pace, self.seen, self.began = RecentRate(self.context.clock), 0, time.monotonic()
        self.pace.add(0)

    def tell(self, step: int, seen: int, loss: float, norm: float, rate: float) -> None:
        """Emit a step that is done."""
        steps, now = world.BASE_TRAINING["steps"], time.monotonic()
        speed = (seen - self.seen) / max(1e-9, now - self.began)
        self.pace.add(step)
        left = self.pace.seconds_left(steps)
        self.context.emit(
            TrainStep(
                step=step,
                total=steps,
                tokens=seen,
                loss=loss,
                lr=rate,
                grad_norm=norm,
                tokens_per_s=round(speed, 1),
                eta_s=left if left is None else round(left, 1),
                series="base",
            )
        )
        self.context.progress("building the demo's base model", step, steps, "steps")
        self.context.raise_if_stopped()
        self.seen, self.began = seen, time.monotonic()


def main(path: Path) -> None:
    """Train the base, write it packed, and print its hash."""
    packed = pack_base(*train_base())
    path.write_bytes(packed)
    print(f"{len(packed):,} bytes, sha256 {hashlib.sha256(packed).hexdigest()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
