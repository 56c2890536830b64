"""Greedy continuations: the gate's answers in words, and what a base writes after a prompt."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from engine.errors import InputError
from engine.gold.example import Example
from engine.gold.metrics import METRICS
from engine.recipe.gate import Gate
from engine.worker.model import base as models
from engine.worker.model.fast_paths import paths_of
from engine.worker.model.precision import Precision
from engine.worker.scoring.examples import Encoder
from engine.worker.scoring.likelihood import Kept, Told, untold

if TYPE_CHECKING:
    from transformers import PreTrainedModel


BATCH = 32
"""Prompts that are continued together."""
SPARE = 2
"""Tokens generated beyond the right answer: its EOS, and one that shows a longer answer."""

Call = Callable[[], None]


def nothing() -> None:
    """What is called where nobody listens."""


def texts_of(
    model: torch.nn.Module,
    encoder: Encoder,
    gold: Sequence[Example],
    gate: Gate,
    precision: Precision,
    told: Told = untold,
    kept: Kept | None = None,
) -> list[str]:
    """The greedy continuation of every gold item's prompt.

    Raises InputError as ``new_tokens`` does; what ``told`` raises ends it at the next token.
    """
    kept = kept or Kept()
    done = 0
    for batch, prompts, new in batches(encoder, gold, new_tokens(encoder, gold, gate)):
        told(done / len(gold))
        if not kept.has(batch):
            say = functools.partial(told, done / len(gold))
            texts = generate(model, encoder.base, prompts, new, precision, say)
            kept.add(dict(zip(batch, texts, strict=True)))
        done += len(batch)
    return [kept.found[i] for i in range(len(gold))]


def new_tokens(encoder: Encoder, gold: Sequence[Example], gate: Gate) -> list[int]:
    """Tokens that each item's continuation may have.

    For a metric of exact answers its own completion's and a few more: a longer answer is wrong
    whatever follows. Else as many for all, by default those of the longest gold completion, so
    that no item's length is given away. Half of the context at most. InputError where an exact
    answer cannot fit, so that no model could be right.
    """
    sizes = [len(encoder.answer(e, e.completion)) + SPARE for e in gold]
    long = sum(size > encoder.longest for size in sizes)
    if METRICS[gate.metric].exact:
        if long:
            base = encoder.base
            raise InputError(
                f"{long} of {len(gold)} gold completions are longer than half of {base.name}'s "
                f"context ({base.context} tokens), so {gate.metric} cannot judge them; shorten or "
                "drop them"
            )
        return sizes
    return [min(encoder.longest, gate.max_new_tokens or max(sizes))] * len(gold)


def batches(
    encoder: Encoder, gold: Sequence[Example], new: Sequence[int]
) -> Iterator[tuple[list[int], list[list[int]], int]]:
    """(items, their prompts, tokens to write): answers of about one length together.

    A prompt is cut for the longest answer of its batch, not of the gold set.
    """
    order = sorted(range(len(gold)), key=lambda i: (new[i], len(gold[i].prompt)))
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        most = new[batch[-1]]
        room = encoder.base.context - most
        yield batch, [encoder.before(gold[i], room) for i in batch], most


def continuations(
    model: torch.nn.Module,
    base: models.Base,
    prompts: list[str],
    precision: Precision,
    check: Call = nothing,
) -> list[str]:
    """What the base writes after each prompt, greedy, 40 tokens or half of its context."""
    encoder = Encoder(base)
    new = min(40, encoder.longest)
    ids = [encoder.prompt(p, base.context - new) for p in prompts]
    return generate(model, base, ids, new, precision, check) if ids else []


def generate(
    model: torch.nn.Module,
    base: models.Base,
    prompts: list[list[int]],
    new: int,
    precision: Precision,
    check: Call = nothing,
) -> list[str]:
    """Greedy continuations of ``new`` tokens at most; ``check`` is called before each token.

    Padded together where the model was proven to give the same then, else by length.
    """
    texts = [""] * len(prompts)
    fast = paths_of(model).padded.ok
    for group in [list(range(len(prompts)))] if fast else _equal(prompts):
        alike = [prompts[i] for i in group]
        out = continued(model, alike, new, base.eos, precision, fast, check=check)
        size = max(map(len, alike))
        found = base.tokenizer.batch_decode(out.sequences[:, size:], skip_special_tokens=True)
        for i, text in zip(group, found, strict=True):
            texts[i] = text
    return texts


def _equal(prompts: list[list[int]]) -> list[list[int]]:
    """Indices of prompts of one length, a group each."""
    groups: dict[int, list[int]] = {}
    for i, prompt in enumerate(prompts):
        groups.setdefault(len(prompt), []).append(i)
    return list(groups.values())


@torch.no_grad()
def continued(
    model: torch.nn.Module,
    prompts: list[list[int]],
    new: int,
    eos: int,
    precision: Precision,
    fast: bool,
    logits: bool = False,
    check: Call = nothing,
) -> Any:
    """What transformers' ``generate`` returns: ``sequences`` and, if asked for, ``logits``.

    Padded left and cached if ``fast``; else the prompts must be of one length.
    """
    model.eval()
    size = max(map(len, prompts))
    ids = torch.tensor([[eos] * (size - len(p)) + p for p in prompts]).to(models.device())
    mask = torch.tensor([[0] * (size - len(p)) + [1] * len(p) for p in prompts]).to(ids.device)
    generator: Any = model
    with precision.autocast(), _own_settings(generator):
        return generator.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=new,
            do_sample=False,
            use_cache=fast,
            eos_token_id=eos,
            pad_token_id=eos,
            stopping_criteria=StoppingCriteriaList([_EachToken(check)]),
            output_logits=logits,
            return_dict_in_generate=True,
        )


@contextlib.contextmanager
def _own_settings(model: PreTrainedModel) -> Iterator[None]:
    """Without the model's own generation settings: a repetition penalty is not greedy."""
    kept = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = kept


class _EachToken(StoppingCriteria):  # type: ignore[misc]
    """Calls ``check`` before each token and never ends the generation itself."""

    def __init__(self, check: Call) -> None:
        self.check = check

    def __call__(self, input_ids: torch.Tensor, scores: Any, **more: Any) -> torch.Tensor:
        self.check()
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
