"""The trained context under its names, in wrappers too; short contexts work from end to end."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, Gemma3Config, Gemma3ForConditionalGeneration

from engine.errors import InputError
from engine.recipe import sections as recipes
from engine.runs.run import create_run
from engine.worker.model import base as models
from tests.faults.driving import alarms, recipe, walk
from tests.folders import change_config, resolved, write_kind

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


def multimodal(folder: Path, tokenizer: Path) -> Path:
    """A tiny Gemma 3 with its vision tower: all that concerns text is in ``text_config``."""
    fast = AutoTokenizer.from_pretrained(tokenizer)
    size = len(fast)
    config = Gemma3Config(
        text_config={
            **SMALL,
            "vocab_size": size,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "max_position_embeddings": 96,
            "sliding_window": 32,
            "layer_types": ["sliding_attention", "full_attention"],
        },
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 28,
            "patch_size": 14,
        },
        mm_tokens_per_image=4,
        image_token_index=size - 1,
        boi_token_index=size - 2,
        eoi_token_index=size - 3,
    )
    config.eos_token_id = 0
    Gemma3ForConditionalGeneration(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4}
KINDS: dict[str, tuple[dict[str, Any], int]] = {
    "llama": ({**SMALL, "max_position_embeddings": 48}, 48),
    "gpt2": ({**GPT, "n_positions": 64}, 64),
    "gptj": ({**GPT, "n_positions": 40, "rotary_dim": 4}, 40),
    "mpt": ({"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 64}, 64),
    "rwkv": (
        {**SMALL, "attention_hidden_size": 32, "context_length": 80},
        80,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_context_is_found_under_its_own_name(
    kind: str, tiny_model: Path, tmp_path: Path
) -> None:
    more, context = KINDS[kind]
    base = resolved(write_kind(tmp_path / "m", tiny_model, kind, **more))
    assert base.context == context
    assert not any("context" in note for note in base.notes)


def test_a_wrappers_context_is_its_text_models(tiny_model: Path, tmp_path: Path) -> None:
    assert resolved(multimodal(tmp_path / "m", tiny_model)).context == 96


@pytest.mark.parametrize(("limit", "context"), [(512, 512), (int(1e30), 2048), (None, 2048)])
def test_a_context_that_nothing_states_is_said_to_be_assumed(
    limit: int | None, context: int, tiny_model: Path, tmp_path: Path
) -> None:
    folder = write_kind(tmp_path / "m", tiny_model, "bloom", hidden_size=32, n_layer=2, n_head=4)
    change_config(folder, "tokenizer_config.json", model_max_length=limit)
    base = resolved(folder)
    assert base.context == context
    said = "its tokenizer's is taken" if context == 512 else "assumed"
    assert [said in note and f"{context:,} tokens" in note for note in base.notes] == [True]


def test_rows_beyond_learned_positions_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    base = resolved(write_kind(tmp_path / "m", tiny_model, "gpt2", **GPT, n_positions=64))
    wanted = recipes.Recipe.model_validate(
        {
            "recipe": {"schema": 1},
            "model": {"id": "x"},
            "corpus": {"path": "y"},
            "pack": {"sequence_length": 128},
        }
    )
    with pytest.raises(InputError, match="128 is more than the 64 positions"):
        models.check_length(wanted, base)
    rotary = resolved(tiny_model)
    models.check_length(wanted, dataclasses.replace(rotary, name="rotary"))


WORKS = {
    "gpt2, 16": ("gpt2", {**GPT, "n_positions": 16}),
    "mpt, 64": ("mpt", {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 64}),
    "gemma3 with vision": ("", {}),
}


@pytest.mark.parametrize("kind", WORKS)
def test_short_contexts_and_wrappers_walk_to_a_verdict(
    kind: str, tiny_model: Path, tiny_files: dict[str, Path], tmp_path: Path
) -> None:
    """Probe, timing, packing, training, both arms: nothing reads past the context."""
    name, more = WORKS[kind]
    folder = tmp_path / "m"
    _ = write_kind(folder, tiny_model, name, **more) if name else multimodal(folder, tiny_model)
    text = recipe(folder, tiny_files, "max_tokens = 3000", gate=True)
    text = text.replace("sequence_length = 64\n", "").replace('"fp32"', '"auto"')
    run = create_run("short", text)
    end = walk(run)
    assert end.code in (0, 4, 5), end.message
    assert not any("assumed" in message for message in alarms(run))
