"""Load models and tokenizers (safetensors only, no remote code), choose a dtype."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from engine.errors import InputError
from engine.files import digest, sha256_file
from engine.formatting import format_bytes
from engine.model_folder.check import check_model_folder
from engine.model_folder.config import check_context, stated_context
from engine.model_folder.headers import ITEM_BITS, StoredTensor, stored_tensors
from engine.recipe import sections as recipes
from engine.worker.model import identity, rehearsal, weights
from engine.worker.model.weights import first_line

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase


BATCH_TOKENS = {"cpu": 4_096, "cuda": 16_384}
"""Tokens of a micro-batch at most. On a CPU larger ones were not faster (measured); the GPU's
is an engineering choice: a matrix of 16k rows keeps one busy."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
ASSUMED_CONTEXT = 2048
"""Tokens, where a model states no context: the shortest trained context of the published model
families that state none (BLOOM, Mamba)."""
SANE_CONTEXT = 10_000_000
"""A tokenizer's ``model_max_length`` above this says "no limit" (transformers writes 1e30)."""


@dataclass(frozen=True)
class Base:
    """A model on disk, resolved: a local folder, its tokenizer, and its identity."""

    folder: Path
    name: str
    identity: str
    """sha256 over ``parts``."""
    tokenizer: PreTrainedTokenizerBase
    config: PretrainedConfig
    parts: tuple[tuple[str, str], ...] = ()
    """(name, sha256) of what makes this base: weights, config, tokenizer, chat template, …"""
    notes: tuple[str, ...] = ()
    """What was found in its files that the user should know, a sentence each."""
    stored: str = ""
    """How its weights are stored, and how a run saves them."""

    @property
    def named_parts(self) -> dict[str, str]:
        """``parts`` under the names that a refusal calls them."""
        return identity.named(self.parts)

    @property
    def context(self) -> int:
        """Trained context in tokens; assumed where neither config nor tokenizer states one."""
        return known_context(self.config, self.tokenizer) or ASSUMED_CONTEXT

    @property
    def eos(self) -> int:
        """The token that separates documents. InputError if the tokenizer has none."""
        if self.tokenizer.eos_token_id is None:
            raise InputError(f"{self.name}: its tokenizer has no EOS token to separate documents")
        return int(self.tokenizer.eos_token_id)

    @property
    def bos(self) -> int | None:
        """BOS if the tokenizer's own post-processor adds it, else None (never doubled)."""
        ids = self.tokenizer("a")["input_ids"]
        bos = self.tokenizer.bos_token_id
        return int(bos) if bos is not None and len(ids) > 1 and ids[0] == bos else None


def text_config(config: PretrainedConfig) -> PretrainedConfig:
    """The config of the part that reads and writes text: a multimodal wrapper nests it."""
    return config.get_text_config(decoder=True)


def stated(config: PretrainedConfig) -> int | None:
    """The context that a config states, under any of its names."""
    inner = text_config(config)
    return stated_context(lambda name: getattr(inner, name, None))


def known_context(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The context that the config states, else the tokenizer's; None where neither does."""
    limit: object = getattr(tokenizer, "model_max_length", None)
    if isinstance(limit, int | float) and 0 < limit <= SANE_CONTEXT:
        return stated(config) or int(limit)
    return stated(config)


def resolve(model: recipes.Model) -> Base:
    """Find the model (folder or hub), check it and load its tokenizer. Raises InputError.

    Its weights are compared with its config by name and shape, and what the end of a run saves
    is saved once; no weight is read but for its hash.
    """
    folder = Path(model.id).expanduser()
    if not folder.is_dir():
        folder = _download(model)
    check_model_folder(folder)
    config, tokenizer = load_config(folder), load_tokenizer(folder)
    check_context(str(folder), known_context(config, tokenizer))
    tensors = stored_tensors(folder)
    found = weights.skeleton(folder, config, tensors)
    repaired = rehearsal.rehearse(folder, found.model, tokenizer)
    parts = identity.parts_of(folder, tokenizer)
    notes = _notes(config, tokenizer, found.surplus, repaired)
    return Base(
        folder,
        model.id,
        digest(parts),
        tokenizer,
        config,
        tuple(parts.items()),
        notes,
        storage(tensors),
    )


def load_config(folder: Path) -> PretrainedConfig:
    """A folder's config; which attention kernel runs is not its to say. Raises InputError."""
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        config._attn_implementation = None
        text_config(config)
    except Exception as error:  # transformers checks configs in many ways
        raise InputError(
            f"{folder / 'config.json'}: transformers {transformers.__version__} cannot read it "
            f"({first_line(error)}); take it from where the model was published"
        ) from error
    return config


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """A folder's tokenizer. Raises InputError."""
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # tokenizers raises plain exceptions for a broken file
        raise InputError(
            f"{folder}: its tokenizer cannot be read ({first_line(error)}); take the tokenizer's "
            "files from where the model was published"
        ) from error


def _notes(
    config: PretrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
    surplus: tuple[str, ...],
    repaired: list[str],
) -> tuple[str, ...]:
    notes = [weights.surplus_sentence(surplus)] if surplus else []
    if stated(config) is None:
        known = known_context(config, tokenizer)
        source = "its tokenizer's is taken" if known else "assumed"
        notes.append(
            f"config.json states no trained context: {known or ASSUMED_CONTEXT:,} tokens, {source}"
        )
    if repaired:
        notes.append(
            f"generation_config.json sets {', '.join(repaired)} without effect (no do_sample), and "
            "some versions of transformers refuse to save that; left out of what this run saves"
        )
    return tuple(notes)


def storage(tensors: dict[str, StoredTensor]) -> str:
    """The dtype and size of stored weights, and what a run saves in their place: fp32."""
    kinds = "/".join(sorted({NAMES.get(t.dtype, t.dtype) for t in tensors.values()}))
    stored = sum(tensor.size * ITEM_BITS.get(tensor.dtype, 32) // 8 for tensor in tensors.values())
    saved = 4 * sum(tensor.size for tensor in tensors.values())
    said = f"{kinds}, {format_bytes(stored)}"
    return said if stored >= saved else f"{said}; trained and saved as fp32, {format_bytes(saved)}"


NAMES = {"F32": "fp32", "BF16": "bf16", "F16": "fp16"}
"""safetensors' names of dtypes in the product's words."""


def _download(model: recipes.Model) -> Path:
    """Fetch a hub model's safetensors and tokenizer into the hub's own cache."""
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                model.id,
                revision=model.revision,
                allow_patterns=["*.safetensors", "*.json", "*.model", "*.txt", "*.jinja"],
            )
        )
    except Exception as error:
        reason = type(error).__name__
        raise InputError(
            f"{model.id}: is no folder here and could not be fetched from the hub ({reason}); "
            "check the name and the connection, or give a local folder"
        ) from None


def load(base: Base, place: torch.device | None = None) -> torch.nn.Module:
    """The base in fp32 (master weights), not yet in training mode.

    On ``place``: by default the device that this process computes on.
    """
    check_unchanged(base)
    return load_folder(base.folder, place)


def check_unchanged(base: Base) -> None:
    """InputError where the weights on disk are not those that were looked at first."""
    expected = dict(base.parts).get(identity.WEIGHTS)
    if expected is not None:
        identity.check_weights(base.folder, base.name, expected)


def load_folder(folder: Path, place: torch.device | None = None, **more: Any) -> torch.nn.Module:
    """Any transformers folder in fp32: safetensors only, no remote code, every tensor its own.

    ``more`` goes to transformers (a quantization). InputError where weights are missing or odd.
    """
    try:
        with weights.quiet():
            model, info = AutoModelForCausalLM.from_pretrained(
                folder,
                config=load_config(folder),
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                attn_implementation=None,
                output_loading_info=True,
                **more,
            )
    except RuntimeError as error:  # also what transformers raises for another shape
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise InputError(
            f"{folder}: its weights cannot be loaded ({first_line(error)}); take the model from "
            "where it was published"
        ) from error
    weights.check_info(folder, model, info)
    weights.check_tied(folder, model)
    config_of(model).use_cache = False
    if getattr(model, "generation_config", None) is not None:
        rehearsal.repair(model.generation_config)
    loaded: torch.nn.Module = model if more else model.to(place or device())
    return loaded


def save(model: torch.nn.Module, base: Base, folder: Path) -> None:
    """Write a transformers folder (safetensors, tokenizer) aside and rename it.

    The cache that training turned off is left as the base has it.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    config_of(model).use_cache = getattr(base.config, "use_cache", True)
    saver: Any = model
    saver.save_pretrained(temporary)
    base.tokenizer.save_pretrained(temporary)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def weights_sha256(folder: Path) -> str:
    """sha256 of a saved model's weights: of the one file, or over the shards' hashes."""
    whole = folder / "model.safetensors"
    if whole.is_file():
        return sha256_file(whole)
    return digest([sha256_file(p) for p in sorted(folder.glob("*.safetensors"))])


def config_of(model: torch.nn.Module) -> PretrainedConfig:
    """The transformers config of a model, wrapped by peft or not."""
    return model.config


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def enable_checkpointing(model: torch.nn.Module) -> None:
    """Recompute activations in the backward pass instead of keeping them."""
    enable: Any = model.gradient_checkpointing_enable
    enable()


def trainable(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    return [p for p in model.parameters() if p.requires_grad]


def count(model: torch.nn.Module) -> int:
    """Parameters, shared ones once; bitsandbytes stores two 4-bit ones in a number."""
    return sum(p.numel() * (1 + (type(p).__name__ == "Params4bit")) for p in model.parameters())


def sequence_length(recipe: recipes.Recipe, base: Base) -> int:
    """Tokens of a row: the recipe's, else min(trained context, 2048)."""
    return recipe.pack.sequence_length or min(base.context, 2048)


def check_length(recipe: recipes.Recipe, base: Base) -> None:
    """InputError where rows are longer than a model with learned positions has positions for."""
    length, most = sequence_length(recipe, base), known_context(base.config, base.tokenizer)
    inner = text_config(base.config)
    rotary = any(getattr(inner, key, None) is not None for key in ROTARY)
    if most is not None and length > most and not rotary:
        raise InputError(
            f"[pack] sequence_length = {length:,} is more than the {most:,} positions that "
            f"{base.name} has; give {most:,} at most, or leave it out"
        )


ROTARY = ("rope_parameters", "rope_theta", "rope_scaling")
"""Keys of a config whose positions are computed, and go on behind the trained context."""


def batch_rows(length: int) -> int:
    """Rows of ``length`` tokens that are read at once where memory is no question."""
    return max(1, BATCH_TOKENS[device().type] // length)
