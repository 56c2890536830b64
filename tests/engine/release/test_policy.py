"""What may be shipped: a whole model with a verdict that can be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.artifacts.shipping import ExportArtifact, ReloadProof
from engine.errors import InputError
from engine.files import private_dir, sha256_file
from engine.release.policy import NotEarned, check_source, is_whole
from engine.runs.run import Run
from tests.cpt_tui import worlds
from tests.gate_world import judged_run


def trained(root: Path, gate: dict[str, Any] | None = None, **train: Any) -> Run:
    """A run with a saved model, and a verdict if one is given."""
    run = worlds.World(root).run
    weights = private_dir(run.path / "model") / "weights.bin"
    weights.write_bytes(b"w")
    run.write_artifact("train", {"steps": 4, "model_sha256": "00", **train}, "f", [weights])
    if gate is not None:
        run.write_artifact("gate", gate, "f")
    return run


def test_a_model_that_earned_it_is_shipped_and_no_other(tmp_path: Path) -> None:
    check_source(judged_run(tmp_path / "a"), "cpt", "")
    with pytest.raises(NotEarned, match="says TIE"):
        check_source(trained(tmp_path / "b", {**worlds.GATE, "outcome": "TIE"}), "cpt", "")
    with pytest.raises(NotEarned, match="No gate has judged"):
        check_source(trained(tmp_path / "c"), "cpt", "")
    check_source(trained(tmp_path / "d"), "cpt", "for a colleague")


def test_a_model_that_is_not_there_or_was_changed_is_refused(tmp_path: Path) -> None:
    run = trained(tmp_path, worlds.GATE)
    with pytest.raises(InputError, match=r"no task model .*not trained yet.* cpt finish"):
        check_source(run, "task", "")
    (run.path / "model" / "weights.bin").write_bytes(b"x")
    with pytest.raises(InputError, match=r"model/weights.bin changed .* cpt resume"):
        check_source(run, "cpt", "")


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the stage train left cannot be read: steps"):
        check_source(trained(tmp_path / "a", worlds.GATE, steps="many"), "cpt", "")
    with pytest.raises(InputError, match=r"verdict .* cannot be read \(seeds.* cpt gate"):
        check_source(trained(tmp_path / "b", {**worlds.GATE, "seeds": "x"}), "cpt", "why not")
    run = judged_run(tmp_path / "c")
    path = run.artifact_path("gate")
    path.write_text(path.read_text().replace("EARNED", "HURT"))
    with pytest.raises(InputError, match=r"gate.json changed since it was written.* cpt gate"):
        check_source(run, "cpt", "")


def test_an_export_is_whole_until_a_file_of_it_changes(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text("card")
    made = ExportArtifact(
        what="cpt",
        proof=ReloadProof(largest=0.0, tolerance=1.0),
        sha256={card.name: sha256_file(card)},
        path=str(tmp_path),
    )
    assert is_whole(made)
    card.write_text("another")
    assert not is_whole(made)
    card.unlink()
    assert not is_whole(made)
