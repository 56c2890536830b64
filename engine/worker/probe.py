"""The gate's SFT probe: train one arm on the pinned SFT data with one seed, score the gold set.

Both arms get the same data, steps and seeds; a seed fixes data order and adapter
initialisation. Choices are scored by summed log-likelihood of the choice given the prompt,
all choices of an item in one pass over its prompt (a choice sees the prompt and itself).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from engine import recipe as recipes
from engine.events import ArmSeed
from engine.gold import Example
from engine.run import private_dir, write_json
from engine.worker import model as models
from engine.worker.context import Context
from engine.worker.loop import IGNORE, Rows, Stepper, learning_rate, make_optimizer, parts
from engine.worker.pack import BestFit

SCORE_TOKENS = 8_192
"""Padded tokens of one scoring batch."""
MICRO_TOKENS = 4_096
PAIR: Any = np.dtype([("id", np.int64), ("label", np.int64)])


@dataclass(frozen=True)
class Encoder:
    """Examples to token ids: prompt and completion apart, EOS at the end of training text."""

    base: models.Base

    def ids(self, text: str) -> list[int]:
        found: list[int] = self.base.tokenizer(
            text, add_special_tokens=False, split_special_tokens=True, verbose=False
        )["input_ids"]
        return found

    def prompt(self, text: str, room: int) -> list[int]:
        """Prompt ids with BOS where the model had one; the left end is cut to fit ``room``."""
        head = [] if self.base.bos is None else [self.base.bos]
        return head + self.ids(text)[-(room - len(head)) :]

    def training(self, example: Example) -> npt.NDArray[Any]:
        """One SFT example as (id, label) pairs; loss on the completion and EOS only."""
        completion = [*self.ids(example.completion), self.base.eos][-(self.base.context // 2) :]
        prompt = self.prompt(example.prompt, self.base.context - len(completion))
        pairs: Any = np.zeros(len(prompt) + len(completion), dtype=PAIR)
        pairs["id"] = prompt + completion
        pairs["label"] = [IGNORE] * len(prompt) + completion
        return pairs


def pack_examples(pairs: Sequence[npt.NDArray[Any]], length: int, pad: int) -> Rows:
    """SFT examples packed into rows; positions restart at each example (document masking)."""
    fit = BestFit(length)
    full = [row for p in sorted(pairs, key=len, reverse=True) if (row := fit.place(p))]
    rows = [*full, *fit.fullest(0)]
    ids = np.full((len(rows), length), pad, dtype=np.int64)
    labels = np.full((len(rows), length), IGNORE, dtype=np.int64)
    positions = np.zeros((len(rows), length), dtype=np.int64)
    for at, row in enumerate(rows):
        filled = 0
        for piece in row:
            end = filled + len(piece)
            ids[at, filled:end] = piece["id"]
            labels[at, filled:end] = piece["label"]
            positions[at, filled:end] = np.arange(len(piece))
            filled = end
        positions[at, filled:] = np.arange(length - filled)
    labels[positions == 0] = IGNORE
    return Rows(ids, positions, labels)


@dataclass
class Arm:
    """One arm of the gate: a starting model, the pinned probe, and its seeds."""

    context: Context
    base: models.Base
    name: str
    model: torch.nn.Module
    precision: models.Precision
    sft: list[Example]
    gold: list[Example]
    fingerprint: str

    def scores(self) -> npt.NDArray[np.float64]:
        """Score of every gold item under every seed [S, n] in 0..1; finished seeds are reused."""
        seeds = self.context.recipe.gate.seeds
        self.started = time.monotonic()
        rows: list[list[float]] = []
        for number, seed in enumerate(seeds):
            kept = self.context.scratch(self._file(seed))
            if kept is None or kept["fingerprint"] != self.fingerprint:
                kept = {"fingerprint": self.fingerprint, "scores": self._one(seed, number)}
                folder = private_dir(self.context.run.path / "artifacts" / "arms")
                write_json(folder / f"{self.name}-{seed}.json", kept)
            rows.append(kept["scores"])
            score = 100 * float(np.mean(kept["scores"]))
            self.context.emit(
                ArmSeed(
                    arm=self.name,
                    seed=seed,
                    score=round(score, 3),
                    items=len(self.gold),
                    done=number + 1,
                    total=len(seeds),
                )
            )
        return np.array(rows)

    def _file(self, seed: int) -> str:
        return f"arms/{self.name}-{seed}.json"

    def _one(self, seed: int, number: int) -> list[float]:
        model = self._train(seed, number)
        self._progress("scoring", number, 0.7)
        if self.context.recipe.gate.metric == "exact_match":
            return exact_match(model, self.base, self.gold, self.precision)
        return choice_scores(model, self.base, self.gold, self.precision)

    def _progress(self, what: str, number: int, part: float) -> None:
        seeds = len(self.context.recipe.gate.seeds)
        self.context.progress(
            f"{self.name} arm, seed {number + 1} of {seeds}: {what}",
            number + part,
            seeds,
            "seeds",
            self.started,
        )

    def _train(self, seed: int, number: int) -> torch.nn.Module:
        """The pinned SFT recipe from this arm's model with one seed; adapters merged."""
        probe = self.context.recipe.gate.probe
        torch.manual_seed(seed)
        model = copy.deepcopy(self.model)
        if probe.method == "lora":
            model = models.wrap_lora(model, recipes.Lora.model_validate({}), probe.rank, seed)
        lr = probe.lr or (1e-4 if probe.method == "lora" else 5e-5)
        encoder = Encoder(self.base)
        pairs = [encoder.training(e) for e in self.sft]
        length = max(len(p) for p in pairs)
        length = min(self.base.context, max(length, 256))
        batches = list(_batches(len(pairs), probe.batch, probe.epochs, seed))
        optimizer = make_optimizer(model, lr)
        stepper = Stepper(model, optimizer, self.precision, 1.0, max(1, MICRO_TOKENS // length))
        for step, batch in enumerate(batches):
            rows = pack_examples([pairs[i] for i in batch], length, self.base.eos)
            rate = learning_rate(step, len(batches), lr, "cosine", max(1, len(batches) // 10), 0.0)
            torch.manual_seed(seed * 1_000_003 + step)
            stepper.step(rows, rate)
            self._progress("SFT", number, 0.7 * step / len(batches))
        return models.merged(model)


def _batches(count: int, size: int, epochs: float, seed: int) -> Iterator[npt.NDArray[Any]]:
    """Index batches: an own permutation for every epoch, from the seed alone."""
    total = max(1, round(count * epochs))
    whole = [
        np.random.default_rng([seed, epoch]).permutation(count)
        for epoch in range(-(-total // count))
    ]
    stream = np.concatenate(whole)[:total]
    for start in range(0, total, size):
        yield stream[start : start + size]


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
    for start in range(0, len(order), 32):
        batch = order[start : start + 32]
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
