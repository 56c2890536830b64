"""Charts: well-formed, self-contained, every number inside the drawing, text escaped."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from engine.report import charts

VALUES = st.floats(-1e4, 1e4).map(lambda x: round(x, 4))
CURVE = st.lists(VALUES, min_size=2, max_size=900).map(lambda ys: list(enumerate(ys)))
SCORES = st.lists(st.floats(0, 100), min_size=1, max_size=50)
NUMBER = re.compile(r'(?:x|y|x1|x2|y1|y2|cx|cy)="([-0-9.e]+)"')


def drawn(svg: str) -> ElementTree.Element:
    """The parsed picture; nothing in it reaches out, and nothing lies outside."""
    root = ElementTree.fromstring(svg)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert "nan" not in svg
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in svg
    places = [float(found) for found in NUMBER.findall(svg)]
    assert all(-1 <= place <= max(width, height) for place in places)
    for line in root.iter("{http://www.w3.org/2000/svg}polyline"):
        for x, y in (point.split(",") for point in line.attrib["points"].split()):
            assert 0 <= float(x) <= width
            assert 0 <= float(y) <= height
    return root


@given(CURVE, CURVE)
def test_losses(domain: charts.Points, generic: charts.Points) -> None:
    root = drawn(charts.losses(domain, generic))
    lines = list(root.iter("{http://www.w3.org/2000/svg}polyline"))
    assert len(lines) == 2
    assert all(len(line.attrib["points"].split()) <= 2 * charts.MOST_POINTS for line in lines)


@given(CURVE)
def test_forgetting(generic: charts.Points) -> None:
    root = drawn(charts.forgetting(generic, 0.02, 0.05))
    assert len(list(root.iter("{http://www.w3.org/2000/svg}rect"))) == 3


@given(st.data(), SCORES)
def test_pairs(data: st.DataObject, base: list[float]) -> None:
    cpt = data.draw(st.lists(st.floats(0, 100), min_size=len(base), max_size=len(base)))
    root = drawn(charts.pairs(list(range(len(base))), base, cpt))
    assert len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) == 2 * len(base)


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=3), st.floats(0, 100))
def test_interval(values: list[float], margin: float) -> None:
    low, estimate, high = sorted(values)
    text = "".join(drawn(charts.interval(estimate, low, high, margin, 0.95)).itertext())
    assert f"{estimate:+.1f} ({low:+.1f} to {high:+.1f})" in text
    assert "95% interval" in text


def test_both_themes_and_words() -> None:
    svg = charts.interval(4.4, 1.9, 6.8, 2.0, 0.95)
    assert "prefers-color-scheme:dark" in svg
    assert 'role="img"' in svg
    assert "CPT minus base +4.4 (+1.9 to +6.8) points; margin 2" in svg
