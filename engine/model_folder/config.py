"""config.json: what kind of model it says it is, and whether its numbers can be true."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from engine.errors import InputError

Config = Mapping[str, object]

CONTEXT_KEYS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "max_seq_length",
    "seq_length",
    "seq_len",
    "n_ctx",
    "max_sequence_length",
    "context_length",
    "max_context_length",
    "model_max_length",
)
"""How configs call the context that a model was trained with."""
LEAST_CONTEXT = 16
"""Tokens: the shortest row that can be packed."""
LAYER_KEYS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
WIDTH_KEYS = ("hidden_size", "n_embd", "d_model")
VOCABULARY_KEYS = ("vocab_size",)
MOST_LAYERS = 10_000
"""Layers that no model has: the deepest published ones have about a thousand."""
TEXT_CONFIGS = ("text_config", "llm_config", "language_config", "decoder", "generator")
"""Where a wrapper of several modalities keeps its language model's config."""
ENCODER_DECODERS = frozenset(
    (
        "t5",
        "mt5",
        "umt5",
        "byt5",
        "longt5",
        "switch_transformers",
        "bart",
        "mbart",
        "plbart",
        "pegasus",
        "pegasus_x",
        "bigbird_pegasus",
        "marian",
        "blenderbot",
        "blenderbot-small",
        "m2m_100",
        "nllb-moe",
        "prophetnet",
        "fsmt",
        "led",
        "t5gemma",
        "whisper",
        "speech_to_text",
        "encoder-decoder",
        "vision-encoder-decoder",
        "speech-encoder-decoder",
    )
)
HEADS = re.compile(r"For(?!CausalLM|ConditionalGeneration)[A-Z]\w*$")
"""Architectures saved for something else than writing text: LlamaForSequenceClassification."""


def text_part(config: Config) -> Config:
    """The language model's part of a config: its own, or the wrapper's ``text_config``."""
    for key in TEXT_CONFIGS:
        inner = config.get(key)
        if isinstance(inner, dict):
            return inner
    return config


def stated_context(get: Callable[[str], object]) -> int | None:
    """The trained context by the first of its names that states one; None where none does.

    ``get`` gives a config's value, or None. A negative number or 0 says "no limit".
    """
    for key in CONTEXT_KEYS:
        value = get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return int(min(value, 1 << 40))
    return None


def check_context(where: str, context: int | None) -> None:
    """InputError for a context in which nothing can be read."""
    if context is not None and context < LEAST_CONTEXT:
        raise InputError(
            f"{where}: a context of {context} token{'s' * (context != 1)}, and cpt needs "
            f"{LEAST_CONTEXT} at least; correct it, or use another model"
        )


def check_config(path: Path, config: Config) -> None:
    """InputError where a config is not that of a causal language model that cpt can train."""
    folder = path.parent
    if "auto_map" in config:
        raise InputError(f"{folder}: needs code of its own (auto_map); cpt runs no remote code")
    if not isinstance(config.get("model_type"), str):
        raise InputError(f"{path}: names no model_type; give the folder of a transformers model")
    inner = text_part(config)
    for part in (config, inner):
        if part.get("quantization_config"):
            raise InputError(quantised(folder, _method(part["quantization_config"])))
    if config.get("transformers_weights") is not None:
        raise InputError(
            f"{path}: transformers_weights names another file as the weights; remove that key and "
            "call the weights model.safetensors"
        )
    _check_kind(path, config)
    _check_numbers(path, inner)
    check_context(str(path), stated_context(inner.get))


def quantised(folder: Path, method: str) -> str:
    """The sentence for weights that are stored quantised."""
    return (
        f"{folder}: its weights are quantised ({method}), and cpt trains on full ones; give the "
        'unquantised model ([lora] variant = "qlora" quantises it for training by itself)'
    )


def _method(found: object) -> str:
    if not isinstance(found, dict):
        return "quantization_config"
    method, bits = str(found.get("quant_method", "quantization_config"))[:40], found.get("bits")
    return f"{method}, {bits} bits" if isinstance(bits, int) else method


def _check_kind(path: Path, config: Config) -> None:
    kind = str(config["model_type"])[:60]
    if config.get("is_encoder_decoder") is True or kind in ENCODER_DECODERS:
        raise InputError(
            f"{path}: {kind} is an encoder-decoder, which does not predict the next token of a "
            "text; use a causal (decoder) model"
        )
    named = config.get("architectures")
    names = [str(name)[:80] for name in named] if isinstance(named, list) else []
    if names and all(HEADS.search(name) for name in names):
        raise InputError(
            f"{path}: was saved as {names[0]}, which does not predict the next token of a text; "
            "use a causal language model (…ForCausalLM)"
        )


def _check_numbers(path: Path, config: Config) -> None:
    for keys, most in ((LAYER_KEYS, MOST_LAYERS), (WIDTH_KEYS, None), (VOCABULARY_KEYS, None)):
        for key in keys:
            value = config.get(key)
            if value is None or isinstance(value, list):
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(
                    f"{path}: {key} = {str(value)[:40]} cannot be; it is a whole number from 1, "
                    "so take config.json from where the model was published"
                )
            if most is not None and value > most:
                raise InputError(
                    f"{path}: {key} = {value:,} cannot be; take config.json from where the model "
                    "was published"
                )


def number(config: Config, keys: tuple[str, ...]) -> int | None:
    """The first of the keys that holds a whole number."""
    for key in keys:
        value = config.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None
