"""The input embeddings and the output head of a model, through every wrapper."""

from __future__ import annotations

import torch


def _ends(model: torch.nn.Module) -> list[torch.nn.Module]:
    """Input embeddings and head, as far as the model has them."""
    getters = ("get_input_embeddings", "get_output_embeddings")
    layers = [getattr(model, getter)() for getter in getters]
    return [layer for layer in layers if layer is not None]
