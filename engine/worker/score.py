"""Scoring the gold set: choices by log-likelihood, or the greedy continuation exactly.

All choices of an item are scored in one pass over its prompt: each sees the prompt and
itself, never another choice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from engine.gold import Example
from engine.worker import model as models
from engine.worker.examples import Encoder
from engine.worker.loop import parts

SCORE_TOKENS = 8_192
"""Padded tokens of one scoring batch."""
EXACT_BATCH = 32


@dataclass(frozen=True)
class _Tree:
    """One gold item as a tree: the prompt, then every choice starting at its end."""

    ids: list[int]
    positions: list[int]
    owner: list[int]
    """-1 for the prompt, else the number of the choice."""
    prompt: int
    answer: int
    choices: int


def _tree(encoder: Encoder, example: Example) -> _Tree:
    choices = [encoder.ids(choice) or [encoder.base.eos] for choice in example.choices]
    longest = max(len(c) for c in choices)
    prompt = encoder.prompt(example.prompt, encoder.base.context - longest) or [encoder.base.eos]
    ids, positions, owner = list(prompt), list(range(len(prompt))), [-1] * len(prompt)
    for number, choice in enumerate(choices):
        ids += choice
        positions += range(len(prompt), len(prompt) + len(choice))
        owner += [number] * len(choice)
    answer = example.choices.index(example.completion)
    return _Tree(ids, positions, owner, len(prompt), answer, len(choices))


@torch.no_grad()
def choice_scores(
    model: torch.nn.Module, base: models.Base, gold: list[Example], precision: models.Precision
) -> list[float]:
    """1.0 where the right choice has the highest summed log-likelihood, else 0.0, per item."""
    model.eval()
    encoder = Encoder(base)
    trees = [_tree(encoder, example) for example in gold]
    right = [0.0] * len(trees)
    for batch in _by_length(trees):
        with precision.autocast():
            likelihoods = _likelihoods(model, [trees[i] for i in batch], base.eos)
        for i, row in zip(batch, likelihoods, strict=True):
            right[i] = float(int(np.argmax(row)) == trees[i].answer)
    return right


def _by_length(trees: list[_Tree]) -> Iterator[list[int]]:
    batch: list[int] = []
    for i in sorted(range(len(trees)), key=lambda i: -len(trees[i].ids)):
        batch.append(i)
        if len(batch) * len(trees[batch[0]].ids) >= SCORE_TOKENS:
            yield batch
            batch = []
    if batch:
        yield batch


def _likelihoods(model: torch.nn.Module, trees: list[_Tree], pad: int) -> list[list[float]]:
    """Summed log-likelihood of every choice of every tree (nats)."""
    size = max(len(t.ids) for t in trees)
    ids = torch.tensor([t.ids + [pad] * (size - len(t.ids)) for t in trees])
    positions = torch.tensor([t.positions + [0] * (size - len(t.ids)) for t in trees])
    owner = torch.tensor([t.owner + [-2] * (size - len(t.ids)) for t in trees])
    seen = (owner[:, None, :] == -1) | (owner[:, :, None] == owner[:, None, :])
    mask = (seen & torch.ones(size, size, dtype=torch.bool).tril())[:, None].to(models.device())
    ids, positions = ids.to(models.device()), positions.to(models.device())
    split = parts(model)
    if split is None:
        states = model(
            input_ids=ids, position_ids=positions, attention_mask=mask, use_cache=False
        ).logits
    else:
        states = split[0](
            input_ids=ids, position_ids=positions, attention_mask=mask, use_cache=False
        ).last_hidden_state
    return [_tree_likelihood(t, row, split) for t, row in zip(trees, states, strict=True)]


def _tree_likelihood(tree: _Tree, states: torch.Tensor, split: Any) -> list[float]:
    owner = np.array(tree.owner)
    targets = np.flatnonzero(owner >= 0)
    first = owner[targets] != owner[targets - 1]
    sources = np.where(first, tree.prompt - 1, targets - 1)
    picked = states[torch.from_numpy(sources).to(states.device)]
    logits = picked if split is None else split[1](picked)
    ids = torch.tensor([tree.ids[t] for t in targets], device=states.device)
    losses = F.cross_entropy(logits.float(), ids, reduction="none").double().cpu().numpy()
    return [-float(losses[owner[targets] == c].sum()) for c in range(tree.choices)]


@torch.no_grad()
def exact_match(
    model: torch.nn.Module, base: models.Base, gold: list[Example], precision: models.Precision
) -> list[float]:
    """1.0 where the greedy continuation equals the completion up to outer white space."""
    model.eval()
    encoder = Encoder(base)
    found = [0.0] * len(gold)
    answers = [encoder.ids(e.completion) for e in gold]
    longest = max(len(a) for a in answers) + 2
    prompts = [encoder.prompt(e.prompt, base.context - longest) for e in gold]
    order = sorted(range(len(gold)), key=lambda i: len(prompts[i]))
    for start in range(0, len(order), EXACT_BATCH):
        batch = order[start : start + EXACT_BATCH]
        for i, text in zip(
            batch,
            _generate(model, base, [prompts[i] for i in batch], longest, precision),
            strict=True,
        ):
            found[i] = float(text.strip() == gold[i].completion.strip())
    return found


def _generate(
    model: torch.nn.Module,
    base: models.Base,
    prompts: list[list[int]],
    new: int,
    precision: models.Precision,
) -> list[str]:
    """Greedy continuations (left-padded batch, own attention mask)."""
    size = max(len(p) for p in prompts)
    ids = torch.tensor([[base.eos] * (size - len(p)) + p for p in prompts]).to(models.device())
    mask = torch.tensor([[0] * (size - len(p)) + [1] * len(p) for p in prompts]).to(ids.device)
    generator: Any = model
    with precision.autocast():
        out = generator.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=new,
            do_sample=False,
            use_cache=True,
            eos_token_id=base.eos,
            pad_token_id=base.eos,
        )
    texts: list[str] = base.tokenizer.batch_decode(out[:, size:], skip_special_tokens=True)
    return texts


def continuations(
    model: torch.nn.Module, base: models.Base, prompts: list[str], precision: models.Precision
) -> list[str]:
    """What the base writes after each prompt, greedy, 40 tokens."""
    encoder = Encoder(base)
    ids = [encoder.prompt(p, base.context - 40) for p in prompts]
    return _generate(model, base, ids, 40, precision) if ids else []
