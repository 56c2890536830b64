"""Memory: what is predicted for a step is what it takes, and a step is cut to fit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.recipe import sections as recipes
from engine.worker.model import base as models
from engine.worker.model import methods
from engine.worker.model.precision import Precision
from engine.worker.step import memory
from engine.worker.step.memory import Forecast

FP32 = Precision("fp32", "test")
ROWS = 16

STEP = """
import gc, json, sys
import numpy as np
from transformers import LlamaConfig, LlamaForCausalLM
from engine.recipe.adapters import Lora
from engine.worker.model import methods
from engine.worker.model.precision import Precision
from engine.worker.step import memory
from engine.worker.step.optimizer import make_optimizer
from engine.worker.step.rows import Rows
from engine.worker.step.step import Stepper

rows = int(sys.argv[1])
config = LlamaConfig(vocab_size=2048, hidden_size=128, intermediate_size=384, num_hidden_layers=6,
                     num_attention_heads=4, num_key_value_heads=4, use_cache=False)


def measure(method, checkpointing):
    model = LlamaForCausalLM(config)
    if method == "lora":
        model = methods.METHODS["lora"].ready(model, methods.MethodSettings(Lora(), 16, 0))
    methods.set_embeddings(model, method == "full")
    precision = Precision("fp32", "test")
    made = memory.forecast(model, precision, 256)
    if checkpointing:
        made = memory.checkpointed(made, model, 256)
        model.gradient_checkpointing_enable()
    one = memory.random_row(model, 256)
    many = Rows(*(np.repeat(part, 2 * rows, 0) for part in (one.ids, one.positions, one.labels)))
    gc.collect()
    peak = memory.Peak()
    stepper = Stepper(model, make_optimizer(model, 1e-5), precision, 1.0, rows)
    stepper.step(one, 1e-5)  # the optimizer has its state from here on
    stepper.step(many, 1e-5)
    active = made.fixed + rows * (made.row + made.work) + made.logits
    return made.state + active, (peak.bytes() or 0) - made.resident


found = {}
for method in ("full", "lora"):
    for checkpointing in ("", "checkpointing"):
        found[f"{method} {checkpointing}"] = measure(method, checkpointing)
        gc.collect()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def steps_taken() -> dict[str, tuple[int, int]]:
    """Bytes predicted and measured for each way to step.

    One process takes them in turn; its heap returns what was freed, so that the tensors of a
    step are what it grows by.
    """
    done = subprocess.run(
        [sys.executable, "-c", STEP, str(ROWS)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072", "OMP_WAIT_POLICY": "PASSIVE"},
    )
    found: dict[str, tuple[int, int]] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("checkpointing", ["", "checkpointing"])
def test_a_step_takes_the_memory_that_was_predicted(
    steps_taken: dict[str, tuple[int, int]], method: str, checkpointing: str
) -> None:
    predicted, measured = steps_taken[f"{method} {checkpointing}"]
    assert 0.8 < measured / predicted < 1.25


def test_a_row_twice_as_long_keeps_twice_as_much(tiny_model: Path) -> None:
    model = models.load_folder(tiny_model)
    short, long = (memory.forecast(model, FP32, length) for length in (128, 256))
    assert long.row == pytest.approx(2 * short.row, rel=0.05)
    assert short.scaled(2).row == 2 * short.row


@given(
    row=st.integers(1, 10**9),
    state=st.integers(0, 10**9),
    free=st.integers(0, 10**11),
    most=st.integers(1, 500),
)
def test_the_largest_micro_batch_that_fits(row: int, state: int, free: int, most: int) -> None:
    made = Forecast(10**9, state, row, 0, 0, 0)
    rows = made.rows(free, most)
    assert 1 <= rows <= most
    assert rows == 1 or made.peak(rows) - made.resident <= free
    assert 2 * rows > most or made.peak(2 * rows) - made.resident > free


def train(**keys: object) -> recipes.Train:
    return recipes.Train.model_validate({"method": "full", "why_full": "test", **keys})


def test_what_does_not_fit_is_checkpointed_unless_forbidden(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = methods.ready(models.load_folder(tiny_model), recipe_of(train()), 16, 0)
    plain = memory.forecast(model, FP32, 256)
    monkeypatch.setattr(memory, "free", lambda: 10 * plain.peak(64))
    roomy = memory.plan(model, train(), FP32, 256, 64)
    assert (roomy.rows, roomy.checkpointing, roomy.fits) == (16, False, True)
    assert memory.plan(model, train(micro_batch=3), FP32, 256, 64).rows == 3
    tight = int((plain.peak(1) - plain.resident - 1) / memory.FILL)
    monkeypatch.setattr(memory, "free", lambda: tight)
    saved = memory.plan(model, train(), FP32, 256, 64)
    assert (saved.rows >= 1, saved.checkpointing, saved.fits) == (True, True, True)
    forbidden = memory.plan(model, train(gradient_checkpointing=False), FP32, 256, 64)
    assert (forbidden.rows, forbidden.checkpointing, forbidden.fits) == (1, False, False)


def recipe_of(section: recipes.Train) -> recipes.Recipe:
    recipe = recipes.Recipe.model_validate({"model": {"id": "m"}, "corpus": {"path": "c"}})
    return recipe.model_copy(update={"train": section})
