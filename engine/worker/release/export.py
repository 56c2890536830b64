"""Export: a folder that plain transformers loads, with its card and the proof that it is the model.

The run's saved weights (adapters merged) are copied, loaded again in a fresh process, and
compared with the logits that the live model gave before merging. Only then does the folder
get its name.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import __version__
from engine.errors import Exit, InputError
from engine.files import sha256_file, write_atomic, write_json
from engine.recipe.methods import LIVE
from engine.redaction import VARIABLES, forget_tokens, masked
from engine.release import model_card
from engine.release import push as hub_push
from engine.release.policy import SOURCES, check_source, check_target, source_files, whole
from engine.report.report import write_report
from engine.runs.events import Facts, RunEnded, RunStarted
from engine.stages import STAGES
from engine.worker.job.context import Context
from engine.worker.job.stage import Stages
from engine.worker.model import base as models
from engine.worker.model import proof

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
    export = Export(context, Order.of(context))
    if export.order.push:
        hub_push.check(export.order.push)
    made = export.run()
    write_report(context.run, context.recipe, {**export.made, "export": made})
    gate = export.made.get("gate") or {}
    said = (
        f"Exported to {made['path']}: largest logit difference {made['proof']['largest']:.2g} "
        f"after a reload in a fresh process. GGUF: {made['gguf']}"
    )
    said += f" Pushed to {made['pushed']}." if made.get("pushed") else ""
    return RunEnded(outcome=gate.get("outcome") or "DONE", code=int(Exit.OK), message=said)


@dataclass
class Export:
    """One export of one run."""

    context: Context
    order: Order

    def __post_init__(self) -> None:
        run = self.context.run
        self.made = run.artifacts()
        stage, folder = SOURCES[self.order.what]
        self.stage, self.source = stage, run.path / folder

    def run(self) -> dict[str, Any]:
        """Check, copy, prove, describe, name; an equal export that is still whole is kept."""
        check_source(self.context.run, self.order.what, self.order.anyway)
        artifact = self.made[self.stage]
        inputs = [artifact["model_sha256"], str(self.order.to), self.order.what, self.order.anyway]
        stages = Stages(self.context)
        made = stages.run("export", inputs, lambda _: self._make(), usable=whole)
        if not self.order.push:
            return made
        made = {**made, "pushed": self._push(Path(made["path"]))}
        self.context.run.write_artifact("export", made, stages.prints["export"])
        return made

    def _push(self, folder: Path) -> str:
        """Upload a finished export; the token is the environment's and goes no further."""
        self.context.progress(f"pushing to {self.order.push}", 0, 1, "folders")
        url = hub_push.push(folder, self.order.push)
        forget_tokens()
        self.context.emit(Facts(stage="export", facts={"pushed": url}))
        return url

    def _make(self) -> dict[str, Any]:
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
            temporary.rename(to)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        return made

    def _copy(self, files: list[Path], folder: Path) -> None:
        started, total = time.monotonic(), sum(path.stat().st_size for path in files) / 1e6
        done = 0.0
        for path in files:
            self.context.progress("copying", done, total, "MB", started)
            shutil.copyfile(path, folder / path.name)
            done += path.stat().st_size / 1e6
        self.context.progress("copying", total, total, "MB", started)

    def _prove(self, folder: Path) -> dict[str, Any]:
        """Load ``folder`` in a fresh process and compare. InputError where it is another model."""
        live = proof.live_file(self.context.run.path, self.order.what)
        cpt = self.order.what == "cpt"
        against = self.context.recipe.method.proven_against if cpt else LIVE
        if not live.is_file():
            proof.keep(models.load_folder(self.source), live)
            against = "the run's saved weights (this run kept no logits of the live model)"
        self.context.progress("loading it again in a fresh process", 1, 2, "steps")
        found = {**run_reload(folder, live), "against": against}
        check_tokenizer(found.pop("probe_ids"), self.source)
        check_proof(found)
        self.context.emit(Facts(stage="export", facts=proof_facts(found)))
        return found

    def _describe(self, folder: Path, found: dict[str, Any]) -> dict[str, Any]:
        """Card and manifest into ``folder``; returns the stage's artifact."""
        run, order = self.context.run, self.order
        subject = model_card.Subject(
            run, self.context.recipe, self.made, order.what, order.anyway, found
        )
        text = model_card.write(subject, order.to.name)
        write_atomic(folder / "README.md", masked(text))
        hashes = {p.name: sha256_file(p) for p in sorted(folder.iterdir())}
        made = {
            "what": order.what,
            "run": run.id,
            "verdict": (self.made.get("gate") or {}).get("outcome", ""),
            "anyway": order.anyway,
            "model_sha256": self.made[self.stage]["model_sha256"],
            "proof": found,
            "card": model_card.CHECKED,
            "cpt": __version__,
            "sha256": hashes,
        }
        write_json(folder / MANIFEST, masked(made))
        size = sum(p.stat().st_size for p in folder.iterdir())
        return {**made, "path": str(order.to), "bytes": size, "gguf": gguf_line(order.to)}


def run_reload(folder: Path, live: Path) -> dict[str, Any]:
    """The fresh process's answer. InputError where plain transformers cannot load the folder."""
    command = [sys.executable, "-P", "-m", "engine.worker.release.reload", str(folder), str(live)]
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    environment["HF_HUB_OFFLINE"] = "1"
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise InputError(f"The export cannot be loaded again ({last[:200]}); nothing was exported")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def check_proof(found: dict[str, Any]) -> None:
    """InputError where the reloaded model is not the live one."""
    if not (math.isfinite(found["largest"]) and found["largest"] <= found["tolerance"]):
        raise InputError(
            f"The reloaded model differs from the live one by {found['largest']:.2g} in its "
            f"logits, more than {found['tolerance']:.2g}; nothing was exported"
        )
    if found["odd_keys"] or found["spare"]:
        odd = ", ".join(found["odd_keys"]) or f"{found['spare']:+,} numbers, a second head?"
        raise InputError(f"The saved weights are not those of the model ({odd}); nothing exported")


def check_tokenizer(ids: list[int], source: Path) -> None:
    """InputError where the exported tokenizer reads text otherwise than the run's."""
    from transformers import AutoTokenizer

    from engine.worker.release.reload import PROBE

    if AutoTokenizer.from_pretrained(source)(PROBE)["input_ids"] != ids:
        raise InputError("The exported tokenizer gives other ids than the run's; nothing exported")


def proof_facts(found: dict[str, Any]) -> dict[str, str]:
    return {
        "largest logit difference": f"{found['largest']:.3g} (tolerance {found['tolerance']:.2g}, "
        f"largest logit {found['largest_logit']:.3g}), against {found['against']}",
        "head": found["head"],
        "dtype": found["dtype"],
    }


def gguf_line(folder: Path) -> str:
    """The command that turns the export into GGUF, in a checkout of llama.cpp."""
    out = folder / f"{folder.name}-f16.gguf"
    return shlex.join(
        ["python", "convert_hf_to_gguf.py", str(folder), "--outfile", str(out), "--outtype", "f16"]
    )
