"""The plot: well-formed, within its frame, and true to the numbers."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kosearch.errors import UsageError
from kosearch.evaluation.drawing import Box, Drawing, Label, Line, png, svg
from kosearch.evaluation.plot import recall_plot, write_plot
from kosearch.evaluation.reports import evaluate

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
    assert png(recall_plot([report], "none"))


def pixels(image: bytes) -> list[list[tuple[int, int, int]]]:
    """The lines of a PNG of 8-bit colours, read as the standard says; every checksum is verified."""
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    place, chunks = 8, dict[bytes, bytes]()
    while place < len(image):
        size, name = struct.unpack_from(">I4s", image, place)
        body = image[place + 8 : place + 8 + size]
        assert struct.unpack_from(">I", image, place + 8 + size) == (zlib.crc32(name + body),)
        chunks[name] = body
        place += size + 12
    width, height, *kind = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert kind == [8, 2, 0, 0, 0]
    data, step = zlib.decompress(chunks[b"IDAT"]), 1 + 3 * width
    assert (len(data), set(data[::step])) == (height * step, {0})
    lines = [data[start + 1 : start + step] for start in range(0, len(data), step)]
    return [[(line[i], line[i + 1], line[i + 2]) for i in range(0, len(line), 3)] for line in lines]


def test_a_png_has_every_shape_where_the_drawing_says() -> None:
    red, blue, white = (255, 0, 0), (0, 0, 255), (255, 255, 255)
    shapes = (
        Box(0, 0, 60, 40),
        Box(10, 5, 20, 10, fill="#ff0000"),
        Line(((5, 30), (55, 30)), "#0000ff", 4),
        Label(58, 20, "l", "end", 16, bold=True),
    )
    image = pixels(png(Drawing("", 60, 40, shapes)))
    assert (len(image), len(image[0])) == (80, 120)
    assert all(image[y][x] == red for x in range(22, 58) for y in range(12, 28))
    assert all(image[60][x] == blue for x in range(12, 108))
    assert image[6][22] == image[34][22] == image[50][60] == white
    dark = [(x, y) for y in range(80) for x in range(120) if max(image[y][x]) < 90]
    assert dark
    assert all(90 < x < 118 and 14 < y < 42 for x, y in dark)


def test_labels_of_any_script_make_a_png() -> None:
    labels = [
        Label(20, 20, text, upwards=up) for text in ("dense é", "혼합 hybrid", "\ud800\x00(") for up in (True, False)
    ]
    assert pixels(png(Drawing("", 60, 40, labels)))


def test_a_plot_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        write_plot(tmp_path / "gone" / "plot.svg", [], "")
