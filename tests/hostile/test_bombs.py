"""Small files that swell: each ends as a result or as a reason, in a worker with the limits that indexing sets."""

from __future__ import annotations

import io
import re
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import islice

import pytest
from conftest import Tally
from crash.mutations import Damaged, attempt

from kosearch.extract import ExtractError, extract
from kosearch.passages import chunk
from kosearch.records import Extracted, Reason
from kosearch.searching import snippet
from kosearch.workers import Failure, Pool

SECONDS = 30.0
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
OFFICE = "urn:oasis:names:tc:opendocument:xmlns"
HANGUL = "http://www.hancom.co.kr/hwpml/2011"


def package(members: Mapping[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in members.items():
            target.writestr(name, content)
    return out.getvalue()


def docx(head: str, body: str) -> bytes:
    paragraph = f"<w:p><w:r><w:t>{body}</w:t></w:r></w:p>"
    return package(
        {
            "[Content_Types].xml": "<Types/>",
            "word/document.xml": f'{head}<w:document xmlns:w="{WORD}"><w:body>{paragraph}</w:body></w:document>',
        }
    )


def odt(head: str, body: str) -> bytes:
    return package(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "content.xml": f'{head}<o:document-content xmlns:o="{OFFICE}:office:1.0" xmlns:t="{OFFICE}:text:1.0">'
            f"<o:body><o:text><t:p>{body}</t:p></o:text></o:body></o:document-content>",
        }
    )


def hwpx(head: str, body: str) -> bytes:
    return package(
        {
            "mimetype": "application/hwp+zip",
            "Contents/header.xml": f"{head}<head/>",
            "Contents/section0.xml": f'{head}<s:sec xmlns:s="{HANGUL}/section" xmlns:p="{HANGUL}/paragraph">'
            f"<p:p><p:run><p:t>{body}</p:t></p:run></p:p></s:sec>",
        }
    )


def epub(head: str, body: str) -> bytes:
    return package(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container><rootfile full-path="a.opf"/></container>',
            "a.opf": '<package><manifest><item id="c" href="c.xhtml"/></manifest>'
            '<spine><itemref idref="c"/></spine></package>',
            "c.xhtml": f"{head}<html><body><p>{body}</p></body></html>",
        }
    )


def opf(head: str, body: str) -> bytes:
    """An e-book whose table of contents is the bomb."""
    return package({"META-INF/container.xml": f'{head}<container><rootfile full-path="{body}"/></container>'})


def hwpml(head: str, body: str) -> bytes:
    paragraph = f"<P><TEXT><CHAR>{body}</CHAR></TEXT></P>"
    return f"{head}<HWPML><BODY><SECTION>{paragraph}</SECTION></BODY></HWPML>".encode()


def html(head: str, body: str) -> bytes:
    return f"{head}<html><body><p>{body}</p></body></html>".encode()


def svg(head: str, body: str) -> bytes:
    return f"{head}<svg xmlns='http://www.w3.org/2000/svg'><text>{body}</text></svg>".encode()


CONTAINERS: dict[str, Callable[[str, str], bytes]] = {
    "docx": docx,
    "odt": odt,
    "hwpx": hwpx,
    "epub": epub,
    "opf.epub": opf,
    "hml": hwpml,
    "html": html,
    "svg": svg,
}
DECLARED = '<?xml version="1.0"?>'
LAUGHS = "".join(f"<!ENTITY {'abcdefghijklmn'[n + 1]} '{('&' + 'abcdefghijklmn'[n] + ';') * 10}'>" for n in range(12))
ENTITIES = {
    "billion laughs": (f"{DECLARED}<!DOCTYPE x [<!ENTITY a 'ha'>{LAUGHS}]>", "서울 &m;"),
    "quadratic": (f"{DECLARED}<!DOCTYPE x [<!ENTITY a '{'x' * 50_000}'>]>", "서울 " + "&a;" * 50_000),
    "a file": (f"{DECLARED}<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>", "서울 &a;"),
    "an address": (f"{DECLARED}<!DOCTYPE x [<!ENTITY a SYSTEM 'http://127.0.0.1:9/a'>]>", "서울 &a;"),
    "a parameter": (f"{DECLARED}<!DOCTYPE x [<!ENTITY % a SYSTEM 'file:///etc/passwd'> %a;]>", "서울"),
    "a whole type": (f"{DECLARED}<!DOCTYPE x SYSTEM 'file:///etc/passwd'>", "서울"),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_entities_are_neither_expanded_nor_fetched(container: str, tally: Tally) -> None:
    for name, (head, body) in ENTITIES.items():
        begun = time.monotonic()
        texts = []
        with suppress(ExtractError):
            texts = [one.text for one in extract(CONTAINERS[container](head, body), path=f"a.{container}").documents]
        assert time.monotonic() - begun < SECONDS
        assert not any("root:" in text or "hahaha" in text or "x" * 60_000 in text for text in texts), name
        tally.tried("bombs")


def zeros(size: int) -> bytes:
    """A ZIP whose only member unpacks to so many zero bytes, and says so; made without unpacking it."""
    block = 1 << 20
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = b"".join(packer.compress(bytes(block)) for _ in range(size // block)) + packer.flush()
    return _stored(b"zeros.txt", data, size)


def lying(size: int) -> bytes:
    """The same, but its headers say that it is small."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(bytes(size)) + packer.flush()
    return _stored(b"zeros.txt", data, 1000)


def _stored(name: bytes, data: bytes, size: int) -> bytes:
    """A ZIP (APPNOTE.TXT) with one deflated member; sizes beyond 4 GiB as Zip64 has them."""
    large = size >= 1 << 32
    extra = b"\x01\x00\x10\x00" + size.to_bytes(8, "little") + len(data).to_bytes(8, "little") if large else b""
    sizes = b"\xff" * 8 if large else len(data).to_bytes(4, "little") + size.to_bytes(4, "little")
    common = b"\x2d\0\0\0\x08\0\0\0\0\0" + bytes(4) + sizes + len(name).to_bytes(2, "little")
    common += len(extra).to_bytes(2, "little")
    local = b"PK\x03\x04" + common + name + extra + data
    central = b"PK\x01\x02\x2d\0" + common + bytes(14) + name + extra
    end = b"PK\x05\x06" + bytes(4) + b"\x01\0\x01\0" + len(central).to_bytes(4, "little")
    return local + central + end + len(local).to_bytes(4, "little") + bytes(2)


def nested(depth: int) -> bytes:
    """Archives in archives, four in each: 42.zip in small."""
    inner = package({"a.txt": "서울 " * 100_000})
    for _ in range(depth):
        inner = package({f"{number}.zip": inner for number in range(4)})
    return inner


def overlapping(count: int) -> bytes:
    """Many names for the same packed bytes, so that they unpack many times."""
    name = b"a%05d.txt"
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress("서울 ".encode() * 200_000) + packer.flush()
    crc, size = zlib.crc32("서울 ".encode() * 200_000), len("서울 ".encode()) * 200_000
    sizes = crc.to_bytes(4, "little") + len(data).to_bytes(4, "little") + size.to_bytes(4, "little")
    common = b"\x14\0\0\0\x08\0\0\0\0\0" + sizes + (10).to_bytes(2, "little") + bytes(2)
    local = b"PK\x03\x04" + common + name % 0 + data
    central = b"".join(b"PK\x01\x02\x14\0" + common + bytes(14) + name % number for number in range(count))
    total = count.to_bytes(2, "little") * 2
    end = b"PK\x05\x06" + bytes(4) + total + len(central).to_bytes(4, "little") + len(local).to_bytes(4, "little")
    return local + central + end + bytes(2)


def mail(depth: int) -> bytes:
    body = b"Content-Type: text/plain\n\nSeoul"
    for number in range(depth):
        body = b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n%s\n--b%d--\n" % (number, number, body, number)
    return b"From: a@b.c\nMIME-Version: 1.0\n" + body


def forwarded(depth: int) -> bytes:
    body = b"From: a@b.c\nSubject: x\nMIME-Version: 1.0\n\nSeoul"
    for _ in range(depth):
        body = b"From: a@b.c\nMIME-Version: 1.0\nContent-Type: message/rfc822\n\n" + body
    return body


def outlined(pages: int, entries: int) -> bytes:
    """A PDF with so many pages that share one content, and so many entries in its outline."""
    first, outline = 6, 6 + pages
    content = "BT /F1 12 Tf 72 700 Td (The lighthouse keeper writes) Tj ET"
    kids = " ".join(f"{first + number} 0 R" for number in range(pages))
    objects = [
        "<</Type/Catalog/Pages 2 0 R/Outlines 5 0 R>>",
        f"<</Type/Pages/Count {pages}/Kids[{kids}]>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        f"<</Length {len(content)}>>stream\n{content}\nendstream",
        f"<</Type/Outlines/Count {entries}/First {outline} 0 R/Last {outline + entries - 1} 0 R>>",
    ]
    page = "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1 3 0 R>>>>/Contents 4 0 R>>"
    objects += [page] * pages
    for number in range(entries):
        after = f"/Next {outline + number + 1} 0 R" if number < entries - 1 else ""
        target = first + number % pages
        objects.append(f"<</Title(Chapter {number})/Parent 5 0 R/Dest[{target} 0 R/Fit]{after}>>")
    return pdf(objects)


def circular() -> bytes:
    """A PDF whose outline and whose tree of pages lead back to themselves."""
    return pdf(
        [
            "<</Type/Catalog/Pages 2 0 R/Outlines 3 0 R>>",
            "<</Type/Pages/Count 5/Kids[2 0 R 2 0 R]>>",
            "<</Type/Outlines/First 4 0 R/Last 4 0 R/Count 1>>",
            "<</Title(a)/Parent 3 0 R/Next 4 0 R/First 4 0 R/Dest[2 0 R/Fit]>>",
        ]
    )


def pdf(objects: list[str]) -> bytes:
    out = io.BytesIO()
    out.write(b"%PDF-1.4\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(out.tell())
        out.write(f"{number} 0 obj{content}endobj\n".encode())
    start = out.tell()
    out.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode())
    out.writelines(b"%010d 00000 n \n" % place for place in places)
    out.write(f"trailer<</Size {len(objects) + 1}/Root 1 0 R>>startxref\n{start}\n%%EOF".encode())
    return out.getvalue()


SWELLING: dict[str, Callable[[], bytes]] = {
    "a gigabyte of zeros.zip": lambda: zeros(1 << 30),
    "zeros that lie.zip": lambda: lying(300 << 20),
    "nested.zip": lambda: nested(6),
    "one member by 5000 names.zip": lambda: overlapping(5000),
    "one member by 60000 names.zip": lambda: overlapping(60_000),
    "itself.zip": lambda: package(
        {"self.zip": package({"self.zip": package({"self.zip": b"PK\x05\x06" + bytes(18)})})}
    ),
    "swelling.docx": lambda: docx("", "서울 " * 30_000_000),
    "swelling.hwpx": lambda: hwpx("", "서울 " * 30_000_000),
    "swelling.xlsx": lambda: package({"xl/workbook.xml": "<workbook/>", "xl/worksheets/sheet1.xml": bytes(100 << 20)}),
    "deep.docx": lambda: docx("", "<w:r>" * 20_000 + "서울"),
    "deep.hml": (DECLARED + "<HWPML>" + "<a>" * 200_000).encode,
    "deep.json": lambda: b"[" * 1_000_000 + b'"Seoul"',
    "deep.ipynb": lambda: b"[" * 1_000_000,
    "deep.html": lambda: b"<b>" * 20_000 + b"Seoul",
    "deep.md": lambda: b"> " * 500_000 + b"Seoul",
    "deep.rtf": lambda: b"{\\rtf1 " + b"{" * 1_000_000 + b"Seoul",
    "deep.eml": lambda: mail(300),
    "forwarded.eml": lambda: forwarded(100),
    "comments.txt": lambda: b"<!---->" * 290 + b"Seoul",
    "words in a header.eml": lambda: b"MIME-Version: 1.0\nSubject: " + b"=?utf-8?q?Seoul?= " * 100_000 + b"\n\nSeoul",
    "brackets in a header.eml": lambda: b"MIME-Version: 1.0\nFrom: " + b"(" * 200_000 + b"\n\nSeoul",
    "parts.eml": lambda: (
        b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nSeoul\n" * 50_000
    ),
    "spaces.rst": lambda: b":a: " + b" " * 1_000_000 + b"x\n",
    "spaces.md": lambda: b"---\na: " + b" " * 1_000_000 + b"x\n---\n",
    "quotes.csv": lambda: b'"' * 3_000_000,
    "columns.csv": lambda: b"," * 1_000_000,
    "accents.txt": ("Seoul e" + "\u0301" * 1_000_000).encode,
    "circular.pdf": circular,
    "outline.pdf": lambda: outlined(300, 20_000),
}
HUGE: dict[str, Callable[[], bytes]] = {
    "ten gigabytes of zeros.zip": lambda: zeros(10 << 30),
    "100,000 pages with an entry each.pdf": lambda: outlined(100_000, 100_000),
    "a line of sixty million characters.txt": lambda: b"a" * 60_000_000,
    "deeper.html": lambda: b"<div>" * 500_000 + b"Seoul",
}


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool[Damaged, str]]:
    with Pool(attempt, 1, deadline=SECONDS) as one:
        yield one


def outcome(pool: Pool[Damaged, str], name: str, data: bytes) -> str | Failure:
    [(_, found)] = islice(pool.map([Damaged(name, 0, data)]), 1)
    return found


@pytest.mark.parametrize("name", SWELLING)
def test_what_swells_ends_by_itself(pool: Pool[Damaged, str], name: str, tally: Tally) -> None:
    """No limit of the worker is needed: the reader itself sees what it has before it."""
    assert outcome(pool, name, SWELLING[name]()) == ""
    tally.tried("bombs")


LINES = {"dots": "." * 200_000 + "x", "marks": '?"' * 100_000 + "x", "spaces": "a." + " " * 200_000 + "x"}


def pieces(text: str) -> int:
    """What becomes of a line between a file and its passages, and of a passage on its way to a person."""
    spans = [match.span() for match in re.finditer(r"\w{1,4}|[^\w\s]", text)]
    passages = chunk(Extracted(text, "text"), lambda _: spans, size=320, overlap=32)
    return len(passages) + sum(snippet(text[:20_000], "word", 240))


@pytest.mark.parametrize("name", LINES)
def test_a_line_without_end_is_cut_in_time(name: str, tally: Tally) -> None:
    with Pool(pieces, 1, deadline=SECONDS) as pool:
        [(_, found)] = pool.map([LINES[name]])
    assert not isinstance(found, Failure), found
    tally.tried("bombs")


@pytest.mark.slow
@pytest.mark.parametrize("name", HUGE)
def test_what_is_huge_costs_its_time_and_no_more(pool: Pool[Damaged, str], name: str, tally: Tally) -> None:
    """A worker's limit may end it; the next file is read."""
    found = outcome(pool, name, HUGE[name]())
    assert found == "" or (isinstance(found, Failure) and found.kind in ("timeout", "memory"))
    assert outcome(pool, "after.txt", "서울".encode()) == ""
    tally.tried("bombs")


def test_an_archive_in_an_archive_is_not_opened() -> None:
    found = extract(nested(1), path="a.zip", archives=True)
    assert found.documents == ()
    assert {one.reason for one in found.skipped} == {Reason.UNSUPPORTED}
