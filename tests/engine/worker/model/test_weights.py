"""Weights against the model that transformers builds from the config: never made up, all named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.errors import InputError
from engine.model_folder.headers import stored_tensors
from engine.worker.model import base as models
from engine.worker.model import weights
from tests import tiny
from tests.folders import (
    change_config,
    rename_keys,
    resolved,
    shard,
    store,
    stored,
    write_kind,
)

Break = Callable[[Path], object]


@pytest.fixture(scope="module")
def untied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_model(tmp_path_factory.mktemp("untied") / "m", tied=False)


SMALL = {"hidden_size": 32, "num_hidden_layers": 2}
LLAMA = {**SMALL, "intermediate_size": 64, "num_attention_heads": 4}
GROUPED = {**LLAMA, "num_key_value_heads": 2}
KINDS: dict[str, dict[str, Any]] = {
    "mixtral": {**GROUPED, "num_local_experts": 2, "num_experts_per_tok": 1},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "gemma2": {**GROUPED, "head_dim": 8},
    "mamba": SMALL,
}


def dropped(*ends: str) -> Break:
    return lambda folder: store(
        folder, {k: v for k, v in stored(folder).items() if not k.endswith(ends)}
    )


def transposed(folder: Path) -> None:
    tensors = stored(folder)
    name = "model.layers.1.mlp.up_proj.weight"
    store(folder, tensors | {name: tensors[name].T.contiguous()})


def with_more(*names: str) -> Break:
    return lambda folder: store(folder, stored(folder) | {n: torch.zeros(4) for n in names})


def foreign(folder: Path) -> None:
    """Renamed in a way that no list of wrappers knows."""
    rename_keys(folder, lambda key: f"backbone.{key}")


def untied_head(folder: Path) -> None:
    change_config(folder, tie_word_embeddings=True)


BROKEN: dict[str, tuple[Break, str]] = {
    "embeddings missing": (dropped("embed_tokens.weight"), "1 of 21 tensors"),
    "head missing": (dropped("lm_head.weight"), "tie_word_embeddings = false"),
    "the last norm missing": (dropped("model.norm.weight"), "1 of 21 tensors"),
    "another width of the MLP": (
        lambda folder: change_config(folder, intermediate_size=48),
        "6 of 21 tensors have another shape than config.json",
    ),
    "one tensor transposed": (transposed, "1 of 21 tensors have another shape"),
    "another vocabulary": (
        lambda folder: change_config(folder, vocab_size=300),
        "2 of 21 tensors have another shape",
    ),
    "renamed by a stranger": (foreign, "'backbone.' in their names"),
    "tied heads that differ": (untied_head, "hold a head that differs"),
    "heads that do not divide": (
        lambda folder: change_config(folder, num_attention_heads=5, num_key_value_heads=3),
        "config.json",
    ),
    "a kind nobody knows": (
        lambda folder: change_config(folder, model_type="nosuch"),
        "cannot read it",
    ),
    "a kind without a causal model": (
        lambda folder: change_config(folder, model_type="vit", architectures=["ViTModel"]),
        "predicts no next token",
    ),
    "a broken tokenizer": (
        lambda folder: (folder / "tokenizer.json").write_text('{"model": 7}'),
        "its tokenizer cannot be read",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_base_is_refused_by_name_and_count(
    kind: str, untied: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(untied, tmp_path / "m"))
    spoil, words = BROKEN[kind]
    spoil(folder)
    with pytest.raises(InputError) as refused:
        resolved(folder)
    assert words in str(refused.value)
    assert str(folder) in str(refused.value)


@pytest.mark.parametrize("kind", ["embeddings missing", "one tensor transposed", "head missing"])
def test_a_load_refuses_too(kind: str, untied: Path, tmp_path: Path) -> None:
    """Every way to a model goes through ``load_folder``: arms, pilot, exports."""
    folder = Path(shutil.copytree(untied, tmp_path / "m"))
    BROKEN[kind][0](folder)
    with pytest.raises(InputError):
        models.load_folder(folder)


def test_a_tied_model_with_another_head_is_not_loaded(untied: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(untied, tmp_path / "m"))
    untied_head(folder)
    with pytest.raises(InputError, match="hold a head that differs"):
        models.load_folder(folder)


def test_surplus_is_named_and_left_out(untied: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(untied, tmp_path / "m"))
    with_more("score.weight", "value_head.weight")(folder)
    base = resolved(folder)
    assert any("2 tensors" in note and "score.weight" in note for note in base.notes)
    models.load(base)


@pytest.mark.parametrize("kind", ["mixtral", "gpt2", "gemma2", "mamba"])
def test_other_layers_are_refused_for_any_architecture(
    kind: str, tiny_model: Path, tmp_path: Path
) -> None:
    """Also where layers need not be alike, and the names alone decide nothing."""
    folder = write_kind(tmp_path / "m", tiny_model, kind, **KINDS[kind])
    assert not any("tensors" in note for note in resolved(folder).notes)
    key = "n_layer" if kind == "gpt2" else "num_hidden_layers"
    change_config(folder, **{key: 1})
    with pytest.raises(InputError, match=r"says 1 layers and the weights hold 2"):
        resolved(folder)
    change_config(folder, **{key: 3})
    with pytest.raises(InputError, match=r"says 3 layers|tensors of this model are not in its"):
        resolved(folder)


def test_a_missing_expert_is_not_made_up(tiny_model: Path, tmp_path: Path) -> None:
    folder = write_kind(tmp_path / "m", tiny_model, "mixtral", **KINDS["mixtral"])
    names = [name for name in stored(folder) if "layers.1" in name and "experts.1" in name]
    assert names
    dropped(names[0])(folder)
    with pytest.raises(InputError):
        resolved(folder)


def test_shards_and_halves_load_as_they_are(untied: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(untied, tmp_path / "m"))
    store(folder, {name: value.bfloat16() for name, value in stored(folder).items()})
    wanted = stored(folder)
    shard(folder)
    base = resolved(folder)
    assert base.stored.startswith("bf16")
    assert "saved as fp32" in base.stored
    loaded = models.load(base).state_dict()
    assert all(torch.equal(loaded[name], value.float()) for name, value in wanted.items())


def test_weights_changed_while_the_run_works_are_refused(untied: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(untied, tmp_path / "m"))
    base = resolved(folder)
    models.load(base)
    store(folder, {name: value * 1.01 for name, value in stored(folder).items()})
    with pytest.raises(InputError, match="weights changed while the run was working"):
        models.load(base)


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
@pytest.mark.parametrize("kernel", ["flash_attention_2", "eager", "flex_attention"])
def test_the_attention_kernel_is_ours(key: str, kernel: str, untied: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(untied, tmp_path / "m"))
    change_config(folder, **{key: kernel})
    model = models.load(resolved(folder))
    assert models.config_of(model)._attn_implementation == "sdpa"


def test_the_skeleton_reads_no_weight(untied: Path) -> None:
    made = weights.skeleton(untied, models.load_config(untied), stored_tensors(untied))
    assert {value.device.type for value in made.model.state_dict().values()} == {"meta"}
