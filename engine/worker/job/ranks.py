"""The processes of one job: who waits for whom, and how they agree.

All of them are started by ``torchrun`` as ``python -m engine.worker RUN``. Rank 0 is the
worker: it holds the lock, writes the log and walks the stages. The others wait, without a
collective and so without its time-out, until rank 0 has reached training; they train with it
and leave. While they are joined, every rank makes the same calls here in the same order.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psutil

from engine.errors import InputError, Interrupted
from engine.runs.event_log import EventLog
from engine.runs.events import Event

POLL_SECONDS = 0.5
SILENCE = timedelta(hours=6)
"""A collective may wait this long: rank 0 may write a large checkpoint to a slow disk. That a
process died is seen by torchrun and by its closed connections, not by this limit."""
GRACE_SECONDS = 1.0
"""After a broken collective: until the process that broke it is seen to be gone."""


class RankLost(Interrupted):
    """A process of the job is gone; the run goes on from its last checkpoint."""


class Mute(EventLog):
    """The log of ranks that write none."""

    def __init__(self) -> None:
        self.lost = 0

    def append(self, event: Event) -> None:
        return


@dataclass
class Ranks:
    """This process among ``world``; alone unless ``torchrun`` started it with others."""

    rank: int = 0
    world: int = 1
    store: Any = None
    backend: str = ""
    step: int = 0
    """Training steps done; for the sentence if the job breaks."""
    joined: bool = False
    """In training, where every rank makes the same calls."""
    _told: int = 0
    _peers: dict[int, tuple[str, int]] = field(default_factory=dict)
    """(host, pid) by rank."""

    @property
    def first(self) -> bool:
        return self.rank == 0

    @property
    def here(self) -> int:
        """Processes of this job on this machine."""
        return min(self.world, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))

    def begin(self, order: dict[str, str]) -> None:
        """Join all ranks for training. InputError on the rank whose files differ from rank 0's."""
        if self.world == 1:
            return
        import torch
        import torch.distributed as dist

        self._compare(order)
        self._gpu()
        self.store.set(f"peer-{self.rank}", json.dumps([socket.gethostname(), os.getpid()]))
        self._wait_for_peers()
        self.backend = "nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(
            self.backend, store=self.store, rank=self.rank, world_size=self.world, timeout=SILENCE
        )
        self.joined = True

    def _gpu(self) -> None:
        """This rank's own GPU, if there are any."""
        import torch

        if torch.cuda.is_available():
            local = int(os.environ.get("LOCAL_RANK", "0"))
            if local >= torch.cuda.device_count():
                raise InputError(
                    f"There are {torch.cuda.device_count()} GPUs for process {local + 1} of this "
                    "machine; lower [launch] processes"
                )
            torch.cuda.set_device(local)

    def _wait_for_peers(self) -> None:
        """Until all have loaded the model. InputError where one cannot."""
        for rank in range(self.world):
            while not self.store.check([key := f"peer-{rank}"]):
                if self.says("failed"):
                    why = self.store.get("failed").decode()
                    raise InputError(f"Not all processes could begin to train: {why}")
                time.sleep(POLL_SECONDS)
            host, pid = json.loads(self.store.get(key))
            self._peers[rank] = (host, pid)

    def _compare(self, order: dict[str, str]) -> None:
        if self.first:
            self.store.set("train", json.dumps(order))
            return
        theirs = json.loads(self.store.get("train"))
        changed = [name for name, value in order.items() if theirs[name] != value]
        if changed:
            raise InputError(
                f"Rank {self.rank} sees another {' and '.join(changed)} than rank 0; all nodes "
                "must share the run's folder and the model, and have the same version of cpt"
            )

    def wait_for_training(self, stopped: Callable[[], bool]) -> bool:
        """Wait until rank 0 reaches training (true) or the job is over without it."""
        while not stopped():
            if self.store.check(["train"]):
                return True
            if self.store.check(["over"]):
                return False
            time.sleep(POLL_SECONDS)
        return False

    def leave(self) -> None:
        """All ranks are through with training; what follows is rank 0's own."""
        if self.joined:
            import torch.distributed as dist

            self.any(False)  # no rank closes a connection that another still needs
            self.joined = False
            dist.destroy_process_group()

    def over(self) -> None:
        """Let the waiting ranks go."""
        if self.world > 1 and self.first:
            self.store.set("over", "1")

    def any(self, flag: bool) -> bool:
        """Whether it is so on any rank."""
        return self.most(int(flag)) > 0

    def most(self, count: int) -> int:
        """The largest of all ranks' counts."""
        if not self.joined:
            return count
        import torch
        import torch.distributed as dist

        value = torch.tensor(count, device=self._device())
        dist.all_reduce(value, dist.ReduceOp.MAX)
        return int(value)

    def least(self, count: int) -> int:
        """The smallest of all ranks' counts."""
        return -self.most(-count)

    def sum(self, value: Any) -> Any:
        """A tensor summed over all ranks, in place."""
        if self.joined:
            import torch.distributed as dist

            dist.all_reduce(value)
        return value

    def tell(self, value: Any) -> Any:
        """Rank 0's value (JSON) on every rank."""
        if not self.joined:
            return value
        self._told += 1
        key = f"told-{self._told}"
        if self.first:
            self.store.set(key, json.dumps(value))
            return value
        self.store.wait([key], SILENCE)
        return json.loads(self.store.get(key))

    def _device(self) -> str:
        return "cuda" if self.backend == "nccl" else "cpu"

    def failed(self, sentence: str) -> None:
        """Tell the others why this rank leaves."""
        if self.world > 1:
            with contextlib.suppress(RuntimeError):  # the store is gone with its process
                self.store.set("failed", f"rank {self.rank}: {sentence}")

    def lost(self, error: Exception, run: str) -> RankLost | None:
        """What to say if a call to the others failed because one of them is gone."""
        if not self.joined or not isinstance(error, RuntimeError):
            return None
        time.sleep(GRACE_SECONDS)
        gone = [
            f"rank {r} (pid {pid})" for r, (host, pid) in self._peers.items() if is_dead(host, pid)
        ]
        why = f"{' and '.join(gone) or 'a process of another node'} was killed or lost"
        if self.says("failed"):
            why = self.store.get("failed").decode()
        elif not gone and self.world == len(self._here()):
            return None
        return RankLost(
            f"The job lost one of its {self.world} processes after step {self.step}: {why}; go "
            f"on from the last checkpoint, with as many processes as you like: cpt resume {run}"
        )

    def _here(self) -> list[int]:
        return [r for r, (host, _) in self._peers.items() if host == socket.gethostname()]

    def says(self, key: str) -> bool:
        """Whether a key was set; false too where the store died with its process."""
        try:
            return bool(self.store.check([key]))
        except RuntimeError:
            return False


def is_dead(host: str, pid: int) -> bool:
    """Whether a process of this host is gone (one of another host is not known to be)."""
    try:
        return host == socket.gethostname() and (
            psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        )
    except psutil.NoSuchProcess:
        return True


def find_ranks() -> Ranks:
    """This process's place in its job, as ``torchrun`` tells it in the environment."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1 or "RANK" not in os.environ:
        return Ranks()
    from torch.distributed.rendezvous import rendezvous

    store, rank, world = next(iter(rendezvous("env://", timeout=SILENCE)))
    return Ranks(rank, world, store)
