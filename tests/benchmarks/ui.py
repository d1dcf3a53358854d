"""What somebody waits for who types on the page of `kosearch ui`, and whether marks stand where the passage does.

    python -m tests.benchmarks ui [--passages 11000] [--questions 20] [--keep FOLDER]

lexical, hybrid   from a question's request to its answer, for each two letters more of a question, through
                  the installed server and the warm process; the index is that of `tests.benchmarks queries`.
                  The targets are 150 and 300 ms for 95 of 100.
boxes             the share of a passage's letters that its boxes cover, over 100 passages of the PDFs in
                  ../shared/documents and of made ones: columns, turned pages, hyphens, vertical writing; every second
                  passage is sought in NFD. The target is 0.98.
page              a page of these with its marks, 1000 pixels wide, by processes that drew before: 200 ms; `page, CPU`
                  is the processor time that it takes, whatever else the machine does.
first paint       of the page in Chromium, where it is installed: 0.3 s.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import shutil
import sys
import tempfile
import time
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from conftest import Program
from ui_making import Server, served

from kosearch import config
from kosearch.extract import extract
from kosearch.extract.text import ExtractError
from kosearch.library import Index
from kosearch.ui.pictures import Drawer, Drawn, DrawTask, Wanted
from tests.benchmarks.queries import ask_about, build, describe

DOCUMENTS = Path(__file__).resolve().parents[3] / "shared" / "documents"
LENGTH = 600
"""Characters of a passage, as 320 tokens of Korean have."""
PASSAGES = 100
KOREAN = (
    "이 규정은 임직원의 휴가에 관한 사항을 정하여 일과 생활의 균형을 돕는 것을 목적으로 한다. "
    "사용하지 않은 연차는 다음 해로 이월한다. "
)
ENGLISH = (
    "The undisturbed boundary layer is meas-\nured behind a hot wire; the instru-\nment is calibrated before "
    "every exper-\niment. "
)


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
    """Draw the pages of passages, with their boxes."""
    chance = random.Random(1)
    wanted = [one for file in (*sorted(DOCUMENTS.glob("pdf/*.pdf")), *made(work)) for one in passages(file)]
    chosen = chance.sample(wanted, min(PASSAGES, len(wanted)))
    drawer = Drawer(1 << 27)
    try:
        drawer.draw(chosen[0])
        found: list[Drawn] = []
        seconds = []
        for one in chosen:
            began = time.perf_counter()
            found.append(drawer.draw(one))
            seconds.append(time.perf_counter() - began)
    finally:
        drawer.close()
    row("page", seconds)
    task, spent = DrawTask(1 << 27), []
    for one in chosen:
        before = time.process_time()
        task(one)
        spent.append(time.process_time() - before)
    row("page, CPU", spent)
    covered = np.array([one.covered for one in found])
    files = len({one.path_bytes for one in chosen})
    print(f"\nboxes cover {covered.mean():.4f} of the letters of {len(covered)} passages in {files} files;", end=" ")
    print(f"{(covered >= 0.98).sum()} passages to .98 or more, the worst to {covered.min():.2f}")


def passages(file: Path) -> Iterator[Wanted]:
    """Parts of the text of each page; every second one in NFD."""
    try:
        documents = extract(file.read_bytes(), path=str(file)).documents
    except ExtractError:
        return
    for document in documents[:1]:
        starts = [(one.start, one.number) for one in document.pages] + [(len(document.text), 0)]
        for (start, number), (end, _) in pairwise(starts):
            for place in range(start, end, LENGTH):
                text = document.text[place : min(end, place + LENGTH)]
                if place // LENGTH % 2:
                    text = unicodedata.normalize("NFD", text)
                if sum(map(str.isalnum, text)) > LENGTH // 10:
                    yield Wanted(os.fsencode(file), "", "pdf", number, 1000, text, (0, len(text) // 3))


def made(work: Path) -> Iterator[Path]:
    """PDFs of every kind of page."""
    from reportlab.lib.pagesizes import A4
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfgen.canvas import Canvas

    pdfmetrics.registerFont(UnicodeCIDFont("HYSMyeongJo-Medium"))
    for name, turn, columns, text in (
        ("columns", 0, 2, KOREAN * 8),
        ("turned", 90, 1, KOREAN * 8),
        ("upside down", 180, 1, KOREAN * 8),
        ("hyphens", 0, 2, ENGLISH * 8),
    ):
        out = io.BytesIO()
        canvas = Canvas(out, A4)
        canvas.setPageRotation(turn)
        width = 480 // columns
        lines = [part for line in text.split("\n") for part in _wrapped(line, width // 11)]
        for column in range(columns):
            writing = canvas.beginText(50 + column * (width + 20), 780)
            writing.setFont("HYSMyeongJo-Medium", 10)
            for line in lines[column * len(lines) // columns : (column + 1) * len(lines) // columns]:
                writing.textLine(line)
            canvas.drawText(writing)
        canvas.showPage()
        canvas.save()
        file = work / f"{name}.pdf"
        file.write_bytes(out.getvalue())
        yield file


def _wrapped(line: str, length: int) -> list[str]:
    return [line[place : place + length] for place in range(0, len(line), length)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
