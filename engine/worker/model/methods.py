"""How a model is trained: full, LoRA and its variants, frozen layers, embeddings; and merging.

Embeddings and head are trained in place, under adapters too: no copy of them is made, so a tied
pair stays tied through training and merging (peft's ``modules_to_save`` would untie it).
"""

from __future__ import annotations

import importlib.util
import re
from typing import Any

import torch

from engine.errors import InputError
from engine.recipe import sections as recipes
from engine.worker.model import base as models
from engine.worker.model.embeddings import _ends
from engine.worker.model.fast_paths import plain

NAMES = {"lora": "LoRA", "rslora": "rsLoRA", "dora": "DoRA", "qlora": "QLoRA"}


RSLORA_ALPHA = 8
"""With rsLoRA's scale alpha / sqrt(rank): 2 at rank 16, as LoRA's 2 x rank / rank is at any."""


def check(recipe: recipes.Recipe, config: Any = None) -> None:
    """InputError for a method that cannot work here, or (``config``) not on this model."""
    if is_qlora(recipe):
        if models.device().type != "cuda":
            raise InputError('[lora] variant = "qlora" needs a GPU; use "lora" on this machine')
        if importlib.util.find_spec("bitsandbytes") is None:
            raise InputError(
                '[lora] variant = "qlora" needs bitsandbytes; install it with: '
                "pip install 'cpt-tui[qlora]'"
            )
    if recipe.launch.processes > 1 and recipe.launch.strategy == "fsdp2":
        if recipe.train.lr_pilot:
            raise InputError(
                "[train] lr_pilot tries its rates on one process, which need not hold a model "
                'that fsdp2 shards; use [launch] strategy = "ddp", or give [train] lr'
            )
        if is_qlora(recipe):
            raise InputError('[lora] variant = "qlora" needs [launch] strategy = "ddp"')
    frozen = recipe.train.freeze_layers
    if config is not None and frozen:
        layers = int(config.get_text_config().num_hidden_layers)
        if frozen >= layers:
            raise InputError(
                f"[train] freeze_layers = {frozen} leaves no layer of this model to train; it has "
                f"{layers}"
            )


def is_qlora(recipe: recipes.Recipe) -> bool:
    return recipe.train.method == "lora" and recipe.lora.variant == "qlora"


def load(base: models.Base, recipe: recipes.Recipe) -> torch.nn.Module:
    """The base as it is trained: fp32, or for QLoRA its linear layers in 4 bits (NF4).

    Dettmers 2023: NF4 with double quantization, computed in bf16. Embeddings and head stay fp32.
    """
    if not is_qlora(recipe):
        return models.load(base)
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    quantized = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    model: torch.nn.Module = AutoModelForCausalLM.from_pretrained(
        base.folder,
        dtype=torch.float32,
        quantization_config=quantized,
        device_map={"": models.device()},
        use_safetensors=True,
        trust_remote_code=False,
    )
    models.config_of(model).use_cache = False
    return model


def ready(model: torch.nn.Module, recipe: recipes.Recipe, rank: int, seed: int) -> torch.nn.Module:
    """The model with what the recipe trains switched on, and all else frozen.

    ``rank`` and ``seed`` (of the adapters' initialisation) are for LoRA only.
    """
    train = recipe.train
    if train.method == "lora":
        model = wrap_lora(model, recipe.lora, rank, seed, train.freeze_layers)
    else:
        for layer in _layers(model)[1][: train.freeze_layers]:
            layer.requires_grad_(False)
    set_embeddings(model, train.train_embeddings or recipe.vocab.extend)
    return model


def wrap_lora(
    model: torch.nn.Module, lora: recipes.Lora, rank: int, seed: int, freeze_layers: int = 0
) -> torch.nn.Module:
    """Add adapters (peft) above the lowest ``freeze_layers`` layers; ``seed`` fixes their start.

    InputError where ``lora.targets`` names nothing, or embeddings or head.
    """
    from peft import LoraConfig, get_peft_model
    from peft.tuners.tuners_utils import BaseTunerLayer

    torch.manual_seed(seed)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha(lora, rank),
        lora_dropout=lora.dropout,
        target_modules=lora.targets,
        # layers_to_transform would not go with "all-linear"
        exclude_modules=_frozen_names(model, freeze_layers),
        use_rslora=lora.variant == "rslora",
        use_dora=lora.variant == "dora",
        task_type="CAUSAL_LM",
    )
    try:
        wrapped: torch.nn.Module = get_peft_model(model, config)
    except ValueError as error:
        first = str(error).splitlines()[0][:200]
        raise InputError(f"[lora] targets: no adapter can be put there: {first}") from None
    if any(isinstance(layer, BaseTunerLayer) for layer in _ends(wrapped)):
        raise InputError(
            "[lora] targets holds embeddings or head; leave them out and train them whole with "
            "[train] train_embeddings = true"
        )
    return wrapped


def alpha(lora: recipes.Lora, rank: int) -> int:
    """The recipe's alpha; default 2 x rank, and for rsLoRA one that does not grow with it."""
    return lora.alpha or (RSLORA_ALPHA if lora.variant == "rslora" else 2 * rank)


def set_embeddings(model: torch.nn.Module, train: bool) -> None:
    """Train or freeze embeddings and head, tied or not (DESIGN 7: frozen unless asked)."""
    for layer in _ends(model):
        layer.requires_grad_(train)


def merged(model: torch.nn.Module, base: models.Base | None = None) -> torch.nn.Module:
    """The plain model with its adapters merged in; a plain model is returned as it is.

    With ``base`` what was trained is merged into the base as it is on disk, in fp32: merging
    into 4-bit weights would round the adapters away.
    """
    if not hasattr(model, "merge_and_unload"):
        return model
    if base is not None:
        model = transplanted(model, models.load(base))
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


def describe(recipe: recipes.Recipe, rank: int, why: str) -> str:
    """The method for the header; ``why`` is the rank's reason."""
    frozen = recipe.train.freeze_layers
    lowest = f", lowest {frozen} layers {{}}" if frozen else ""
    if recipe.train.method == "full":
        return "full fine-tuning" + lowest.format("frozen")
    lora = recipe.lora
    text = f"{NAMES[lora.variant]} rank {rank}, alpha {alpha(lora, rank)} ({why})"
    return text + lowest.format("without adapters")


def _layers(model: torch.nn.Module) -> tuple[str, list[torch.nn.Module]]:
    """Name and members of the decoder's list of layers. InputError if there is no such list."""
    inside = plain(model)
    count = int(inside.config.get_text_config().num_hidden_layers)
    for name, module in inside.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return name, list(module)
    raise InputError("[train] freeze_layers: this model has no list of layers; leave it out")


def _frozen_names(model: torch.nn.Module, count: int) -> str | None:
    """A pattern of all modules in the lowest ``count`` layers, as peft takes one."""
    if not count:
        return None
    return rf"{re.escape(_layers(model)[0])}\.({'|'.join(map(str, range(count)))})\..*"
