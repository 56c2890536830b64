"""What it costs to look at a base before anything is read: CPU seconds on SmolLM2-135M's shape.

python -m tests.benchmarks.model_checks --material DIR

Random weights in bf16 (270 MB), in the page cache. "first" hashes the weights, "again" finds the
hash remembered. The imports of torch and transformers are paid by any worker and are not in it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path


def clocked(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--material", type=Path, required=True)
    material = parser.parse_args().material.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["CPT_HOME"] = f"{temporary}/home"
        import torch
        from transformers import AutoModelForCausalLM

        from engine.model_folder.check import check_model_folder
        from engine.model_folder.headers import stored_tensors
        from engine.worker.model import base as models
        from engine.worker.model import identity, rehearsal, weights
        from tests.benchmarks.predictions import smollm2
        from tests.folders import resolved

        folder = smollm2(material, Path(temporary) / "model")
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
        time.sleep(3)  # a file younger than two seconds is hashed each time
        config, tokenizer = models.load_config(folder), models.load_tokenizer(folder)
        tensors = stored_tensors(folder)
        weights.skeleton(folder, config, tensors)  # transformers imports the architecture
        made = weights.skeleton(folder, config, tensors)
        rows = {
            "files alone (cpt check, interview)": lambda: check_model_folder(folder),
            "names and shapes": lambda: weights.skeleton(folder, config, tensors),
            "rehearsal of saving": lambda: rehearsal.rehearse(folder, made.model, tokenizer),
            "identity, first": lambda: identity.parts_of(folder, tokenizer),
            "identity, again": lambda: identity.parts_of(folder, tokenizer),
            "loading config and tokenizer": lambda: (
                models.load_config(folder),
                models.load_tokenizer(folder),
            ),
            "all of resolve, again": lambda: resolved(folder),
        }
        print("| check | CPU s |\n|---|---|")
        for name, work in rows.items():
            print(f"| {name} | {clocked(work):.3f} |", flush=True)


if __name__ == "__main__":
    main()
