"""Baseline and gate: both arms on the registered files, before training and after it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.errors import InputError
from engine.events import Alarm, Facts
from engine.gate import group_means, judge, measured_mde, with_clean_part
from engine.gold import Example, load_examples, pick
from engine.run import sha256_file
from engine.thresholds import effective
from engine.worker import model as models
from engine.worker import registration, selfcheck
from engine.worker.context import Context
from engine.worker.probe import Arm


@dataclass(frozen=True)
class Judging:
    """The two arms of one run's registered gate."""

    context: Context
    base: models.Base
    terms: registration.Terms
    registered: str
    """sha256 of the registration."""

    def files(self) -> list[Path]:
        """What was registered, for the baseline's manifest."""
        run = self.context.run
        copies = [registration.copy_of(run, name) for name in registration.FILES]
        return [registration.registration_file(run), *copies]

    @cached_property
    def examples(self) -> tuple[list[Example], list[Example]]:
        """SFT data and gold set out of the registered copies."""
        gate, copies = self.context.recipe.gate, {}
        for name, said in registration.FILES.items():
            copies[name] = registration.copy_of(self.context.run, name)
            if sha256_file(copies[name]) != self.terms[said]:
                raise InputError(
                    f"{copies[name]} is not what was registered; restore it with: "
                    f"cpt resume {self.context.run.id}"
                )
        sft = load_examples(copies["sft"])
        gold = load_examples(copies["gold"], need_choices=gate.metric == "choice")
        return pick(sft, gate.probe.max_examples), pick(gold, gate.max_items)

    @property
    def groups(self) -> list[str] | None:
        """The source of each gold item; None where the file names none."""
        gold = self.examples[1]
        named = [example.group or f"item {number}" for number, example in enumerate(gold)]
        return named if any(example.group for example in gold) else None

    def arm(
        self, name: str, base: models.Base, model: torch.nn.Module, fingerprint: str
    ) -> np.ndarray[Any, Any]:
        """Scores [S, n] of one arm, which reads with the tokenizer of ``base``."""
        sft, gold = self.examples
        precision = self.context.precision(base, model)
        metric = self.context.recipe.gate.metric
        judged = gold if metric == "choice" else []
        paths = selfcheck.prove(self.context, base, model, precision, judged)
        facts = {**paths.training(model), **paths.scoring(metric)}
        self.context.emit(Facts(stage=self.context.stage, facts=facts))
        arm = Arm(self.context, base, name, model, precision, sft, gold, fingerprint)
        return arm.scores()

    def baseline(self, fingerprint: str) -> dict[str, Any]:
        """The base's arm, and what its own variance lets this gate detect.

        Items of one source count as one, as they do in the gate's test.
        """
        scores = self.arm("base", self.base, models.load(self.base), fingerprint)
        mde = measured_mde(group_means(scores, self.groups), self.context.recipe.gate.alpha)
        return {
            "scores": (100 * scores.mean(axis=1)).round(4).tolist(),
            "items": scores.shape[1],
            "mde": round(mde, 3),
            "per_item": scores.tolist(),
            "registration": self.registered,
        }

    def gate(self, fingerprint: str, made: dict[str, Any], trained: models.Base) -> dict[str, Any]:
        """The CPT arm and the verdict; ``made`` has the artifacts of the stages before.

        ``trained`` is the base that was trained: the base itself, or with new tokens.
        """
        self._say_changed_files()
        if trained is not self.base:
            said = (
                "the CPT arm with the new tokens, the base arm with its own; same items and seeds"
            )
            self.context.emit(Facts(stage="gate", facts={"tokens": said}))
        recipe = self.context.recipe
        model = models.load_folder(self.context.run.path / "model")
        arms = np.array(made["baseline"]["per_item"]), self.arm("cpt", trained, model, fingerprint)
        limits = effective(recipe.probe.thresholds)
        rise = made["train"]["generic_rise"]
        verdict = judge(*arms, recipe.gate, rise, limits, self.groups)
        contaminated = contaminated_items(made)
        verdict = with_clean_part(verdict, arms, recipe.gate, limits, self.groups, contaminated)
        return {**verdict.model_dump(), "per_item": arms[1].tolist()}

    def _say_changed_files(self) -> None:
        now = registration.hashes(self.context.recipe.gate)
        for name, said in registration.FILES.items():
            if now[name] != self.terms[said]:
                message = f"{said} changed since it was registered: the registered copy judges"
                self.context.emit(Alarm(level="amber", stage="gate", message=message))


def contaminated_items(made: dict[str, Any]) -> list[int]:
    """Numbers of the gold items that also stand in the corpus."""
    found: list[int] = (made["scan"]["gate"] or {}).get("contaminated_items", [])
    return found
