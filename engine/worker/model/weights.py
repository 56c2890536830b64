"""Are a folder's weights those of the model that its config describes? Names and shapes compared.

Before anything is read: with a model on the meta device and the files' headers, so that
transformers' own renaming and merging of tensors is in the comparison and no weight is. Again at
each load, from what transformers says of it. Nothing that is missing is ever initialised.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from safetensors import safe_open
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

from engine.errors import InputError
from engine.model_folder.headers import StoredTensor, shown_names
from engine.model_folder.layers import LAYER, check_count, incomplete, renamed

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


Info = Mapping[str, Any]
"""transformers' loading info: missing, unexpected and mismatched keys."""


@dataclass(frozen=True)
class Skeleton:
    """A model without weights, whose names and shapes are those of its folder's files."""

    model: PreTrainedModel
    surplus: tuple[str, ...]
    """Tensors of the files that the model has no use for."""


def skeleton(
    folder: Path, config: PretrainedConfig, tensors: Mapping[str, StoredTensor]
) -> Skeleton:
    """The model that the config describes, on the meta device, compared with the files' headers.

    InputError where transformers has no causal model of this kind or cannot build it, and where
    tensors are missing, of another shape, under other names, or of layers that the config denies.
    """
    kind = model_class(folder, config)
    double = check_head(folder, kind, config, tensors)
    shapes = {
        name: torch.empty(tensor.shape, dtype=torch.float32, device="meta")
        for name, tensor in tensors.items()
        if name not in double
    }
    try:
        with quiet():
            model, info = kind.from_pretrained(
                None,
                config=copy.deepcopy(config),
                state_dict=shapes,
                device_map="meta",
                dtype=torch.float32,
                attn_implementation=None,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except Exception as error:  # whatever an architecture's constructor raises
        raise InputError(
            f"{folder}: transformers {transformers.__version__} cannot build this model from its "
            f"config.json and the tensors in its files ({first_line(error)}); take both from where "
            "the model was published, or use another model"
        ) from error
    surplus = sorted(info["unexpected_keys"])
    _check_surplus(folder, model, info, surplus)
    check_info(folder, model, info)
    return Skeleton(model, tuple(surplus))


def model_class(folder: Path, config: PretrainedConfig) -> Any:
    """The causal model of a config's kind. InputError where transformers has none."""
    if getattr(config, "is_encoder_decoder", False) or type(config) not in (
        MODEL_FOR_CAUSAL_LM_MAPPING
    ):
        raise InputError(
            f"{folder}: {config.model_type} predicts no next token of a text (transformers "
            f"{transformers.__version__} has no causal model of it); use a causal language model"
        )
    found = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    if not isinstance(found, tuple):
        return found
    named = {kind.__name__: kind for kind in found}
    return next((named[n] for n in config.architectures or [] if n in named), found[0])


def check_info(folder: Path, model: PreTrainedModel, info: Info) -> None:
    """InputError where tensors of the model were not in the files, or had another shape."""
    missing, total = sorted(info["missing_keys"]), len(model.state_dict())
    if missing:
        tied = set(getattr(model, "_tied_weights_keys", None) or ())
        hint = "; its config.json says tie_word_embeddings = false" if set(missing) <= tied else ""
        raise InputError(incomplete(folder, missing, total) + hint)
    if mismatched := sorted(info["mismatched_keys"], key=str):
        name, *shapes = mismatched[0]
        stored, wanted = (list(shape) for shape in shapes)
        raise InputError(
            f"{folder}: {len(mismatched)} of {total} tensors have another shape than config.json "
            f"says (first: {name}, {stored} instead of {wanted}); take both from where the model "
            "was published, or correct the config"
        )
    if errors := list(info.get("error_msgs") or ()):
        first = " ".join(str(errors[0]).split())[:200]
        raise InputError(
            f"{folder}: its weights do not fit its config.json ({first}); take both from where the "
            "model was published"
        )


def check_tied(folder: Path, model: PreTrainedModel) -> None:
    """InputError where the config ties head and embeddings, and the loaded ones are two."""
    ties = getattr(model, "_tied_weights_keys", None)
    if not is_tied(model.config) or not isinstance(ties, dict):
        return
    named = dict(model.named_parameters(remove_duplicate=False))
    for target, source in ties.items():
        one, other = named.get(target), named.get(source)
        if one is None or other is None or one.data_ptr() == other.data_ptr():
            continue
        if one.shape == other.shape and not torch.equal(one, other):
            raise InputError(two_heads(folder))


def is_tied(config: PretrainedConfig) -> bool:
    """Whether a config ties the head to the embeddings."""
    parts = (config, config.get_text_config(decoder=True))
    return any(getattr(part, "tie_word_embeddings", False) for part in parts)


def check_head(
    folder: Path,
    kind: type[PreTrainedModel],
    config: PretrainedConfig,
    tensors: Mapping[str, StoredTensor],
) -> set[str]:
    """Names of heads that are stored although they are tied. InputError where they differ."""
    ties = getattr(kind, "_tied_weights_keys", None)
    double: set[str] = set()
    if not is_tied(config) or not isinstance(ties, dict):
        return double
    for target, source in ties.items():
        head, table = _stored(tensors, target), _stored(tensors, source)
        if head is None or table is None or head == table:
            continue
        same = tensors[head].shape == tensors[table].shape
        if not same or not torch.equal(_read(tensors, head), _read(tensors, table)):
            raise InputError(two_heads(folder))
        double.add(head)
    return double


def two_heads(folder: Path) -> str:
    """The sentence for a tied model with a head of its own."""
    return (
        f"{folder}: config.json ties the head to the embeddings (tie_word_embeddings), and the "
        "weights hold a head that differs from them; set tie_word_embeddings to false there if the "
        "head is meant, or take both from where the model was published"
    )


def _stored(tensors: Mapping[str, StoredTensor], name: str) -> str | None:
    """The stored name of a tied tensor, which a wrapper may have put a prefix before."""
    if name in tensors:
        return name
    end = "." + ".".join(name.split(".")[-2:])
    found = [stored for stored in tensors if f".{stored}".endswith(end)]
    return found[0] if len(found) == 1 else None


def _read(tensors: Mapping[str, StoredTensor], name: str) -> torch.Tensor:
    with safe_open(tensors[name].path, "pt") as file:
        tensor: torch.Tensor = file.get_tensor(name).float()
        return tensor


def _check_surplus(folder: Path, model: PreTrainedModel, info: Info, surplus: list[str]) -> None:
    """InputError where surplus tensors are the model's own under other names, or more layers."""
    missing = set(info["missing_keys"])
    prefixes = [
        (name.removesuffix(own), name) for own in missing for name in surplus if _ends(name, own)
    ]
    if prefixes and prefixes[0][0]:
        prefix = prefixes[0][0]
        others = [name for name in surplus if name.startswith(prefix)]
        raise InputError(renamed(folder, prefix, others, len(surplus) + len(model.state_dict())))
    held: dict[str, set[int]] = {}
    for name in model.state_dict():
        if match := LAYER.match(name):
            held.setdefault(match["stem"], set()).add(int(match["at"]))
    for name in surplus:
        match = LAYER.match(name)
        stem = match and next((s for s in held if match["stem"].endswith(s)), None)
        if match and stem and int(match["at"]) > max(held[stem]):
            more = {int(m["at"]) for n in surplus if (m := LAYER.match(n))}
            check_count(folder, len(held[stem]), held[stem] | more)


def _ends(name: str, own: str) -> bool:
    return name != own and name.endswith(f".{own}")


def surplus_sentence(surplus: tuple[str, ...]) -> str:
    """What is said of tensors that no part of the model uses."""
    return (
        f"{len(surplus)} tensors of its weights are no part of this model and are left out "
        f"({shown_names(list(surplus))})"
    )


def first_line(error: BaseException) -> str:
    """The error's kind and first line, short."""
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' own report of what it could not load: cpt says it in a sentence."""
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(before)
