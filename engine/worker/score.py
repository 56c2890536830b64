"""Scoring the gold set by the log-likelihood of its choices.

All choices of an item are scored in one pass over its prompt: each sees the prompt and
itself, never another choice. A model that was not proven to do so reads the prompt once a
choice. ``generate`` scores exact answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from engine.errors import InputError
from engine.gold import Example
from engine.worker import model as models
from engine.worker.examples import Encoder
from engine.worker.loop import LOGIT_CHUNK, parts
from engine.worker.paths import paths_of, plain

SCORING = 2
"""Counts changes of what a score is (2: EOS is a part of every choice); arms of another number
are scored anew."""
SCORE_TOKENS = {"cuda": 32_768, "cpu": 2_048}
"""Padded tokens of one scoring batch; more were not faster on a CPU, and a stop waits for one."""

Told = Callable[[float], None]
"""Hears the share that is done; what it raises (a stop) ends the scoring."""


def untold(share: float) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Tree:
    """One gold item as a tree: the prompt, then every choice starting at its end."""

    prompt: list[int]
    choices: list[list[int]]
    answer: int = 0

    @property
    def ids(self) -> list[int]:
        return [*self.prompt, *(token for choice in self.choices for token in choice)]

    @property
    def positions(self) -> list[int]:
        start = len(self.prompt)
        return [*range(start), *(start + at for c in self.choices for at in range(len(c)))]

    @property
    def owner(self) -> list[int]:
        """-1 for the prompt, else the number of the choice."""
        return [-1] * len(self.prompt) + [n for n, c in enumerate(self.choices) for _ in c]

    def __len__(self) -> int:
        return len(self.prompt) + sum(map(len, self.choices))

    def one_by_one(self) -> list[Tree]:
        """Every choice behind a prompt of its own."""
        return [Tree(self.prompt, [choice]) for choice in self.choices]


def tree_of(encoder: Encoder, example: Example) -> Tree:
    """The item's tree. InputError where two choices are the same tokens."""
    choices = [encoder.completion(choice) for choice in example.choices]
    if len({tuple(choice) for choice in choices}) < len(choices):
        raise InputError(
            f"Two choices of the gold item {example.prompt[-40:]!r} are the same "
            f"{encoder.longest} tokens or fewer to this model, so none can win; make them differ"
        )
    room = encoder.base.context - max(map(len, choices))
    answer = example.choices.index(example.completion)
    return Tree(encoder.prompt(example.prompt, room), choices, answer)


def choice_scores(
    model: torch.nn.Module,
    base: models.Base,
    gold: Sequence[Example],
    precision: models.Precision,
    told: Told = untold,
) -> list[float]:
    """1.0 where the right choice has the highest summed log-likelihood, else 0.0, per item.

    EOS is a part of every choice, as it was in SFT: without it " river" would always beat
    " river stone", which begins with it, since every further token only takes probability.
    lm-eval's ``multiple_choice`` sums over the bare choice, so its numbers differ from these;
    leave EOS away to compare with it. Nothing is normalised by length.

    Raises InputError where a log-likelihood is not finite: an argmax over NaN is choice 0.
    """
    encoder = Encoder(base)
    trees = [tree_of(encoder, example) for example in gold]
    rows = likelihoods(model, trees, base.eos, precision, told)
    for tree, row in zip(trees, rows, strict=True):
        if not np.isfinite(row).all():
            words = base.tokenizer.decode(tree.prompt[-12:])
            raise InputError(
                f"The choices of the gold item {words!r} have no finite log-likelihood: the "
                "model has diverged, so it has no score; lower the learning rate"
            )
    return [float(int(np.argmax(r)) == t.answer) for t, r in zip(trees, rows, strict=True)]


@torch.no_grad()
def likelihoods(
    model: torch.nn.Module,
    trees: Sequence[Tree],
    eos: int,
    precision: models.Precision,
    told: Told = untold,
) -> list[list[float]]:
    """Summed log-likelihood (nats) of every choice of every tree."""
    model.eval()
    together = paths_of(model).tree.ok
    jobs = list(trees) if together else [one for tree in trees for one in tree.one_by_one()]
    found: list[list[float]] = [[] for _ in jobs]
    limit = SCORE_TOKENS[models.device().type] if parts(model) else LOGIT_CHUNK
    done = 0
    for batch in _by_length(jobs, limit):
        told(done / len(jobs))
        with precision.autocast():
            rows = _batch(model, [jobs[i] for i in batch], eos, together)
        for i, row in zip(batch, rows, strict=True):
            found[i] = row
        done += len(batch)
    if together:
        return found
    each = iter(found)
    return [[next(each)[0] for _ in tree.choices] for tree in trees]


def _by_length(trees: Sequence[Tree], limit: int) -> Iterator[list[int]]:
    """Batches of indices, longest first; one of ``limit`` padded tokens, or a single tree."""
    batch: list[int] = []
    for i in sorted(range(len(trees)), key=lambda i: -len(trees[i])):
        if batch and (len(batch) + 1) * len(trees[batch[0]]) > limit:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _batch(
    model: torch.nn.Module, trees: list[Tree], pad: int, together: bool
) -> list[list[float]]:
    """Log-likelihoods of one batch; without ``together`` each tree has one choice, no mask."""
    size = max(map(len, trees))
    ids = _padded([t.ids for t in trees], size, pad)
    owner = _padded([t.owner for t in trees], size, -2)
    inputs: dict[str, Any] = {"input_ids": ids, "position_ids": torch.arange(size).expand_as(ids)}
    if together:
        inputs["position_ids"] = _padded([t.positions for t in trees], size, 0)
        inputs["attention_mask"] = _mask(model, owner)
    row, target = torch.nonzero(owner >= 0, as_tuple=True)
    starts = owner[row, target] != owner[row, target - 1]
    ends = torch.tensor([len(t.prompt) - 1 for t in trees])
    source = torch.where(starts, ends[row], target - 1)
    losses = _losses(model, inputs, (row, source), ids[row, target])
    each = iter(losses.split([len(choice) for tree in trees for choice in tree.choices]))
    return [[-float(next(each).sum()) for _ in tree.choices] for tree in trees]


def _padded(rows: list[list[int]], size: int, value: int) -> torch.Tensor:
    return torch.tensor([row + [value] * (size - len(row)) for row in rows])


def _mask(model: torch.nn.Module, owner: torch.Tensor) -> torch.Tensor:
    """[B, 1, T, T]: the prompt and the own choice, backwards only.

    SDPA takes it as booleans; other kernels add it to their scores, so it is 0 or lowest there.
    """
    size = owner.shape[1]
    seen = (owner[:, None, :] == -1) | (owner[:, :, None] == owner[:, None, :])
    seen = (seen & torch.ones(size, size, dtype=torch.bool).tril())[:, None]
    if plain(model).config._attn_implementation == "sdpa":
        return seen
    return torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.bfloat16).min)


def _losses(
    model: torch.nn.Module,
    inputs: dict[str, torch.Tensor],
    picked: tuple[torch.Tensor, torch.Tensor],
    targets: torch.Tensor,
) -> torch.Tensor:
    """Loss (nats, float64, on the CPU) of ``targets`` [n] from the states at ``picked`` [n]."""
    inputs = {name: value.to(models.device()) for name, value in inputs.items()}
    targets = targets.to(models.device())
    split = parts(model)
    if split is None:
        states = model(**inputs, use_cache=False).logits[picked]
    else:
        states = split[0](**inputs, use_cache=False).last_hidden_state[picked]
    losses = []
    for piece, ids in zip(states.split(LOGIT_CHUNK), targets.split(LOGIT_CHUNK), strict=True):
        logits = piece if split is None else split[1](piece)
        losses.append(F.cross_entropy(logits.float(), ids, reduction="none"))
    return torch.cat(losses).double().cpu()
