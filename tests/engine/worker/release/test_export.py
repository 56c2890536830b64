"""The proof of an export: merged, saved and loaded again is the live model, or it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.errors import InputError
from engine.recipe import sections as recipes
from engine.recipe.adapters import Lora
from engine.worker.model import base as models
from engine.worker.model import methods, proof
from engine.worker.release.export import check_proof, check_tokenizer, run_reload
from engine.worker.release.reload import reload
from tests import tiny

METHODS = ("full", "lora", "lora and embeddings")


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> models.Base:
    folder = tmp_path_factory.mktemp("model")
    tiny.write_model(folder, tied=request.param)
    return models.resolve(recipes.Model(id=str(folder)))


def trained(base: models.Base, method: str) -> torch.nn.Module:
    """A model as training leaves it: every trained weight away from where it began."""
    model = models.load(base)
    if method != "full":
        model = methods.METHODS["lora"].ready(
            model, methods.MethodSettings(Lora.model_validate({}), 4, 0)
        )
        methods.set_embeddings(model, method != "lora")
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in models.trainable(model):
            parameter += 0.1 * torch.randn_like(parameter)
    return model


def saved(base: models.Base, model: torch.nn.Module, folder: Path) -> tuple[Path, Path]:
    """(exported folder, live logits) as the train stage writes them."""
    live = folder / "artifacts" / "live-cpt.safetensors"
    proof.keep(model, live)
    models.save(methods.merged(model), base, folder / "model")
    return folder / "model", live


@pytest.mark.parametrize("method", METHODS)
def test_a_reload_gives_the_live_models_logits(
    base: models.Base, method: str, tmp_path: Path
) -> None:
    folder, live = saved(base, trained(base, method), tmp_path)
    fresh = method == "lora and embeddings"  # importing torch again takes seconds
    found = run_reload(folder, live) if fresh else reload(folder, live)
    check_proof(found)
    check_tokenizer(found.probe_ids, base.folder)
    assert found.largest <= 1e-6 * max(1.0, found.largest_logit)
    tied = bool(base.config.tie_word_embeddings)
    assert found.head == ("tied to the embeddings" if tied else "of its own")
    names = load_file(folder / "model.safetensors")
    assert ("lm_head.weight" in names) is not tied


def rewritten(folder: Path, change: Any) -> None:
    """The folder's weights, changed in place."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path, {"format": "pt"})


def test_what_is_not_the_live_model_is_refused(base: models.Base, tmp_path: Path) -> None:
    """Adapters left behind; one weight off; a second head on a tied model, none on another."""
    model = trained(base, "lora")
    folder, live = saved(base, model, tmp_path)
    models.save(models.load(base), base, folder)
    with pytest.raises(InputError, match="differs from the live one by"):
        check_proof(reload(folder, live))

    folder, live = saved(base, trained(base, "full"), tmp_path)

    def nudge(weights: dict[str, torch.Tensor]) -> None:
        weights["model.layers.0.mlp.up_proj.weight"][0] += 0.5

    rewritten(folder, nudge)
    with pytest.raises(InputError, match="differs from the live one by"):
        check_proof(reload(folder, live))

    folder, live = saved(base, trained(base, "full"), tmp_path)

    def behead(weights: dict[str, torch.Tensor]) -> None:
        if base.config.tie_word_embeddings:
            weights["lm_head.weight"] = torch.randn(len(base.tokenizer), 32)
        else:
            del weights["lm_head.weight"]

    rewritten(folder, behead)
    with pytest.raises(InputError, match=r"differs|second head|lm_head"):
        check_proof(reload(folder, live))


def test_what_is_not_finite_is_refused(base: models.Base, tmp_path: Path) -> None:
    folder, live = saved(base, trained(base, "full"), tmp_path)
    rewritten(folder, lambda weights: weights["model.norm.weight"].fill_(torch.nan))
    with pytest.raises(InputError, match="differs from the live one by inf"):
        check_proof(reload(folder, live))


def test_a_folder_that_does_not_load_is_one_sentence(base: models.Base, tmp_path: Path) -> None:
    folder, live = saved(base, trained(base, "full"), tmp_path)
    (folder / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(InputError, match="cannot be loaded again"):
        run_reload(folder, live)


def test_another_tokenizer_is_refused(base: models.Base) -> None:
    with pytest.raises(InputError, match="tokenizer"):
        check_tokenizer([1, 2, 3], base.folder)
