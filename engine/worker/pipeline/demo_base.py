"""Stage ``base`` of the demo: pretrain the small base on generated text, once, then cache it."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from engine.corpus.files.seals import hold_folder, publish_sealed
from engine.demo import demo, world
from engine.files import private_dir
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


def base_stage(context: Context) -> models.Base:
    """The demo's base: from the cache, or built now with its loss on screen."""
    context.stage = "base"
    context.emit(StageStarted(stage="base"))
    folder, started = demo.base_folder(), time.monotonic()
    cached = demo.is_whole(
        folder, "base", lambda said: context.emit(Alarm(level="amber", stage="base", message=said))
    )
    if not cached:
        _build(context, folder)
    hold_folder(folder)
    base = models.resolve(sections.Model(id=str(folder), revision=None, dtype="auto"))
    facts = json.loads((folder / "built.json").read_text())
    context.emit(
        StageDone(
            stage="base",
            seconds=round(time.monotonic() - started, 2),
            evidence={"cached": cached, **facts},
            skipped=cached,
        )
    )
    return dataclasses.replace(base, name=recipe_name(context))


def recipe_name(context: Context) -> str:
    return context.recipe.model.id


def _build(context: Context, folder: Path) -> None:
    settings = world.BASE_TRAINING
    texts = list(world.base_documents(demo.SEED))
    tokenizer = train_tokenizer(texts)
    torch.manual_seed(demo.SEED)
    eos = tokenizer.eos_token_id
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        bos_token_id=eos,
        eos_token_id=eos,
        pad_token_id=eos,
        **world.BASE_MODEL,
    )
    model: torch.nn.Module = LlamaForCausalLM(config)
    unbuilt = models.Base(folder, "demo base", "", tokenizer, config)
    enable_fast_paths(model, self_check.examine(model, unbuilt, FP32))
    documents = [labelled([eos, *ids, eos]) for ids in encode(tokenizer, texts)]
    rows = pack_examples(documents, settings["sequence"], eos)
    tokens = _pretrain(context, model, rows, settings)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    private_dir(temporary)
    saver: Any = model
    saver.save_pretrained(temporary)
    tokenizer.save_pretrained(temporary)
    facts = {"parameters": models.count(model), "tokens": tokens, "documents": len(texts)}
    (temporary / "built.json").write_text(json.dumps(facts))
    publish_sealed(temporary, folder)


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE on the base's text, end-of-text as BOS, EOS and padding."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
    from tokenizers import models as token_models

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
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=EOS, eos_token=EOS, pad_token=EOS
    )


def labelled(ids: list[int]) -> Any:
    """A document as (id, label) pairs with loss on every token but the first."""
    pairs: Any = np.zeros(len(ids), dtype=PAIR)
    pairs["id"] = pairs["label"] = ids
    return pairs


def _pretrain(
    context: Context, model: torch.nn.Module, rows: Rows, settings: dict[str, Any]
) -> int:
    """Next-token training on packed, document-masked rows; returns the tokens seen."""
    batch, steps = settings["batch"], settings["steps"]
    optimizer = make_optimizer(model, settings["lr"], settings["weight_decay"], (0.9, 0.98))
    stepper = Stepper(model, optimizer, FP32, 1.0, batch)
    order = np.random.default_rng(demo.SEED).permutation(len(rows))
    pace, seen = RecentRate(context.clock), 0
    pace.add(0)
    for step in range(steps):
        context.raise_if_stopped()
        began = time.monotonic()
        picked = order[np.arange(step * batch, (step + 1) * batch) % len(order)]
        part = Rows(rows.ids[picked], rows.positions[picked], rows.labels[picked])
        rate = learning_rate(step, steps, settings["lr"], "cosine", settings["warmup"], 0.1)
        loss, norm = stepper.step(part, rate)
        seen += part.targets
        pace.add(step + 1)
        left = pace.seconds_left(steps)
        context.emit(
            TrainStep(
                step=step + 1,
                total=steps,
                tokens=seen,
                loss=loss,
                lr=rate,
                grad_norm=norm,
                tokens_per_s=round(part.targets / max(1e-9, time.monotonic() - began), 1),
                eta_s=left if left is None else round(left, 1),
                series="base",
            )
        )
        context.progress("building the demo's base model", step + 1, steps, "steps")
    return seen
