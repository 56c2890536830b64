"""What may not leave a run: text of the corpus, access tokens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.recipe.toml import load_recipe
from engine.runs.run import create_run
from engine.stages import CHECK_STAGES
from tests import tiny
from tests.faults.driving import recipe, walk

TOKEN = "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYz0123"


def test_no_text_of_the_corpus_and_no_token_is_written(tiny_model: Path, tmp_path: Path) -> None:
    """A token in every document reaches no file of the run, and the run can be resumed."""
    files = tiny.write_corpora(tmp_path / "c")
    rows = [json.loads(line) for line in files["domain"].read_text().splitlines()]
    texts = [{"text": f"{TOKEN} {row['text']}"} for row in rows]
    files["domain"] = tiny.write_jsonl(tmp_path / "c" / "secret.jsonl", list(texts))
    run = create_run("secret", recipe(tiny_model, files))
    assert walk(run).code == 3
    assert walk(run).code == 3
    written = run.recipe_path.read_text()
    assert "[evidence" in written
    assert [word for word in tiny.DOMAIN_WORDS if word in written] == []
    holders = [p for p in run.path.rglob("*") if p.is_file() and TOKEN.encode() in p.read_bytes()]
    assert holders == []
    probed = run.read_artifact("probe")
    assert probed["fluency"]["surprising_documents"]
    assert load_recipe(run.recipe_path)[0].evidence["probe"]["fluency"]["ratio"]


def test_the_hubs_token_is_dropped_after_the_last_download(
    tiny_model: Path, tiny_files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    run = create_run("token", recipe(tiny_model, tiny_files))
    code = (
        "import os, sys; from engine.worker.__main__ import main; main();"
        "print('HF_TOKEN' in os.environ)"
    )
    arguments = [sys.executable, "-c", code, str(run.path), "--stages", ",".join(CHECK_STAGES)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "False"
