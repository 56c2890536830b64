"""The chart draws what is there, decimated and finite; small drawings hold their width."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cpt_tui.drawing.bars import (
    Mark,
    axis_range,
    bar,
    box,
    cumulated,
    interval_scale,
    log_scale,
    name_rows,
    ridge,
    spark,
)
from cpt_tui.drawing.chart import Sign, decimate, draw, log_ticks, with_signs
from cpt_tui.drawing.zoom import scaled
from engine.formatting import tick_labels, ticks

FLOATS = st.floats(allow_nan=True, allow_infinity=True)
POINTS = st.lists(st.tuples(st.integers(0, 10_000), FLOATS), max_size=200).map(
    lambda points: sorted(dict(points).items())
)


@given(POINTS, st.integers(1, 60))
def test_decimation_keeps_extremes_and_drops_what_is_not_finite(
    points: list[tuple[int, float]], columns: int
) -> None:
    good = [y for _, y in points if math.isfinite(y)]
    kept = decimate(points, columns)
    assert len(kept) <= 2 * columns
    assert set(kept) <= set(points)
    if good:
        ys = [y for _, y in kept]
        assert (min(ys), max(ys)) == (min(good), max(good))


@given(
    st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=80),
    st.integers(10, 200),
    st.integers(5, 60),
)
def test_drawing_holds_its_size(values: list[float], width: int, height: int) -> None:
    points = [(float(x), y) for x, y in enumerate(values)]
    lines = draw([("braille", points)], width, height).split("\n")
    assert len(lines) == height
    assert max(map(len, lines)) <= width


def test_steps_are_counted_in_whole_numbers() -> None:
    drawn = draw([("*", [(0.0, 1.0)])], 60, 12, window=(0, 1)).split("\n")
    assert drawn[-1].split() == ["0", "1"]


def test_ascii_drawing_is_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPT_ASCII", "1")
    points = [(float(x), math.sin(x / 9)) for x in range(100)]
    drawn = draw([("*", points), ("o", points)], 60, 12)
    assert drawn.isascii()
    assert "*" in drawn or "o" in drawn


@example(low=0.0, span=5e-324, wanted=1)
@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.integers(1, 12))
def test_ticks_lie_inside(low: float, span: float, wanted: int) -> None:
    marks = ticks(low, low + span, wanted)
    slack = 1e-6 * max(1.0, abs(low), span)
    assert all(low - slack <= mark <= low + span + slack for mark in marks)
    assert len(marks) <= 3 * wanted + 3


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.integers(1, 80))
def test_bar_holds_its_width(value: float, largest: float, width: int) -> None:
    assert len(bar(value, largest, width)) == width


@given(POINTS.map(lambda ps: [(x, y) for x, y in ps if math.isfinite(y) and abs(y) < 1e100]))
def test_spark_holds_its_width(points: list[tuple[int, float]]) -> None:
    assert len(spark(points, 20)) == (20 if points else 0)


@given(st.floats(-50, 50), st.floats(0, 30), st.floats(0, 30), st.floats(0, 20))
def test_interval_is_drawn_in_order(
    value: float, below: float, above: float, margin: float
) -> None:
    marks = [Mark(-margin, "low", ":"), Mark(margin, "high", ":")]
    line, *names = interval_scale((value - below, value, value + above), marks, 60)
    assert len(line) == 60
    assert "o" in line
    assert all(len(row) <= 60 for row in names)
    if line.count("[") and line.count("]"):
        assert line.index("[") < line.index("o") < line.index("]")


@given(
    st.lists(st.tuples(st.integers(0, 59), st.text("abc ", min_size=1, max_size=20)), max_size=8)
)
def test_names_of_marks_never_touch_or_get_lost(marks: list[tuple[int, str]]) -> None:
    rows = name_rows(marks, 60)
    assert all(len(row) <= 60 for row in rows)
    held = "\n".join(rows)
    assert all(label.strip() in held for _, label in marks)
    assert sum(len(label) for _, label in marks) <= sum(len(row) for row in rows)


SPREADS = st.lists(st.floats(0, 20), min_size=21, max_size=21).map(sorted)


@given(SPREADS, SPREADS, st.integers(8, 120))
def test_distributions_hold_their_width_and_all_their_mass(
    one: list[float], other: list[float], width: int
) -> None:
    low, high = axis_range([one, other])
    for spread in (one, other):
        assert len(ridge(spread, low, high, width)) == width
        assert ridge(spread, low, high, width).strip()
        row = box(spread, low, high, width)
        assert len(row) <= width
        assert "│" in row
        assert cumulated(spread, spread[-1]) == 1.0
        shares = [cumulated(spread, low + (high - low) * i / 50) for i in range(51)]
        assert shares == sorted(shares)


def test_a_shifted_side_is_drawn_to_the_right() -> None:
    side = [0.5 + i / 20 for i in range(21)]
    harder = [x + 0.6 for x in side]
    low, high = axis_range([side, harder])
    first, second = (ridge(s, low, high, 60) for s in (side, harder))
    assert len(second) - len(second.lstrip()) > len(first) - len(first.lstrip())
    assert box(harder, low, high, 60).index("│") > box(side, low, high, 60).index("│")


def test_log_scale_points_at_the_value() -> None:
    marks = [Mark(2e5, "0.2M"), Mark(2e6, "2M"), Mark(1e7, "10M")]
    pointer, line, names = log_scale(3.1e6, marks, 48)
    assert line.count("┼") == 3
    assert names.index("2M") < pointer.index("V") < names.index("10M")


def value_of(label: str) -> float:
    """The number that a label says."""
    units = {"k": 1e3, "M": 1e6, "B": 1e9}
    scale = units.get(label[-1], 1.0)
    return float(label.rstrip("kMB").replace(",", "")) * scale


@example(low=1.0, span=6.6, wanted=3)  # printed 2, 5, 8 for 2.5, 5, 7.5
@example(low=2.3, span=0.2, wanted=1)  # printed 2 for 2.4
@example(low=9_000.0, span=3_000.0, wanted=12)  # 10.2k for 10,250
@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e9), st.integers(1, 12))
def test_a_label_says_its_tick(low: float, span: float, wanted: int) -> None:
    marks = ticks(low, low + span, wanted)
    labels = tick_labels(marks, 2)
    assert len(marks) > 1
    assert len(set(labels)) == len(labels)
    for mark, label in zip(marks, labels, strict=True):
        assert value_of(label) == pytest.approx(mark, rel=1e-7, abs=1e-7 * span)


def test_labels_are_short_where_they_can_be() -> None:
    assert tick_labels([2.5, 5.0, 7.5]) == ["2.5", "5.0", "7.5"]
    assert tick_labels([2.4]) == ["2.4"]
    assert tick_labels([0.0, 0.05, 0.1], 2) == ["0.00", "0.05", "0.10"]
    assert tick_labels([0.0, 5e5, 1e6]) == ["0.0", "0.5M", "1.0M"]
    assert tick_labels([0.0, 2e-5, 4e-5]) == ["0", "2e-05", "4e-05"]


@given(st.integers(0, 10_000), st.integers(1, 100_000), st.integers(1, 9))
def test_steps_have_two_whole_ticks_at_least(first: int, span: int, wanted: int) -> None:
    marks = ticks(first, first + span, wanted, whole=True)
    assert len(marks) > 1
    assert all(mark == round(mark) for mark in marks)


def test_a_narrow_chart_names_several_steps() -> None:
    """At 80 columns it named one, 200, of steps 0 to 375."""
    drawn = draw([("*", [(0.0, 1.0), (375.0, 2.0)])], 58, 9).split("\n")
    assert len(drawn[-1].split()) > 1


@given(st.integers(1, 400), st.integers(1, 5000), st.integers(1, 5000))
def test_tokens_begin_at_nothing(steps: int, first: int, later: int) -> None:
    """A first step of other size than the second put step 0 at -93 tokens."""
    tokens = [(float(s), float(first + later * (s - 1))) for s in range(1, steps + 1)]
    moved = scaled([(0.0, 2.1), (float(steps), 1.9)], tokens)
    assert [x for x, _ in moved] == [0.0, tokens[-1][1]]


def test_signs_stand_on_the_axis_at_their_steps() -> None:
    points = [(float(x), 2.0 + x / 50) for x in range(101)]
    drawing = draw([("*", points)], 60, 10, window=(0.0, 100.0))
    signs = [Sign(0, "a", ""), Sign(50, "b", ""), Sign(100, "c", ""), Sign(120, "d", "")]
    made, spans = with_signs(drawing, signs, (0.0, 100.0), 60)
    before, after = drawing.split("\n"), made.split("\n")
    assert [row for row in range(10) if before[row] != after[row]] == [8]
    assert "d" not in after[8]
    assert [made[start:end] for start, end, _ in spans] == ["a", "b", "c"]
    left, right = after[8].index("a"), after[8].index("c")
    assert abs(after[8].index("b") - (left + right) / 2) <= 1


@pytest.mark.parametrize(("low", "high"), [(0.001, 900.0), (2.0, 3.0), (0.5, 40.0)])
def test_labels_of_a_logarithmic_axis_are_its_ticks(low: float, high: float) -> None:
    ends = math.log10(low), math.log10(high)
    marks = log_ticks(*ends)
    assert len(marks) >= 2
    assert all(low <= mark <= high * 1.001 for mark in marks)
    drawing = draw([("*", [(0, ends[0]), (9, ends[1])])], 60, 12, 0, ends, log=True)
    assert any(label in drawing for label in tick_labels(marks))
