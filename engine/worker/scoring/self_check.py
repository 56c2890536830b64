"""The start-up check: does this model, here, give one number on every path we take?

Position ids tell packed documents apart in some architectures and are ignored by others; a
head may scale its logits; a mask may be added instead of applied. None of that raises. So each
fast path is compared with the plain one on a few dozen random tokens, and is taken only where
both agree. What the plain path itself needs (no token reads a later one) is a condition.

Differences are in nats a token, in fp32 without autocast: rounding is not what is asked. The
leak is measured in the run's own precision too, since kernels may differ by dtype.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import transformers

from engine.errors import InputError
from engine.files import digest
from engine.gold.example import Example
from engine.runs.events import Alarm
from engine.worker.job.context import Context
from engine.worker.model import base as models
from engine.worker.model import document_attention
from engine.worker.model.document_attention import Documents
from engine.worker.model.fast_paths import Check, Paths, enable_fast_paths, paths_of
from engine.worker.model.precision import Precision
from engine.worker.scoring.examples import Encoder
from engine.worker.scoring.generate import continued
from engine.worker.scoring.likelihood import Tree, likelihoods, tree_of
from engine.worker.step.chunked_head import chunked_losses
from engine.worker.step.loss import fused_losses, fusible, parts, token_losses
from engine.worker.step.rows import IGNORE, Rows

VERSION = 3
"""Counts changes of these checks: a record of another version is made anew."""
LIMITS = {"fp32": 1e-3, "bf16": 5e-2, "fp16": 5e-2}
"""Nats a token that count as equal. Measured on tiny random models of 43 architectures in fp32:
equal paths differed by 2e-6 at most, unequal ones by 4e-3 at least."""
EXACT = 1e-5
"""Nats a token that a fused loss or attention by document may be off. Measured: 3e-7."""
GRADIENTS = 1e-4
"""Of the largest gradient that theirs may be off. Measured: 2e-6."""
BF16_GRADIENTS = 2e-2
"""The same of two sums in bf16, whose last digit is one part in 256. Measured: 4e-3."""
GRADIENT_TENSORS = 16
"""The smallest parameters whose gradients are compared: norms of the lowest layers, as a rule,
behind which all attention lies."""
FP32 = Precision("fp32", "self-check")
TOKENS = 12
"""Tokens of one document of the check."""
FILE = "selfcheck.json"


@dataclass(frozen=True)
class CheckRecord:
    """A run's checks: what they hold for, and the paths they allow."""

    key: str
    paths: Paths
    gold: str = ""
    """The gold item on which the tree was compared too."""


def prove(
    context: Context,
    base: models.Base,
    model: torch.nn.Module,
    precision: Precision,
    gold: Sequence[Example] = (),
) -> Paths:
    """Let ``model`` take the fast paths that this run's record allows; returns them.

    The record is made by the first stage that needs it, on the base, and kept with the run:
    both arms of the gate are so scored on the same paths. Other versions, hardware or dtype
    mean checking again, and the stricter of both answers holds. With ``gold`` the tree is
    compared on the longest item too: a sliding window shows on no short text.
    """
    kept = _kept(context)
    if kept is not None and not context.ranks.first:
        enable_fast_paths(model, kept.paths)  # rank 0 has checked and written it
        return kept.paths
    key = _key(base, precision)
    record = kept
    if record is None or record.key != key:
        paths = examine(model, base, precision)
        record = CheckRecord(key, paths.strictest(kept.paths) if kept else paths)
        _note(context, base, record.paths)
    enable_fast_paths(model, record.paths)
    if gold and record.paths.tree.ok:
        encoder = Encoder(base, context.recipe.gate.template)
        record = _with_gold(record, model, encoder, gold)
        enable_fast_paths(model, record.paths)
    if record != kept:
        context.keep_scratch(FILE, dataclasses.asdict(record))
    return record.paths


def examine(model: torch.nn.Module, base: models.Base, precision: Precision) -> Paths:
    """Compare every fast path of ``model`` with the plain one.

    InputError where the plain one fails, or where tokens read later ones.
    """
    subject = _Subject(model, base)
    mode = model.training
    model.eval()
    try:
        subject.must_be_causal()
        subject.chunked = _compared(subject.chunked_loss)
        packed = _compared(subject.packed_loss)
        if packed.ok and precision.name != "fp32":
            with precision.autocast():
                packed = _compared(subject.swapped_loss, LIMITS[precision.name])
        fused = fused_bf16 = documents = Check()
        if subject.chunked.ok:
            fused = _compared(lambda: subject.fused_head("fp32"), EXACT)
            if precision.name == "bf16":
                fused_bf16 = _compared(lambda: subject.fused_head("bf16"))
        if packed.ok:
            documents = _compared(subject.documents_apart, EXACT)
            if documents.ok and models.device().type == "cuda" and precision.name != "fp32":
                # There the run's dtype has a kernel of its own.
                with precision.autocast():
                    limit = LIMITS[precision.name]
                    documents = _compared(lambda: subject.documents_apart(limit), limit)
        return Paths(
            packed=packed,
            chunked=subject.chunked,
            fused=fused,
            fused_bf16=fused_bf16,
            documents=documents,
            tree=_compared(subject.tree),
            padded=_compared(subject.padded),
        )
    finally:
        model.train(mode)


def _compared(difference: Callable[[], float], limit: float = LIMITS["fp32"]) -> Check:
    """A path that fails, in whatever way an unknown architecture fails, is not taken."""
    try:
        found = difference()
    except Exception as error:
        return Check(False, f"fails ({type(error).__name__})")
    return Check(found <= limit, f"off by {found:.1g} nats a token")


class _Subject:
    """A model under examination, and random text for it."""

    def __init__(self, model: torch.nn.Module, base: models.Base) -> None:
        self.model, self.base = model, base
        self.chunked = Check()
        """Training's loss is compared as it will be computed: chunked or not."""
        self.size = max(4, min(TOKENS, base.context // 8))
        self.random = np.random.default_rng(0)
        embedded = models.text_config(models.config_of(model)).vocab_size
        vocabulary = min(embedded, len(base.tokenizer))
        self.ids = np.setdiff1d(np.arange(vocabulary), base.tokenizer.all_special_ids)

    def draw(self, count: int) -> list[int]:
        """Random ids, none of them special."""
        drawn: list[int] = self.random.choice(self.ids, count).tolist()
        return drawn

    @torch.no_grad()
    def loss(self, *documents: list[int], scored: slice = slice(None)) -> float:
        """Nats a token of the ``scored`` part of the last of a row's documents."""
        ids = np.concatenate(documents, dtype=np.int64)[None]
        positions = np.array([[at for d in documents for at in range(len(d))]])
        labels = np.full_like(ids, IGNORE)
        last = labels[0, len(ids[0]) - len(documents[-1]) :]
        last[scored] = documents[-1][scored]
        last[0] = IGNORE
        rows = Rows(ids, positions, labels)
        with _taking(self.model, Paths(chunked=self.chunked)):
            return float(token_losses(self.model, rows)) / rows.targets

    def must_be_causal(self) -> None:
        """InputError unless earlier losses stay where later tokens change."""
        text, seen = self.draw(self.size), slice(self.size)
        try:
            one, other = (self.loss(text + self.draw(4), scored=seen) for _ in range(2))
        except Exception as error:
            raise InputError(
                f"{self.base.name}: transformers cannot run this architecture here "
                f"({type(error).__name__} in a forward pass of {self.size + 4} tokens); "
                "use another base model"
            ) from error
        if not np.isfinite([one, other]).all():
            raise InputError(
                f"{self.base.name}: its loss on random tokens is not finite, so its weights are "
                "broken; fetch the model again or use another one"
            )
        if abs(one - other) > LIMITS["fp32"]:
            raise InputError(
                f"{self.base.name}: later tokens change the loss of earlier ones (by "
                f"{abs(one - other):.1g} nats a token), so it does not predict the next token; "
                "use a causal (decoder) model"
            )

    def chunked_loss(self) -> float:
        text = self.draw(2 * self.size)
        own = self.loss(text)
        self.chunked = Check(True)
        try:
            return abs(self.loss(text) - own)
        finally:
            self.chunked = Check()

    def packed_loss(self) -> float:
        """How far any neighbour moves a document from where it is alone."""
        text = self.draw(self.size)
        alone = self.loss(text)
        sizes = (self.size, self.size, 2 * self.size)
        return max(abs(self.loss(self.draw(n), text) - alone) for n in sizes)

    def swapped_loss(self) -> float:
        """How far another neighbour of the same length moves it: free of rounding."""
        text = self.draw(self.size)
        one, other = (self.loss(self.draw(self.size), text) for _ in range(2))
        return abs(one - other)

    def fused_head(self, precision: str) -> float:
        """Loss of the fused head in several chunks; ValueError where its gradients differ."""
        with _taking(self.model, Paths(chunked=self.chunked)):
            split = parts(self.model)
        if split is None or not fusible(split[1], precision):
            raise TypeError("the head is more than its matrix")
        decoder, head = split
        ids = torch.tensor([self.draw(2 * self.size)], device=models.device())
        with torch.no_grad():
            states = decoder(input_ids=ids, use_cache=False).last_hidden_state[0, :-1]
        targets, found = ids[0, 1:], []
        one_by_one = fused_losses if precision == "fp32" else chunked_losses
        for fused in (False, True):
            # Detached: the model's own gradients and flags stay as they are.
            hidden, *own = (x.detach().requires_grad_() for x in (states, *head.parameters()))
            with Precision(precision, "self-check").autocast():
                if fused:
                    loss = one_by_one(hidden, *own, targets=targets, chunk=self.size)
                else:
                    logits = F.linear(hidden, *own).float()
                    loss = F.cross_entropy(logits, targets, reduction="sum")
            found.append((float(loss.detach()), torch.autograd.grad(loss, [hidden, *own])))
        limit = GRADIENTS if precision == "fp32" else BF16_GRADIENTS
        _must_match(found[0][1], found[1][1], limit)
        return abs(found[0][0] - found[1][0]) / len(targets)

    def documents_apart(self, limit: float = GRADIENTS) -> float:
        """Loss of packed rows with each document read by itself; ValueError where gradients
        differ, or where the model's layers do not ask for this attention."""
        sizes = [[self.size, 1, 2 * self.size], [2 * self.size + 1, self.size]]
        rows = _packed([[self.draw(n) for n in row] for row in sizes])
        chosen = sorted(
            (p for p in self.model.parameters() if p.is_floating_point()), key=torch.numel
        )[:GRADIENT_TENSORS]
        flags = [p.requires_grad for p in chosen]
        base = Paths(packed=Check(True), chunked=self.chunked)
        found = []
        try:
            for parameter in chosen:
                parameter.requires_grad_()
            for paths in (base, dataclasses.replace(base, documents=Check(True))):
                reads = Documents.reads
                with _taking(self.model, paths), document_attention.forced():
                    loss = token_losses(self.model, rows)
                    gradients = torch.autograd.grad(loss, chosen, allow_unused=True)
                found.append((float(loss.detach()), gradients))
        finally:
            for parameter, flag in zip(chosen, flags, strict=True):
                parameter.requires_grad_(flag)
        if Documents.reads == reads:
            raise LookupError("no layer asked for attention by document")
        _must_match(found[0][1], found[1][1], limit)
        return abs(found[0][0] - found[1][0]) / rows.targets

    def tree(self) -> float:
        trees = [
            Tree(self.draw(self.size), [self.draw(n) for n in (2, 3, 1)]),
            Tree(self.draw(3), [self.draw(n) for n in (1, 2)]),
        ]
        return tree_difference(self.model, self.base, trees)

    @torch.no_grad()
    def padded(self) -> float:
        """Log-probabilities of the likeliest tokens: padded and cached, or read as they are."""
        prompts = [self.draw(self.size), self.draw(self.size // 2)]
        out = continued(self.model, prompts, 2, self.base.eos, FP32, fast=True, logits=True)
        logits = torch.stack(out.logits, dim=1)
        worst = 0.0
        for prompt, new, fast in zip(prompts, out.sequences[:, self.size :], logits, strict=True):
            ids = torch.tensor([[*prompt, *new[:-1].tolist()]], device=new.device)
            own = self.model(input_ids=ids, use_cache=False).logits[0, -len(new) :]
            own, top = own.float().log_softmax(-1).topk(5)
            found = fast.float().log_softmax(-1).gather(-1, top)
            worst = max(worst, float((found - own).abs().max()))
        return worst


def tree_difference(model: torch.nn.Module, base: models.Base, trees: Sequence[Tree]) -> float:
    """Largest difference of a choice's log-likelihood, nats a token, in one pass or alone."""
    known = paths_of(model)
    with _taking(model, dataclasses.replace(known, tree=Check(True))):
        together = likelihoods(model, trees, base.eos, FP32)
    with _taking(model, dataclasses.replace(known, tree=Check())):
        alone = likelihoods(model, trees, base.eos, FP32)
    sizes = np.array([len(choice) for tree in trees for choice in tree.choices])
    return float(np.max(np.abs(np.concatenate(together) - np.concatenate(alone)) / sizes))


def _must_match(
    one: Sequence[torch.Tensor | None], other: Sequence[torch.Tensor | None], limit: float
) -> None:
    """ValueError unless gradients are equal, as a share of each one's largest number."""
    for left, right in zip(one, other, strict=True):
        if left is None or right is None:
            if left is not right:
                raise ValueError("a parameter has a gradient on one path only")
            continue
        if not float((left - right).abs().max()) <= limit * max(1e-6, float(left.abs().max())):
            raise ValueError("gradients differ")


def _packed(texts: Sequence[Sequence[list[int]]]) -> Rows:
    """Rows of equally many tokens, each of several documents."""
    ids = np.array([np.concatenate(row) for row in texts], dtype=np.int64)
    positions = np.array([[at for text in row for at in range(len(text))] for row in texts])
    return Rows(ids, positions, np.where(positions == 0, IGNORE, ids))


@contextlib.contextmanager
def _taking(model: torch.nn.Module, paths: Paths) -> Iterator[None]:
    kept = paths_of(model)
    enable_fast_paths(model, paths)
    try:
        yield
    finally:
        enable_fast_paths(model, kept)


def _with_gold(
    record: CheckRecord, model: torch.nn.Module, encoder: Encoder, gold: Sequence[Example]
) -> CheckRecord:
    """The record with the tree compared on the longest gold item, if it was not yet."""
    longest = max((tree_of(encoder, example) for example in gold), key=len)
    item = digest([longest.prompt, longest.choices])
    if record.gold == item:
        return record
    tree = _compared(lambda: tree_difference(model, encoder.base, [longest]))
    return CheckRecord(record.key, dataclasses.replace(record.paths, tree=tree), item)


def _key(base: models.Base, precision: Precision) -> str:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    versions = [VERSION, torch.__version__, transformers.__version__]
    return digest([base.identity, precision.name, device, *versions])


def _kept(context: Context) -> CheckRecord | None:
    kept: Any = context.scratch(FILE)
    try:
        paths = Paths(**{name: Check(**check) for name, check in kept["paths"].items()})
        return CheckRecord(kept["key"], paths, kept["gold"])
    except (TypeError, KeyError, AttributeError):
        return None


def _note(context: Context, base: models.Base, paths: Paths) -> None:
    if paths.packed.ok:
        return
    message = (
        f"{base.name}: documents of one row see each other in this architecture "
        f"({paths.packed.found}), so each gets a row of its own; no result is touched by it"
    )
    context.emit(Alarm(level="note", stage=context.stage, message=message))
