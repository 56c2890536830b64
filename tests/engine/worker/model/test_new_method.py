"""A training method is one entry: a new one touches its entry, its name, and a test like this."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.artifacts.decision import Evidence
from engine.decision.case import Case
from engine.decision.plan_rules import method as method_rule
from engine.errors import InputError
from engine.recipe import method_facts as names
from engine.recipe.adapters import Lora
from engine.recipe.defaults import default_lr, pilot_lr
from engine.recipe.gate import Gate, Sft
from engine.recipe.sections import Recipe, Train
from engine.worker.gate.sft import Tuner
from engine.worker.measure.cost import flops_per_token
from engine.worker.model import base as models
from engine.worker.model import methods
from engine.worker.model.embeddings import are_tied, ends, input_embeddings, token_rows, width
from engine.worker.step.optimizer import make_optimizer
from engine.worker.step.step import Stepper
from tests import tiny
from tests.engine.worker.step.test_step import FP32, load, random_rows

SECTIONS = (Train, Sft, Lora, Gate, Recipe)
ROOT = Path(__file__).parents[4]
FACTS = replace(
    names.FULL,
    name="norms",
    words="norms alone",
    rates=(names.RateBand(float("inf"), 3e-4, "norms move far"),),
    gate_rates=(1e-3, 3e-3),
    why_key="",
    needs_why="",
    shards=False,
)


def norms_alone(model: torch.nn.Module, settings: methods.MethodSettings) -> torch.nn.Module:
    """Only vectors are trained (as in BitFit, Ben Zaken 2022)."""
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.ndim < 2)
    return model


ENTRY = methods.Method(
    FACTS,
    check=lambda: None,
    load=models.load,
    ready=norms_alone,
    merge=lambda model, base: model,
    describe=lambda settings, why: FACTS.words,
)


@pytest.fixture
def norms(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The entry and the name; the recipe's classes are built anew, as at a start they would be."""
    with monkeypatch.context() as patch:
        patch.setitem(names.TRAIN_METHODS, FACTS.name, FACTS)
        patch.setitem(methods.METHODS, FACTS.name, ENTRY)
        rebuild()
        yield
    rebuild()


def rebuild() -> None:
    for section in SECTIONS:
        section.model_rebuild(force=True)


def plan(**train: object) -> Recipe:
    values = {"model": {"id": "m"}, "corpus": {"path": "c"}}
    return Recipe.model_validate({**values, "train": {"method": "norms", **train}})


@pytest.mark.usefixtures("norms")
def test_a_new_method_trains_and_is_saved(tmp_path: Path) -> None:
    folder = tiny.write_model(tmp_path / "m")
    base = models.resolve(plan().model.model_copy(update={"id": str(folder)}))
    recipe = plan(freeze_layers=1)
    methods.check(recipe, base.config)
    before = load(folder).state_dict()
    model = methods.ready(methods.load(base, recipe), recipe, 8, 0)
    Stepper(model, make_optimizer(model, 1e-2), FP32, 1.0, 8).step(random_rows(8), 1e-2)
    plain = methods.method_of(recipe).merge(model, base)
    models.save(plain, base, tmp_path / "saved")
    moved = {
        name
        for name, weight in load(tmp_path / "saved").state_dict().items()
        if not torch.equal(weight, before[name])
    }
    assert moved
    assert all("norm" in name for name in moved)
    assert methods.describe(recipe, 8, "why") == "norms alone, lowest 1 layers frozen"


@pytest.mark.usefixtures("norms")
def test_the_rest_follows_from_its_facts(tiny_model: Path) -> None:
    """Rates, the decision's words, the price, the launch, and the gate's own training."""
    recipe = plan()
    base = models.resolve(recipe.model.model_copy(update={"id": str(tiny_model)}))
    assert default_lr("norms", None, 10) == (3e-4, "norms move far")
    assert pilot_lr("norms", 64) == FACTS.pilot_rate
    assert (
        "norms alone, rate 3e-04 (the norms alone default)"
        in method_rule(Case(Evidence(), recipe)).answer
    )
    assert flops_per_token("norms", 100, base, 1) > 600
    sharded = recipe.model_copy(
        update={"launch": recipe.launch.model_copy(update={"processes": 2, "strategy": "fsdp2"})}
    )
    with pytest.raises(InputError, match=r'\[train\] method = "norms" needs \[launch\]'):
        methods.check(sharded)
    gate = Gate.model_validate({"probe": {"method": "norms"}})
    assert gate.probe.rates == (1e-3,)
    tuner = Tuner(base, gate, FP32)
    mine = tuner.begin(load(tiny_model), 0)
    assert {p.ndim for p in mine.parameters() if p.requires_grad} == {1}
    assert tuner.merged(mine) is mine


def test_a_name_that_is_no_entry_is_refused() -> None:
    """Also after the fixture: the classes know the real names alone."""
    with pytest.raises(ValueError, match="Input should be 'lora' or 'full'"):
        plan()


def test_every_name_has_an_entry() -> None:
    known = {name: f for name, f in names.TRAIN_METHODS.items() if not f.trains_adapters}
    assert {name: m.facts for name, m in methods.METHODS.items()} == known | names.LORA_VARIANTS


def compared(tree: ast.Module, wanted: set[str]) -> list[int]:
    """Lines that compare with one of the names, match one, or look one up in a table of them."""
    asking = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare | ast.MatchValue)
        or (isinstance(node, ast.Subscript) and isinstance(node.value, ast.Dict))
    ]
    return [
        node.lineno
        for node in asking
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and part.value in wanted
    ]


def test_the_search_for_names_finds_them() -> None:
    text = 'a = x == "lora"\nb = x in ("full", "dora")\nc = {"qlora": 1, "o": 2}[x]\nd = f("lora")'
    assert sorted(set(compared(ast.parse(text), set(methods.METHODS)))) == [1, 2, 3]


def test_no_other_module_asks_for_a_method_s_name() -> None:
    own = {"engine/recipe/method_facts.py", "engine/worker/model/methods.py"}
    files = [p for top in ("engine", "cpt_tui") for p in (ROOT / top).rglob("*.py")]
    guilty = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in files
        if str(path.relative_to(ROOT)) not in own
        for line in compared(ast.parse(path.read_text()), set(methods.METHODS))
    ]
    assert guilty == []


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("wrap", ["none", "lora", "dora", "compiled"])
def test_embeddings_are_found_through_wrappers(tmp_path: Path, wrap: str, tied: bool) -> None:
    """The same two layers whatever lies around the model; a row a token, a tied pair once."""
    model = load(tiny.write_model(tmp_path / "m", tied=tied))
    table, head = model.get_input_embeddings(), model.get_output_embeddings()
    wrapped = model
    if wrap == "compiled":
        wrapped = torch.compile(model)
    elif wrap != "none":
        settings = methods.MethodSettings(Lora.model_validate({}), 2, 0)
        wrapped = methods.METHODS[wrap].ready(model, settings)
    assert [id(layer) for layer in ends(wrapped)] == [id(table), id(head)]
    assert input_embeddings(wrapped) is table
    assert are_tied(wrapped) is tied
    assert width(wrapped) == 32
    rows = token_rows(wrapped)
    assert [tuple(p.shape) for p in rows] == [(320, 32)] * (1 if tied else 2)


def test_no_other_module_looks_for_embeddings() -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "engine").rglob("*.py")
        if re.search("get_(in|out)put_embeddings", path.read_text())
    ]
    assert found == ["engine/worker/model/embeddings.py"]
