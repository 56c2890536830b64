"""A base that is not what its config says: refused from its files alone, in one sentence."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from cpt_tui.interview.questions import check_model
from engine.errors import InputError
from engine.model_folder.check import check_model_folder, weights_bytes
from engine.model_folder.config import stated_context
from engine.model_folder.headers import INDEX, SINGLE, read_header, stored_tensors
from tests.conftest import Command
from tests.folders import change_config, rename_keys, shard, store, stored
from tests.material import MATERIAL, needs_material

Break = Callable[[Path], object]


def config(**values: object) -> Break:
    return lambda folder: change_config(folder, **values)


def without(*ends: str) -> Break:
    """Weights that lack the tensors whose names end so."""
    return lambda folder: store(
        folder, {k: v for k, v in stored(folder).items() if not k.endswith(ends)}
    )


def prefixed(prefix: str) -> Break:
    return lambda folder: rename_keys(folder, lambda key: prefix + key)


def truncated(share: float) -> Break:
    def cut(folder: Path) -> None:
        raw = (folder / SINGLE).read_bytes()
        (folder / SINGLE).write_bytes(raw[: int(len(raw) * share)])

    return cut


def written(name: str, text: str) -> Break:
    return lambda folder: (folder / name).write_text(text)


def adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "some/base"}')
    (folder / SINGLE).rename(folder / "adapter_model.safetensors")


def adapter_without_config(folder: Path) -> None:
    (folder / SINGLE).rename(folder / "adapter_model.safetensors")


def adapter_beside(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "some/base"}')


def fewer_shards(folder: Path) -> None:
    sorted(shard(folder))[1].unlink()


def no_index(folder: Path) -> None:
    shard(folder)
    (folder / INDEX).unlink()


def index_to(name: str) -> Break:
    def point(folder: Path) -> None:
        shard(folder)
        index = json.loads((folder / INDEX).read_text())
        first = next(iter(index["weight_map"]))
        index["weight_map"][first] = name
        (folder / INDEX).write_text(json.dumps(index))

    return point


def linked_out(folder: Path) -> None:
    first = sorted(shard(folder))[0]
    outside = folder.parent / "outside.safetensors"
    first.rename(outside)
    first.symlink_to(outside)


def index_of_more(folder: Path) -> None:
    shard(folder)
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"]["model.layers.7.mlp.up_proj.weight"] = next(
        iter(index["weight_map"].values())
    )
    (folder / INDEX).write_text(json.dumps(index))


def huge(folder: Path) -> None:
    """A sparse file whose header promises more than any machine holds."""
    side = 1 << 20
    header = json.dumps(
        {"w.weight": {"dtype": "F32", "shape": [side, side], "data_offsets": [0, 4 * side**2]}}
    ).encode()
    with (folder / SINGLE).open("wb") as handle:
        handle.write(struct.pack("<Q", len(header)) + header)
        handle.truncate(8 + len(header) + 4 * side**2)


def quantised_names(folder: Path) -> None:
    rename_keys(folder, lambda key: key.replace("up_proj.weight", "up_proj.qweight"))


BROKEN: dict[str, tuple[Break, str]] = {
    "a layer's tensors missing": (without("layers.1.mlp.up_proj.weight"), "1 of 20 tensors"),
    "two kinds missing": (
        without("layers.0.mlp.up_proj.weight", "0.self_attn.q_proj.weight"),
        "2 of 20 tensors",
    ),
    "renamed by torch.compile": (prefixed("_orig_mod."), "'_orig_mod.' in their names"),
    "renamed by DDP": (prefixed("module."), "'module.' in their names"),
    "renamed by peft": (prefixed("base_model.model."), "'base_model.model.' in their names"),
    "a layer more in the config": (
        config(num_hidden_layers=3),
        "says 3 layers and the weights hold 2",
    ),
    "a layer less in the config": (
        config(num_hidden_layers=1),
        "says 1 layers and the weights hold 2",
    ),
    "-1 layers": (config(num_hidden_layers=-1), "num_hidden_layers = -1"),
    "no layers": (config(num_hidden_layers=0), "num_hidden_layers = 0"),
    "absurd layers": (config(num_hidden_layers=10**9), "num_hidden_layers = 1,000,000,000"),
    "layers in words": (config(num_hidden_layers="two"), "num_hidden_layers = two"),
    "no width": (config(hidden_size=0), "hidden_size = 0"),
    "a vocabulary beyond memory": (config(vocab_size=10**13), "GB in fp32"),
    "context 1": (config(max_position_embeddings=1), "a context of 1 token"),
    "context 8": (config(max_position_embeddings=8), "a context of 8 tokens"),
    "an adapter": (adapter, "an adapter of some/base, not a model"),
    "an adapter's weights alone": (adapter_without_config, "an adapter's weights and no model's"),
    "an adapter beside": (adapter_beside, "lies beside the model's weights"),
    "GPTQ": (
        config(quantization_config={"quant_method": "gptq", "bits": 4}),
        "quantised (gptq, 4 bits)",
    ),
    "AWQ": (config(quantization_config={"quant_method": "awq"}), "quantised (awq)"),
    "bitsandbytes": (
        config(quantization_config={"quant_method": "bitsandbytes"}),
        "quantised (bitsandbytes)",
    ),
    "quantised by its names": (quantised_names, "up_proj.qweight"),
    "T5": (config(model_type="t5"), "encoder-decoder"),
    "BART": (config(model_type="bart", is_encoder_decoder=True), "encoder-decoder"),
    "a masked model": (
        config(model_type="bert", architectures=["BertForMaskedLM"]),
        "BertForMaskedLM",
    ),
    "a classifier": (
        config(architectures=["LlamaForSequenceClassification"]),
        "ForSequenceClassification",
    ),
    "an image model": (
        config(model_type="vit", architectures=["ViTForImageClassification"]),
        "ViTForImage",
    ),
    "no kind": (config(model_type=None), "names no model_type"),
    "half a file": (truncated(0.5), "cut off"),
    "a few bytes": (truncated(0.0001), "cut off"),
    "nothing in it": (truncated(0), "not a safetensors file"),
    "another format": (written(SINGLE, "PK" * 500), "not a safetensors file"),
    "a shard missing": (fewer_shards, "1 of 3 weight files"),
    "no index": (no_index, INDEX),
    "an index out of the folder": (index_to("../x.safetensors"), "outside the model's folder"),
    "an absolute index": (index_to("/etc/passwd"), "outside the model's folder"),
    "a shard linked out": (linked_out, "outside the model's folder"),
    "an index of more": (index_of_more, "1 tensors that its index names"),
    "an index of nothing": (
        lambda folder: (shard(folder), written(INDEX, "[]")(folder)),
        "not a JSON object",
    ),
    "more than memory": (huge, "GB of memory are free"),
    "weights under another name": (
        config(transformers_weights="x.safetensors"),
        "transformers_weights",
    ),
    "config.json a list": (written("config.json", "[1]"), "not a JSON object"),
    "config.json deep": (written("config.json", "[" * 100_000), "not valid JSON"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_folder_is_refused_in_one_sentence(
    kind: str, tiny_model: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "m"))
    spoil, words = BROKEN[kind]
    spoil(folder)
    with pytest.raises(InputError) as refused:
        check_model_folder(folder)
    message = str(refused.value)
    assert words in message
    assert str(folder) in message
    assert ";" in message or ", and " in message or "(" in message  # what, and a way out
    assert "\n" not in message
    assert len(message) < 700


def test_whole_folders_pass(tiny_model: Path, tmp_path: Path) -> None:
    check_model_folder(tiny_model)
    single = weights_bytes(tiny_model)
    folder = Path(shutil.copytree(tiny_model, tmp_path / "m"))
    assert len(shard(folder)) == 3
    check_model_folder(folder)
    assert stored_tensors(folder).keys() == stored_tensors(tiny_model).keys()
    assert weights_bytes(folder) == pytest.approx(single, rel=0.1)


def test_the_hubs_cache_may_link_to_its_blobs(tiny_model: Path, tmp_path: Path) -> None:
    blobs, folder = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    blobs.mkdir()
    shutil.copytree(tiny_model, folder)
    for number, path in enumerate(shard(folder)):
        path.rename(blobs / str(number))
        path.symlink_to(blobs / str(number))
    check_model_folder(folder)


def test_the_interview_says_it_too(tiny_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "m"))
    prefixed("_orig_mod.")(folder)
    with pytest.raises(InputError, match="_orig_mod"):
        check_model(str(folder))


def test_a_command_says_it_before_the_corpus_is_read(
    cpt: Command, tiny_model: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "m"))
    without("layers.1.mlp.up_proj.weight")(folder)
    done = cpt("check", str(tmp_path / "nowhere.txt"), "--model", str(folder), "--json")
    assert done.returncode == 1
    assert "1 of 20 tensors" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("values", "context"),
    [
        ({"max_position_embeddings": 96, "n_ctx": 12}, 96),
        ({"n_positions": 128}, 128),
        ({"max_seq_len": 64}, 64),
        ({"seq_length": 512}, 512),
        ({"max_position_embeddings": -1, "max_sequence_length": 80}, 80),
        ({"max_position_embeddings": True}, None),
        ({"max_position_embeddings": "128"}, None),
        ({}, None),
    ],
)
def test_a_context_has_many_names(values: dict[str, object], context: int | None) -> None:
    assert stated_context(values.get) == context


def test_a_header_is_read_without_its_data(tiny_model: Path) -> None:
    tensors = read_header(tiny_model / SINGLE)
    assert tensors["model.embed_tokens.weight"].shape == (320, 32)
    assert {tensor.dtype for tensor in tensors.values()} == {"F32"}


@needs_material
def test_the_case_of_a_missing_layer() -> None:
    assert MATERIAL is not None
    case = MATERIAL.parent / "cases" / "01_missing_weights" / "stories260k_layer4_mlp_missing"
    if not case.is_dir():
        pytest.skip("the cases are absent")
    with pytest.raises(InputError, match=r"3 of 47 tensors.*layers\.4\.mlp"):
        check_model_folder(case)
