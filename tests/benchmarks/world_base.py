"""The worlds' base model: a small Llama pretrained once on the generic text, then kept.

    python -m tests.benchmarks.world_base FOLDER

Run as a process of its own, since only it needs torch before the worker does.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from engine.demo import world
from engine.files import digest, publish
from tests.benchmarks.world_texts import LEXICON

SHAPE: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 128,
    "initializer_range": 0.04, "tie_word_embeddings": True,
}  # fmt: skip
TRAINING: dict[str, Any] = {"steps": 700, "batch": 16, "lr": 4e-3, "warmup": 20,
                            "floor": 0.5, "weight_decay": 0.1}  # fmt: skip


def identity() -> str:
    """Everything that makes the base: the key of its folder."""
    return digest([world.base_identity(LEXICON), SHAPE, TRAINING])[:16]


def build(folder: Path) -> None:
    """Train the base, save it below ``folder`` as safetensors with its tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from engine.worker.model import base as models
    from engine.worker.model.fast_paths import enable_fast_paths
    from engine.worker.model.precision import Precision
    from engine.worker.pipeline.demo_base import labelled, train_tokenizer
    from engine.worker.scoring import self_check
    from engine.worker.scoring.examples import pack_examples
    from engine.worker.tokens.store import encode

    texts = list(world.base_documents(LEXICON))
    tokenizer = train_tokenizer(texts)
    torch.manual_seed(LEXICON)
    eos = tokenizer.eos_token_id
    config = LlamaConfig(vocab_size=len(tokenizer), bos_token_id=eos, eos_token_id=eos,
                         pad_token_id=eos, **SHAPE)  # fmt: skip
    model: torch.nn.Module = LlamaForCausalLM(config)
    fp32 = Precision("fp32", "toy base")
    unbuilt = models.Base(folder, "worlds base", "", tokenizer, config)
    enable_fast_paths(model, self_check.examine(model, unbuilt, fp32))
    documents = [labelled([eos, *ids, eos]) for ids in encode(tokenizer, texts)]
    longest = SHAPE["max_position_embeddings"]
    documents = [d[:longest] for d in documents]
    facts = pretrain(model, pack_examples(documents, longest, eos), fp32)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    saver: Any = model
    saver.save_pretrained(temporary)
    tokenizer.save_pretrained(temporary)
    facts |= {"parameters": models.count(model), "documents": len(texts)}
    (temporary / "built.json").write_text(json.dumps(facts))
    publish(temporary, folder)


def pretrain(model: Any, rows: Any, precision: Any) -> dict[str, float]:
    """Next-token training on packed, document-masked rows; tokens, seconds and the last losses."""
    import numpy as np

    from engine.worker.step.optimizer import learning_rate, make_optimizer
    from engine.worker.step.rows import Rows
    from engine.worker.step.step import Stepper

    steps, batch, lr = TRAINING["steps"], TRAINING["batch"], TRAINING["lr"]
    optimizer = make_optimizer(model, lr, TRAINING["weight_decay"], (0.9, 0.98))
    stepper = Stepper(model, optimizer, precision, 1.0, batch)
    rng, order = np.random.default_rng(LEXICON), np.empty(0, dtype=int)
    started, seen, losses = time.monotonic(), 0, []
    for step in range(steps):
        if len(order) < batch:
            order = np.concatenate([order, rng.permutation(len(rows))])
        picked, order = order[:batch], order[batch:]
        part = Rows(rows.ids[picked], rows.positions[picked], rows.labels[picked])
        rate = learning_rate(step, steps, lr, "cosine", TRAINING["warmup"], TRAINING["floor"])
        losses.append(stepper.step(part, rate)[0])
        seen += part.targets
        if step % 50 == 49:
            speed = seen / (time.monotonic() - started)
            print(f"step {step + 1}: {np.mean(losses[-50:]):.4f} {speed:,.0f} tok/s", flush=True)
    seconds = round(time.monotonic() - started, 1)
    return {"tokens": seen, "seconds": seconds, "loss": round(float(np.mean(losses[-50:])), 4)}


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve())
