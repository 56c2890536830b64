"""The train stage: the run's packs and models into the training loop."""

from __future__ import annotations

from pathlib import Path

from engine.artifacts.training import TrainArtifact
from engine.errors import InputError
from engine.files import digest
from engine.worker.job.stage import Stage
from engine.worker.job.threads import share_threads
from engine.worker.model.job import Job, need
from engine.worker.model.precision import run_precision
from engine.worker.packing.batches import heldout_rows, open_mix
from engine.worker.packing.stage import pack_folder
from engine.worker.tokens.checks import open_stores
from engine.worker.train.loop import Training
from engine.worker.vocabulary.stage import Extended, open_extension


class TrainStage(Stage[TrainArtifact]):
    """Trains on what the stages before have packed; all ranks take part."""

    name = "train"

    def __init__(self, job: Job) -> None:
        self.job = job
        self.identity = training_identity(job)

    def inputs(self) -> list[object]:
        return [self.identity]

    def make(self, fingerprint: str = "") -> TrainArtifact:
        job, packed = self.job, need(self.job.made.pack)
        before = job.run.fingerprint(self.name)
        if fingerprint and before not in ("", fingerprint) and job.run.judged:
            raise InputError(
                f"What run {job.run.id} was trained with (recipe, packing or base) changed since "
                "its verdict, and another training would take the judged model's place; its "
                "verdict and report stand: put the change back, or start a new run"
            )
        share_threads(job.recipe, job.context.ranks.here)
        folder = pack_folder(job.run)
        pool = open_mix(folder, job.recipe, packed.sha256, packed.generic_rows)
        heldout = heldout_rows(folder / "heldout-domain"), heldout_rows(folder / "heldout-generic")
        tokens = need(job.made.scan).domain.effective_tokens
        try:
            return Training(
                job.context, job.trained, pool, heldout, tokens, self.identity, self._extended()
            ).run()
        finally:
            share_threads(job.recipe)

    def files(self, made: TrainArtifact) -> list[Path]:
        return sorted((self.job.run.path / "model").iterdir())

    def _extended(self) -> Extended | None:
        """The new tokens as training uses them; None without any."""
        job, made = self.job, self.job.made.extend
        if made is None:
            return None
        stores = open_stores(need(job.made.scan).stores)
        return open_extension(job.context, job.base, job.trained, stores, made)


def training_identity(job: Job) -> dict[str, str]:
    """What a training run is made of: a checkpoint of another one is not gone on with."""
    recipe, packed = job.recipe, need(job.made.pack)
    return {
        "corpus or packing": digest(packed.sha256),
        "mix": digest([packed.generic_rows, packed.sequence_length]),
        **job.trained.named_parts,
        "recipe": digest(
            [
                recipe.train.made_of(),
                recipe.lora.model_dump(),
                recipe.model.dtype,
                *([recipe.vocab.model_dump()] if recipe.vocab.extend else []),
            ]
        ),
        "precision": run_precision(job.context, job.base).name,
    }
