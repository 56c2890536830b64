"""Checks that need no torch: what would fail later is refused now, in one sentence."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from engine.errors import InputError
from engine.files import check_space, private_dir
from engine.model_folder.check import check_model_folder, weights_bytes
from engine.recipe.gate import Gate
from engine.recipe.sections import Recipe
from engine.runs.run import Run


def check_lm_eval(gate: Gate) -> None:
    """InputError unless lm-eval is installed and the folder of its tasks is there."""
    if importlib.util.find_spec("lm_eval") is None:
        raise InputError(
            f"gate.gold is {gate.gold}, which needs lm-eval: pip install 'cpt-tui[lm-eval]'"
        )
    if gate.lm_eval_path is not None and not Path(gate.lm_eval_path).is_dir():
        raise InputError(f"{gate.lm_eval_path}: no such folder; correct gate.lm_eval_path")


def check_texts(run: Run, recipe: Recipe) -> None:
    """InputError where a judged run's texts are not those that it was judged on.

    Reading the changed text would put other measurements and weights below the verdict. A text
    of elsewhere is left to the scan, since asking for it takes the network.
    """
    from engine.corpus.mixture import open_corpus

    scan = run.read_artifacts("scan").scan if run.judged else None
    if scan is None:
        return
    sides = ("[corpus]", recipe.corpus, "domain"), ("[generic]", recipe.generic, "generic")
    for name, source, side in sides:
        text, read = open_corpus(source), scan.texts.get(side)
        if text.is_remote or read is None or text.fingerprint() == read:
            continue
        raise InputError(
            f"{name} {source.path}: changed since run {run.id} was judged, whose verdict and "
            "report stand; put the text back as it was, or start a new run with it as it is now"
        )


def check_recipe(recipe: Recipe, home: Path, trained: bool = False) -> None:
    """Everything a recipe points at, within a few seconds and without torch.

    Once there are weights (``trained``) a control is its arm's own affair.
    """
    from engine.corpus.mixture import open_corpus
    from engine.gold.load import LM_EVAL, gold_items, load_examples, sft_items

    model = Path(recipe.model.id)
    if model.is_dir():
        check_model_folder(model)
    elif model.is_absolute() or recipe.model.id.startswith((".", "~")):
        raise InputError(f"{recipe.model.id}: no such model folder; check [model] id")
    open_corpus(recipe.corpus).check()
    open_corpus(recipe.generic).check()
    if recipe.arms.control is not None and not trained:
        open_corpus(recipe.arms.control).check()
    gate = recipe.gate
    if gate.gold is not None and gate.gold.startswith(LM_EVAL):
        check_lm_eval(gate)
    elif gate.gold is not None:
        gold_items(Path(gate.gold), gate)
    if gate.sft is not None:
        sft_items(Path(gate.sft), gate)
    if gate.chat_heldout is not None:
        load_examples(Path(gate.chat_heldout), chat=True)
    private_dir(home)
    if not os.access(home, os.W_OK):
        raise InputError(f"{home}: not writable; set CPT_HOME to a folder of yours")
    check_space(home, 6 * weights_bytes(model) if model.is_dir() else 0)
