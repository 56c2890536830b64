"""Continuations at each evaluation: what the base wrote after a prompt, and the model now.

Greedy, so nothing is drawn from a random generator and training is bit for bit the same
without them. Rank 0 writes them while the others wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from engine.errors import CptError
from engine.files import digest
from engine.runs.events import Alarm, SampleWritten
from engine.worker.job.context import Context
from engine.worker.model import base as models
from engine.worker.model.precision import Precision
from engine.worker.scoring.generate import generate
from engine.worker.step.rows import Rows, documents

FILE = "samples.json"
PROMPT_TOKENS, NEW_TOKENS = 16, 24
SHARE = 0.02
"""Of training's time: an evaluation whose samples would go beyond it has none, except the last.
Measured with a model of 260,032 parameters, sampled 14 times: 2.03%."""


@dataclass
class Samples:
    """The run's prompts, and the base's continuations of them."""

    context: Context
    base: models.Base
    model: torch.nn.Module
    precision: Precision
    heldout: tuple[Rows, Rows]
    """Domain and generic held-out rows; the last prompt is generic."""
    check: Callable[[], None] = lambda: None
    """Called before each token; may raise."""
    off: str = ""
    """Why there are none."""
    prompts: list[list[int]] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    spent: float = 0.0
    """Seconds; ``newest`` of them for the newest samples."""
    newest: float = 0.0

    def begin(self, identity: dict[str, str]) -> None:
        """Choose prompts and continue them with ``model``, which is still the base.

        Its continuations are kept with the run, for ``identity`` and these prompts only.
        """
        train = self.context.recipe.train
        self.off = self.off or ("" if train.samples else "off")
        self.prompts = [] if self.off else choose(self.heldout, train.samples, train.seed)
        self.began = self.context.clock()
        if not self.prompts or not self.context.ranks.first:
            return
        key = digest([identity, self.prompts, self.new])
        kept = self.context.scratch(FILE) or {}
        if kept.get("key") == key:
            self.before = kept["base"]
        elif (texts := self._continued()) is not None:
            self.before = texts
            self.context.keep_scratch(FILE, {"key": key, "base": texts})

    @property
    def new(self) -> int:
        """Tokens of a continuation."""
        return max(1, min(NEW_TOKENS, self.base.context - PROMPT_TOKENS))

    def facts(self) -> str:
        """What is really on, for the header."""
        if self.off or not self.prompts:
            return self.off or "off: no held-out text"
        return (
            f"{len(self.prompts)} at each evaluation, {self.new} tokens, greedy, "
            f"about {100 * SHARE:g}% of the time at most"
        )

    def tell(self, step: int, last: bool) -> None:
        """Emit base and model side by side; at step 0 they are the same."""
        if self.off or not self.before:
            return
        elapsed = self.context.clock() - self.began
        if step and not last and self.spent + self.newest > SHARE * elapsed:
            return
        texts = self._continued() if step else self.before
        for prompt, base, current in zip(self.prompts, self.before, texts or [], strict=False):
            words = self.base.tokenizer.decode(prompt, skip_special_tokens=True)
            self.context.emit(
                SampleWritten(stage="train", step=step, prompt=words, base=base, current=current)
            )

    def _continued(self) -> list[str] | None:
        """The model's continuations; None where it cannot write any, which is said once."""
        started = self.context.clock()
        try:
            with torch.compiler.set_stance("force_eager"):  # every length would be compiled
                return generate(
                    self.model, self.base, self.prompts, self.new, self.precision, self.check
                )
        except CptError:
            raise
        except Exception as error:  # samples never end a training
            self.off = f"off: {type(error).__name__}"
            message = f"no more samples: {type(error).__name__}: {' '.join(str(error).split())}"
            self.context.emit(Alarm(level="amber", stage="train", message=message[:300]))
            return None
        finally:
            self.newest = self.context.clock() - started
            self.spent += self.newest


def choose(heldout: tuple[Rows, Rows], count: int, seed: int) -> list[list[int]]:
    """``count`` beginnings of held-out documents (or of the pieces that long ones are split
    into), of one length; the last is generic, a single one is not.

    Those shorter than two prompts are taken last.
    """
    generic = min(1, count - 1)
    picked = []
    for side, (rows, wanted) in enumerate(zip(heldout, (count - generic, generic), strict=True)):
        found = [document[:, 0] for document in documents(rows)]
        shuffled = np.random.default_rng([seed, side]).permutation(len(found))
        order = sorted(shuffled, key=lambda i: len(found[i]) < 2 * PROMPT_TOKENS)
        picked += [found[i] for i in order[:wanted]]
    size = min([PROMPT_TOKENS, *(max(1, len(ids) // 2) for ids in picked)])
    return [ids[:size].tolist() for ids in picked]
