"""Stage two: the task model, by the gate's own SFT recipe with generic text mixed back.

Gold score, domain loss and generic loss before and after each stage, in four rows: base, CPT,
base+SFT, CPT+SFT. What training or the gate measured of the same thing is not measured again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.errors import InputError
from engine.files import private_dir, write_json
from engine.gate.forgetting import guard_state
from engine.gold.metrics import METRICS
from engine.release.policy import BASE, CPT, MIX_BACK_WHY, starting_point
from engine.runs.events import Alarm, Facts
from engine.stages import EXTEND
from engine.thresholds import effective
from engine.worker.gate.arm import SftArm
from engine.worker.gate.sft import Extra
from engine.worker.gate.stage import Judging
from engine.worker.model import base as models
from engine.worker.model import proof
from engine.worker.model.base import weights_sha256
from engine.worker.model.precision import run_precision
from engine.worker.packing.mix import heldout_rows
from engine.worker.release.replay import Replay, targets
from engine.worker.scoring import self_check
from engine.worker.scoring.examples import Encoder
from engine.worker.scoring.gold import gold_scores
from engine.worker.step import memory
from engine.worker.step.rows import Rows
from engine.worker.step.step import mean_loss
from engine.worker.tokens.store import TokenStore

FOLDER = "task"
ARMS = {BASE: ("base", "before"), CPT: ("cpt", "after")}
"""The gate's name of an arm, and the end of training's names for its losses."""


@dataclass
class TaskArm(SftArm):
    """The gate's SFT from one of the two models; its progress is counted in the table's rows."""

    extra: Extra = lambda taught: []
    unmerged: Callable[[torch.nn.Module], None] = lambda model: None
    """Sees the trained model before its adapters are merged."""

    def tell(self, what: str, row: int, share: float) -> None:
        self.context.progress(f"{self.name}: {what}", row + share, 4, "rows", self.started)

    def score(self, model: torch.nn.Module, what: str, row: int) -> list[float]:
        """Score of every gold item by the gate's metric."""
        told = functools.partial(self.tell, what, row)
        return gold_scores(model, self.base, self.gold, self.gate, self.precision, told)

    def taught(self, lr: float, seed: int, row: int) -> torch.nn.Module:
        """This arm's model after the SFT, adapters merged. Raises Diverged."""
        model = self.tuner.begin(self.model, seed)
        told = functools.partial(self.tell, "SFT", row)
        self.tuner.train(model, self.sft, lr, seed, told, self.extra)
        self.unmerged(model)
        return self.tuner.merged(model)


@dataclass(frozen=True)
class FinishStage:
    """Stage two of one judged run."""

    context: Any
    base: models.Base
    judging: Judging
    made: dict[str, Any]
    """Artifacts of the stages before."""
    generic: TokenStore

    @property
    def options(self) -> Any:
        return self.context.recipe.finish

    @property
    def seed(self) -> int:
        """The first of the gate's seeds."""
        return int(self.context.recipe.gate.seeds[0])

    @cached_property
    def start(self) -> tuple[str, str]:
        """Which model is trained into the task model, and why."""
        return starting_point(self.made["gate"]["outcome"], self.options.anyway)

    @property
    def folder(self) -> Path:
        return Path(self.context.run.path / FOLDER)

    def run(self, fingerprint: str) -> dict[str, Any]:
        """All four rows, and the task model in the run's ``task/``; returns the artifact."""
        if EXTEND in self.made:
            raise InputError(
                "Stage two does not go on from a run that extended the vocabulary yet: its "
                "held-out rows are the new tokens'; export the CPT model and fine-tune that"
            )
        start, why = self.start
        facts = {"start": why, "mix-back": self._mix_words()}
        self.context.emit(Facts(stage="finish", facts=facts))
        if start == BASE:
            self.context.emit(Alarm(level="note", stage="finish", message=why))
        both = [self._pair(name, fingerprint) for name in (BASE, CPT)]
        before, after = zip(*both, strict=True)
        rows = [*before, *after]
        shipped = next(row for row in after if row["model_sha256"])
        rise = shipped["generic"] - rows[0]["generic"]
        guard = guard_state(rise, effective(self.context.recipe.probe.thresholds))
        if guard != "green":
            message = f"the task model's generic loss is {rise:+.3f} nats over the base's: {guard}"
            self.context.emit(Alarm(level=guard, stage="finish", message=message))
        return {
            "start": start,
            "why": why,
            "anyway": self.options.anyway,
            "seed": self.seed,
            "metric": self.context.recipe.gate.metric,
            "items": len(self.judging.examples[1]),
            "mix_back": self.options.mix_back,
            "achieved_mix": shipped["achieved_mix"],
            "mix_back_why": self.options.why_no_mix_back or MIX_BACK_WHY,
            "rows": rows,
            "gate_gold": {name: self._gate_gold(name) for name in ARMS},
            "generic_rise": rise,
            "guard": guard,
            "model_sha256": shipped["model_sha256"],
        }

    def files(self) -> list[Path]:
        return [*sorted(self.folder.iterdir()), proof.live_file(self.context.run.path, "task")]

    def _mix_words(self) -> str:
        if not self.options.mix_back:
            return f"none: {self.options.why_no_mix_back}"
        return f"{self.options.mix_back:.0%} of the loss tokens are generic: {MIX_BACK_WHY}"

    def _pair(self, name: str, fingerprint: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The rows of one starting model, before and after SFT; finished ones are reused."""
        number = 2 * list(ARMS).index(name)
        before, after = (self._kept(row, fingerprint) for row in (name, f"{name}+SFT"))
        if before and after:
            return before, after
        arm = self._arm(name)
        if before is None:
            before = self._keep(self._before(name, arm, number), fingerprint)
        if after is None:
            after = self._keep(self._after(name, arm, number + 1), fingerprint)
        return before, after

    def _arm(self, name: str) -> TaskArm:
        """The model of a row, ready to be scored and trained."""
        run, (sft, gold) = self.context.run, self.judging.examples
        model = models.load(self.base) if name == BASE else models.load_folder(run.path / "model")
        precision = run_precision(self.context, self.base, model)
        judged = gold if METRICS[self.context.recipe.gate.metric].choices else []
        self_check.prove(self.context, self.base, model, precision, judged)
        return TaskArm(self.context, self.base, f"{name}+SFT", model, precision, sft, gold, "")

    def _before(self, name: str, arm: TaskArm, number: int) -> dict[str, Any]:
        """Gold without SFT; both losses as training measured them on the same rows."""
        end = ARMS[name][1]
        train = self.made["train"]
        gold = arm.score(arm.model, "scoring without SFT", number)
        losses = {side: train[f"{side}_{end}"] for side in ("domain", "generic")}
        return self._row(name, gold, losses, reused=["domain", "generic"])

    def _after(self, name: str, arm: TaskArm, number: int) -> dict[str, Any]:
        """Train, score, measure; the model that ships is saved."""
        ships = name == self.start[0]
        replay = self._replay(arm)
        arm.extra = replay.pieces
        if ships:
            live = proof.live_file(self.context.run.path, "task")
            arm.unmerged = lambda model: proof.keep(model, live)
        model = arm.taught(self._rate(name), self.seed, number)
        gold = None if self.options.mix_back else self._gate_scores(name)
        scored = gold or arm.score(model, "scoring", number)
        losses = {
            side: mean_loss(model, rows, arm.precision, self._micro, self.context.raise_if_stopped)
            for side, rows in self._heldout.items()
        }
        if ships:
            models.save(model, self.base, self.folder)
        return {
            **self._row(f"{name}+SFT", scored, losses, reused=["gold"] if gold else []),
            "achieved_mix": replay.achieved,
            "generic_passes": replay.passes,
            "model_sha256": weights_sha256(self.folder) if ships else "",
        }

    def _row(
        self, name: str, gold: list[float], losses: dict[str, float], reused: list[str]
    ) -> dict[str, Any]:
        points = round(100 * float(np.mean(gold)), 4)
        return {"name": name, "gold": points, **losses, "reused": reused}

    def _replay(self, arm: TaskArm) -> Replay:
        encoder = Encoder(self.base, self.context.recipe.gate.template)
        probe = self.context.recipe.gate.probe
        once = sum(targets(encoder.training(example)) for example in arm.sft)
        steps = len(arm.sft) * probe.epochs / probe.batch
        share, total = self.options.mix_back, once * probe.epochs
        return Replay(self.generic, self.base, share, self.seed, total, max(1.0, steps))

    @cached_property
    def _heldout(self) -> dict[str, Rows]:
        folder = self.context.run.path / "pack"
        return {side: heldout_rows(folder / f"heldout-{side}") for side in ("domain", "generic")}

    @property
    def _micro(self) -> int:
        return memory.reading_rows(self.context.recipe.train, self.made["pack"]["sequence_length"])

    def _rate(self, name: str) -> float:
        """The learning rate that this arm had in the gate."""
        return float(self.made["baseline" if name == BASE else "gate"]["probe"]["lr"])

    def _gate_scores(self, name: str) -> list[float]:
        """The gate's item scores of this arm and seed: the same SFT without generic text."""
        stage = "baseline" if name == BASE else "gate"
        seeds = self.context.recipe.gate.seeds
        scores: list[float] = self.made[stage]["per_item"][seeds.index(self.seed)]
        return scores

    def _gate_gold(self, name: str) -> float:
        return round(100 * float(np.mean(self._gate_scores(name))), 4)

    def _kept(self, name: str, fingerprint: str) -> dict[str, Any] | None:
        """A row that an interrupted stage two had finished; its model must be there as it was."""
        found = self.context.scratch(f"finish-rows/{name}.json")
        if found is None or found["fingerprint"] != fingerprint:
            return None
        row: dict[str, Any] = found["row"]
        saved = row.get("model_sha256")
        whole = not saved or (self.folder.is_dir() and weights_sha256(self.folder) == saved)
        return row if whole else None

    def _keep(self, row: dict[str, Any], fingerprint: str) -> dict[str, Any]:
        """Keep a finished row, and say it."""
        folder = private_dir(self.context.run.path / "artifacts" / "finish-rows")
        write_json(folder / f"{row['name']}.json", {"fingerprint": fingerprint, "row": row})
        told = f"gold {row['gold']:.1f}, domain {row['domain']:.4f}, generic {row['generic']:.4f}"
        self.context.emit(Facts(stage="finish", facts={row["name"]: f"{told} nats/token"}))
        return row
