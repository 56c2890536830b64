"""How a model is trained: one entry a method, and what all methods share.

Embeddings and head are trained in place, under adapters too: no copy of them is made, so a tied
pair stays tied through training and merging (peft's ``modules_to_save`` would untie it).
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from engine.errors import InputError
from engine.recipe import sections as recipes
from engine.recipe.adapters import Lora
from engine.recipe.method_facts import FULL, LORA_VARIANTS, MethodFacts
from engine.worker.model import base as models
from engine.worker.model.embeddings import ends
from engine.worker.model.fast_paths import unwrap_model

if TYPE_CHECKING:
    from transformers import PretrainedConfig


RSLORA_ALPHA = 8
"""With rsLoRA's scale alpha / sqrt(rank): 2 at rank 16, as LoRA's 2 x rank / rank is at any."""


@dataclass(frozen=True)
class MethodSettings:
    """What a method is told when it makes a model ready. The first three are for adapters only."""

    lora: Lora
    rank: int
    seed: int
    """Of the adapters' initialisation."""
    freeze_layers: int = 0
    """The lowest layers that stay as they are."""


@dataclass(frozen=True)
class Method:
    """One training method: how it begins with a base, and how it ends in plain weights.

    What needs no torch (names, rates, costs) is in ``facts``.
    """

    facts: MethodFacts
    check: Callable[[], None]
    """InputError where this machine cannot train so."""
    load: Callable[[models.Base], torch.nn.Module]
    """The base as it is trained."""
    ready: Callable[[torch.nn.Module, MethodSettings], torch.nn.Module]
    """The model with what the method trains switched on; embeddings and head are set later."""
    merge: Callable[[torch.nn.Module, models.Base], torch.nn.Module]
    """The trained model as a plain one, to be saved."""
    describe: Callable[[MethodSettings, str], str]
    """The method for the header; the text is the rank's reason."""
    frozen: str = "frozen"
    """What the lowest layers are where the recipe freezes some."""


# --- what the stages ask -------------------------------------------------------------------


def method_of(recipe: recipes.Recipe) -> Method:
    """The entry of the recipe's method."""
    return METHODS[recipe.method.name]


def check(recipe: recipes.Recipe, config: PretrainedConfig | None = None) -> None:
    """InputError for a method that cannot work here, or (``config``) not on this model."""
    method = method_of(recipe)
    method.check()
    if recipe.launch.processes > 1 and recipe.launch.strategy == "fsdp2":
        if recipe.train.lr_pilot:
            raise InputError(
                "[train] lr_pilot tries its rates on one process, which need not hold a model "
                'that fsdp2 shards; use [launch] strategy = "ddp", or give [train] lr'
            )
        if not method.facts.shards:
            raise InputError(f'{method.facts.named} needs [launch] strategy = "ddp"')
    frozen = recipe.train.freeze_layers
    if config is not None and frozen:
        layers = int(models.text_config(config).num_hidden_layers)
        if frozen >= layers:
            raise InputError(
                f"[train] freeze_layers = {frozen} leaves no layer of this model to train; it has "
                f"{layers}"
            )


def load(base: models.Base, recipe: recipes.Recipe) -> torch.nn.Module:
    """The base as the recipe's method trains it."""
    return method_of(recipe).load(base)


def ready(model: torch.nn.Module, recipe: recipes.Recipe, rank: int, seed: int) -> torch.nn.Module:
    """The model with what the recipe trains switched on, and all else frozen."""
    model = method_of(recipe).ready(model, _settings(recipe, rank, seed))
    set_embeddings(model, recipe.train.train_embeddings or recipe.vocab.extend)
    return model


def describe(recipe: recipes.Recipe, rank: int, why: str) -> str:
    """The method for the header; ``why`` is the rank's reason."""
    method, frozen = method_of(recipe), recipe.train.freeze_layers
    text = method.describe(_settings(recipe, rank, recipe.train.seed), why)
    return text + (f", lowest {frozen} layers {method.frozen}" if frozen else "")


def _settings(recipe: recipes.Recipe, rank: int, seed: int) -> MethodSettings:
    return MethodSettings(recipe.lora, rank, seed, recipe.train.freeze_layers)


def set_embeddings(model: torch.nn.Module, train: bool) -> None:
    """Train or freeze embeddings and head, tied or not (frozen unless the recipe asks)."""
    for layer in ends(model):
        layer.requires_grad_(train)


# --- all weights ---------------------------------------------------------------------------


def _works_anywhere() -> None:
    """No machine is refused."""


def _freeze_lowest(model: torch.nn.Module, settings: MethodSettings) -> torch.nn.Module:
    """All weights are trained but those of the lowest layers."""
    if settings.freeze_layers:
        for layer in _layers(model)[1][: settings.freeze_layers]:
            layer.requires_grad_(False)
    return model


def _as_it_is(model: torch.nn.Module, base: models.Base) -> torch.nn.Module:
    return model


# --- adapters ------------------------------------------------------------------------------


@dataclass(frozen=True)
class AdapterKind:
    """One kind of low-rank adapters, as peft makes them."""

    words: str
    rslora: bool = False
    dora: bool = False
    fixed_alpha: int | None = None
    """The default alpha; None: twice the rank."""

    def alpha(self, settings: MethodSettings) -> int:
        """The recipe's alpha, or the kind's default."""
        return settings.lora.alpha or self.fixed_alpha or 2 * settings.rank

    def describe(self, settings: MethodSettings, why: str) -> str:
        return f"{self.words} rank {settings.rank}, alpha {self.alpha(settings)} ({why})"

    def ready(self, model: torch.nn.Module, settings: MethodSettings) -> torch.nn.Module:
        """Add adapters (peft) above the lowest ``freeze_layers`` layers, and freeze the rest.

        InputError where ``lora.targets`` names nothing, or embeddings or head.
        """
        from peft import LoraConfig, get_peft_model
        from peft.tuners.tuners_utils import BaseTunerLayer

        torch.manual_seed(settings.seed)
        config = LoraConfig(
            r=settings.rank,
            lora_alpha=self.alpha(settings),
            lora_dropout=settings.lora.dropout,
            target_modules=settings.lora.targets,
            # layers_to_transform would not go with "all-linear"
            exclude_modules=_frozen_names(model, settings.freeze_layers),
            use_rslora=self.rslora,
            use_dora=self.dora,
            task_type="CAUSAL_LM",
        )
        try:
            wrapped: torch.nn.Module = get_peft_model(model, config)
        except ValueError as error:
            first = str(error).splitlines()[0][:200]
            raise InputError(f"[lora] targets: no adapter can be put there: {first}") from None
        if any(isinstance(layer, BaseTunerLayer) for layer in ends(wrapped)):
            raise InputError(
                "[lora] targets holds embeddings or head; leave them out and train them whole with "
                "[train] train_embeddings = true"
            )
        return wrapped


def _merge(model: torch.nn.Module, base: models.Base) -> torch.nn.Module:
    return merged(model)


def merged(model: torch.nn.Module) -> torch.nn.Module:
    """The plain model with its adapters merged in; a plain model is returned as it is."""
    if not hasattr(model, "merge_and_unload"):
        return model
    merge: Any = model.merge_and_unload
    plain_model: torch.nn.Module = merge()
    return plain_model


def transplanted(model: torch.nn.Module, fresh: torch.nn.Module) -> torch.nn.Module:
    """``fresh`` with the adapters of ``model``, and every weight that was trained in it."""
    from peft import get_peft_model

    wrapped: Any = model
    receiver: torch.nn.Module = get_peft_model(fresh, wrapped.peft_config["default"])
    named = dict(receiver.named_parameters())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                named[name].copy_(parameter)
    return receiver


def _layers(model: torch.nn.Module) -> tuple[str, list[torch.nn.Module]]:
    """Name and members of the decoder's list of layers. InputError if there is no such list."""
    inside = unwrap_model(model)
    count = int(models.text_config(inside.config).num_hidden_layers)
    for name, module in inside.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return name, list(module)
    raise InputError("[train] freeze_layers: this model has no list of layers; leave it out")


def _frozen_names(model: torch.nn.Module, count: int) -> str | None:
    """A pattern of all modules in the lowest ``count`` layers, as peft takes one."""
    if not count:
        return None
    return rf"{re.escape(_layers(model)[0])}\.({'|'.join(map(str, range(count)))})\..*"


# --- adapters beside 4-bit weights ---------------------------------------------------------


def _needs_bitsandbytes() -> None:
    if models.device().type != "cuda":
        raise InputError('[lora] variant = "qlora" needs a GPU; use "lora" on this machine')
    if importlib.util.find_spec("bitsandbytes") is None:
        raise InputError(
            '[lora] variant = "qlora" needs bitsandbytes; install it with: '
            "pip install 'cpt-tui[qlora]'"
        )


def _load_4bit(base: models.Base) -> torch.nn.Module:
    """The base with its linear layers in 4 bits; embeddings and head stay fp32.

    Dettmers 2023: NF4 with double quantization, computed in bf16.
    """
    from transformers import BitsAndBytesConfig

    quantized = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    models.check_unchanged(base)
    place = {"": models.device()}
    return models.load_folder(base.folder, quantization_config=quantized, device_map=place)


def _merge_on_disk(model: torch.nn.Module, base: models.Base) -> torch.nn.Module:
    """What was trained, merged into the base as it is on disk, in fp32.

    Merging into 4-bit weights would round the adapters away.
    """
    if not hasattr(model, "merge_and_unload"):
        return model
    return merged(transplanted(model, models.load(base)))


# --- the table -----------------------------------------------------------------------------


def _lora(name: str, rslora: bool = False, dora: bool = False, alpha: int | None = None) -> Method:
    """A kind of LoRA beside the base in fp32."""
    facts = LORA_VARIANTS[name]
    kind = AdapterKind(facts.words, rslora, dora, alpha)
    return Method(
        facts, _works_anywhere, models.load, kind.ready, _merge, kind.describe, "without adapters"
    )


METHODS: dict[str, Method] = {
    method.facts.name: method
    for method in (
        Method(
            FULL, _works_anywhere, models.load, _freeze_lowest, _as_it_is, lambda *_: FULL.words
        ),
        _lora("lora"),
        _lora("rslora", rslora=True, alpha=RSLORA_ALPHA),
        _lora("dora", dora=True),
        replace(_lora("qlora"), check=_needs_bitsandbytes, load=_load_4bit, merge=_merge_on_disk),
    )
}
"""By the name that ``[train] method`` and ``[lora] variant`` give together."""
