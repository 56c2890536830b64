"""Generic text in SFT: the asked share of the loss tokens, whatever the task's lengths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import InputError
from engine.recipe import sections as recipes
from engine.runs.run import Run, create_run
from engine.stages import STAGES
from engine.worker.model import base as models
from engine.worker.release.replay import LONGEST, Replay, targets
from engine.worker.scoring.examples import PAIR, Pairs, pack_examples
from engine.worker.step.rows import IGNORE
from engine.worker.tokens.store import TokenStore
from tests import tiny
from tests.faults import driving


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    """The generic store of a scanned run."""
    folder = tmp_path_factory.mktemp("store")
    model, files = tiny.write_model(folder / "m"), tiny.write_corpora(folder / "c")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPT_HOME", str(folder / "home"))
        run: Run = create_run("scan", driving.recipe(model, files))
        driving.walk(run, STAGES[:3])
        made = run.read_artifact("scan")
    assert made is not None
    return TokenStore(Path(made["stores"]["generic"]))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> models.Base:
    folder = tiny.write_model(tmp_path_factory.mktemp("base"))
    return models.resolve(recipes.Model(id=str(folder)))


def example(prompt: int, completion: int) -> Pairs:
    pairs = np.zeros(prompt + completion, dtype=PAIR)
    pairs["label"] = [IGNORE] * prompt + [5] * completion
    return pairs


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    share=st.floats(0.01, 0.5),
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=12),
    steps=st.integers(1, 40),
    seed=st.integers(0, 3),
)
def test_the_share_is_exact_to_a_piece(
    store: TokenStore, base: models.Base, share: float, lengths: list[int], steps: int, seed: int
) -> None:
    step = [example(4, n) for n in lengths]
    total = steps * sum(lengths)
    replay = Replay(store, base, share, seed, total, steps)
    given_ = [replay.pieces(step) for _ in range(steps)]
    longest = max((len(p) for pieces in given_ for p in pieces), default=2)
    assert longest <= min(LONGEST, base.context)
    due = share / (1 - share) * total
    assert abs(replay.generic - due) <= longest
    assert replay.generic == sum(targets(p) for pieces in given_ for p in pieces)
    for pieces in given_:
        rows = pack_examples([*step, *pieces], 256, base.eos)
        assert rows.targets == sum(lengths) + sum(targets(p) for p in pieces)


def test_none_is_none(store: TokenStore, base: models.Base) -> None:
    replay = Replay(store, base, 0.0, 0, 100, 10)
    assert replay.pieces([example(4, 50)]) == []
    assert replay.achieved == 0


def test_equal_seeds_give_equal_pieces(store: TokenStore, base: models.Base) -> None:
    def first(seed: int) -> list[int]:
        ids: list[int] = Replay(store, base, 0.3, seed, 500, 2).pieces([example(4, 250)])[0]["id"]
        return list(ids)

    assert first(1) == first(1)
    assert first(1) != first(2)


def test_text_too_short_to_mix_back_is_said(store: TokenStore, base: models.Base) -> None:
    class Short(TokenStore):
        def document(self, index: int) -> "np.ndarray[tuple[int], np.dtype[np.uint16]]":  # noqa: UP037
            return np.asarray(super().document(index)[:3], dtype=np.uint16)

    with pytest.raises(InputError, match="mix_back = 0"):
        Replay(Short(store.folder), base, 0.1, 0, 5000, 10).pieces([example(4, 5000)])
