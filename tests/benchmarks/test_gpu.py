"""The GPU benchmark runs from end to end where there is no GPU, and a failing part costs itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.gpu import __main__ as benchmark
from tests.benchmarks.gpu.parts import PARTS, work_of
from tests.benchmarks.gpu.results import Report, Row, read, table


def test_every_part_has_its_work() -> None:
    assert all(callable(work_of(part)) for part in PARTS.values())


def test_a_part_that_is_cut_off_keeps_what_it_found(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    Report(file, "one").figure("speed", 2.0, "tokens/s", "a | b")
    with file.open("a") as out:
        out.write('{"part": "one", "what"')
    assert read(file) == [Row("one", "speed", 2.0, "tokens/s", None, "a | b")]
    rows = benchmark.run_part("machine", tmp_path, True, 0.01)
    assert next((row.what, row.ok) for row in rows) == ("ends", False)
    assert "cut off" in table(rows)


@pytest.mark.slow
def test_it_runs_from_end_to_end_on_a_cpu(tmp_path: Path) -> None:
    code = benchmark.main(["--out", str(tmp_path), "--small", "--budget", "900"])
    rows = [Row(**row) for row in json.loads((tmp_path / "gpu.json").read_text())]
    assert [row for row in rows if row.ok is False] == []
    assert code == 0
    assert {row.part for row in rows} == set(PARTS)
    checks = [row for row in rows if row.ok]
    assert len(checks) >= 20
    assert any("ours over Trainer" in row.what for row in rows)
    assert (tmp_path / "gpu.md").read_text().count("\n") == len(rows) + 2
