"""``python -m engine.worker RUN [--stages a,b]``: lock the run, run stages, map errors to codes."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from engine.files import keep_private
from engine.redaction import masked
from engine.worker.job.environment import set_environment

if TYPE_CHECKING:
    from engine.runs.run import Run
    from engine.worker.job.ranks import Ranks


def main() -> int:
    """Run the worker; returns the exit code of ``engine.errors.Exit``."""
    parser = argparse.ArgumentParser(prog="engine.worker")
    parser.add_argument("run", type=Path)
    parser.add_argument("--stages", default="")
    arguments = parser.parse_args()
    set_environment()
    keep_private()
    from engine.runs.run import Run
    from engine.stages import STAGES
    from engine.worker.job.supervisor import processes, supervise

    stages = tuple(arguments.stages.split(",")) if arguments.stages else STAGES
    run = Run(arguments.run.resolve())
    if "RANK" in os.environ:
        return as_rank(run, stages)
    count = processes(run, stages)
    return supervise(run, stages, count) if count > 1 else work(run, stages)


def as_rank(run: Run, stages: tuple[str, ...]) -> int:
    """One process of several: rank 0 is the worker, the others train with it."""
    from engine.worker.job.ranks import find_ranks

    ranks = find_ranks()
    if not ranks.first:
        return help_rank_0(run, ranks)
    try:
        return work(run, stages, ranks)
    finally:
        ranks.over()


def help_rank_0(run: Run, ranks: Ranks) -> int:
    """Train with rank 0, which alone speaks; its end is the job's."""
    from engine.errors import CptError, Exit
    from engine.gate.recheck import registered_recipe
    from engine.worker.job.context import Context
    from engine.worker.job.ranks import Mute

    try:
        recipe = registered_recipe(run)
        context = Context(run, recipe, Mute(), ranks=ranks)
        context.install_signals()
        from engine.worker.pipeline.order import serve

        serve(context)
        return int(Exit.OK)
    except Exception as error:
        if ranks.joined and isinstance(error, CptError):
            return int(Exit.OK)  # agreed with rank 0, which says it
        print(f"rank {ranks.rank}:", masked(traceback.format_exc()), file=sys.stderr)
        if ranks.lost(error, run.id) is None:
            ranks.failed(str(error) if isinstance(error, CptError) else describe(error, run))
        return int(Exit.INTERRUPTED)


def work(run: Run, stages: tuple[str, ...], ranks: Ranks | None = None) -> int:
    """Lock the run, run its stages and log how they ended; returns the exit code."""
    from engine.errors import CptError, Interrupted
    from engine.gate.recheck import registered_recipe
    from engine.runs.events import Alarm, Failed, RunEnded
    from engine.runs.history import IndexedLog
    from engine.worker.job.context import Context
    from engine.worker.job.ranks import Ranks

    ranks = ranks or Ranks()
    try:
        recipe = registered_recipe(run)
        with run.lock():
            log = IndexedLog(run.events_path)
            context = Context(run, recipe, log, state="starting", ranks=ranks)
            context.install_signals()
            context.start_heartbeat()
            try:
                from engine.worker.pipeline.order import run_stages  # torch: many seconds

                context.say_state("running")
                outcome = run_stages(context, stages)
                context.emit(outcome)
                return outcome.code
            except Interrupted as error:
                context.emit(RunEnded(outcome="STOPPED", code=int(error.code), message=str(error)))
                return int(error.code)
            except CptError as error:
                context.emit(Failed(stage=context.stage, message=str(error)))
                context.emit(RunEnded(outcome="FAILED", code=int(error.code), message=str(error)))
                return int(error.code)
            except Exception as error:
                if lost := ranks.lost(error, run.id):
                    print(masked(traceback.format_exc()), file=sys.stderr)
                    context.emit(Alarm(level="red", stage=context.stage, message=str(lost)))
                    context.emit(
                        RunEnded(outcome="STOPPED", code=int(lost.code), message=str(lost))
                    )
                    return int(lost.code)
                sentence = describe(error, run)
                context.emit(
                    Failed(stage=context.stage, message=sentence, traceback=traceback.format_exc())
                )
                context.emit(RunEnded(outcome="FAILED", code=1, message=sentence))
                print(masked(traceback.format_exc()), file=sys.stderr)
                return 1
            finally:
                context.end()
    except CptError as error:
        print(masked(str(error)), file=sys.stderr)
        return int(error.code)


def describe(error: Exception, run: Run) -> str:
    """One sentence for an error nobody foresaw, with the way out."""
    import errno

    from engine.errors import describe_os_error

    name = run.id
    full = isinstance(error, OSError) and error.errno == errno.ENOSPC
    if full or os.strerror(errno.ENOSPC) in str(error):  # safetensors has an error of its own
        return f"No space left on the disk of {run.path}; free some, then: cpt resume {name}"
    if where := describe_os_error(error):
        return f"{where}; mend that, then: cpt resume {name} (the full traceback is in worker.log)"
    text = " ".join(str(error).split())[:300] or type(error).__name__
    return (
        f"{type(error).__name__}: {text} (nobody foresaw this; the full traceback is in "
        f"worker.log, and cpt resume {name} tries again)"
    )


if __name__ == "__main__":
    sys.exit(main())
