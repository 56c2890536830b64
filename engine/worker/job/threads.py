"""How many threads this process computes with."""

from __future__ import annotations

import os

import torch

from engine.recipe.sections import Recipe

THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
"""Cores of this machine that we may use; torchrun allows its processes one each."""


def share_threads(recipe: Recipe, here: int = 1) -> None:
    """Threads of this process: the recipe's, else all cores, shared by ``here`` processes."""
    if recipe.launch.threads:
        torch.set_num_threads(recipe.launch.threads)
    elif "LOCAL_WORLD_SIZE" in os.environ:
        torch.set_num_threads(max(1, THREADS // here))
