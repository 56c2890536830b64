"""The tensors' names against the config: quantised, renamed, too few layers or too many.

Only what names alone can tell for sure. The worker compares every name and shape with what
transformers builds from the config (``engine.worker.model.weights``).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

from engine.errors import InputError
from engine.model_folder.config import LAYER_KEYS, Config, number, quantised
from engine.model_folder.headers import StoredTensor, shown_names

QUANTISED = re.compile(
    r"\.(?:qweight|qzeros|g_idx|SCB|absmax|quant_map|weight_packed|weight_scale|weight_scale_inv"
    r"|quant_state\.\w+)$"
)
"""Tensors that only GPTQ, AWQ, bitsandbytes, compressed-tensors and fp8 checkpoints have."""
PACKED = ("I8", "U8", "I32", "F8_E4M3", "F8_E5M2", "F4", "F6_E2M3", "F6_E3M2")
"""dtypes of weights that are no numbers to train on."""
WRAPPERS = re.compile(
    r"(?:^|\.)(?P<inside>_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
    r"|^(?P<first>(?:module|_forward_module|base_model\.model)\.)"
)
"""What torch.compile, FSDP, DDP, DeepSpeed and peft put into the names of what they wrap."""
LAYER = re.compile(r"^(?P<stem>(?:.*?\.)?(?:layers|h|blocks))\.(?P<at>\d+)\.(?P<rest>.+)$")
UNIFORM = frozenset(
    (
        "llama",
        "mistral",
        "qwen2",
        "qwen3",
        "gemma",
        "gemma2",
        "gemma3_text",
        "phi",
        "phi3",
        "gpt2",
        "gpt_neox",
        "gptj",
        "gpt_neo",
        "gpt_bigcode",
        "opt",
        "bloom",
        "mpt",
        "falcon",
        "olmo",
        "olmo2",
        "granite",
        "stablelm",
        "starcoder2",
        "smollm3",
        "cohere",
        "mixtral",
    )
)
"""Architectures whose layers all hold tensors of the same names."""


def check_names(folder: Path, config: Config, tensors: Mapping[str, StoredTensor]) -> None:
    """InputError where names tell that these are not the weights of a model of this config."""
    for name, tensor in tensors.items():
        if QUANTISED.search(name) or (name.endswith("weight") and tensor.dtype in PACKED):
            raise InputError(quantised(folder, f"it holds {name[:120]}, {tensor.dtype}"))
    wrapped = [name for name in tensors if WRAPPERS.search(name)]
    if wrapped:
        raise InputError(renamed(folder, _wrapper(wrapped[0]), wrapped, len(tensors)))
    if config.get("model_type") in UNIFORM:
        _check_layers(folder, config, tensors)


def renamed(folder: Path, prefix: str, names: list[str], total: int) -> str:
    """The sentence for weights under other names than the model's."""
    return (
        f"{folder}: {len(names)} of {total} tensors of its weights have {prefix!r} in their names "
        f"({shown_names(sorted(names))}), so none of them would be loaded; rename them without it, "
        "or save the model again from inside its wrapper"
    )


def _wrapper(name: str) -> str:
    found = WRAPPERS.search(name)
    assert found is not None
    return found["first"] or f"{found['inside']}."


def _check_layers(folder: Path, config: Config, tensors: Mapping[str, StoredTensor]) -> None:
    said, held = number(config, LAYER_KEYS), layers(tensors)
    if said is None or not held:
        return
    check_count(folder, said, held.keys())
    whole = set().union(*held.values())
    stem = next(match["stem"] for name in tensors if (match := LAYER.match(name)))
    missing = [f"{stem}.{at}.{rest}" for at in sorted(held) for rest in sorted(whole - held[at])]
    if missing:
        raise InputError(incomplete(folder, missing, len(tensors) + len(missing)))


def layers(names: Collection[str]) -> dict[int, set[str]]:
    """The names within each layer, by its number; empty where the names tell no one list."""
    held: dict[int, set[str]] = defaultdict(set)
    stems = set()
    for name in names:
        if match := LAYER.match(name):
            stems.add(match["stem"])
            held[int(match["at"])].add(match["rest"])
    return held if len(stems) == 1 else {}


def check_count(folder: Path, said: int, held: Collection[int]) -> None:
    """InputError where the config has other layers than the weights."""
    missing, surplus = [n for n in range(said) if n not in held], [n for n in held if n >= said]
    if not missing and not surplus:
        return
    which = f"lack layer {missing[0]}" if missing else f"also hold layer {min(surplus)}"
    raise InputError(
        f"{folder}: config.json says {said} layers and the weights hold {len(held)} (they "
        f"{which}); take both from where the model was published, or correct the config"
    )


def incomplete(folder: Path | str, missing: list[str], total: int) -> str:
    """The sentence for weights that lack tensors of the model."""
    return (
        f"{folder}: {len(missing)} of {total} tensors of this model are not in its weights "
        f"({shown_names(missing)}), and cpt does not make them up; download the model again"
    )
