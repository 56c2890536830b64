"""The gate is registered before training and held to: changed gates are refused, by name."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.files import digest, sha256_file
from engine.gate.recheck import find_difference
from engine.runs.events import Event, TrainStep
from engine.runs.run import Run, create_run
from engine.stages import VERSIONS
from engine.stats.crossed_test import group_means
from engine.stats.power import Terms, measured_mde
from engine.worker.gate.registration import LATER
from tests import tiny
from tests.conftest import Command
from tests.faults.driving import alarms, edit, recipe, walk, walk_until

VERDICTS = (0, 4, 5)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A judged run, its model and its files; tests work on copies."""
    folder = tmp_path_factory.mktemp("judged")
    model, files = tiny.write_model(folder / "m"), tiny.write_corpora(folder / "c")
    text = recipe(model, files, gate=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPT_HOME", str(folder / "home"))
        run = create_run("judged", text)
        assert walk(run).code in VERDICTS
    return {"run": run, "text": text, "files": files, "gate": run.read_artifact("gate")}


@pytest.fixture
def run(world: dict[str, Any], private_home: Path) -> Run:
    """A copy of the judged run."""
    path = private_home / "runs" / "judged-1"
    shutil.copytree(world["run"].path, path)
    return Run(path)


def own_files(world: dict[str, Any], folder: Path) -> tuple[str, dict[str, Path]]:
    """The recipe with gold and SFT files that the test may change."""
    text, files = world["text"], {}
    for name in ("gold", "sft"):
        files[name] = Path(shutil.copy(world["files"][name], folder))
        text = text.replace(str(world["files"][name]), str(files[name]))
    return text, files


def rewrite(gold: Path) -> None:
    """Other prompts in the same number of items."""
    rows = [json.loads(line) for line in gold.read_text().splitlines()]
    tiny.write_jsonl(gold, [{**row, "prompt": "other " + row["prompt"][::-1]} for row in rows])


def test_a_new_margin_is_refused_after_training(
    run: Run, world: dict[str, Any], cpt: Command
) -> None:
    """A verdict, then a gate that asks for less, judged again."""
    edit(run, "plausible_gain = 100", "plausible_gain = 100\nmargin = 0\nalpha = 0.4")
    done = cpt("gate", run.id, "--json")
    assert done.returncode == 1
    message = json.loads(done.stdout)["message"]
    assert "gate.margin and gate.alpha changed" in message
    assert "new run" in message
    edit(run, "margin = 0\nalpha = 0.4", "")
    assert cpt("gate", run.id).returncode in VERDICTS
    assert run.read_artifact("gate") == world["gate"]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("[probe]", "[probe]\nthresholds = { forgetting_amber = 99.0 }", "forgetting_amber"),
        ("lr = 1e-3\nbatch = 8", "lr = 2e-3\nbatch = 8", "gate.probe.lr"),
        ("seeds = [0, 1]", "seeds = [0, 1, 2]", "gate.seeds"),
        ("gold = ", "# gold = ", "the gold set"),
    ],
)
def test_every_term_is_held(run: Run, old: str, new: str, named: str) -> None:
    edit(run, old, new)
    end = walk(run)
    assert end.code == 1
    assert named in end.message


def test_the_report_prints_the_registrations_own_hash(run: Run) -> None:
    registered = run.read_artifact("baseline")["registration"]
    assert registered == sha256_file(run.path / "artifacts" / "registration.json")
    assert f"Registered before training: `{registered}`" in run.report_path.read_text()


@pytest.mark.parametrize("fault", ["cut", "flipped", "lost"])
def test_a_damaged_registration_is_what_it_was_or_nothing(run: Run, fault: str) -> None:
    """The baseline's manifest has its hash: the same terms give the same file, others do not."""
    path = run.path / "artifacts" / "registration.json"
    whole = path.read_bytes()
    damaged = {"cut": whole[:90], "flipped": whole.replace(b'"gate.alpha": 0', b'"gate.alpha": 1')}
    assert damaged["flipped"] != whole
    path.unlink()
    if fault in damaged:
        path.write_bytes(damaged[fault])
    assert walk(run).code in VERDICTS
    assert path.read_bytes() == whole
    path.write_bytes(whole[:90])
    edit(run, "plausible_gain = 100", "plausible_gain = 99")
    end = walk(run)
    assert end.code == 1
    assert "is damaged, and the gate as it is now is not the one that it held" in end.message
    assert path.read_bytes() == whole[:90]


def test_a_run_of_an_older_cpt_gets_no_late_registration(run: Run) -> None:
    (run.path / "artifacts" / "registration.json").unlink()
    (run.path / "artifacts" / "baseline.manifest.json").unlink()
    end = walk(run)
    assert end.code == 1
    assert "before its gate was registered" in end.message


def test_changed_copies_are_brought_back(run: Run, world: dict[str, Any]) -> None:
    rewrite(run.path / "gate" / "gold.jsonl")
    run.request("judge")
    assert walk(run).code in VERDICTS
    assert run.read_artifact("gate") == world["gate"]


def register_as_before(run: Run, **values: Any) -> None:
    """Turn a run's registration into one of the version before rules, with its manifest."""
    path, made = run.path / "artifacts" / "registration.json", run.read_artifact("baseline")
    kept = {k: v for k, v in json.loads(path.read_text()).items() if k not in LATER}
    path.write_text(json.dumps({**kept, **{f"gate.{k}": v for k, v in values.items()}}))
    registered, copies = sha256_file(path), sorted((run.path / "gate").glob("*"))
    made = {**made, "registration": registered}
    fingerprint = digest(["baseline", VERSIONS["baseline"], registered])
    run.write_artifact("baseline", made, fingerprint, [path, *copies])


def test_a_gate_of_the_version_before_is_judged_by_its_own_rules(run: Run) -> None:
    """Its defaults were others too: what the recipe leaves out is what was registered."""
    register_as_before(run, margin=1.5)
    run.request("judge")
    assert walk(run).code in VERDICTS
    judged = run.read_artifact("gate")
    assert (judged["rules"], judged["margin"]) == (1, 1.5)
    assert find_difference(run) == ""
    assert "margin 1.5" in run.report_path.read_text()


def while_training(run: Run, work: Any) -> int:
    """Walk, and do something when training is on its way; returns the exit code."""
    done = []

    def watch(event: Event) -> None:
        if isinstance(event, TrainStep) and event.series == "train" and not done:
            done.append(work())

    return int(walk(run, watch=watch).code)


def test_a_gold_set_rewritten_during_training_judges_nothing(
    world: dict[str, Any], tmp_path: Path
) -> None:
    """Both arms read what was registered; the change is said, and no resume walks past it."""
    text, files = own_files(world, tmp_path)
    run = create_run("rewritten", text)
    assert while_training(run, lambda: rewrite(files["gold"])) in VERDICTS
    assert run.read_artifact("gate") == world["gate"]
    assert any("the gold set changed" in message for message in alarms(run))
    end = walk(run)
    assert end.code == 1
    assert "the gold set changed" in end.message


def test_a_copy_rewritten_during_training_judges_nothing(world: dict[str, Any]) -> None:
    run = create_run("copy", world["text"])
    assert while_training(run, lambda: rewrite(run.path / "gate" / "gold.jsonl")) in VERDICTS
    assert run.read_artifact("gate") == world["gate"]


def test_before_training_a_gate_may_still_change(world: dict[str, Any]) -> None:
    """It is registered again, and that is said; an unchanged one is found as it was."""
    run = create_run("early", world["text"])
    assert walk(run, watch=lambda e: run.request("stop") if _is_baseline(e) else None).code == 6
    before = sha256_file(run.path / "artifacts" / "registration.json")
    edit(run, "plausible_gain = 100", "plausible_gain = 100\nmargin = 3")
    assert walk_until(run, 5).code == 6
    assert any("registered again" in m and "gate.margin" in m for m in alarms(run))
    said = len(alarms(run))
    assert walk(run).code in VERDICTS
    assert not any("registered again" in message for message in alarms(run)[said:])
    registered = run.read_artifact("baseline")["registration"]
    assert registered != before
    assert f"`{registered}`" in run.report_path.read_text()
    assert run.read_artifact("gate")["margin"] == 3


def _is_baseline(event: Event) -> bool:
    return getattr(event, "arm", "") == "base"


def test_the_baselines_mde_counts_sources_not_items(world: dict[str, Any], tmp_path: Path) -> None:
    text, files = own_files(world, tmp_path)
    rows = [json.loads(line) for line in files["gold"].read_text().splitlines()]
    groups = [f"source {number // 4}" for number in range(len(rows))]
    tiny.write_jsonl(
        files["gold"], [{**row, "group": g} for row, g in zip(rows, groups, strict=True)]
    )
    run = create_run("groups", text)
    walk(run, watch=lambda e: run.request("stop") if _is_pack(e) else None)
    made = run.read_artifact("baseline")
    scores = made["per_item"]
    terms = Terms(seeds=2)
    expected = measured_mde(group_means(scores, groups), terms)
    assert made["mde"] == pytest.approx(expected, abs=1e-3)
    assert abs(expected - measured_mde(scores, terms)) > 0.5


def _is_pack(event: Event) -> bool:
    return getattr(event, "stage", "") == "pack"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("plausible_gain = 100", 'plausible_gain = 100\nmetric = "macro_f1"', "gate.metric"),
        ("plausible_gain = 100", "plausible_gain = 100\ntolerance = 0.5", "gate.tolerance"),
        ("plausible_gain = 100", 'plausible_gain = 100\ntemplate = "chat"', "gate.template"),
        ("lr = 1e-3\nbatch = 8", "lrs = [1e-3, 1e-4]\nbatch = 8", "gate.probe.lrs"),
    ],
)
def test_metric_template_and_rates_are_terms_too(run: Run, old: str, new: str, named: str) -> None:
    edit(run, old, new)
    end = walk(run)
    assert end.code == 1
    assert named in end.message


def test_a_table_is_registered_as_it_is_and_judges(world: dict[str, Any], tmp_path: Path) -> None:
    """Gold set as csv with names of its own, SFT as json: copies keep their format."""
    text, files = own_files(world, tmp_path)
    rows = {name: [json.loads(x) for x in f.read_text().splitlines()] for name, f in files.items()}
    table, sft = tmp_path / "gold.v1.csv", tmp_path / "sft.json"
    with table.open("w", newline="") as handle:
        out = csv.writer(handle)
        out.writerow(["question", "answer"])
        out.writerows([one["prompt"], one["completion"]] for one in rows["gold"])
    sft.write_text(json.dumps(rows["sft"]))
    text = text.replace(str(files["gold"]), str(table)).replace(str(files["sft"]), str(sft))
    columns = 'gold_columns = { prompt = "question", completion = "answer" }'
    run = create_run("table", text.replace("seeds =", f"{columns}\nseeds =", 1))
    assert walk(run).code in VERDICTS
    kept = {path.name for path in (run.path / "gate").iterdir()}
    assert kept == {"gold.csv", "sft.json"}
    assert run.read_artifact("gate")["per_item"] == world["gate"]["per_item"]
    assert (
        run.read_artifact("gate")["logprob"]["low"] <= run.read_artifact("gate")["logprob"]["value"]
    )
