"""What is really on: the chosen dtype, compiled decoders, Liger."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from engine.recipe.toml import load_recipe
from engine.runs.run import create_run
from engine.worker.model.precision import choose_fastest
from tests.faults.driving import alarms, header, recipe, steps, walk, walk_until, weights

Files = dict[str, Path]


@pytest.mark.parametrize(
    ("times", "name"),
    [
        ({"fp32": 1.0, "bf16": 20.0}, "fp32"),
        ({"fp32": 1.0, "bf16": 0.7}, "fp32"),
        ({"fp32": 1.0, "bf16": 0.5}, "bf16"),
        ({"fp32": 1.0, "bf16": 0.3, "fp16": 0.25}, "bf16"),  # no loss scale for so little
        ({"fp32": 1.0, "bf16": 2.0, "fp16": 0.3}, "fp16"),  # a card without bf16 units
        ({"fp32": 1.0, "bf16": 2.0, "fp16": 0.9}, "fp32"),
        ({"fp32": math.inf, "bf16": 2.0, "fp16": 1.9}, "bf16"),
        ({"fp32": math.inf, "bf16": math.inf}, "bf16"),
    ],
)
def test_the_dtype_is_the_fast_one_and_says_why(times: dict[str, float], name: str) -> None:
    chosen = choose_fastest(times)
    assert chosen.name == name
    assert "measured" in chosen.why or "memory" in chosen.why
    if "fp16" in times and math.isfinite(times["fp32"]):
        assert "fp16" in chosen.why or name == "fp16"


def test_liger_on_a_cpu_is_refused_in_a_sentence(tiny_model: Path, tiny_files: Files) -> None:
    run = create_run("liger", recipe(tiny_model, tiny_files, "liger = true\n"))
    last = walk(run)
    assert (last.code, steps(run)) == (1, [])
    assert last.message == "[train] liger needs a GPU; take it out on this machine"


def test_the_header_says_what_is_off(tiny_model: Path, tiny_files: Files) -> None:
    run = create_run("plain", recipe(tiny_model, tiny_files, "max_tokens = 1024\n"))
    walk(run)
    said = header(run)
    assert (said["compile"], said["liger"]) == ("off", "off")
    assert said["attention"].startswith("sdpa, document by document where faster")
    assert said["dtype"].startswith("fp32")


def test_compile_and_fsdp2_do_not_mix(tiny_model: Path, tiny_files: Files) -> None:
    from engine.errors import InputError
    from engine.worker.train.kernels import check

    text = recipe(tiny_model, tiny_files, "compile = true\n")
    launched = "[launch]\nprocesses = 2\nstrategy = 'fsdp2'"
    run = create_run("both", text.replace("[launch]", launched))
    with pytest.raises(InputError, match="ddp"):
        check(load_recipe(run.recipe_path)[0])


@pytest.mark.slow
def test_a_compiled_run_is_resumed_bit_for_bit(tiny_model: Path, tiny_files: Files) -> None:
    """Really compiled, at the uncompiled losses; names of checkpoints and model are the same."""
    from safetensors.torch import load_file
    from torch._dynamo.utils import counters

    extra = "max_tokens = 6000\nmicro_batch = 3\n"  # 8 rows: micro-batches of 3, 3 and 2
    plain = create_run("plain", recipe(tiny_model, tiny_files, extra))
    walk(plain)
    counters.clear()
    whole = create_run("whole", recipe(tiny_model, tiny_files, extra + "compile = true\n"))
    assert walk(whole).code == 3
    assert header(whole)["compile"] == "inductor"
    assert header(whole)["attention"].startswith("sdpa, documents masked")
    assert counters["stats"]["unique_graphs"] > 0
    assert counters["inductor"]
    import torch

    torch._dynamo.reset()
    run = create_run("resumed", recipe(tiny_model, tiny_files, extra + "compile = true\n"))
    assert walk_until(run, 5).code == 6
    torch._dynamo.reset()
    assert walk(run).code == 3
    assert weights(run) == weights(whole)
    worst = max(
        abs((a.loss or 9) - (b.loss or 0)) for a, b in zip(steps(plain), steps(whole), strict=True)
    )
    print(f"compiled against plain, {len(steps(whole))} steps: {worst:.2e} nats")
    assert 0 <= worst < 1e-4
    files = [one.path / "model" / "model.safetensors" for one in (plain, whole)]
    assert load_file(files[0]).keys() == load_file(files[1]).keys()
    assert not any("spike" in a for a in alarms(run))
