"""Pictures of text: the layout of pages, what is said where nothing reads them, and what an engine reads."""

from __future__ import annotations

import base64
import ctypes
import hashlib
import io
import json
import shutil
import sqlite3
import subprocess
import threading
import time
import zlib
from contextlib import closing
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PROGRAM, Program, until

import kosearch
from kosearch import ocr
from kosearch.embedding import archive
from kosearch.errors import ModelError
from kosearch.extract import READERS, ExtractError, extract, outdated
from kosearch.index.database import checksum
from kosearch.ocr import layout, pictures
from kosearch.ocr.engine import Budget, Model, Word, _words, find_model, pull
from kosearch.ocr.latin import read_again
from kosearch.ocr.reading import _words as _words_of
from kosearch.ocr.reading import recognise
from kosearch.records import Reason, Recognised, RecognisedLine

Image = pytest.importorskip("PIL.Image", reason="pictures need Pillow")
SCANS = Path(__file__).resolve().parents[2] / "shared" / "cases" / "scans"
ENGINE = ocr.find()

needs_engine = pytest.mark.skipif(isinstance(ENGINE, ocr.Missing), reason=str(ENGINE))


def page(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (1000, 800)) -> Any:
    """A page, white but for these boxes (left, top, right, bottom)."""
    picture = np.full((size[1], size[0]), 255, np.uint8)
    for left, top, right, bottom in boxes:
        picture[top:bottom, left:right] = 0
    return picture


def text(left: int, right: int, top: int, count: int) -> list[tuple[int, int, int, int]]:
    """Lines of words: bars with gaps between them."""
    return [
        (start, top + 40 * line, min(start + 50, right), top + 40 * line + 20)
        for line in range(count)
        for start in range(left, right, 60)
    ]


def boxes_of(picture: Any) -> list[layout.Block]:
    return layout.blocks(layout.ink(picture))[0]


def test_columns_stand_one_after_the_other() -> None:
    found = boxes_of(page(*text(100, 450, 100, 12), *text(550, 900, 110, 12)))
    assert [one.box.left < 500 for one in found] == [True, False]
    assert found[0].box.right <= found[1].box.left + 1


def test_a_title_across_the_page_stands_before_its_columns() -> None:
    found = boxes_of(page(*text(100, 900, 60, 1), *text(100, 450, 160, 12), *text(550, 900, 160, 12)))
    assert len(found) == 3
    assert found[0].box.bottom <= min(found[1].box.top, found[2].box.top)


def test_short_lines_side_by_side_are_no_columns() -> None:
    """A list of names and amounts: its rows stay together."""
    names = [(100, top, 160, top + 20) for top in range(100, 420, 40)]
    amounts = [(700, top, 720 + top % 160, top + 20) for top in range(100, 420, 40)]
    assert len(boxes_of(page(*names, *amounts))) == 1


def test_the_cells_of_a_ruled_table() -> None:
    rules = [(100, y, 900, y + 2) for y in (100, 200, 300)] + [(x, 100, x + 2, 302) for x in (100, 400, 898)]
    picture = page(*rules, *text(120, 380, 130, 1), *text(420, 880, 130, 1), *text(120, 380, 230, 1))
    [table] = [one for one in boxes_of(picture) if one.rows]
    assert [len(row) for row in table.rows] == [2, 2]
    assert table.rows[0][0].left == pytest.approx(100, abs=4)
    assert table.rows[1][1].top == pytest.approx(200, abs=4)


def test_a_page_that_lies_askew_is_measured() -> None:
    straight = Image.fromarray(page(*text(100, 900, 100, 15)))
    for angle in (-12.0, -2.0, 1.0, 9.0):
        turned = np.asarray(straight.rotate(angle, Image.Resampling.BICUBIC, fillcolor=255, expand=True))
        assert layout.angle_of(layout.ink(turned)) == pytest.approx(-angle, abs=0.3)


def test_a_photo_has_no_angle() -> None:
    """Its ink is everywhere: no direction is sharper than another."""
    assert layout.angle_of(layout.ink(photo(900, 700))) == 0.0


def photo(width: int, height: int) -> Any:
    """Blobs of all shades."""
    blobs = np.random.default_rng(5).integers(0, 255, (height // 15, width // 15)).astype(np.uint8)
    return np.asarray(Image.fromarray(blobs).resize((width, height), Image.Resampling.BICUBIC))


def test_light_letters_on_dark_are_turned_and_a_page_on_a_dark_table_is_not() -> None:
    straight = page(*((left, top, right, top + 8) for left, top, right, _ in text(100, 900, 100, 15)))
    assert (layout.evened(255 - straight) == straight).all()
    assert (layout.ink(layout.evened(255 - straight // 2)) == layout.ink(straight)).mean() > 0.99
    table = np.full((2000, 2000), 30, np.uint8)
    table[600:1400, 500:1500] = straight
    assert (layout.evened(table)[620:1380, 520:1480] == straight[20:-20, 20:-20]).mean() > 0.99


def test_a_fold_parts_two_pages() -> None:
    """It is as thick as no rule, and dark from top to bottom."""
    picture = page(*text(60, 430, 100, 12), *text(570, 940, 100, 12), (490, 0, 510, 800))
    first, second = boxes_of(picture)
    assert (first.box.left, second.box.right) == (0, 1000)
    assert 430 < first.box.right == second.box.left < 570


def test_light_and_grain_are_no_ink() -> None:
    """A page on a dark table, half as light on its left and grainy: paper is white, strokes are where they were."""
    straight = page(*text(100, 900, 100, 15))
    light = np.linspace(0.5, 1.0, straight.shape[1])[None, :]
    grain = np.random.default_rng(1).normal(0, 30, straight.shape)
    lit = straight * light
    lit[:, -40:] = 40
    seen = layout.ink(layout.evened(np.clip(lit + grain, 0, 255).astype(np.uint8)))
    assert not seen[:, -40:].any()
    assert abs(float(seen[straight == 0].mean()) - 1) < 0.1
    assert float(seen[straight == 255].mean()) < 0.02
    assert layout.evened(straight) is straight


class Heard:
    """An engine that says these words, whatever it is shown; the next time the next ones."""

    version, latin = "heard", None

    def __init__(self, *said: list[Word]) -> None:
        self.said = list(said)

    def words(self, picture: Any, budget: Budget) -> list[Word]:
        return self.said.pop(0)

    def script(self, picture: Any, budget: Budget) -> str:
        return ""


def test_of_two_models_the_one_that_is_sure_of_a_word_is_believed() -> None:
    words = [
        Word("지원은", 10, 0, 60, 20, 0.93, 0),
        Word("16※1", 70, 0, 120, 20, 0.2, 0),
        Word("기준", 130, 0, 180, 20, 0.5, 0),
        Word("126", 200, 0, 230, 20, 0.3, 0),
        Word("차", 231, 0, 250, 20, 0.9, 0, spaced=False),
    ]
    line = [
        Word("LA]", 10, 0, 60, 20, 0.9, 0),
        Word("exists", 71, 0, 119, 20, 0.96, 0),
        Word("SS", 130, 0, 180, 20, 0.92, 0),
        Word("LPGS]", 200, 0, 250, 20, 0.6, 0),
    ]
    alone = [Word("LPG", 20, 24, 50, 40, 0.9, 0)]
    found = read_again(page(size=(300, 30)), words, Heard(line, alone), Budget(1.0))
    assert [word.text for word in found] == ["지원은", "exists", "기준", "LPG", "차"]
    assert found[-1].spaced is False


def test_lines_without_doubt_are_read_once() -> None:
    words = [Word("지원은", 10, 0, 60, 20, 0.93, 0), Word("2,000", 70, 0, 99, 20, 0.9, 0)]
    assert read_again(page(size=(300, 30)), words, Heard(), Budget(1.0)) == words


def test_a_page_has_one_budget_of_processor_time() -> None:
    class Slow(Bars):
        def words(self, picture: Any, budget: Budget) -> list[Word]:
            while budget.left():
                pass
            return []

    begun = time.process_time()
    with pytest.raises(ocr.TooSlow):
        recognise(page(*text(100, 900, 100, 5)), Slow(), 0.3)
    assert time.process_time() - begun < 2


def test_blank_pages_have_no_blocks() -> None:
    assert boxes_of(page()) == []


class Bars:
    """An engine that sees a word in each bar of ink, and is sure only where the first line is the highest."""

    version = "bars"
    latin = None

    def __init__(self, sure: float = 0.9) -> None:
        self.sure = sure
        self.calls = 0

    def words(self, picture: Any, budget: Budget) -> list[Word]:
        self.calls += 1
        rows = np.flatnonzero((picture < 128).any(axis=1))
        return [Word("낱말", 10, int(rows[0]), 60, int(rows[-1]), self.sure, 0)] if len(rows) else []

    def script(self, picture: Any, budget: Budget) -> str:
        return "Latin"


def test_what_is_unsure_is_turned_and_then_left_out() -> None:
    engine = Bars(sure=0.3)
    assert recognise(page(*text(100, 900, 100, 5)), engine, 1.0).confidence == pytest.approx(0.3)
    assert engine.calls == 4
    with pytest.raises(ExtractError) as caught:
        extract(png(page(*text(100, 900, 100, 5))), path="a.png", pictures=ocr.AtOnce(engine, own))
    assert caught.value.reason is Reason.SCANNED
    assert "unsure (30%)" in str(caught.value.detail)


MIXED = [("國民의", 0.1), ("요건은", 0.95), ("法律로", 0.2), ("정한다", 0.92)]
"""A line of Korean with Hanja, and how sure the model of Hangul is of its words."""


@pytest.mark.parametrize(
    ("words", "script", "expected"),
    [
        (MIXED, "", True),
        ([(word, 0.6 if sure < 0.5 else 0.9) for word, sure in MIXED], "", False),  # worn
        ([(word, 0.2) for word, _ in MIXED], "Han", True),
        ([(word, 0.2) for word, _ in MIXED], "Latin", False),
    ],
)
def test_a_page_that_looks_like_hanja_is_said_to_be_so(
    words: list[tuple[str, float]], script: str, expected: bool
) -> None:
    class Sees(Bars):
        def words(self, picture: Any, budget: Budget) -> list[Word]:
            return [
                Word(word, 60 * at, 40 * line, 60 * at + 50, 40 * line + 20, sure, line)
                for line in range(3)
                for at, (word, sure) in enumerate(words)
            ]

        def script(self, picture: Any, budget: Budget) -> str:
            return script

    data = png(page(*text(100, 900, 100, 3)))
    assert recognise(page(*text(100, 900, 100, 3)), Sees(), 5.0).hanja is expected
    try:
        [document] = extract(data, path="a.png", pictures=ocr.AtOnce(Sees(), own)).documents
        said = " ".join(document.warnings)
    except ExtractError as error:
        said = str(error.detail)
    assert ("looks like Hanja" in said) is expected


@needs_engine
def test_the_script_of_a_page_is_told_where_there_is_a_model_for_it() -> None:
    assert not isinstance(ENGINE, ocr.Missing)
    picture = np.asarray(Image.open(Path(__file__).parent / "data" / "extract" / "scan.png").convert("L"))
    assert ENGINE.script(picture, Budget(20.0)) in ("", "Hangul", "Korean")
    assert ENGINE.script(page(), Budget(20.0)) == ""


def test_photos_of_phones_are_read_where_something_decodes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    data = (Path(__file__).parent / "data" / "bars.heic").read_bytes()
    if pictures.decoder_missing(data) == "":
        [document] = extract(data, path="IMG_1.HEIC", pictures=ocr.AtOnce(Bars(), own)).documents
        assert (document.kind, document.text) == ("image", "낱말")
    monkeypatch.setattr(pictures, "_HEIF_PLUGINS", ())
    with pytest.raises(ExtractError, match="nothing decodes it: pip install pi-heif") as caught:
        extract(data, path="IMG_1.HEIC", pictures=ocr.AtOnce(Bars(), own))
    assert caught.value.reason is Reason.SCANNED


class own:  # noqa: N801 - stands for a function
    def __init__(self, seconds: float) -> None: ...

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def png(picture: Any, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, kind, **options)
    return stream.getvalue()


def test_spaces_are_those_of_the_text_and_not_of_the_table() -> None:
    rows = [
        f"5\t1\t1\t1\t1\t{number}\t{10 * number}\t0\t9\t9\t90\t{word}"
        for number, word in enumerate(("후", "유증", "수당"))
    ]
    found = list(_words("\n".join(["level\t…", *rows]), "후유증 수당\n"))
    assert [(one.text, one.spaced) for one in found] == [("후", False), ("유증", False), ("수당", True)]


def test_where_a_model_is_found(tmp_path: Path) -> None:
    environ = {"TESSDATA_PREFIX": str(tmp_path)}
    (tmp_path / "script").mkdir()
    (tmp_path / "script" / "Hangul.traineddata").write_bytes(b"x")
    assert find_model(None, environ) == Model(tmp_path / "script", "Hangul")


def test_what_is_missing_is_said_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kosearch.ocr.engine.find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    missing = ocr.find(Path("/nowhere"))
    assert isinstance(missing, ocr.Missing)
    assert str(missing) == "no engine for OCR is installed: pip install 'kosearch[ocr]'"


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(50),
        b"\xff\xd8\xff\xe0" + bytes(50),
        png(page(*text(100, 900, 100, 5)))[:-300],
        b"GIF89a\xff\xff\xff\xff" + bytes(20),
        b"II*\0\x08\0\0\0\xff\xff" + bytes(30),
    ],
)
def test_damaged_pictures_cost_themselves(data: bytes) -> None:
    with pytest.raises(ExtractError) as caught:
        extract(data, path="a.png", pictures=ocr.AtOnce(Bars(), own))
    assert caught.value.reason in (Reason.BROKEN, Reason.NO_TEXT)


def test_pictures_of_a_billion_pixels_are_not_decoded() -> None:
    header = png(page(size=(8, 8)))
    huge = header[:16] + (40_000).to_bytes(4, "big") * 2 + header[24:]
    huge = huge[:29] + zlib.crc32(huge[12:29]).to_bytes(4, "big") + huge[33:]
    with pytest.raises(ExtractError, match="too many pixels"):
        extract(huge, path="a.png", pictures=ocr.AtOnce(Bars(), own))


def test_every_kind_of_pixel_is_grey() -> None:
    ink = page(*text(100, 900, 100, 5))
    deep = Image.fromarray(ink.astype(np.uint16) * 257)
    clear = Image.fromarray(np.dstack([ink * 0, ink * 0, ink * 0, 255 - ink]), "RGBA")
    for image, kind in (
        (deep, "PNG"),
        (clear, "PNG"),
        (Image.fromarray(ink).convert("CMYK"), "TIFF"),
        (Image.fromarray(ink).convert("1"), "TIFF"),
        (Image.fromarray(ink).convert("P"), "GIF"),
    ):
        stream = io.BytesIO()
        image.save(stream, kind)
        assert np.abs(pictures.frame(stream.getvalue(), 0).astype(int) - ink).mean() < 2, (image.mode, kind)


def test_frames_of_a_tiff_are_pages_and_those_of_a_gif_are_not() -> None:
    frames = [Image.fromarray(page(*text(100, 900, 100, count))) for count in (3, 4)]
    for kind, pages in (("TIFF", [1, 2]), ("GIF", [])):
        stream = io.BytesIO()
        frames[0].save(stream, kind, save_all=True, append_images=frames[1:])
        [document] = extract(stream.getvalue(), path="a", pictures=ocr.AtOnce(Bars(), own)).documents
        assert [one.number for one in document.pages] == pages
        assert document.kind == "image"


def test_found_text_is_kept_as_it_is() -> None:
    found = Recognised((RecognisedLine('서울 "시"', 1, 2, 3, 4, 0, True, 0.5),), 0.5, 90, 10, 20)
    assert ocr.decoded(ocr.encoded(found)) == found
    assert ocr.decoded(ocr.encoded("it took too long")) == "it took too long"


PDF = f"pdf/{READERS['pdf'].version}"


def test_files_are_read_again_when_an_engine_comes_and_not_when_it_leaves() -> None:
    assert outdated([PDF, "ocr/none"], "tesseract-5") == ["ocr"]
    assert outdated([PDF, "ocr/waiting"], "tesseract-5") == ["ocr"]
    assert outdated([PDF, "ocr/tesseract-5"], "tesseract-5") == []
    assert outdated([PDF, "ocr/tesseract-5"], "") == []


def test_lines_that_stand_out_are_headings() -> None:
    lines = [RecognisedLine("회의 결과", 0, 200, 40, 40, 0, False, 0.9)]
    lines += [
        RecognisedLine(f"줄 {number}은 본문입니다", 0, 500, 100 + 30 * number, 20, 0, False, 0.9) for number in range(8)
    ]

    class Answer:
        version, force = "test", False

        def read(self, picture: ocr.Picture) -> Recognised:
            return Recognised(tuple(lines), 0.9)

    [document] = extract(png(page()), path="a.png", pictures=Answer()).documents
    assert [one.title for one in document.headings] == ["회의 결과"]
    assert [(one.start, one.end) for one in document.ocr] == [(0, len(document.text))]


def test_the_model_is_fetched_when_asked_for_and_only_the_one_that_is_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serve(content: bytes) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None: ...

        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    with pytest.raises(ModelError, match="not the file that is expected"):
        pull(tmp_path / "ocr", serve(b"something else"))
    assert not (tmp_path / "ocr" / "Hangul.traineddata").exists()
    digest = hashlib.sha256(b"model").hexdigest()
    monkeypatch.setattr("kosearch.ocr.engine._PINNED", {"script/Hangul": digest, "eng": digest})
    assert pull(tmp_path / "ocr", serve(b"model")) == tmp_path / "ocr"
    assert (tmp_path / "ocr" / "Hangul.traineddata").read_bytes() == b"model"
    assert find_model(tmp_path / "ocr", {}) == Model(tmp_path / "ocr", "Hangul")
    assert pull(tmp_path / "ocr", "http://127.0.0.1:9") == tmp_path / "ocr"  # all is there
    with pytest.raises(ModelError, match="cannot be fetched"):
        pull(tmp_path / "other", "http://127.0.0.1:9")


def test_the_models_go_to_a_machine_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an archive nothing is taken but the files that this version would fetch itself."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    here, there, file = tmp_path / "here", tmp_path / "there", tmp_path / "ocr.tar"
    with pytest.raises(ModelError, match="does not have the models of OCR"):
        archive.export_ocr(here, file, lambda *_: None)
    here.mkdir()
    pinned = {}
    for name in ("script/Hangul", "eng"):
        (here / f"{Path(name).name}.traineddata").write_bytes(name.encode())
        pinned[name] = hashlib.sha256(name.encode()).hexdigest()
    monkeypatch.setattr("kosearch.ocr.engine._PINNED", pinned)
    archive.export_ocr(here, file, lambda *_: None)
    name, _ = archive.load(file, lambda *_: None, there)
    assert name == archive.OCR
    assert {one.name: one.read_bytes() for one in there.iterdir()} == {
        one.name: one.read_bytes() for one in here.iterdir()
    }
    monkeypatch.setattr("kosearch.ocr.engine._PINNED", {**pinned, "eng": "0" * 64})
    with pytest.raises(ModelError, match="other models of OCR"):
        archive.load(file, lambda *_: None, tmp_path / "third")
    assert not (tmp_path / "third").exists()


def test_pictures_in_documents_are_read(tmp_path: Path) -> None:
    """Where they stand, once there is room for text in them; and what was read says so."""
    docx = pytest.importorskip("docx")
    large, small = tmp_path / "large.png", tmp_path / "small.png"
    large.write_bytes(png(page(*text(10, 390, 20, 3), size=(400, 150))))
    small.write_bytes(png(page(size=(32, 32))))
    document = docx.Document()
    document.add_paragraph("앞")
    document.add_picture(str(large))
    document.add_picture(str(small))
    document.add_paragraph("뒤")
    document.save(str(tmp_path / "a.docx"))
    [found] = extract((tmp_path / "a.docx").read_bytes(), path="a.docx", pictures=ocr.AtOnce(Bars(), own)).documents
    assert found.text == "앞\n\n낱말\n\n뒤"
    assert [(one.start, one.end) for one in found.ocr] == [(3, 5)]


def drawing(*images: tuple[int, int, int, int], text: tuple[str, int, int] | None = None, pages: int = 1) -> bytes:
    """A PDF of A4 with pictures of bars at (left, bottom, width, height) in points, and a line of text at a place."""
    import pypdfium2
    import pypdfium2.raw as pdfium

    document = pypdfium2.PdfDocument.new()
    for _ in range(pages):
        sheet = document.new_page(595, 842)
        for left, bottom, width, height in images:
            bitmap = pypdfium2.PdfBitmap.from_pil(Image.fromarray(page(*text_bars())))
            image = pypdfium2.PdfImage.new(document)
            image.set_bitmap(bitmap)
            image.set_matrix(pypdfium2.PdfMatrix().scale(width, height).translate(left, bottom))
            sheet.insert_obj(image)
        if text:
            said, x, y = text
            font = pdfium.FPDFText_LoadStandardFont(document, b"Helvetica")
            item = pdfium.FPDFPageObj_CreateTextObj(document, font, 12)
            wide = (said + "\0").encode("utf-16-le")
            pdfium.FPDFText_SetText(item, ctypes.cast(ctypes.create_string_buffer(wide), pdfium.FPDF_WIDESTRING))
            pdfium.FPDFPageObj_Transform(item, 1, 0, 0, 1, x, y)
            pdfium.FPDFPage_InsertObject(sheet, item)
        sheet.gen_content()
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def text_bars() -> list[tuple[int, int, int, int]]:
    return text(100, 900, 100, 12)


LONG = "a page of text with more than sixteen characters"


@pytest.mark.parametrize(
    ("images", "said", "expected"),
    [
        ([(50, 300, 495, 400)], None, "낱말"),  # no text, and an image of more than a quarter
        ([(50, 300, 80, 40)], None, ""),  # a blank page with a sign
        ([(50, 300, 495, 300)], ("Fig. 3", 60, 200), "낱말"),
        ([(0, 0, 595, 842)], ("A title", 200, 500), "A title"),  # on a background
        ([(50, 300, 495, 300)], (LONG, 60, 200), f"{LONG}\n\n낱말"),  # a figure
        ([(50, 300, 100, 100)], (LONG, 60, 200), LONG),  # less than a tenth
        ([(50, 100, 495, 300)], (LONG, 60, 200), LONG),  # text on an image
    ],
)
def test_which_pages_and_figures_are_read(
    images: list[tuple[int, int, int, int]], said: tuple[str, int, int] | None, expected: str
) -> None:
    data = drawing(*images, text=said)
    if not expected:
        with pytest.raises(ExtractError):
            extract(data, path="a.pdf", pictures=ocr.AtOnce(Bars(), own))
        return
    [found] = extract(data, path="a.pdf", pictures=ocr.AtOnce(Bars(), own)).documents
    assert found.text == expected
    assert [found.text[one.start : one.end] for one in found.ocr] == ["낱말"] * ("낱말" in expected)


def test_pictures_in_workbooks_pages_and_mail_are_read() -> None:
    """Those of a sheet, those in a page's own markup, and those that a mail shows; attached ones are documents."""
    data = png(page(*text(10, 390, 20, 3), size=(400, 150)))
    packed = base64.b64encode(data).decode()
    html = f'<html><body><p>앞</p><img src="data:image/png;base64,{packed}"></body></html>'
    mail = EmailMessage()
    mail["Subject"] = "공지"
    mail.set_content("본문입니다")
    mail.add_alternative('<p>본문입니다</p><img src="cid:one">', subtype="html")
    [_, shown] = mail.iter_parts()
    shown.add_related(data, "image", "png", cid="<one>")
    openpyxl = pytest.importorskip("openpyxl")
    book, stream = openpyxl.Workbook(), io.BytesIO()
    book.active["A1"] = "칸"
    book.active.add_image(openpyxl.drawing.image.Image(io.BytesIO(data)))
    book.save(stream)
    for path, content in (("a.html", html.encode()), ("a.eml", mail.as_bytes()), ("a.xlsx", stream.getvalue())):
        [found] = extract(content, path=path, pictures=ocr.AtOnce(Bars(), own)).documents
        assert [found.text[one.start : one.end] for one in found.ocr] == ["낱말"], path


# --- with an engine -----------------------------------------------------------------------------------------------


def error_rate(found: str, truth: str) -> float:
    """Edits a character, without white space."""
    found, truth = "".join(found.split()), "".join(truth.split())
    before = list(range(len(truth) + 1))
    for row, letter in enumerate(found, 1):
        here = [row]
        for column, other in enumerate(truth, 1):
            here.append(min(before[column] + 1, here[-1] + 1, before[column - 1] + (letter != other)))
        before = here
    return before[-1] / max(len(truth), 1)


@needs_engine
@pytest.mark.parametrize(
    ("scan", "most"),
    [
        ("ko_fax_200.png", 0.06),
        ("ko_photo_200.jpg", 0.1),
        ("en_jpeg_150.jpg", 0.02),
        ("ko_table_150.png", 0.12),
        pytest.param("ko_two_columns_150.png", 0.06, marks=pytest.mark.slow),
    ],
)
def test_scans(scan: str, most: float) -> None:
    if not (SCANS / scan).exists():
        pytest.skip("the shared scans are not here")
    assert not isinstance(ENGINE, ocr.Missing)
    [document] = extract((SCANS / scan).read_bytes(), path=scan, pictures=ocr.AtOnce(ENGINE, own)).documents
    assert error_rate(document.text, (SCANS / scan).with_suffix(".txt").read_text("utf-8")) <= most


FONT = Path("/usr/share/fonts/truetype/nanum/NanumMyeongjo.ttf")
SAID = [
    "도서관은 매주 월요일과 공휴일에",
    "문을 닫으며 반납함은 늘 열려 있다",
    "대출한 책은 두 주 안에 돌려주고",
    "한 번에 한해 이레를 늘릴 수 있다",
    "늦은 날만큼 새로 빌릴 수 없으며",
    "잃어버린 책은 같은 책으로 갚는다",
]


def written(lines: list[str]) -> Any:
    from PIL import ImageDraw, ImageFont

    picture = Image.new("L", (1000, 700), 255)
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        draw.text((140, 120 + 76 * number), line, font=ImageFont.truetype(FONT, 38), fill=0)
    return picture


def below(*parts: Any) -> Any:
    return np.concatenate([np.asarray(one) for one in parts])


def book(left: list[str], right: list[str]) -> Any:
    pages = np.concatenate([np.asarray(written(left)), np.asarray(written(right))], axis=1)
    pages[:, 990:1010] = 90
    return pages


@needs_engine
@pytest.mark.skipif(not FONT.exists(), reason="needs fonts-nanum")
@pytest.mark.parametrize(
    ("drawn", "said"),
    [
        (lambda: 255 - np.asarray(written(SAID)), SAID),
        (lambda: written(SAID).rotate(9, Image.Resampling.BICUBIC, fillcolor=255, expand=True), SAID),
        (lambda: below(photo(1000, 300), written(SAID)), SAID),
        (lambda: book(SAID, SAID[::-1]), [*SAID, *SAID[::-1]]),
    ],
    ids=["light on dark", "far askew", "below a photo", "a book's two pages"],
)
def test_odd_pages(drawn: Any, said: list[str]) -> None:
    assert not isinstance(ENGINE, ocr.Missing)
    found = recognise(np.asarray(drawn()), ENGINE, 60.0)
    assert error_rate(" ".join(line.text for line in found.lines), " ".join(said)) < 0.1
    assert found.confidence > 0.7


@needs_engine
@pytest.mark.skipif(not FONT.exists(), reason="needs fonts-nanum")
def test_no_sheet_is_too_high_for_the_engine() -> None:
    """Cells of a large table, and on a page on its side words of which each seems to be as high as the page."""
    assert not isinstance(ENGINE, ocr.Missing)
    picture = np.asarray(written(SAID))
    boxes = [layout.Box(130, 110, 780, 170 + number % 3) for number in range(600)]
    budget = Budget(60.0)
    found = _words_of(picture, boxes, Numbered(), budget)
    assert [line[0].text for [line] in found] == [str(number) for number in range(600)]
    assert ENGINE.latin is not None
    tall = [Word("J?", 10 * number, 0, 10 * number + 8, 680, 0.2, number) for number in range(90)]
    assert read_again(picture, tall, ENGINE.latin, budget)


class Numbered:
    """An engine that numbers the boxes of a sheet by what is white between them."""

    version, latin = "numbered", None

    def __init__(self) -> None:
        self.count = 0

    def words(self, picture: Any, budget: Budget) -> list[Word]:
        assert picture.shape[0] < 32_767
        starts = range(12, picture.shape[0] - 60, 1)
        ink = (picture < 128).any(axis=1)
        tops = [row for row in starts if ink[row] and not ink[row - 12 : row].any()]
        found = []
        for line, top in enumerate(tops):
            found.append(Word(str(self.count), 20, top, 60, top + 30, 0.9, line))
            self.count += 1
        return found

    def script(self, picture: Any, budget: Budget) -> str:
        return ""


@needs_engine
@pytest.mark.skipif(not FONT.exists(), reason="needs fonts-nanum")
def test_lines_of_a_page_far_askew_are_marked_where_they_lie() -> None:
    assert not isinstance(ENGINE, ocr.Missing)
    straight = recognise(np.asarray(written(SAID)), ENGINE, 60.0).lines
    turned = written(SAID).rotate(9, Image.Resampling.BICUBIC, fillcolor=255)
    for line, as_it_lay in zip(recognise(np.asarray(turned), ENGINE, 60.0).lines, straight, strict=True):
        x, y = (as_it_lay.left + as_it_lay.right) / 2 - 500, as_it_lay.base - as_it_lay.height / 2 - 350
        angle = np.radians(9)
        expected = (np.cos(angle) * x + np.sin(angle) * y + 500, np.cos(angle) * y - np.sin(angle) * x + 350)
        assert ((line.left + line.right) / 2, line.base - line.height / 2) == pytest.approx(expected, abs=12)


@needs_engine
@pytest.mark.parametrize("kills", [1, pytest.param(50, marks=pytest.mark.crash)])
def test_a_run_that_is_killed_goes_on_with_the_next_picture(program: Program, tmp_path: Path, kills: int) -> None:
    """What was recognised stays in the index, and is not recognised again; hits say that they come from a picture."""
    folder, index = tmp_path / "scans", tmp_path / "index"
    folder.mkdir()
    new = 12
    count = new * kills
    pictures = scans(count)
    marked: dict[tuple[str, bytes], str] = {}
    for kill in range(kills):
        for number in range(new * kill, new * (kill + 1)):
            pictures[number].save(folder / f"{number:04}.png")
        process = subprocess.Popen(
            [PROGRAM, "index", folder, "-i", index],
            env={**program.environment, "KOSEARCH_WORKERS": "1"},
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and len(kept(index)) <= len(marked):
            time.sleep(0.02)
        process.kill()
        process.wait()
        before = kept(index)
        assert len(marked) < len(before)
        assert {known: before[known] for known in marked} == marked  # nothing was read twice
        marked = {known: mark(index, *known, body) for known, body in before.items()}
    result = program.run("index", "-i", index)
    assert result.returncode == 0, result.stderr
    after = kept(index)
    assert len(after) == count, result.stderr
    assert {known: after[known] for known in marked} == marked
    [hit, *_] = json.loads(program.run("query", "서울의 예산", "-i", index, "--json").stdout)["hits"]
    assert (hit["ocr"], hit["type"]) == (True, "image")
    assert hit["ocr_confidence"] > 0.5
    again = json.loads(program.run("index", "-i", index, "--json").stdout)
    assert (again["unchanged"], again["changed"]) == (count, 0)


@needs_engine
def test_pictures_that_wait_are_read_beside_a_warm_process(program: Program) -> None:
    """A question leaves them waiting, for reading them takes long; `index` reads them, warm process or not."""
    warm = Program(program.home, {**program.environment, "KOSEARCH_RESIDENT": "on", "KOSEARCH_RESIDENT_IDLE": "120"})
    folder = program.home / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("The boiler is serviced in May.\n")
    assert program.run("index", folder).returncode == 0

    def read_by_ocr() -> tuple[int, int]:
        counts = json.loads(warm.run("status", "--json").stdout)["ocr"]
        return counts.get("read", 0), counts.get("waiting", 0)

    try:
        assert until(lambda: warm.run("serve", "-d").returncode == 0, 60)
        scans(1)[0].save(folder / "scan.png")
        assert until(lambda: warm.run("query", "boiler").returncode == 0 and read_by_ocr() == (0, 1), 60)
        report = json.loads(warm.run("index", "--json").stdout)
        assert (report["added"] + report["changed"], report["skipped"]) == (1, [])
        assert read_by_ocr() == (1, 0)
        [hit, *_] = json.loads(warm.run("query", "서울의 예산", "--json").stdout)["hits"]
        assert hit["ocr"]
    finally:
        warm.run("serve", "--stop")


def mark(index: Path, engine: str, picture: bytes, body: str) -> str:
    """What is kept of a picture, told apart from what an engine says of it."""
    new = json.dumps(json.loads(body) | {"turned": 270})
    with closing(sqlite3.connect(index / "index.sqlite")) as connection:
        row = (new, checksum(picture, engine, new), picture)
        connection.execute("UPDATE recognised SET body = ?, checksum = ? WHERE picture = ?", row)
        connection.commit()
    return new


@needs_engine
def test_a_long_scan_is_searchable_while_it_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What there is of it is a whole document, marked partial; in the end the index is what a fresh one is."""
    monkeypatch.setattr("kosearch.indexing.PARTIAL_SECONDS", 0.0)
    monkeypatch.setattr("kosearch.indexing.PARTIAL_SHARE", 1e9)
    monkeypatch.setattr("kosearch.indexing.PUBLISH_SECONDS", 0.0)
    monkeypatch.setattr("kosearch.indexing.PUBLISH_SHARE", 1e9)
    monkeypatch.setenv("KOSEARCH_WORKERS", "1")
    folder = tmp_path / "scans"
    folder.mkdir()
    pictures = scans(4)
    pictures[0].save(folder / "a.tif", save_all=True, append_images=pictures[1:])
    (folder / "b.txt").write_text("다른 글은 먼저 찾을 수 있다", "utf-8")
    pages, other_first = set(), []
    with kosearch.open(tmp_path / "index") as index:
        for state in index.indexing(folder):
            if state.pictures_total and index.status().documents:
                other_first.append(bool(index.search("다른 글").hits))
                problems = [one.detail for one in index.problems() if one.reason is Reason.PARTIAL]
                pages.add((len(scan_of(index)), *problems))
        grown = scan_of(index)
        assert index.problems() == []
    assert all(other_first)
    assert len(grown) == 4
    assert {count for count, *problems in pages if problems} >= {1, 2}, pages
    assert any("scanned pages not read" in problem for _, *problems in pages for problem in problems)
    with kosearch.open(tmp_path / "fresh") as index:
        index.index(folder)
        assert scan_of(index) == grown


@needs_engine
def test_showing_what_there_is_of_a_scan_takes_a_small_part_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time all pages so far are analysed: of a book, every minute, that would be most of the work."""
    monkeypatch.setattr("kosearch.indexing.PARTIAL_SECONDS", 0.0)
    monkeypatch.setattr("kosearch.indexing.PARTIAL_SHARE", 1e-9)
    monkeypatch.setenv("KOSEARCH_WORKERS", "1")
    pictures = scans(4)
    pictures[0].save(tmp_path / "a.tif", save_all=True, append_images=pictures[1:])
    with kosearch.open(tmp_path / "index") as index:
        times = max(state.files_total for state in index.indexing(tmp_path / "a.tif"))
        assert len(scan_of(index)) == 4
    assert times == 3  # when its pictures waited, once in between, and whole


def scan_of(index: kosearch.Index) -> list[tuple[int | None, str]]:
    """The pages of the scan that have text, with it."""
    found = [one for one in index.documents() if one.path.endswith(".tif")]
    if not found:
        return []
    document = index.document(found[0].text_hash)
    starts = [(one.number, one.start) for one in document.pages]
    ends = [*(start for _, start in starts[1:]), len(document.text)]
    return [
        (number, text)
        for (number, start), end in zip(starts, ends, strict=True)
        if (text := document.text[start:end].strip())
    ]


def scans(count: int) -> list[Any]:
    """Pictures of one text that differ in a pixel."""
    picture = Image.open(Path(__file__).parent / "data" / "extract" / "scan.png").convert("L")
    result = []
    for number in range(count):
        result.append(picture.copy())
        result[-1].putpixel((number % picture.width, number // picture.width), 0)
    return result


def kept(index: Path) -> dict[tuple[str, bytes], str]:
    """What the index keeps of pictures."""
    try:
        with closing(sqlite3.connect(f"file:{index / 'index.sqlite'}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT engine, picture, body FROM recognised").fetchall()
    except sqlite3.OperationalError:
        return {}
    return {(engine, picture): body for engine, picture, body in rows}
