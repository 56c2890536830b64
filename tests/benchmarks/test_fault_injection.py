"""Twenty damages of the benchmark, always the same: none is read as if nothing were."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.fault_injection import SILENT, SUBJECTS, inject


@pytest.mark.slow
def test_no_damage_is_wrong_but_silent(tmp_path: Path) -> None:
    found = inject(20, 1, tmp_path)
    assert {trial.subject for trial in found} == set(SUBJECTS)
    assert [trial for trial in found if trial.outcome == SILENT] == []
    assert sum(trial.outcome.startswith("noticed") for trial in found) >= 10
