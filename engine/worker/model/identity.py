"""Identity of a base: the state that is used, part by part, so that a change has its name.

Weights by their files' content, config and generation config by their values, the tokenizer by
what it holds in memory: whichever file a vocabulary, a special token or a chat template came from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.corpus.files.digests import UNREADABLE, digests
from engine.errors import InputError
from engine.files import digest, sha256_file
from engine.model_folder.headers import SINGLE, weight_files, weight_map
from engine.runs.events import Alarm
from engine.worker.job.context import Context

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


OF_THE_BASE = "base "
"""Begins the name of a part in a registration and in a checkpoint: ``base chat template``."""
WEIGHTS = "weights"
NOT_USED = ("_name_or_path", "transformers_version", "dtype", "torch_dtype")
"""Keys of a config that change nothing: every model is loaded in fp32."""
GENERATION = "generation_config.json"
KEPT = "base.json"
"""The parts that a run began with, beside its artifacts."""
MARKER = ',"normalizer":'
"""Where a fast tokenizer's state goes on behind truncation, padding and added tokens: calls
change the first two, and the third is a part of its own. Within a string its quotes are escaped."""


def parts_of(folder: Path, tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    """The sha256 of each part of a model folder."""
    return {WEIGHTS: weights_part(folder), "config": config_part(folder)} | {
        "generation config": generation_part(folder),
        **tokenizer_parts(tokenizer),
    }


def weights_part(folder: Path) -> str:
    """sha256 over the weights and a shards' index; unchanged files are not read again."""
    files = weight_files(folder)
    hashes = [
        sha256_file(path) if found == UNREADABLE else found
        for path, found in zip(files, digests(files), strict=True)
    ]
    index = {} if files == [folder / SINGLE] else weight_map(folder)
    return digest([[path.name for path in files], hashes, index])


def config_part(folder: Path) -> str:
    """sha256 of the config's values."""
    return _values(folder / "config.json")


def generation_part(folder: Path) -> str:
    """sha256 of the generation config's values."""
    return _values(folder / GENERATION)


def _values(path: Path) -> str:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return digest("none")
    if isinstance(found, dict):
        found = {key: value for key, value in found.items() if key not in NOT_USED}
    return digest(found)


def tokenizer_parts(tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    """The sha256 of a tokenizer's vocabulary and rules, added and special tokens, chat template."""
    added = {
        number: repr(token) if isinstance(token, str) else _token(token)
        for number, token in tokenizer.added_tokens_decoder.items()
    }
    special = {
        name: [str(value), _ids(tokenizer, value)]
        for name, value in tokenizer.special_tokens_map.items()
    }
    return {
        "tokenizer": digest([_rules(tokenizer), tokenizer.clean_up_tokenization_spaces]),
        "added tokens": digest(added),
        "special tokens": digest([special, sorted(tokenizer.all_special_ids)]),
        "chat template": digest(tokenizer.chat_template),
    }


def _token(token: Any) -> list[Any]:
    flags = ("special", "lstrip", "rstrip", "normalized", "single_word")
    return [token.content, *(getattr(token, flag, None) for flag in flags)]


def _ids(tokenizer: PreTrainedTokenizerBase, value: Any) -> Any:
    names = [str(one) for one in value] if isinstance(value, list) else str(value)
    return tokenizer.convert_tokens_to_ids(names)


def _rules(tokenizer: PreTrainedTokenizerBase) -> str:
    """The vocabulary and the rules of a tokenizer in memory."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        state: str = backend.to_str()
        return state[max(0, state.find(MARKER)) :]
    file = getattr(tokenizer, "vocab_file", None)
    pieces = sha256_file(Path(file)) if file and Path(file).is_file() else ""
    return repr((sorted(tokenizer.get_vocab().items()), pieces))


def changed_parts(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Names of the parts that differ, causes before consequences."""
    names = [*now, *(name for name in before if name not in now)]
    return [name for name in names if before.get(name) != now.get(name)]


def causes(changed: Sequence[str]) -> Sequence[str]:
    """Of changed things, those of the base where there are any: the others follow from them."""
    return [name for name in changed if name.startswith(OF_THE_BASE)] or changed


def named(parts: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The parts under the names that a refusal calls them."""
    return {f"{OF_THE_BASE}{name}": found for name, found in parts}


def hold(context: Context, name: str, parts: Mapping[str, str]) -> None:
    """Keep the parts with the run. InputError, by name, where they changed once it trains."""
    kept = context.scratch(KEPT)
    changed = changed_parts(kept, parts) if isinstance(kept, dict) else []
    if changed and context.run.training_begun:
        raise InputError(
            f"{name}: {told(changed)} changed since run {context.run.id} began to train on it; put "
            f"{'it' if len(changed) == 1 else 'them'} back as before, or start a new run"
        )
    if changed:
        message = f"{told(changed)} changed since this run last stopped; it is measured again"
        context.emit(Alarm(level="note", stage=context.stage, message=message))
    if kept != dict(parts):
        context.keep_scratch(KEPT, parts)


def told(changed: Sequence[str]) -> str:
    """``its chat template and its special tokens``"""
    return " and ".join(f"its {name}" for name in changed)


def check_weights(folder: Path, name: str, expected: str) -> None:
    """InputError where a folder's weights are other ones than when the run looked first."""
    if weights_part(folder) != expected:
        raise InputError(
            f"{name}: its weights changed while the run was working; put them back as they were, "
            "or start a new run"
        )
