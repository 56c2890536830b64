"""Tiny random models of many architectures, with the tests' own tokenizer."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from engine.worker.model import base as models

LLAMA_LIKE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}
GROUPED = {**LLAMA_LIKE, "num_key_value_heads": 2}
GPT_LIKE = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}

CONFIGS: dict[str, dict[str, Any]] = {
    "llama": GROUPED,
    "gpt2": GPT_LIKE,
    "gpt_neo": {
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
        "max_position_embeddings": 128,
    },
    "gemma2": {**GROUPED, "head_dim": 8},
    "mistral": {**GROUPED, "sliding_window": 8},
    "granite": {**GROUPED, "logits_scaling": 8.0},
    "opt": {
        "hidden_size": 32,
        "ffn_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 128,
        "word_embed_proj_dim": 32,
    },
    "mamba": {"hidden_size": 32, "num_hidden_layers": 2},
    "rwkv": {"hidden_size": 32, "num_hidden_layers": 2, "attention_hidden_size": 32},
    "lfm2": {**GROUPED, "layer_types": ["conv", "full_attention"]},
    "falcon_h1": {
        **GROUPED,
        "lm_head_multiplier": 0.5,
        "mamba_d_ssm": 32,
        "mamba_n_heads": 4,
        "mamba_d_head": 8,
        "mamba_n_groups": 1,
        "mamba_d_state": 16,
    },
    "modernbert-decoder": {**LLAMA_LIKE, "pad_token_id": 0, "local_attention": 16},
    "bert": {**LLAMA_LIKE, "is_decoder": False},
}


def build(name: str, vocabulary: int, **more: Any) -> torch.nn.Module:
    """A model of ``CONFIGS[name]`` without dropout; weights so wide that every leak shows."""
    config = AutoConfig.for_model(name, **{"vocab_size": vocabulary, **CONFIGS[name], **more})
    for key, value in vars(config).items():
        if "drop" in key and isinstance(value, float):
            setattr(config, key, 0.0)
    torch.manual_seed(0)
    model: torch.nn.Module = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                parameter.normal_(0, 0.2)
    models.config_of(model).use_cache = False
    return model.eval()


def base_of(base: models.Base, model: torch.nn.Module) -> models.Base:
    """``base`` with its model's config replaced: the same tokenizer, another architecture."""
    name = models.config_of(model).model_type
    return dataclasses.replace(base, name=name, identity=name, config=models.config_of(model))
