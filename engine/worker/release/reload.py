"""``python -m engine.worker.release.reload DIR LOGITS``: a fresh process loads DIR with plain
transformers and compares its logits with those that were kept; one JSON object on stdout.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.artifacts.shipping import Reloaded
from engine.worker.model import proof
from engine.worker.model.embeddings import are_tied

PROBE = "Measure, decide, train, prove: 3.14 → <unk> Überraschung\n\t日本"


def main() -> None:
    folder, kept = Path(sys.argv[1]), Path(sys.argv[2])
    print(json.dumps(reload(folder, kept).model_dump()))


def reload(folder: Path, kept: Path) -> Reloaded:
    """What a user of the folder gets, against what the live model gave."""
    model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    model = model.to("cuda" if torch.cuda.is_available() else "cpu")
    largest, logit = proof.differences(kept, model)
    return Reloaded(
        largest=largest,
        largest_logit=logit,
        tolerance=proof.TOLERANCE * max(1.0, logit),
        tokens=proof.ROWS * proof.TOKENS,
        dtype=str(model.dtype).removeprefix("torch."),
        head="tied to the embeddings" if are_tied(model) else "of its own",
        parameters=sum(p.numel() for p in model.parameters()),
        odd_keys=sorted(str(key) for keys in info.values() for key in keys)[:5],
        spare=_stored(folder) - _held(model),
        probe_ids=AutoTokenizer.from_pretrained(folder)(PROBE)["input_ids"],
    )


def _stored(folder: Path) -> int:
    """Numbers in the safetensors files: a stale copy of a tied head would be in them."""
    total = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            shapes = (file.get_slice(name).get_shape() for name in file.keys())  # noqa: SIM118
            total += sum(int(torch.Size(shape).numel()) for shape in shapes)
    return total


def _held(model: torch.nn.Module) -> int:
    """Numbers a model saves: parameters and buffers, shared ones once."""
    seen = {value.data_ptr(): value.numel() for value in model.state_dict().values()}
    return sum(seen.values())


if __name__ == "__main__":
    main()
