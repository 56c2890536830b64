"""Models of random weights, made where they compute, and rows of packed documents for them."""

from __future__ import annotations

import contextlib
import copy
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from engine.recipe.sections import Recipe
from engine.worker.model import base as models
from engine.worker.model import methods
from engine.worker.model.precision import Precision
from engine.worker.scoring import self_check
from engine.worker.step.rows import Rows
from tests import tiny
from tests.benchmarks.speed import packed_rows

FP32, BF16 = Precision("fp32", "benchmark"), Precision("bf16", "benchmark")
RANK = 16
LR = 1e-4
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
"""Dense bf16 operations a second, by a part of the card's name (NVIDIA's data sheets)."""


@dataclass(frozen=True)
class Shape:
    """A Llama and the rows that it is trained on."""

    name: str
    width: int
    inner: int
    layers: int
    heads: int
    groups: int
    vocabulary: int
    length: int
    batch: int
    """Rows of a step."""

    def config(self) -> LlamaConfig:
        return LlamaConfig(
            vocab_size=self.vocabulary,
            hidden_size=self.width,
            intermediate_size=self.inner,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.groups,
            max_position_embeddings=max(self.length, 128),
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=0,
            use_cache=False,
        )

    def model(self) -> LlamaForCausalLM:
        """The same random weights each time, in fp32."""
        torch.manual_seed(0)
        with torch.device(models.device()):
            return LlamaForCausalLM(self.config())

    def rows(self, count: int = 0) -> Rows:
        """Packed documents of 16 tokens to the whole row."""
        return packed_rows(count or self.batch, self.length, self.vocabulary)


TINY = Shape("tiny", 32, 64, 2, 4, 2, 320, 64, 4)
MIDDLE = Shape("8M", 256, 768, 6, 8, 4, 4_096, 512, 8)
SMOLLM2_135M = Shape("135M", 576, 1_536, 30, 9, 3, 49_152, 2_048, 32)
SMOLLM2_1700M = Shape("1.7B", 2_048, 8_192, 24, 32, 32, 49_152, 2_048, 16)


def bare_base(folder: Path, model: Any) -> models.Base:
    """What the product's functions ask of a base, for a model that was never saved."""
    written = tiny.write_model(folder / "tokenizer")
    return models.Base(written, "benchmark", "", models.load_tokenizer(written), model.config)


def plan(method: str = "full", **lora: Any) -> Recipe:
    """A recipe of this method."""
    train = {"method": method, **({"why_full": "benchmark"} if method == "full" else {})}
    values = {"model": {"id": "m"}, "corpus": {"path": "c"}, "train": train, "lora": lora}
    return Recipe.model_validate(values)


def prepared(
    model: Any, base: models.Base, recipe: Recipe, precision: Precision
) -> torch.nn.Module:
    """A model as the product trains it: its paths proven, its method switched on."""
    from engine.worker.model.fast_paths import enable_fast_paths

    enable_fast_paths(model, self_check.examine(model, base, precision))
    made = methods.ready(model, recipe, RANK, 0)
    if recipe.train.method == "full":
        methods.set_embeddings(made, True)
    return made


def twin(model: Any) -> Any:
    """An equal model of its own."""
    return copy.deepcopy(model)


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cpt-gpu-") as name:
        yield Path(name)


def on_gpu() -> bool:
    return models.device().type == "cuda"


def synchronize() -> None:
    """Wait for what the GPU still has to do."""
    if on_gpu():
        torch.cuda.synchronize()


def clock() -> float:
    synchronize()
    return time.perf_counter()


def peak_flops() -> float | None:
    """Of this card in bf16; None where it is not in the table."""
    name = torch.cuda.get_device_name() if on_gpu() else ""
    return next((peak for part, peak in PEAKS.items() if part in name), None)
