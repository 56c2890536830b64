"""Export: a folder that plain transformers loads, with its card and the proof that it is the model.

The run's saved weights (adapters merged) are copied, loaded again in a fresh process, and
compared with the logits that the live model gave before merging. Only then does the folder
get its name.
"""

from __future__ import annotations

import math
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from engine import __version__
from engine.artifacts.shipping import ExportArtifact, Reloaded, ReloadProof
from engine.errors import Exit, InputError
from engine.files import hand_over, sha256_file, write_atomic, write_json
from engine.gate.recheck import find_difference
from engine.recipe.method_facts import LIVE
from engine.redaction import VARIABLES, forget_tokens, masked
from engine.release import model_card
from engine.release import push as hub_push
from engine.release.policy import SOURCES, check_source, check_target, is_whole, source_files
from engine.report.report import publish_report
from engine.runs.events import Alarm, Facts, RunEnded, RunStarted
from engine.stages import STAGES
from engine.worker.job.context import Context
from engine.worker.job.stage import Stage, StageRunner
from engine.worker.model import base as models
from engine.worker.model import proof
from engine.worker.model.job import need

MANIFEST = "cpt-export.json"
ORDER = "export"


@dataclass(frozen=True)
class Order:
    """What ``cpt export`` asked for."""

    to: Path
    what: str
    push: str = ""
    anyway: str = ""

    @classmethod
    def of(cls, context: Context) -> Order:
        """The pending order of the run. InputError without one."""
        asked = context.run.requested(ORDER)
        if not asked:
            raise InputError(f"Nothing to export; use: cpt export {context.run.id} DIR")
        return cls(Path(asked["to"]), asked["what"], asked["push"], asked["anyway"])


def export_run(context: Context) -> RunEnded:
    """The whole of ``cpt export``; returns the event that ends it (the verdict stays)."""
    resumed = context.run.events_path.stat().st_size > 0
    names = [*STAGES, "export"]
    started = RunStarted(
        run=context.run.id, pid=os.getpid(), stages=names, version=__version__, resumed=resumed
    )
    context.emit(started)
    context.stage = "export"
    stage = ExportStage(context, Order.of(context))
    if stage.order.push:
        hub_push.check(stage.order.push)
    made = stage.run()
    publish_report(context.run, context.recipe, stage.before.having(stage.name, made))
    gate = stage.before.gate
    said = (
        f"Exported to {made.path}: largest logit difference {made.proof.largest:.2g} "
        f"after a reload in a fresh process. GGUF: {made.gguf}"
    )
    said += f" Pushed to {made.pushed}." if made.pushed else ""
    return RunEnded(outcome=gate.outcome if gate else "DONE", code=int(Exit.OK), message=said)


class ExportStage(Stage[ExportArtifact]):
    """One export of one run: checked, copied, proven, described, and only then named."""

    name = "export"

    def __init__(self, context: Context, order: Order) -> None:
        self.context, self.order = context, order
        self.before = context.run.read_artifacts()
        """What the stages before have made."""
        self.source = context.run.path / SOURCES[order.what][1]

    @property
    def weights(self) -> str:
        """sha256 of the model that is shipped."""
        if self.order.what == "cpt":
            return need(self.before.train).model_sha256
        return need(self.before.finish).model_sha256

    def inputs(self) -> list[object]:
        return [self.weights, str(self.order.to), self.order.what, self.order.anyway]

    def is_usable(self, made: ExportArtifact) -> bool:
        return is_whole(made)

    def run(self) -> ExportArtifact:
        """An equal export that is still whole is kept; a push comes after either."""
        check_source(self.context.run, self.order.what, self.order.anyway)
        if difference := find_difference(self.context.run):
            said = f"the verdict is not what its scores give: {difference}"
            self.context.emit(Alarm(level="red", stage=self.name, message=said))
            self.order = replace(self.order, anyway=f"{self.order.anyway} ({said})")
        runner = StageRunner(self.context)
        made = runner.run(self)
        if not self.order.push:
            return made
        made = made.model_copy(update={"pushed": self._push(Path(made.path))})
        self.context.run.write_artifact(self.name, made.to_json(), runner.fingerprints[self.name])
        return made

    def _push(self, folder: Path) -> str:
        """Upload a finished export; the token is the environment's and goes no further."""
        self.context.progress(f"pushing to {self.order.push}", 0, 1, "folders")
        url = hub_push.push(folder, self.order.push)
        forget_tokens()
        self.context.emit(Facts(stage="export", facts={"pushed": url}))
        return url

    def make(self, fingerprint: str) -> ExportArtifact:
        to = self.order.to
        files = source_files(self.context.run, self.order.what)
        check_target(to, self.context.run, self.order.what)
        to.parent.mkdir(parents=True, exist_ok=True)
        temporary = to.with_name(f".{to.name}.exporting")
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir()
            self._copy(files, temporary)
            made = self._describe(temporary, self._prove(temporary))
            if to.is_dir():
                to.rmdir()
            hand_over(temporary)
            temporary.rename(to)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        return made

    def _copy(self, files: list[Path], folder: Path) -> None:
        total = sum(path.stat().st_size for path in files) / 1e6
        done = 0.0
        for path in files:
            self.context.progress("copying", done, total, "MB")
            shutil.copyfile(path, folder / path.name)
            done += path.stat().st_size / 1e6
        self.context.progress("copying", total, total, "MB")

    def _prove(self, folder: Path) -> ReloadProof:
        """Load ``folder`` in a fresh process and compare. InputError where it is another model."""
        live = proof.live_file(self.context.run.path, self.order.what)
        cpt = self.order.what == "cpt"
        against = self.context.recipe.method.proven_against if cpt else LIVE
        if not live.is_file():
            proof.keep(models.load_folder(self.source), live)
            against = "the run's saved weights (this run kept no logits of the live model)"
        self.context.progress("loading it again in a fresh process", 1, 2, "steps")
        reloaded = run_reload(folder, live)
        check_tokenizer(reloaded.probe_ids, self.source)
        found = ReloadProof.model_validate({**dict(reloaded), "against": against})
        check_proof(found)
        self.context.emit(Facts(stage="export", facts=proof_facts(found)))
        return found

    def _describe(self, folder: Path, found: ReloadProof) -> ExportArtifact:
        """Card and manifest into ``folder``; returns the stage's artifact."""
        run, order = self.context.run, self.order
        subject = model_card.Subject(
            run, self.context.recipe, self.before, order.what, order.anyway, found
        )
        text = model_card.write(subject, order.to.name)
        write_atomic(folder / "README.md", masked(text))
        made = ExportArtifact(
            what=order.what,
            run=run.id,
            verdict=self.before.gate.outcome if self.before.gate else "",
            anyway=order.anyway,
            model_sha256=self.weights,
            proof=found,
            card=model_card.CHECKED,
            cpt=__version__,
            sha256={p.name: sha256_file(p) for p in sorted(folder.iterdir())},
            path=str(order.to),
            gguf=gguf_line(order.to),
        )
        shipped = made.model_dump(mode="json", exclude={"path", "bytes", "gguf", "pushed"})
        write_json(folder / MANIFEST, masked(shipped))
        size = sum(p.stat().st_size for p in folder.iterdir())
        return made.model_copy(update={"bytes": size})


def run_reload(folder: Path, live: Path) -> Reloaded:
    """The fresh process's answer. InputError where plain transformers cannot load the folder."""
    command = [sys.executable, "-P", "-m", "engine.worker.release.reload", str(folder), str(live)]
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    environment["HF_HUB_OFFLINE"] = "1"
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise InputError(f"The export cannot be loaded again ({last[:200]}); nothing was exported")
    return Reloaded.model_validate_json(done.stdout.splitlines()[-1])


def check_proof(found: ReloadProof) -> None:
    """InputError where the reloaded model is not the live one."""
    if not (math.isfinite(found.largest) and found.largest <= found.tolerance):
        raise InputError(
            f"The reloaded model differs from the live one by {found.largest:.2g} in its "
            f"logits, more than {found.tolerance:.2g}; nothing was exported"
        )
    if found.odd_keys or found.spare:
        odd = ", ".join(found.odd_keys) or f"{found.spare:+,} numbers, a second head?"
        raise InputError(f"The saved weights are not those of the model ({odd}); nothing exported")


def check_tokenizer(ids: list[int], source: Path) -> None:
    """InputError where the exported tokenizer reads text otherwise than the run's."""
    from transformers import AutoTokenizer

    from engine.worker.release.reload import PROBE

    if AutoTokenizer.from_pretrained(source)(PROBE)["input_ids"] != ids:
        raise InputError("The exported tokenizer gives other ids than the run's; nothing exported")


def proof_facts(found: ReloadProof) -> dict[str, str]:
    return {
        "largest logit difference": f"{found.largest:.3g} (tolerance {found.tolerance:.2g}, "
        f"largest logit {found.largest_logit:.3g}), against {found.against}",
        "head": found.head,
        "dtype": found.dtype,
    }


def gguf_line(folder: Path) -> str:
    """The command that turns the export into GGUF, in a checkout of llama.cpp."""
    out = folder / f"{folder.name}-f16.gguf"
    return shlex.join(
        ["python", "convert_hf_to_gguf.py", str(folder), "--outfile", str(out), "--outtype", "f16"]
    )
