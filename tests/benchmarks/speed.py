"""Head, attention, step and tokens against the path before and a bare loop, in CPU seconds.

``python -m tests.benchmarks.speed --models DIR --out DIR [--only head] [--pairs 5] [--small]``; the
rows of tokens are made where ``--material DIR`` is given, of ``--megabytes 30`` of its text. All
arms of a row run in one process, in turn, so that only the ratio of neighbours counts on a machine
that others use too; a row is the median over the pairs. Memory is the high-water mark of a process
of its own for each arm. ``speed.json`` and ``speed.md`` are written to ``--out``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint
from transformers import AutoTokenizer

from engine.corpus.corpus import Corpus
from engine.recipe.sections import Recipe, Source
from engine.runs.event_log import EventLog
from engine.runs.run import create_run
from engine.worker.job.context import Context
from engine.worker.measure.scan import scan_texts
from engine.worker.model import base as models
from engine.worker.model.document_attention import Documents, attend
from engine.worker.model.fast_paths import Check, Paths, enable_fast_paths
from engine.worker.model.precision import Precision
from engine.worker.packing.stage import pack_texts
from engine.worker.step import loss
from engine.worker.step.memory import Peak, in_use
from engine.worker.step.optimizer import make_optimizer
from engine.worker.step.parallel import SingleProcess
from engine.worker.step.rows import IGNORE, Rows
from engine.worker.step.step import Stepper
from engine.worker.tokens import encoder
from engine.worker.tokens.checks import open_stores
from engine.worker.tokens.encoder import TextEncoder
from engine.worker.tokens.unique_documents import Batch, Reading
from tests.benchmarks import scan_speed

Arm = Callable[[], float]
"""Does the work once and returns its loss (or another number that must be equal)."""
OURS, BEFORE, BARE = "ours", "before", "bare"
FP32 = Precision("fp32", "benchmark")
LR = 1e-4
CHUNK_BEFORE = 2048


@dataclass(frozen=True)
class Measured:
    """One row of the table."""

    work: str
    seconds: dict[str, float]
    """Median CPU seconds of each arm."""
    ratios: dict[str, float]
    """Median over the pairs of our CPU seconds over each other arm's."""
    apart: float
    """Largest difference of the arms' first numbers from ours, as a share of it."""
    megabytes: dict[str, float] = field(default_factory=dict)


def compare(work: str, arms: dict[str, Arm], pairs: int) -> Measured:
    """Run all arms in turn, once to warm up and ``pairs`` times to measure."""
    first = {name: arm() for name, arm in arms.items()}
    taken: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(pairs):
        for name, arm in arms.items():
            started = time.process_time()
            arm()
            taken[name].append(time.process_time() - started)
    ratios = {
        name: statistics.median(a / b for a, b in zip(taken[OURS], taken[name], strict=True))
        for name in arms
        if name != OURS
    }
    apart = max(abs(value - first[OURS]) for value in first.values()) / abs(first[OURS])
    seconds = {name: statistics.median(values) for name, values in taken.items()}
    return Measured(work, seconds, ratios, apart)


# --- the head ------------------------------------------------------------------------------


def head_arms(tokens: int, vocabulary: int, width: int) -> dict[str, Arm]:
    """Cross-entropy of a head, forward and backward."""
    torch.manual_seed(0)
    hidden = torch.randn(tokens, width, requires_grad=True)
    head = torch.nn.Linear(width, vocabulary, bias=False)
    torch.nn.init.normal_(head.weight, 0, 0.02)
    targets = torch.randint(0, vocabulary, (tokens,))

    def arm(losses: Callable[[], torch.Tensor]) -> Arm:
        def run() -> float:
            hidden.grad = head.weight.grad = None
            total = losses()
            total.backward()
            return float(total.detach())

        return run

    return {
        OURS: arm(lambda: loss.fused_losses(hidden, head.weight, targets=targets)),
        BEFORE: arm(lambda: recomputed(head, hidden, targets, CHUNK_BEFORE)),
        BARE: arm(lambda: loss.plain_losses(head, hidden, targets)),
        "no fused op": arm(lambda: recomputed(head, hidden, targets, loss.RECOMPUTED_CHUNK)),
    }


def recomputed(
    head: torch.nn.Module, hidden: torch.Tensor, targets: torch.Tensor, chunk: int
) -> torch.Tensor:
    """The head in chunks that are computed again in the backward pass."""
    total = hidden.new_zeros(())
    for start in range(0, len(targets), chunk):
        piece = slice(start, start + chunk)
        total = total + checkpoint(
            loss.plain_losses, head, hidden[piece], targets[piece], use_reentrant=False
        )
    return total


def head_megabytes(shape: tuple[int, int, int], arm: str) -> float:
    """Peak memory above what is in use, in a process of its own."""
    code = f"import tests.benchmarks.speed as s; s.print_megabytes({shape!r}, {arm!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def print_megabytes(shape: tuple[int, int, int], arm: str) -> None:
    """What ``head_megabytes`` runs."""
    torch.set_num_threads(1)
    head_arms(64, 512, 32)[arm]()  # what the first call imports is no memory of the head
    run = head_arms(*shape)[arm]
    used, peak = in_use(), Peak()
    run()
    print(((peak.bytes() or 0) - used) / 1e6)


def measure_heads(small: bool, pairs: int) -> Iterator[Measured]:
    shape = (256, 2_048, 64) if small else (2_048, 49_152, 576)
    arms = head_arms(*shape)
    made = compare(f"head: {shape[0]} tokens, V={shape[1]}, d={shape[2]}", arms, pairs)
    yield Measured(
        **{**vars(made), "megabytes": {name: head_megabytes(shape, name) for name in arms}}
    )


# --- attention -----------------------------------------------------------------------------


def attention_arms(length: int, size: int, heads: tuple[int, int, int]) -> dict[str, Arm]:
    """Attention of a row of equal documents, forward and backward.

    ``heads``: of queries, of keys, and their width. Bare is one causal call over the documents as
    a batch: what no packed row can be faster than.
    """
    torch.manual_seed(0)
    many, few, width = heads
    tensors = [torch.randn(1, length, n, width, requires_grad=True) for n in (many, few, few)]
    output = torch.randn(1, length, many, width)
    module = torch.nn.Module()
    module.num_key_value_groups = many // few  # type: ignore[assignment]
    module.is_causal = True  # type: ignore[assignment]
    sizes = (size,) * (length // size)
    owner = torch.repeat_interleave(torch.arange(len(sizes)), size)
    dense = (owner[:, None] == owner) & torch.ones(length, length, dtype=torch.bool).tril()

    def arm(found: Callable[..., torch.Tensor]) -> Arm:
        def run() -> float:
            for tensor in tensors:
                tensor.grad = None
            out = found(*(tensor.transpose(1, 2) for tensor in tensors))
            out.backward(output)
            return float(sum(x.grad.double().square().sum() for x in tensors if x.grad is not None))

        return run

    def masked(mask: Documents | torch.Tensor) -> Callable[..., torch.Tensor]:
        return lambda q, k, v: attend(module, q, k, v, mask)[0]

    def bare(*given: torch.Tensor) -> torch.Tensor:
        batch = [
            x.transpose(1, 2).reshape(-1, size, x.shape[1], width).transpose(1, 2) for x in given
        ]
        out = F.scaled_dot_product_attention(*batch, is_causal=True, enable_gqa=True)
        return out.transpose(1, 2).reshape(1, length, many, width)

    return {
        OURS: arm(masked(Documents(sizes))),
        BEFORE: arm(masked(dense[None, None])),
        BARE: arm(bare),
    }


def measure_attention(small: bool, pairs: int) -> Iterator[Measured]:
    length, heads = (256, (4, 2, 8)) if small else (2_048, (9, 3, 64))
    for size in (length, length // 4, length // 16):
        arms = attention_arms(length, size, heads)
        work = f"attention: T={length:,}, documents of {size:,}, {heads[0]} heads of {heads[2]}"
        yield compare(work, arms, pairs)


# --- a step --------------------------------------------------------------------------------


class AloneBefore(SingleProcess):
    """One process with the head as it was: chunks of 2,048 tokens, computed again."""

    def loss(self, rows: Rows) -> torch.Tensor:
        ids, positions, labels = rows.tensors()
        split = loss.parts(self.model)
        assert split is not None
        decoder, head = split
        hidden = decoder(
            input_ids=ids, position_ids=positions, attention_mask=None, use_cache=False
        ).last_hidden_state[:, :-1]
        targets = labels[:, 1:].reshape(-1)
        keep = targets != IGNORE
        return recomputed(head, hidden.reshape(len(targets), -1)[keep], targets[keep], CHUNK_BEFORE)


def packed_rows(count: int, length: int, vocabulary: int) -> Rows:
    """Rows of documents of 16 tokens to the whole row, most of them short."""
    random = np.random.default_rng(0)
    ids = random.integers(3, vocabulary, (count, length))
    positions = np.zeros((count, length), dtype=np.int64)
    for row in positions:
        sizes = np.clip(random.lognormal(4.5, 1.0, length), 16, length).astype(int)
        starts = [0, *(at for at in accumulate(sizes) if at < length)]
        for start, end in zip(starts, [*starts[1:], length], strict=True):
            row[start:end] = np.arange(end - start)
    return Rows(ids, positions, np.where(positions == 0, IGNORE, ids))


def step_arms(folder: Path, count: int, length: int) -> dict[str, Arm]:
    """One optimizer step of a whole model; each arm trains a copy of its own."""
    yes = Check(True)
    proven = Paths(packed=yes, chunked=yes, fused=yes, documents=yes)
    before = Paths(packed=yes, chunked=yes)
    arms: dict[str, Arm] = {}
    for name, paths, over in ((OURS, proven, SingleProcess), (BEFORE, before, AloneBefore)):
        model = models.load_folder(folder)
        enable_fast_paths(model, paths)
        rows = packed_rows(count, length, loss.vocabulary(model))
        optimizer = make_optimizer(model, LR)
        stepper = Stepper(model, optimizer, FP32, 1.0, count, spread=over(model))
        arms[name] = partial(_loss_of_step, stepper, rows)
    arms[BARE] = bare_step(folder, rows)
    return arms


def _loss_of_step(stepper: Stepper, rows: Rows) -> float:
    return stepper.step(rows, LR)[0]


def bare_step(folder: Path, rows: Rows) -> Arm:
    """The shortest loop that one would write: transformers' own loss, clipping, fused AdamW."""
    model: Any = models.load_folder(folder)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, fused=True)
    ids, positions, labels = rows.tensors()

    def run() -> float:
        found = model(input_ids=ids, position_ids=positions, labels=labels, use_cache=False).loss
        found.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(found.detach())

    return run


def measure_steps(folder: Path, small: bool, pairs: int) -> Iterator[Measured]:
    count, length = (2, 64) if small else (8, 512)
    for model in sorted(path.parent for path in folder.glob("*/config.json")):
        work = f"step: {model.name}, {count} rows of {length} tokens"
        yield compare(work, step_arms(model, count, length), pairs)


# --- tokens --------------------------------------------------------------------------------


def token_arms(batches: list[Batch], tokenizer: Any) -> dict[str, Arm]:
    """A corpus's ids, proof of the fast path included; their sum, so that all are the same."""

    def run(fast: bool) -> float:
        by = TextEncoder(tokenizer, "uint32", fast)
        found = (by.encode(batch.texts, batch.hashes) for batch in batches)
        return float(sum(int(ids.sum()) for each in found for ids in each))

    def bare() -> float:
        backend = tokenizer.backend_tokenizer
        found = (backend.encode_batch_fast(b.texts, add_special_tokens=False) for b in batches)
        return float(sum(sum(one.ids) for each in found for one in each))

    return {OURS: partial(run, True), BEFORE: partial(run, False), BARE: bare}


def scan_arms(path: Path, tokenizer: Any, scratch: Path) -> dict[str, Arm]:
    """Scan, tokens and packs of a corpus, from nothing; how many tokens its rows hold."""
    texts = {"path": str(path)}
    recipe = Recipe.model_validate(
        {"model": {"id": "m"}, "corpus": texts, "generic": {"path": "embedded"}}
    )
    eos = tokenizer.eos_token_id
    base: Any = SimpleNamespace(name="m", tokenizer=tokenizer, context=2048, eos=eos, bos=None)

    def run(first: int) -> float:
        shutil.rmtree(scratch, ignore_errors=True)
        os.environ["CPT_HOME"] = str(scratch)
        made = create_run("scan", "", scratch)
        context = Context(made, recipe, EventLog(made.events_path), stage="scan")
        was, encoder.FIRST = encoder.FIRST, first
        stores = scan_texts(context, base).stores
        encoder.FIRST = was
        return float(pack_texts(context, base, *open_stores(stores)).tokens)

    return {OURS: partial(run, encoder.FIRST), BEFORE: partial(run, 1 << 60)}


def measure_tokens(material: Path, megabytes: int, pairs: int) -> Iterator[Measured]:
    tokenizer = AutoTokenizer.from_pretrained(material / "tokenizers/smollm2")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus.jsonl"
        scan_speed.make(path, megabytes * scan_speed.MB, scan_speed.sentences(material))
        batches = list(Reading(Corpus(Source(path=str(path)))).batches())
        yield compare(f"encode {megabytes} MB", token_arms(batches, tokenizer), pairs)
        arms = scan_arms(path, tokenizer, Path(folder) / "home")
        yield compare(f"scan, tokenise and pack {megabytes} MB", arms, pairs)


def table(rows: list[Measured]) -> str:
    """The rows as Markdown; a ratio below 1 says that ours is faster."""
    lines = [
        "| work | ours over | CPU s, ours | ratio | MB, ours | MB | apart |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        for name, ratio in row.ratios.items():
            memory = [
                f"{row.megabytes[n]:,.0f}" if n in row.megabytes else "" for n in (OURS, name)
            ]
            lines.append(
                f"| {row.work} | {name} | {row.seconds[OURS]:.4f} | {ratio:.2f} | "
                f"{memory[0]} | {memory[1]} | {row.apart:.0e} |"
            )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=Path())
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", choices=["head", "attention", "step", "tokens"])
    parser.add_argument("--material", type=Path, help="texts and a tokenizer, for the tokens")
    parser.add_argument("--megabytes", type=int, default=30)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="small shapes, to see that it runs")
    given = parser.parse_args()
    torch.set_num_threads(1)
    kinds = {
        "head": lambda: measure_heads(given.small, given.pairs),
        "attention": lambda: measure_attention(given.small, given.pairs),
        "step": lambda: measure_steps(given.models, given.small, given.pairs),
    }
    if given.material:
        kinds["tokens"] = lambda: measure_tokens(given.material, given.megabytes, given.pairs)
    rows: list[Measured] = []
    for name, measure in kinds.items():
        if given.only in (None, name):
            for row in measure():
                print(table([row]), flush=True)
                rows.append(row)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "speed.json").write_text(json.dumps([asdict(row) for row in rows], indent=1))
    (given.out / "speed.md").write_text(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
