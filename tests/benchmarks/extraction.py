"""Measures extraction on the shared documents and prints each figure beside its target.

    python -m tests.benchmarks.extraction

Looks for `shared/documents` beside the repository. Second readers (pdfplumber, openpyxl, xlrd, python-docx,
python-pptx) are used where they are installed; a row that lacks its files or its reader says so.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kosearch.extract import ExtractError, extract
from kosearch.extract.text import normalise

DOCUMENTS = Path(__file__).resolve().parents[3] / "shared" / "documents"
PDF = DOCUMENTS / "pdf"
OFFICE = DOCUMENTS / "office"
HOSTILE_SECONDS = 20
# 40k tokens of Korean in 16.1 s on the reference machine (design.md), at about two characters a token.
EMBEDDED_CHARACTERS_A_SECOND = 2 * 40_000 / 16.1
PLACEHOLDERS = ("[이미지", "[그림", "![", "[bookmark", "[comment", "그림입니다", "원본 그림의 이름", "개체입니다")


@dataclass(frozen=True)
class Row:
    check: str
    figure: str
    target: str
    passed: bool | None


def main() -> None:
    if not DOCUMENTS.is_dir():
        print(f"nothing to measure: {DOCUMENTS} is not there")
        return
    for measure in (specifications, hangul, generated, news, office, hostile, speed):
        for row in measure():
            mark = {True: "ok", False: "FAILS", None: "--"}[row.passed]
            print(f"{_padded(row.check, 62)} {row.figure:>24} {row.target:>10}  {mark}", flush=True)


def _padded(text: str, columns: int) -> str:
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return text + " " * max(columns - len(text) - wide, 0)


# --- what is compared ---------------------------------------------------------------------------------------------


def read(path: Path) -> str:
    documents = extract(path.read_bytes(), path=unicodedata.normalize("NFC", path.name)).documents
    return "\n".join(document.text for document in documents)


def words(text: str) -> Counter[str]:
    return Counter(normalise(text).split())


def trigrams(text: str) -> Counter[str]:
    """Runs of three characters, white space and our own cell separators left out."""
    packed = "".join(normalise(text).split()).replace("|", "")
    return Counter(packed[at : at + 3] for at in range(len(packed) - 2))


def distinct(counted: Counter[str]) -> Counter[str]:
    return Counter(dict.fromkeys(counted, 1))


def recall(truth: Counter[str], found: Counter[str]) -> float:
    return (truth & found).total() / max(truth.total(), 1)


def at_least(check: str, figure: float, target: float) -> Row:
    return Row(check, f"{figure:.4f}", f">= {target}", figure >= target)


def missing(check: str, what: str) -> Row:
    return Row(check, f"no {what}", "", None)


def shown_part(truth: list[str], text: str) -> list[str]:
    """The paragraphs of the truth that the document shows at all: those whose first twelve letters are in its text."""
    packed = "".join(normalise(text).split())
    return [paragraph for paragraph in truth if "".join(normalise(paragraph).split())[:12] in packed]


# --- the rows of the table ----------------------------------------------------------------------------------------


def specifications() -> Iterator[Row]:
    for path in sorted((DOCUMENTS / "hwp").glob("한글문서파일형식*.hwp")):
        other = PDF / (path.stem + ".pdf")
        if not other.is_file():
            continue
        one, two = trigrams(read(path)), trigrams(read(other))
        for name, truth, found in (("PDF in HWP", two, one), ("HWP in PDF", one, two)):
            check = f"{path.stem[8:]}: {name}, 3-grams"
            yield at_least(f"{check}, distinct", recall(distinct(truth), distinct(found)), 0.97)
            yield at_least(f"{check}, each occurrence", recall(truth, found), 0.97)


def hangul() -> Iterator[Row]:
    for folder in ("hwp", "hwpx"):
        outcomes: Counter[str] = Counter()
        dirty = []
        for path in sorted(path for path in (DOCUMENTS / folder).rglob("*") if path.is_file()):
            try:
                text = read(path)
                outcomes["text"] += 1
                dirty += [path.name for placeholder in PLACEHOLDERS if placeholder in text]
            except ExtractError as error:
                outcomes[error.reason] += 1
        yield Row(f"{folder}/: outcomes", ", ".join(f"{n} {o}" for o, n in outcomes.items()), "all", not dirty)
        yield Row(f"{folder}/: files with placeholder text", str(len(dirty)), "0", not dirty)


def generated() -> Iterator[Row]:
    full = json.loads((PDF / "truth.json").read_text(encoding="utf-8"))
    targets = dict.fromkeys(("plain", "cols", "table", "nfd", "cid_uniks"), 0.98)
    targets |= dict.fromkeys(("spaced", "notounicode", "vertical"), 0.9)
    for name, target in targets.items():
        text = read(PDF / f"{name}.pdf")
        part = shown_part(full, text)
        found = recall(words("\n".join(part)), words(text))
        yield at_least(f"{name}.pdf, words ({len(part)} of {len(full)} paragraphs shown)", found, target)
    for path in sorted(PDF.glob("cid_*.truth.json")):
        name = path.name.removesuffix(".truth.json")
        text = read(PDF / f"{name}.pdf")
        lines = json.loads(path.read_text(encoding="utf-8"))
        packed = "".join(text.split())
        shown = sum(len("".join(line.split())) for line in lines if "".join(line.split()) in packed)
        found = recall(words(_beginning("\n".join(full), shown)), words(text))
        yield at_least(f"{name}.pdf, words (the first {shown} characters shown)", found, 0.98)


def _beginning(text: str, characters: int) -> str:
    """The text up to so many characters that are not white space."""
    places = [place for place, character in enumerate(text) if not character.isspace()]
    return text[: places[characters]] if characters < len(places) else text


def news() -> Iterator[Row]:
    try:
        import pdfplumber
    except ImportError:
        yield missing("news PDFs, intact words", "pdfplumber")
        return
    for name in ("kbo_only_table", "kbo_table_text", "korean_texts_two_page"):
        with pdfplumber.open(PDF / f"{name}.pdf") as pdf:
            lines = [line for page in pdf.pages for line in page.extract_text().split("\n")]
        # A word at either end of a line may be a part of one, which the second reader does not join.
        whole = Counter(word for line in lines for word in line.split()[1:-1])
        text = normalise(read(PDF / f"{name}.pdf"))
        lost = [word for word in whole if word not in text]
        yield at_least(f"{name}.pdf, intact words inside lines", recall(whole, words(text)), 0.98)
        yield Row(f"{name}.pdf, words nowhere in the text", str(len(lost)), "", None)


def office() -> Iterator[Row]:
    full = json.loads((PDF / "truth.json").read_text(encoding="utf-8"))
    second: dict[str, Callable[[Path], str]] = {".xls": _xlrd, ".xlsx": _openpyxl, ".docx": _docx, ".pptx": _pptx}
    for path in sorted(OFFICE.iterdir()):
        text = read(path)
        if part := shown_part(full, text):
            truth, source = "\n".join(part), f"{len(part)} paragraphs of the known text"
        else:
            try:
                truth, source = second[path.suffix](path), "second reader"
            except ImportError as error:
                yield missing(path.name, error.name or "second reader")
                continue
        yield at_least(f"{path.name}, words ({source})", recall(words(truth), _separated(text)), 0.98)


def _separated(text: str) -> Counter[str]:
    """The words of a text whose rows name their columns, names apart from values."""
    return words(text) | words(text.replace(": ", " ").replace(":", " "))


def _xlrd(path: Path) -> str:
    import xlrd

    book = xlrd.open_workbook(path)
    return "\n".join(_value(cell.value) for sheet in book.sheets() for row in sheet.get_rows() for cell in row)


def _openpyxl(path: Path) -> str:
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    rows = (row for sheet in book for row in sheet.iter_rows(values_only=True))
    return "\n".join(_value(value) for row in rows for value in row if value is not None)


def _value(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _docx(path: Path) -> str:
    import docx

    return "\n".join(paragraph.text for paragraph in docx.Document(str(path)).paragraphs)


def _pptx(path: Path) -> str:
    import pptx

    shapes = (shape for slide in pptx.Presentation(str(path)).slides for shape in slide.shapes)
    return "\n".join(shape.text_frame.text for shape in shapes if shape.has_text_frame)


def hostile() -> Iterator[Row]:
    folder = DOCUMENTS / "pdf_hostile"
    if not folder.is_dir():
        yield missing("pdf_hostile/", "files")
        return
    began = time.monotonic()
    outcomes = Counter(_outcome(path) for path in sorted(folder.iterdir()))
    seconds = time.monotonic() - began
    bad = outcomes["hang"] + outcomes["crash"]
    for outcome, count in outcomes.most_common():
        yield Row(f"pdf_hostile/: {outcome}", str(count), "", None)
    yield Row("pdf_hostile/: crashes and hangs", str(bad), "0", not bad)
    yield Row("pdf_hostile/: seconds in all, a process a file", f"{seconds:.0f}", "< 180", seconds < 180)


def _outcome(path: Path) -> str:
    receiving, sending = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_extract_and_tell, args=(path, sending))
    process.start()
    sending.close()
    try:
        return str(receiving.recv()) if receiving.poll(HOSTILE_SECONDS) else "hang"
    except EOFError:
        return "crash"
    finally:
        process.kill()
        process.join()


def _extract_and_tell(path: Path, sending: Any) -> None:
    try:
        read(path)
        sending.send("text")
    except ExtractError as error:
        sending.send(str(error.reason))


def speed() -> Iterator[Row]:
    pages, slowest = [], 0.0
    for path in sorted(PDF.glob("*.pdf")):
        seconds, characters, count = _timed(path)
        pages.append(1000 * seconds / count)
        slowest = max(slowest, seconds * EMBEDDED_CHARACTERS_A_SECOND / characters)
    files = []
    for path in sorted((DOCUMENTS / "hwp").rglob("*.hwp")):
        try:
            seconds, characters, _ = _timed(path)
        except ExtractError:
            continue
        files.append(1000 * seconds)
        if characters > 1000:
            slowest = max(slowest, seconds * EMBEDDED_CHARACTERS_A_SECOND / characters)
    yield _at_most("PDF, ms a page, median of files", statistics.median(pages), 10)
    yield _at_most("HWP, ms a file, median", statistics.median(files), 60)
    yield _at_most("slowest file, parts of the time to embed it", slowest, 1)


def _timed(path: Path) -> tuple[float, int, int]:
    """Seconds (the best of three), characters and pages."""
    data, took = path.read_bytes(), []
    for _ in range(3):
        began = time.perf_counter()
        (document,) = extract(data, path=path.name).documents
        took.append(time.perf_counter() - began)
    return min(took), len(document.text), max(len(document.pages), 1)


def _at_most(check: str, figure: float, target: float) -> Row:
    return Row(check, f"{figure:.2f}", f"<= {target}", figure <= target)


if __name__ == "__main__":
    main()
