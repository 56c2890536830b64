"""transformers' Trainer on the same rows: losses to compare with, and its speed at its best."""

from __future__ import annotations

import importlib.util
import statistics
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from engine.worker.step.optimizer import make_optimizer
from engine.worker.step.rows import Rows
from tests.benchmarks.gpu.shapes import LR, clock, on_gpu

WARM_STEPS = 3
"""Steps that are not timed: kernels are chosen, compiled and cached in them."""


class RowData(Dataset[dict[str, torch.Tensor]]):
    """Packed rows as Trainer takes them, one after the other; documents by their positions."""

    def __init__(self, rows: Rows, repeats: int) -> None:
        self.rows, self.repeats = rows, repeats

    def __len__(self) -> int:
        return len(self.rows) * self.repeats

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        at, rows = index % len(self.rows), self.rows
        parts = {"input_ids": rows.ids, "position_ids": rows.positions, "labels": rows.labels}
        return {name: torch.from_numpy(part[at].copy()) for name, part in parts.items()}


class RecordingTrainer(Trainer):  # type: ignore[misc]
    """Keeps each micro-batch's loss as it was computed."""

    losses: list[float]

    def compute_loss(self, *given: Any, **named: Any) -> Any:
        loss = super().compute_loss(*given, **named)
        self.losses.append(float((loss[0] if isinstance(loss, tuple) else loss).detach()))
        return loss


class StepTimes(TrainerCallback):  # type: ignore[misc]
    """Seconds of each step, the GPU's work included."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.began = 0.0

    def on_step_begin(self, *given: Any, **named: Any) -> None:
        self.began = clock()

    def on_step_end(self, *given: Any, **named: Any) -> None:
        self.seconds.append(clock() - self.began)


def arguments(out: Path, micro: int, accumulate: int, steps: int, bf16: bool, **more: Any) -> Any:
    return TrainingArguments(
        output_dir=str(out),
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=accumulate,
        max_steps=steps,
        bf16=bf16,
        learning_rate=LR,
        lr_scheduler_type="constant",
        max_grad_norm=1.0,
        optim="adamw_torch_fused",
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=not on_gpu(),
        dataloader_pin_memory=on_gpu(),
        **more,
    )


def trainer_losses(model: Any, rows: Rows, steps: int, bf16: bool, out: Path) -> list[float]:
    """The loss of each step, all rows in each, with the optimizer that ours has."""
    optimizer = make_optimizer(model, LR)
    constant = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    trainer = RecordingTrainer(
        model=model,
        args=arguments(out, len(rows), 1, steps, bf16),
        train_dataset=RowData(rows, steps),
        optimizers=(optimizer, constant),
    )
    trainer.losses = []
    trainer.train()
    return trainer.losses


def trainer_speed(
    model: Any, rows: Rows, micro: int, steps: int, out: Path, **more: Any
) -> tuple[float, float]:
    """(tokens a second, peak GB on the GPU) of Trainer's own loop with its own optimizer."""
    times = StepTimes()
    if on_gpu():
        torch.cuda.reset_peak_memory_stats()
    trainer = Trainer(
        model=model,
        args=arguments(out, micro, max(1, len(rows) // micro), steps, True, **more),
        train_dataset=RowData(rows, steps),
        callbacks=[times],
    )
    trainer.train()
    peak = torch.cuda.max_memory_allocated() / 1e9 if on_gpu() else 0.0
    timed = times.seconds[WARM_STEPS:] or times.seconds
    return rows.ids.size / statistics.median(timed), peak


def settings(full: bool) -> dict[str, dict[str, Any]]:
    """Trainer's settings that are tried, the plain ones first; the best counts."""
    found: dict[str, dict[str, Any]] = {"sdpa": {}}
    if full and importlib.util.find_spec("liger_kernel") and on_gpu():
        found["liger"] = {"use_liger_kernel": True}
    if on_gpu():
        found["compile"] = {"torch_compile": True}
    return found
