"""The machine under a living worker: processor, memory, disk, and the GPU where there is one."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import psutil

EVERY = 5.0
"""Seconds between two looks."""
GPU = ("nvidia-smi", "--query-gpu=utilization.gpu,memory.used,memory.total")


class Machine:
    """Looks now and then, and keeps its words in between."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._looked = 0.0
        self._gpu = shutil.which(GPU[0]) is not None
        self.words = ""

    def look(self) -> bool:
        """Look again once it is time; True if the words changed. Call it in a thread."""
        if time.monotonic() - self._looked < EVERY:
            return False
        self._looked, before = time.monotonic(), self.words
        memory = psutil.virtual_memory()
        parts = [
            f"cpu {psutil.cpu_percent():.0f}%",
            f"memory {(memory.total - memory.available) / 1e9:.1f} of {memory.total / 1e9:.1f} GB",
            f"disk {shutil.disk_usage(self._folder).free / 1e9:.0f} GB free",
        ]
        self.words = "  ".join([*([self._look_at_gpu()] if self._gpu else []), *parts])
        return self.words != before

    def _look_at_gpu(self) -> str:
        """``gpu 93%, 12.1 of 80.0 GB``, the first one; it is not asked again where it fails."""
        try:
            asked = subprocess.run(
                [*GPU, "--format=csv,noheader,nounits"],
                capture_output=True,
                text=True,
                timeout=EVERY,
                check=True,
            )
            used, held, total = (float(part) for part in asked.stdout.splitlines()[0].split(","))
        except (OSError, subprocess.SubprocessError, ValueError, IndexError):
            self._gpu = False
            return "gpu not known"
        return f"gpu {used:.0f}%, {held / 1024:.1f} of {total / 1024:.1f} GB"
