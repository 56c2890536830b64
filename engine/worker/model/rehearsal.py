"""The end of a run, rehearsed at its start: what is saved beside the weights must be savable.

transformers refuses some generation configs only when it saves them (Llama-2 and Vicuna ship
sampling flags without ``do_sample``), which would be after the last step.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import AutoConfig, AutoTokenizer, GenerationConfig

from engine.errors import InputError
from engine.worker.model.weights import first_line, quiet

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


SAMPLING = {
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 50,
    "min_p": None,
    "top_h": None,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
}
"""Flags that do nothing without ``do_sample``, and the values that count as not set."""
BEAMS = {"early_stopping": False, "length_penalty": 1.0}
"""The same for one beam."""
READ = "Measure, decide, train, prove: 3.14 → Überraschung\n\t日本"
"""Must give the same ids after saving."""


def repair(config: PretrainedConfig) -> list[str]:
    """Unset, in place, the flags of a generation config that do nothing; returns their names."""
    idle = {} if config.do_sample is True else dict(SAMPLING)
    if (config.num_beams or 1) == 1:
        idle |= BEAMS
    names = [
        name
        for name, neutral in idle.items()
        if getattr(config, name, None) is not None and getattr(config, name) != neutral
    ]
    if isinstance(config.pad_token_id, int) and config.pad_token_id < 0:
        names.append("pad_token_id")
    for name in names:
        setattr(config, name, None)
    return names


def generation_config(folder: Path) -> Any:
    """The folder's generation config; None without one. InputError where it cannot be read."""
    path = folder / "generation_config.json"
    if not path.is_file():
        return None
    try:
        return GenerationConfig.from_pretrained(folder)
    except Exception as error:  # whatever a wrong value raises
        raise InputError(
            f"{path}: cannot be read ({first_line(error)}); correct it or remove it"
        ) from error


def rehearse(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Save and read all but the weights, in a scratch folder; returns what had to be repaired.

    ``model`` may be without weights. InputError where the end of a run would fail.
    """
    found = generation_config(folder)
    if found is not None:
        model.generation_config = found
    names = repair(model.generation_config) if model.generation_config is not None else []
    with tempfile.TemporaryDirectory(prefix="cpt-") as scratch, quiet():
        try:
            model.config.save_pretrained(scratch)
            if model.generation_config is not None:
                model.generation_config.save_pretrained(scratch)
            AutoConfig.from_pretrained(scratch, trust_remote_code=False)
        except Exception as error:
            raise InputError(
                f"{folder}: its config.json or generation_config.json could not be saved with the "
                f"trained model ({first_line(error)}); correct that key, or remove it"
            ) from error
        try:
            tokenizer.save_pretrained(scratch)
            again = AutoTokenizer.from_pretrained(scratch, trust_remote_code=False)
            same = again(READ)["input_ids"] == tokenizer(READ)["input_ids"]
        except Exception as error:
            raise InputError(
                f"{folder}: its tokenizer could not be saved with the trained model "
                f"({first_line(error)}); take the tokenizer's files from where the model was "
                "published"
            ) from error
    if not same:
        raise InputError(
            f"{folder}: its tokenizer gives other ids once it is saved and read again; take "
            "tokenizer.json from where the model was published, or use another model"
        )
    return names
