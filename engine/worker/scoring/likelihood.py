"""Log-likelihoods of choices: what a model thinks of each answer of a gold item.

All choices of an item are read in one pass over its prompt: each sees the prompt and itself,
never another choice. A model that was not proven to do so reads the prompt once a choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F

from engine.errors import InputError
from engine.gold.example import Example
from engine.worker.model import base as models
from engine.worker.model import document_attention
from engine.worker.model.fast_paths import paths_of, unwrap_model
from engine.worker.model.precision import Precision
from engine.worker.scoring.examples import Encoder
from engine.worker.step.loss import LOGIT_CHUNK, parts

SCORE_TOKENS = {"cuda": 32_768, "cpu": 2_048}
"""Padded tokens of one scoring batch; more were not faster on a CPU, and a stop waits for one."""

Told = Callable[[float], None]
"""Hears the share that is done; what it raises (a stop) ends the scoring."""


def untold(share: float) -> None:
    """Nobody listens."""


@dataclass
class Kept:
    """What is known by job number, so that a killed scoring goes on where it was.

    A batch is done again or not at all: rounding depends on what is padded together.
    """

    found: dict[int, Any] = field(default_factory=dict)
    hear: Callable[[dict[int, Any]], None] = lambda new: None
    """Told of each batch's results as soon as they are there."""

    def add(self, new: dict[int, Any]) -> None:
        self.found.update(new)
        self.hear(new)

    def has(self, batch: Sequence[int]) -> bool:
        return all(job in self.found for job in batch)


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


def tree_of(encoder: Encoder, example: Example, end: bool = True) -> Tree:
    """The item's tree; an example without choices has its completion alone.

    ``end`` puts EOS behind each choice. InputError where two choices are the same tokens.
    """
    texts = example.choices or (example.completion,)
    choices = [encoder.completion(example, text, end) for text in texts]
    if len({tuple(choice) for choice in choices}) < len(choices):
        raise InputError(
            f"Two choices of the gold item {example.prompt[-40:]!r} are the same "
            f"{encoder.longest} tokens or fewer to this model, so none can win; make them differ"
        )
    room = encoder.base.context - max(map(len, choices))
    return Tree(encoder.before(example, room), choices, texts.index(example.completion))


@torch.no_grad()
def likelihoods(
    model: torch.nn.Module,
    trees: Sequence[Tree],
    eos: int,
    precision: Precision,
    told: Told = untold,
    kept: Kept | None = None,
) -> list[list[float]]:
    """Summed log-likelihood (nats) of every choice of every tree."""
    model.eval()
    kept = kept or Kept()
    together = in_one_pass(model, trees)
    jobs = list(trees) if together else [one for tree in trees for one in tree.one_by_one()]
    limit = SCORE_TOKENS[models.device().type] if parts(model) else LOGIT_CHUNK
    done = 0
    for batch in _by_length(jobs, limit):
        told(done / len(jobs))
        if not kept.has(batch):
            with precision.autocast():
                rows = _batch(model, [jobs[i] for i in batch], eos, together)
            kept.add(dict(zip(batch, rows, strict=True)))
        done += len(batch)
    found = [kept.found[i] for i in range(len(jobs))]
    if together:
        return found
    each = iter(found)
    return [[next(each)[0] for _ in tree.choices] for tree in trees]


def in_one_pass(model: torch.nn.Module, trees: Sequence[Tree]) -> bool:
    """Whether all choices of an item are read together: proven, and there is one to share."""
    return paths_of(model).tree.ok and any(len(tree.choices) > 1 for tree in trees)


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
    if document_attention.is_sdpa(unwrap_model(model).config):
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
