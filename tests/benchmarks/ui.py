"""What somebody waits for who types on the page of `kosearch ui`, and whether marks stand where the passage does.

    python -m tests.benchmarks ui [--passages 11000] [--questions 20] [--keep FOLDER]

lexical, hybrid   from a question's request to its answer, for each two letters more of a question, through
                  the installed server and the warm process; the index is that of `tests.benchmarks queries`.
                  The targets are 150 and 300 ms for 95 of 100.
boxes             the share of a passage's letters that lie in its boxes, over 100 passages of an index of the PDFs in
                  ../shared/documents (one of them in NFD) and of made ones: columns, turned pages, hyphens, vertical
                  writing. The target is 0.98.
page              a page of these with its marks, 1000 pixels wide, from the request to the picture: 200 ms;
                  `page, CPU` is the processor time that drawing takes, whatever else the machine does.
first paint       of the page in Chromium, where it is installed: 0.3 s.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pypdfium2

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from conftest import Program
from ui_making import Server, served

from kosearch import config
from kosearch.index import FullDocument, StoredPassage
from kosearch.library import Index
from kosearch.ui.documents import key_of
from kosearch.ui.pictures import DrawTask, Wanted, found_on_page, letters_of, shares
from kosearch.ui.texts import on_page
from tests.benchmarks.queries import ask_about, build, describe

DOCUMENTS = Path(__file__).resolve().parents[3] / "shared" / "documents"
PASSAGES = 100
KOREAN = (
    "이 규정은 임직원의 휴가에 관한 사항을 정하여 일과 생활의 균형을 돕는 것을 목적으로 한다. "
    "사용하지 않은 연차는 다음 해로 이월한다. "
)
ENGLISH = (
    "The undisturbed boundary layer is meas-\nured behind a hot wire; the instru-\nment is calibrated before "
    "every exper-\niment. "
)


LEVEL = (
    ("columns", 0, 2, KOREAN * 8),
    ("turned", 90, 1, KOREAN * 8),
    ("upside down", 180, 1, KOREAN * 8),
    ("hyphens", 0, 2, ENGLISH * 8),
)
"""File, degrees, columns and text of pages that are written in lines…"""
VERTICAL = (("vertical", 0, 1, KOREAN * 8), ("vertical, turned", 90, 1, KOREAN * 8))
"""…and of those that are written from above to below."""
FONT = "HYSMyeongJo-Medium"
WIDTH = 1000
"""Pixels of a page's picture."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="ui", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--passages", type=int, default=11_000)
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        os.environ |= {"XDG_RUNTIME_DIR": name, "KOSEARCH_DATA_DIR": str((options.keep or work).absolute() / "data")}
        library = Index(config.load({}))
        if not library.exists:
            build(library, options.passages)
        describe(library)
        program = Program(work, dict(os.environ))
        print(f"\n{'milliseconds':<14}{'p50':>8}{'p95':>8}{'most':>8}{'count':>8}")
        with served(program) as server:
            typing(server, options.questions)
            paint(server)
        program.run("serve", "--stop")
        marks(work)
    print(f"load       {os.getloadavg()[0]:.1f} at the end")
    return 0


def row(name: str, seconds: Sequence[float]) -> None:
    """Quantiles of times in a line."""
    values = np.array(seconds) * 1000
    p50, p95 = np.percentile(values, (50, 95))
    print(f"{name:<14}{p50:>8.0f}{p95:>8.0f}{values.max():>8.0f}{len(values):>8}")


def typing(server: Server, count: int) -> None:
    """Ask as the page does while a person types."""
    with server.client() as client:
        for mode in ("lexical", "hybrid"):
            took(client, "연차", mode)
        for mode in ("lexical", "hybrid"):
            row(mode, [took(client, text, mode) for one in ask_about(count) for text in beginnings(one)])


def beginnings(question: str) -> Iterator[str]:
    """What stands in the field at each pause."""
    yield from (question[:end] for end in range(2, min(len(question), 24) + 1, 2))


def took(client: httpx.Client, question: str, mode: str) -> float:
    """Seconds for an answer."""
    began = time.perf_counter()
    reply = client.get("/api/search", params={"q": question, "mode": mode, "k": "30"})
    assert reply.status_code in (200, 400), reply.text
    return time.perf_counter() - began


def paint(server: Server) -> None:
    """How soon the page shows anything."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("first paint   Chromium is not installed")
        return
    from playwright.sync_api import sync_playwright

    script = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"], timeout=300_000)
        seconds = []
        for _ in range(10):
            page = browser.new_page()
            page.set_default_timeout(120_000)
            page.goto(server.url)
            page.wait_for_selector("#start p")
            seconds.append(float(page.evaluate(script)) / 1000)
            page.close()
        browser.close()
    row("first paint", seconds)


def marks(work: Path) -> None:
    """Ask for the pages of passages, with their boxes."""
    folder = work / "pdf"
    folder.mkdir()
    for file in sorted(DOCUMENTS.glob("pdf/*.pdf")):
        shutil.copy(file, folder)
    make(folder)
    index = str(work / "marks")
    library = Index(config.load({"index": index}))
    library.index(str(folder))
    stored = library.passages(library.vectors()[0])
    wanted = [(one, library.document(one.document.text_hash)) for one in stored if letters_of(one.text)]
    chosen = random.Random(1).sample(wanted, min(PASSAGES, len(wanted)))
    asks = [parameters(index, one) for one, _ in chosen]
    with served(Program(work, dict(os.environ)), "--index", index) as server, server.client() as client:
        client.get("/api/page", params=asks[0])
        seconds, found = [], []
        for one in asks:
            began = time.perf_counter()
            reply = client.get("/api/page", params=one)
            seconds.append(time.perf_counter() - began)
            found.append(reply.json())
    row("page", seconds)
    pages = [page(*one) for one in chosen]
    task, spent = DrawTask(1 << 27), []
    for asked in pages:
        before = time.process_time()
        task(asked)
        spent.append(time.process_time() - before)
    row("page, CPU", spent)
    covered = np.array([covers(*one) for one in zip(pages, found, strict=True)])
    files = len({one.path_bytes for one in pages})
    print(f"\nboxes cover {covered.mean():.4f} of the letters of {len(covered)} passages in {files} files;", end=" ")
    print(f"{(covered >= 0.98).sum()} passages to .98 or more, the worst to {covered.min():.2f}")


def parameters(index: str, one: StoredPassage) -> dict[str, str | int]:
    """What the page asks for a hit."""
    start, end = one.passage.start, one.passage.end
    return {
        "index": index,
        "id": f"{one.document.text_hash}:{start}:{end}",
        "key": key_of(one.document.path_bytes, one.document.member),
        "at": start,
        "to": start + (end - start) // 3,
        "n": one.passage.page or 1,
        "width": WIDTH,
    }


def page(one: StoredPassage, document: FullDocument) -> Wanted:
    """The same, as it reaches the process that draws."""
    number, span = one.passage.page or 1, (one.passage.start, one.passage.end)
    text, best = on_page(document, number, span, (span[0], span[0] + (span[1] - span[0]) // 3))
    return Wanted(one.document.path_bytes, one.document.member, one.document.kind, number, WIDTH, text, best)


def covers(wanted: Wanted, drawn: dict[str, Any]) -> float:
    """The share of a passage's letters that were found, and whose middle, as pdfium has it, lies in a box."""
    document = pypdfium2.PdfDocument(os.fsdecode(wanted.path_bytes))
    sheet = document[wanted.number - 1]
    marked = found_on_page(sheet, wanted.text)
    letters = [one for one in marked if one is not None]
    if len(letters) < len(marked) / 2:  # it was read as a picture: an engine tells lines, and no letters
        return float(drawn["covered"])
    textpage = sheet.get_textpage()
    inside = 0
    for one in letters:
        left, bottom, right, top = textpage.get_charbox(one.first, loose=True)
        box = shares(sheet, left, top, right, bottom)
        x, y = box.left + box.width / 2, box.top + box.height / 2
        inside += any(a <= x <= a + wide and b <= y <= b + high for a, b, wide, high in drawn["boxes"])
    document.close()
    return inside / len(marked)


def make(folder: Path) -> None:
    """PDFs of every kind of page."""
    from reportlab.lib.pagesizes import A4
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfgen.canvas import Canvas

    for is_vertical in (False, True):
        pdfmetrics.registerFont(UnicodeCIDFont(FONT, isVertical=is_vertical))
        for name, turn, columns, text in VERTICAL if is_vertical else LEVEL:
            canvas = Canvas(str(folder / f"{name}.pdf"), A4, pageCompression=1)
            canvas.setPageRotation(turn)
            if is_vertical:
                _in_columns_of_letters(canvas, text)
            else:
                _in_lines(canvas, text, columns)
            canvas.showPage()
            canvas.save()


def _in_lines(canvas: Any, text: str, columns: int) -> None:
    width = 480 // columns
    lines = [part for line in text.split("\n") for part in _wrapped(line, width // 11)]
    for column in range(columns):
        writing = canvas.beginText(50 + column * (width + 20), 780)
        writing.setFont(FONT, 10)
        for line in lines[column * len(lines) // columns : (column + 1) * len(lines) // columns]:
            writing.textLine(line)
        canvas.drawText(writing)


def _in_columns_of_letters(canvas: Any, text: str) -> None:
    """From above to below, and from right to left."""
    canvas.setFont(FONT, 10)
    for column, letters in enumerate(_wrapped(text, 60)):
        canvas.drawString(540 - 16 * column, 780, letters)


def _wrapped(line: str, length: int) -> list[str]:
    return [line[place : place + length] for place in range(0, len(line), length)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
