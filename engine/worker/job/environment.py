"""Environment variables of every worker process, set before the libraries that read them."""

from __future__ import annotations

import os

ENVIRONMENT = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_ETAG_TIMEOUT": "3",
    "HF_HUB_DOWNLOAD_TIMEOUT": "10",
    "TOKENIZERS_PARALLELISM": "true",  # nothing here forks
    # On a busy machine spinning threads starve each other: 2 threads on 2 shared cores ran
    # 6 to 15 times faster waiting passively.
    "OMP_WAIT_POLICY": "PASSIVE",
    "TRANSFORMERS_VERBOSITY": "error",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}
"""Set before transformers, tokenizers and torch are imported (they read it at import)."""


def set_environment() -> None:
    """Set each variable of ``ENVIRONMENT`` that the user has not set."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
