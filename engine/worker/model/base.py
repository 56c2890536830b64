"""Load models and tokenizers (safetensors only, no remote code), choose a dtype."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from engine.errors import InputError
from engine.files import digest, sha256_file
from engine.model_folder import check_model_folder
from engine.recipe import sections as recipes

BATCH_TOKENS = {"cpu": 4_096, "cuda": 16_384}
"""Tokens of a micro-batch at most. On a CPU larger ones were not faster (measured); the GPU's
is an engineering choice: a matrix of 16k rows keeps one busy."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Base:
    """A model on disk, resolved: a local folder, its tokenizer, and its identity."""

    folder: Path
    name: str
    identity: str
    """sha256 over config, weights and tokenizer files."""
    tokenizer: Any
    config: Any
    hashes: tuple[tuple[str, str], ...] = ()
    """(name, sha256) of the files behind ``identity``."""

    def hash_of(self, tokenizer: bool) -> str:
        """Identity of the tokenizer alone, or of config and weights alone."""
        return digest([h for h in self.hashes if h[0].startswith("tokenizer") == tokenizer])

    @property
    def context(self) -> int:
        """Trained context in tokens (``max_position_embeddings``)."""
        return int(getattr(self.config, "max_position_embeddings", 2048) or 2048)

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


def resolve(model: recipes.Model) -> Base:
    """Find the model (folder or hub), check it and load its tokenizer. Raises InputError."""
    folder = Path(model.id).expanduser()
    if not folder.is_dir():
        folder = _download(model)
    check_model_folder(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{model.id}: cannot be loaded: {first}") from None
    parts = sorted(
        p for p in folder.iterdir() if p.suffix == ".safetensors" or p.name in _IDENTITY_FILES
    )
    hashes = tuple((p.name, sha256_file(p)) for p in parts)
    return Base(folder, model.id, digest(hashes), tokenizer, config, hashes)


_IDENTITY_FILES = {"config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model"}


def _download(model: recipes.Model) -> Path:
    """Fetch a hub model's safetensors and tokenizer into the hub's own cache."""
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                model.id,
                revision=model.revision,
                allow_patterns=["*.safetensors", "*.json", "tokenizer.model", "*.txt"],
            )
        )
    except Exception as error:
        reason = type(error).__name__
        raise InputError(
            f"{model.id}: is no folder here and could not be fetched from the hub ({reason}); "
            "check the name and the connection, or give a local folder"
        ) from None


def load(base: Base) -> torch.nn.Module:
    """The base in fp32 (master weights) on this machine's device, not yet in training mode."""
    return load_folder(base.folder)


def load_folder(folder: Path) -> torch.nn.Module:
    """Any transformers folder in fp32: safetensors only, no remote code."""
    model: torch.nn.Module = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
    )
    config_of(model).use_cache = False
    return model.to(device())


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


def config_of(model: torch.nn.Module) -> Any:
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


def batch_rows(length: int) -> int:
    """Rows of ``length`` tokens that are read at once where memory is no question."""
    return max(1, BATCH_TOKENS[device().type] // length)
