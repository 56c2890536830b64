"""What is not trained, held in bf16 on a GPU: LoRA beside 2 bytes a weight instead of 4.

Under bf16 autocast a product reads its matrix in bf16 anyway. A frozen matrix that is held so gives
the same product, bit for bit, and is not cast again in every pass. Matrices of plain linear layers
are held so, and nothing else: the rows of the embeddings are the hidden states, so they stay fp32
as norms, adapters and all that is trained do. Before adapters are merged, the matrices are put
back in fp32 as they are on disk.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.recipe import sections as recipes
from engine.worker.model import base as models
from engine.worker.model import methods
from engine.worker.model.fast_paths import unwrap_model
from engine.worker.model.precision import Precision
from engine.worker.step.loss import token_losses
from engine.worker.step.memory import random_row

LIMIT = 1e-3
"""Nats a token, and share of the gradient's norm, that matrices held in bf16 may change. Measured
on a tiny model: 0 and 0 for LoRA; 0 and 1e-5 for DoRA, which takes the norms of its matrices."""
CHECK_TOKENS = 64
WRAPPER = ".base_layer"
"""What peft puts into the name of a layer that has an adapter."""


@dataclass(frozen=True)
class HeldMatrices:
    """The layers whose matrices are held in bf16, by their names in the plain model."""

    layers: dict[str, torch.nn.Linear]
    found: str = ""
    """What the comparison gave, for the header; empty where there was none."""

    def put_back(self, base: models.Base) -> None:
        """The matrices as they are on disk, in fp32; they wait in the machine's memory."""
        if not self.layers:
            return
        fresh = models.load(base, torch.device("cpu"))
        for name, layer in self.layers.items():
            own = fresh.get_submodule(name)
            assert isinstance(own, torch.nn.Linear)  # the same architecture
            for key, held in list(layer.named_parameters(recurse=False)):
                tensor = getattr(own, key).detach().to(held.device)
                setattr(layer, key, torch.nn.Parameter(tensor, requires_grad=False))
        self.layers.clear()


def hold_where_it_pays(
    model: torch.nn.Module, base: models.Base, recipe: recipes.Recipe, precision: Precision
) -> HeldMatrices:
    """Hold what ``model`` does not train in bf16, on a GPU and in a bf16 run; else do nothing.

    Loss and gradient are compared with those beside fp32 matrices, which are put back where these
    are others. fsdp2 wants one dtype in a unit, and QLoRA holds 4 bits.
    """
    sharded = recipe.launch.processes > 1 and recipe.launch.strategy == "fsdp2"
    rounded = methods.method_of(recipe).facts.rounds_base
    on_gpu = models.device().type == "cuda"
    if not on_gpu or precision.name != "bf16" or sharded or rounded or not holdable(model):
        return HeldMatrices({})
    return hold(model, base, precision)


def hold(model: torch.nn.Module, base: models.Base, precision: Precision) -> HeldMatrices:
    """Hold what can be held in bf16, unless that changes the numbers."""
    before = _measure(model, precision)
    layers = holdable(model)
    for layer in layers.values():
        for key, tensor in list(layer.named_parameters(recurse=False)):
            low = tensor.detach().to(torch.bfloat16)
            setattr(layer, key, torch.nn.Parameter(low, requires_grad=False))
    after = _measure(model, precision)
    loss, norm = (abs(a - b) for a, b in zip(after, before, strict=True))
    said = f"off by {loss:.1g} nats a token, {norm / max(before[1], 1e-12):.1g} of the gradient"
    held = HeldMatrices(layers, f"bf16, checked: {said}")
    if loss <= LIMIT and norm <= LIMIT * before[1]:
        return held
    held.put_back(base)
    return HeldMatrices({}, f"fp32; in bf16 {said}")


def holdable(model: torch.nn.Module) -> dict[str, torch.nn.Linear]:
    """The linear layers that are frozen, in fp32, and share no matrix with another module."""
    inside = unwrap_model(model)
    owners: dict[int, int] = {}
    for module in inside.modules():
        for tensor in module.parameters(recurse=False):
            owners[id(tensor)] = owners.get(id(tensor), 0) + 1
    return {
        name.replace(WRAPPER, ""): module
        for name, module in inside.named_modules()
        if type(module) is torch.nn.Linear
        and all(
            not tensor.requires_grad and tensor.dtype == torch.float32 and owners[id(tensor)] == 1
            for tensor in module.parameters(recurse=False)
        )
    }


def _measure(model: torch.nn.Module, precision: Precision) -> tuple[float, float]:
    """(nats a token, gradient norm) on random tokens, dropout off."""
    rows = random_row(model, CHECK_TOKENS)
    mode = model.training
    model.eval()
    try:
        with precision.autocast():
            loss = token_losses(model, rows) / rows.targets
        found = torch.autograd.grad(loss, models.trainable(model), allow_unused=True)
    finally:
        model.train(mode)
    norm = torch.nn.utils.get_total_norm([g for g in found if g is not None])
    return float(loss.detach()), float(norm)
