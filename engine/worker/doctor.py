"""``python -m engine.worker.doctor``: what this machine is and which dtype is fast on it."""

from __future__ import annotations

import json
import os
import platform
import socket
from importlib.metadata import version
from urllib.parse import urlparse

import psutil

from engine.worker.job.environment import set_environment


def main() -> None:
    """Print one line of JSON: hardware, versions, timings, hub."""
    set_environment()
    import torch

    facts: dict[str, object] = {
        "python": platform.python_version(),
        "cpu": f"{psutil.cpu_count(logical=False)} cores, {torch.get_num_threads()} threads used",
        "memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB",
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none",
        **{name: version(name) for name in ("torch", "transformers", "peft", "textual")},
        **{f"dtype {k}": v for k, v in dtype_timings().items()},
        "hub": hub_state(),
    }
    print(json.dumps(facts))


def dtype_timings() -> dict[str, str]:
    """Milliseconds of a forward-backward of a small Llama by dtype, and the one chosen here."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from engine.worker.model.precision import choose_fastest, measure_timings

    config = LlamaConfig(
        vocab_size=1024,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).to("cuda" if torch.cuda.is_available() else "cpu")
    shape = (8, 512) if torch.cuda.is_available() else (1, 128)
    times = measure_timings(model, shape)
    chosen = choose_fastest(times)
    return {
        **{n: f"{1000 * t:.1f} ms" for n, t in times.items()},
        "chosen": f"{chosen.name}: {chosen.why}",
    }


def hub_state() -> str:
    """``offline`` by setting, reachable, or not."""
    if os.environ.get("HF_HUB_OFFLINE") in ("1", "true", "yes"):
        return "offline by HF_HUB_OFFLINE"
    host = urlparse(os.environ.get("HF_ENDPOINT", "https://huggingface.co")).hostname or ""
    try:
        socket.create_connection((host, 443), timeout=2).close()
    except OSError:
        return "not reachable: local models and texts only"
    return "reachable"


if __name__ == "__main__":
    main()
