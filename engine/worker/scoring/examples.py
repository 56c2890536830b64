"""Examples to token ids and to packed rows: what the SFT probe and the demo's base train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import InputError
from engine.gold.example import Example
from engine.gold.summary import ContextCuts
from engine.worker.model import base as models
from engine.worker.packing.best_fit import BestFit
from engine.worker.step.rows import IGNORE, Rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


PAIR: Any = np.dtype([("id", np.int64), ("label", np.int64)])
"""One token of a training example and its label."""
Pairs = Any
TAIL = 64
"""Characters of a prompt that a completion's tokens may depend on; merges reach no further."""


@dataclass(frozen=True)
class Encoder:
    """Examples to token ids: prompt and completion apart, EOS at the end of training text.

    With the template ``chat`` a prompt is what the tokenizer's own chat template makes of it.
    Raises InputError where the tokenizer has none.
    """

    base: models.Base
    template: str = "plain"

    def __post_init__(self) -> None:
        if self.template == "chat" and not self.base.tokenizer.chat_template:
            raise InputError(
                f"{self.base.name}: its tokenizer has no chat template; set gate.template = "
                '"plain", or bring a model that has one'
            )

    def ids(self, text: str) -> list[int]:
        """Ids of plain text: what looks like a special token in it is none."""
        found: list[int] = self.base.tokenizer(
            text, add_special_tokens=False, split_special_tokens=True, verbose=False
        )["input_ids"]
        return found

    def prompt(self, text: str, room: int) -> list[int]:
        """Prompt ids with BOS where the model had one; the left end is cut to fit ``room``.

        Never empty: EOS stands in where nothing fits, since a completion follows something.
        """
        head = [] if self.base.bos is None else [self.base.bos]
        return self._fitted(head, self.ids(text), room)

    def before(self, example: Example, room: int) -> list[int]:
        """All that the model reads before the completion, cut as ``prompt`` is."""
        if self.template == "plain":
            return self.prompt(example.prompt, room)
        return self._fitted([], chat_ids(self, example), room)

    def _fitted(self, head: list[int], ids: list[int], room: int) -> list[int]:
        kept = max(0, room - len(head))
        return [*head, *ids[max(0, len(ids) - kept) :]] or [self.base.eos]

    def answer(self, example: Example, text: str) -> list[int]:
        """Ids of a completion as it follows the example's prompt, uncut.

        Read alone, it would begin with a space of its own in a Llama-type tokenizer. A chat's
        has no white space around it. Where the last prompt token would be another one with the
        completion behind it (a prompt that ends in a space), both are read alone.
        """
        if self.template == "chat":
            tail, text = "\n", text.strip()
        else:
            tail = example.prompt[-TAIL:]
        head, both = self.ids(tail), self.ids(tail + text)
        return both[len(head) :] if both[: len(head)] == head else self.ids(text)

    def completion(self, example: Example, text: str, end: bool = True) -> list[int]:
        """Completion ids and (with ``end``) EOS; half of the context at most, cut at the right."""
        ids = self.answer(example, text)
        return [*ids, *([self.base.eos] if end else [])][: self.longest]

    @property
    def longest(self) -> int:
        """Tokens of a completion at most: the prompt keeps the other half of the context."""
        return self.base.context // 2

    def training(self, example: Example) -> Pairs:
        """One SFT example as (id, label) pairs; loss on the completion and EOS only."""
        completion = self.completion(example, example.completion)
        prompt = self.before(example, self.base.context - len(completion))
        pairs: Pairs = np.zeros(len(prompt) + len(completion), dtype=PAIR)
        pairs["id"] = prompt + completion
        pairs["label"] = [IGNORE] * len(prompt) + completion
        return pairs


def chat_ids(encoder: Encoder, example: Example) -> list[int]:
    """The turns before the completion in the tokenizer's chat template, up to the answer's start.

    What looks like a special token in a turn's own text is none. Raises InputError where the
    template refuses the turns (a system prompt, two turns of one role).
    """
    tokenizer, turns = encoder.base.tokenizer, example.turns or (("user", example.prompt),)
    special = [token for token in tokenizer.all_special_tokens if token]
    if not any(token in text for _, text in turns for token in special):
        return _parsed(tokenizer, _rendered(encoder, turns))
    marked = tuple((role, MARK.format(at)) for at, (role, _) in enumerate(turns))
    ids: list[int] = []
    rest = _rendered(encoder, marked)
    for (_, text), (_, mark) in zip(turns, marked, strict=True):
        before, _, rest = rest.partition(mark)
        ids += [*_parsed(tokenizer, before), *encoder.ids(text)]
    return ids + _parsed(tokenizer, rest)


MARK = "cpt-turn-{}-text"
"""Stands for a turn's text while the template is filled in around it."""


def _rendered(encoder: Encoder, turns: Sequence[tuple[str, str]]) -> str:
    messages = [{"role": role, "content": text} for role, text in turns]
    try:
        text: str = encoder.base.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
    except Exception as error:  # whatever the template's author raises
        what = " ".join(str(error).split())[:100] or type(error).__name__
        roles = ", ".join(role for role, _ in turns)
        raise InputError(
            f"{encoder.base.name}: its chat template refuses the turns {roles} ({what}); change "
            'those rows or set gate.template = "plain"'
        ) from None
    return text


def _parsed(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Ids of template text, in which special tokens are special."""
    found: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return found


def cut_by_context(
    encoder: Encoder, gold: Sequence[Example], sft: Sequence[Example]
) -> ContextCuts:
    """What the model's context cuts off gold set and SFT data.

    A completion keeps half of the context, and its prompt the rest.
    """
    context, said, share = encoder.base.context, [], 0.0
    for name, examples in (("gold", gold), ("SFT", sft)):
        prompts = sum(_overlong(encoder, example) for example in examples)
        share = max(share, prompts / max(1, len(examples)))
        ends = sum(len(encoder.answer(e, e.completion)) >= encoder.longest for e in examples)
        for count, what, lost in ((prompts, "prompts", "beginning"), (ends, "completions", "end")):
            if count:
                said.append(
                    f"{count} of {len(examples)} {name} {what} do not fit this model's context of "
                    f"{context} tokens and lose their {lost}"
                )
    return ContextCuts(share, tuple(said))


def _overlong(encoder: Encoder, example: Example) -> bool:
    """Whether the prompt and its longest completion are more than the context."""
    texts = example.choices or (example.completion,)
    answer = max(len(encoder.completion(example, text)) for text in texts)
    return len(encoder.before(example, FAR)) + answer > encoder.base.context


FAR = 1 << 40
"""Room without a limit."""


ATTENTION_WIDTHS = 6
"""A row of this many times the model's width costs as much in attention as in its matrices: 24 d^2
operations a token and layer beside 4 d a token that is read (Kaplan 2020, arXiv 2001.08361)."""
ROW_STEP = 8
"""Row lengths are multiples of it: kernels are fast there."""


def cheapest_row(sizes: Sequence[int], most: int, width: int) -> int:
    """The row length at which these examples are packed with the least work; ``most`` at most.

    Only what is computed beside them changes, padding and attention: the step sees the same
    examples and sums the same losses.
    """
    longest = min(most, max(sizes))
    found: dict[int, float] = {}
    for rows in range(1, len(sizes) + 1):
        even = -(-sum(sizes) // rows)
        length = min(most, max(longest, -(-even // ROW_STEP) * ROW_STEP))
        count = len(_packed_sizes(sizes, length))
        found[length] = count * length * (1 + length / (ATTENTION_WIDTHS * width))
        if length == longest:
            break
    return min(found, key=lambda length: (found[length], length))


def _packed_sizes(sizes: Sequence[int], length: int) -> list[int]:
    """What each row holds after best fit, longest first."""
    rows: list[int] = []
    for size in sorted(sizes, reverse=True):
        fitting = [at for at, held in enumerate(rows) if held + size <= length]
        if fitting:
            rows[max(fitting, key=lambda at: rows[at])] += size
        else:
            rows.append(size)
    return rows


def pack_examples(pairs: Sequence[Pairs], length: int, pad: int) -> Rows:
    """SFT examples packed into rows; positions restart at each example (document masking)."""
    fit = BestFit(length)
    full = [row for p in sorted(pairs, key=len, reverse=True) if (row := fit.place(p))]
    rows: Any = [*full, *fit.fullest(0)]
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
