"""The input embeddings and the output head of a model, through every wrapper.

transformers' own getters find them in each architecture; peft and torch.compile hand the getters
through. No other module asks for them.
"""

from __future__ import annotations

from typing import Any

import torch

from engine.worker.model.base import config_of, text_config


def input_embeddings(model: torch.nn.Module) -> torch.nn.Module | None:
    """The layer that turns token ids into vectors."""
    inside: Any = model
    layer: torch.nn.Module | None = inside.get_input_embeddings()
    return layer


def output_head(model: torch.nn.Module) -> torch.nn.Module | None:
    """The layer that turns hidden states into logits; None for a model without one."""
    inside: Any = model
    layer: torch.nn.Module | None = inside.get_output_embeddings()
    return layer


def ends(model: torch.nn.Module) -> list[torch.nn.Module]:
    """Input embeddings and head, as far as the model has them; a tied pair is two layers."""
    layers = (input_embeddings(model), output_head(model))
    return [layer for layer in layers if layer is not None]


def are_tied(model: torch.nn.Module) -> bool:
    """Whether embeddings and head share one matrix."""
    pointers = {_weight(layer).data_ptr() for layer in ends(model)}
    return output_head(model) is not None and len(pointers) == 1


def width(model: torch.nn.Module) -> int:
    """Numbers in the row of one token."""
    layer = input_embeddings(model)
    if layer is None:
        raise TypeError(f"{type(model).__name__} has no input embeddings")
    return int(_weight(layer).shape[1])


def token_rows(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    """What has a row for each token: embeddings, head and its bias; a tied pair once."""
    rows = int(text_config(config_of(model)).vocab_size)
    parameters = (p for layer in ends(model) for p in layer.parameters() if p.shape[0] == rows)
    return list({id(parameter): parameter for parameter in parameters}.values())


def _weight(layer: torch.nn.Module) -> torch.Tensor:
    weight: Any = layer.weight
    tensor: torch.Tensor = weight
    return tensor
