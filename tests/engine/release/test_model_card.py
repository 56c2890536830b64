"""The model card: only what is known, inert, and read back by the hub library's own classes."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from engine.artifacts.shipping import ReloadProof
from engine.errors import InputError
from engine.files import write_atomic
from engine.recipe.toml import parse_toml, provenance, validate
from engine.release import model_card
from tests.engine.report.test_html import EVIL, judged, with_purpose
from tests.engine.report.test_report import records
from tests.hubuploads import take_uploads

PROOF = ReloadProof(
    largest=3.2e-7,
    largest_logit=11.5,
    tolerance=1.15e-3,
    tokens=128,
    dtype="float32",
    head="tied to the embeddings",
    parameters=134_515_008,
    against="the live model before merging and saving",
)
ROW = {"gold": 71.25, "domain": 2.9, "generic": 2.88, "reused": []}
FINISH: dict[str, Any] = {
    **{"start": "CPT", "why": "The gate says EARNED.", "seed": 0, "metric": "choice"},
    **{"achieved_mix": 0.1, "mix_back": 0.1, "guard": "red", "generic_rise": 0.102},
    "rows": [{"name": name, **ROW} for name in ("base", "CPT", "base+SFT", "CPT+SFT")],
}


def subject(
    folder: Path,
    what: str = "cpt",
    recipe: str = "",
    languages: dict[str, float] | None = None,
    **gate: Any,
) -> model_card.Subject:
    run, made, text = judged(folder, **gate)
    if languages is not None:
        rows = [{"name": name, "share": share} for name, share in languages.items()]
        made["scan"]["scan"]["domain"]["quality"]["languages"] = rows
    made["finish"] = FINISH
    text = recipe or text
    write_atomic(run.recipe_path, text + '\n[provenance]\ncpt = "0.1.0"\ncorpus_sha256 = "c0de"\n')
    known = validate(parse_toml(text, "r.toml"), text, "r.toml")
    return model_card.Subject(run, known, records(made), what, "", PROOF)


def with_model(text: str, name: str) -> str:
    values = parse_toml(text, "r.toml")
    return text.replace(f'id = "{values["model"]["id"]}"', f'id = "{name}"')


def test_the_card_holds_the_evidence_and_its_limits(tmp_path: Path) -> None:
    text = model_card.write(subject(tmp_path, tries=2, p_adjusted=0.004), "medical-135m")
    for part in (
        *("# medical-135m", "**EARNED.**", "CPT minus base +4.3 points, 95% interval +1.9 to +6.8"),
        *("tries counted against this gold set: 2", "| 0 | 61.2 | 65.5 | +4.2 |", "## Limits"),
        *("at most 3.2e-07", "convert_hf_to_gguf.py FOLDER", "`c0de`", "abab"),
        "The gate could detect 3.6 points and more.",
    ):
        assert part in text, part
    data = ModelCard(text).data.to_dict()
    assert data["library_name"] == "transformers"
    assert "continued-pretraining" in data["tags"]
    assert "model-index" not in data


def test_a_hub_base_is_named_and_a_local_one_is_not(tmp_path: Path) -> None:
    hub = with_model(subject(tmp_path / "a").run.recipe_path.read_text(), "owner/base")
    hub = hub.split("\n[provenance]")[0]
    data = ModelCard(model_card.write(subject(tmp_path / "b", recipe=hub), "m")).data
    assert data.base_model == "owner/base"
    local = with_model(hub, str(tmp_path / "secret-place" / "base"))
    text = model_card.write(subject(tmp_path / "c", recipe=local), "m")
    assert ModelCard(text).data.base_model is None
    assert "secret-place" not in text
    assert "named by no hub id" in text


def test_a_task_model_carries_its_result(tmp_path: Path) -> None:
    data = ModelCard(model_card.write(subject(tmp_path, "task"), "m")).data
    (result,) = data.eval_results or []
    assert (result.metric_type, result.metric_value) == ("accuracy", 71.25)
    assert data.model_name == "m"
    text = model_card.write(subject(tmp_path / "b", "task"), "m")
    assert "Generic loss: +0.102 nats over the base's (red)" in text


def test_the_bases_licence_is_taken_from_its_own_card(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    text = with_model(subject(tmp_path / "a").run.recipe_path.read_text(), str(base))
    text = text.split("\n[provenance]")[0]
    assert (
        ModelCard(model_card.write(subject(tmp_path / "b", recipe=text), "m")).data.license is None
    )
    (base / "README.md").write_text("---\nlicense: apache-2.0\n---\n# base\n")
    named = ModelCard(model_card.write(subject(tmp_path / "c", recipe=text), "m")).data.license
    assert named == "apache-2.0"
    (base / "README.md").write_text("---\nlicense: [\n---\n")
    assert (
        ModelCard(model_card.write(subject(tmp_path / "d", recipe=text), "m")).data.license is None
    )


def test_languages_of_the_corpus_are_codes(tmp_path: Path) -> None:
    shares = {"German": 0.8, "English": 0.15, "French": 0.04, "unknown": 0.01}
    told = subject(tmp_path, languages=shares)
    assert ModelCard(model_card.write(told, "m")).data.language == ["de", "en"]


def test_hostile_text_does_not_reach_the_front_matter(tmp_path: Path) -> None:
    evil = with_purpose(f"---\nlicense: mit\n--- {EVIL}")
    written = model_card.write(subject(tmp_path / "b", recipe=evil, sentence=EVIL), "m")
    assert ModelCard(written).data.license is None
    assert "<script>" not in written.replace("\\<script\\>", "")
    assert written.count("\n---\n") == 1


def test_front_matter_that_does_not_read_back_is_refused() -> None:
    with pytest.raises(InputError, match="tags"):
        model_card.check("---\ntags:\n- a\n---\n# x\n", {"tags": ["b"]})
    with pytest.raises(InputError, match="front matter"):
        model_card.check("---\nmodel-index: 3\n---\n# x\n", {})


def test_the_librarys_own_validation_accepts_it(tmp_path: Path) -> None:
    """``ModelCard.validate`` asks a hub; here it is a small one of our own (see hubuploads)."""
    path = tmp_path / "README.md"
    path.write_text(model_card.write(subject(tmp_path / "a", "task"), "m"))
    code = f"from huggingface_hub import ModelCard; ModelCard.load({str(path)!r}).validate()"
    with take_uploads() as hub:
        env = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert hub.cards == [path.read_text()]
        path.write_text("---\nbase_model: not a name\n---\n# x\n")
        bad = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
        assert "ValueError" in bad.stderr


def test_a_run_without_a_verdict_says_so(tmp_path: Path) -> None:
    told = subject(tmp_path)
    told = dataclasses.replace(told, made=told.made.model_copy(update={"gate": None}))
    assert "**Not judged.**" in model_card.write(told, "m")
    assert provenance(tmp_path / "nowhere") == {}
    assert json.dumps(provenance(told.run.recipe_path))
