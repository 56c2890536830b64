"""Load models and tokenizers (safetensors only, no remote code), choose a dtype."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import shutil
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from engine import recipe as recipes
from engine.errors import InputError
from engine.preflight import check_model_folder
from engine.run import digest, sha256_file

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
FASTER_BY = 1.5
"""A lower precision must beat fp32 by this factor; timing noise must not flip the choice."""


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


def trainable(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    return [p for p in model.parameters() if p.requires_grad]


def count(model: torch.nn.Module) -> int:
    """Parameters, shared ones once; bitsandbytes stores two 4-bit ones in a number."""
    return sum(p.numel() * (1 + (type(p).__name__ == "Params4bit")) for p in model.parameters())


@dataclass(frozen=True)
class Precision:
    """The compute dtype that is really on, and why."""

    name: str
    why: str

    def autocast(self) -> AbstractContextManager[Any]:
        if self.name == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(device().type, dtype=DTYPES[self.name])

    def facts(self) -> dict[str, str]:
        return {k: str(v) for k, v in dataclasses.asdict(self).items()}


def choose_precision(
    asked: str, model: torch.nn.Module, shape: tuple[int, int] = (1, 128)
) -> Precision:
    """``auto``: by a short timing of this model here; see ``choice``.

    ``shape`` is rows x tokens of the timing. Stages ask ``Context.precision``, which keeps
    the answer.
    """
    refuse_fp16(asked)
    if asked != "auto":
        return Precision(asked, "asked for in the recipe")
    rows, tokens = shape
    times = timings(model, shape)
    if math.isinf(min(times.values())) and rows > 1:
        return choose_precision(asked, model, (rows // 2, tokens))
    return choice(times)


def timings(model: torch.nn.Module, shape: tuple[int, int]) -> dict[str, float]:
    """Seconds of a forward-backward by dtype; fp16 only on a GPU. Infinite: out of memory."""
    times = {"fp32": seconds(Precision("fp32", ""), model, shape=shape)}
    for name in ("bf16", "fp16") if device().type == "cuda" else ("bf16",):
        times[name] = seconds(Precision(name, ""), model, 4 * times["fp32"], shape)
    return times


def choice(times: dict[str, float]) -> Precision:
    """fp32 unless another is faster by ``FASTER_BY``; fp16 only where it beats bf16 by as much.

    fp16 needs a loss scale (``Stepper`` has one), which bf16 does without.
    """
    best = "bf16"
    if times.get("fp16", math.inf) * FASTER_BY < times["bf16"]:
        best = "fp16"
    if math.isinf(times["fp32"]):
        return Precision(best, "the timing of fp32 ran out of memory here")
    ratio = {name: times["fp32"] / time for name, time in times.items()}
    others = [f"{name} {ratio[name]:.2f}x" for name in ratio if name not in ("fp32", best)]
    more = f" ({', '.join(others)})" if others else ""
    if ratio[best] >= FASTER_BY:
        return Precision(best, f"measured {ratio[best]:.1f}x as fast as fp32 here{more}")
    return Precision("fp32", f"{best} measured {ratio[best]:.2f}x as fast here{more}")


def refuse_fp16(name: str) -> None:
    """InputError for fp16 on a CPU."""
    if name == "fp16" and device().type != "cuda":
        raise InputError('model.dtype = "fp16" needs a GPU; use "auto"')


def seconds(
    precision: Precision,
    model: torch.nn.Module,
    limit: float = 30.0,
    shape: tuple[int, int] = (1, 128),
) -> float:
    """Best of up to six forward-backward passes over ``shape`` tokens; gradients are dropped.

    Infinity where memory ends.
    """
    generator = np.random.default_rng(0)
    vocab = config_of(model).vocab_size
    ids = torch.from_numpy(generator.integers(0, vocab, shape)).to(device())
    times: list[float] = []
    try:
        while len(times) < 6 and sum(times) <= limit:
            start = time.perf_counter()
            with precision.autocast():
                loss = model(input_ids=ids, labels=ids, use_cache=False).loss
            loss.backward()
            if device().type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
    except torch.OutOfMemoryError:
        times = [math.inf]
    model.zero_grad(set_to_none=True)
    return min(times)


def default_lr(train: recipes.Train, parameters: int) -> tuple[float, str]:
    """Peak learning rate and its reason (DESIGN 7; Biderman 2024 for the LoRA/full gap)."""
    if train.lr is not None:
        return train.lr, "set in the recipe"
    if train.method == "lora":
        return 1e-4, "LoRA start value; full fine-tuning's band under-trains LoRA"
    if parameters <= 500_000_000:
        return 5e-5, "full, up to 0.5B parameters"
    if parameters <= 3_000_000_000:
        return 2e-5, "full, up to 3B parameters"
    return 1e-5, "full, beyond 3B parameters"


def default_rank(lora: recipes.Lora, tokens: int) -> tuple[int, str]:
    """LoRA rank by corpus size (notes/science A: about 2 bits a parameter)."""
    if lora.rank is not None:
        return lora.rank, "set in the recipe"
    if tokens < 10_000_000:
        return 16, "corpus below 10M tokens"
    return (64, "corpus up to 50M tokens") if tokens <= 50_000_000 else (256, "corpus beyond 50M")
