"""The plot: well-formed, within its frame, and true to the numbers."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from kosearch.errors import UsageError
from kosearch.evaluation.measures import evaluate, recall_plot, svg, write_plot

SVG = "{http://www.w3.org/2000/svg}"


def curves(root: ElementTree.Element) -> list[list[tuple[float, float]]]:
    """The lines with a point for every rank: not those of the axes and the legend."""
    return [found for line in root.iter(f"{SVG}polyline") if len(found := points(line)) == 100]


def points(line: ElementTree.Element) -> list[tuple[float, float]]:
    return [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]  # type: ignore[misc]


def test_curves_rise_within_the_frame_and_are_named() -> None:
    qrels = {str(number): {"a": 1} for number in range(10)}
    runs = {
        "dense <b>&": {q: [("x", 1.0)] * (int(q) > 6) + [("a", 0.5)] for q in qrels},
        "혼합\x1b": {q: [("a", 1.0)] for q in qrels},
    }
    reports = [evaluate(run, qrels, system=system) for system, run in runs.items()]
    root = ElementTree.fromstring(svg(recall_plot(reports, "한국어 & Recall")))
    assert root.findtext(f"{SVG}title") == "한국어 & Recall"
    assert {"dense <b>&", "혼합 "} <= {text.text for text in root.iter(f"{SVG}text")}
    lower, upper = curves(root)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for curve in (lower, upper):
        assert len(curve) == 100
        assert curve == sorted(curve, key=lambda point: (point[0], -point[1]))
        assert all(0 < x < width and 0 < y < height for x, y in curve)
    assert lower[0][1] > upper[0][1]
    assert lower[1][1] == upper[1][1] == upper[0][1]  # all are found by rank 2; up is small y
    labels = {
        text.text: float(text.attrib["y"]) for text in root.iter(f"{SVG}text") if text.get("text-anchor") == "end"
    }
    assert lower[0][1] == pytest.approx(labels["0.7"] - 4, abs=0.1)
    assert "0.5" not in labels


def test_no_system_and_none_found_still_make_an_image() -> None:
    ElementTree.fromstring(svg(recall_plot([], "")))
    report = evaluate({}, {"q": {"a": 1}})
    (line,) = curves(ElementTree.fromstring(svg(recall_plot([report], "none"))))
    assert len({y for _, y in line}) == 1


def test_a_plot_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        write_plot(tmp_path / "gone" / "plot.svg", [], "")
