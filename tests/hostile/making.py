"""The hostile set: small files made to cost much, one a name; those of test_bombs are among them."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable, Mapping

from test_bombs import CONTAINERS, ENTITIES, HANGUL, OFFICE, SWELLING, docx, package, pdf, zeros

SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def xlsx(rows: str, *, after: str = "", strings: str = "") -> bytes:
    """A workbook of one sheet with these rows."""
    kinds = "http://schemas.openxmlformats.org/package/2006/content-types"
    main = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    return package(
        {
            "[Content_Types].xml": f'<Types xmlns="{kinds}"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{main}.sheet.main+xml"/>'
            f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{main}.worksheet+xml"/></Types>',
            "_rels/.rels": f'<Relationships xmlns="{RELATIONS}"><Relationship Id="r" Target="xl/workbook.xml" '
            f'Type="{OFFICE_RELATIONS}/officeDocument"/></Relationships>',
            "xl/workbook.xml": f'<workbook xmlns="{SHEET}" xmlns:r="{OFFICE_RELATIONS}"><sheets>'
            '<sheet name="s" sheetId="1" r:id="r1"/></sheets></workbook>',
            "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{RELATIONS}"><Relationship Id="r1" '
            f'Target="worksheets/sheet1.xml" Type="{OFFICE_RELATIONS}/worksheet"/></Relationships>',
            "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{SHEET}"><sheetData>{rows}</sheetData>{after}</worksheet>',
            **({"xl/sharedStrings.xml": f'<sst xmlns="{SHEET}">{strings}</sst>'} if strings else {}),
        }
    )


def cell(place: str, value: str) -> str:
    row = "".join(filter(str.isdigit, place))
    return f'<row r="{row}"><c r="{place}" t="inlineStr"><is><t>{value}</t></is></c></row>'


def ods(table: str) -> bytes:
    """A spreadsheet of one table with this content."""
    names = f'xmlns:o="{OFFICE}:office:1.0" xmlns:t="{OFFICE}:text:1.0" xmlns:b="{OFFICE}:table:1.0"'
    return package(
        {
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "content.xml": f'<o:document-content {names}><o:body><o:spreadsheet><b:table b:name="s">{table}</b:table>'
            "</o:spreadsheet></o:body></o:document-content>",
        }
    )


def page_tree(depth: int, width: int) -> bytes:
    """A PDF whose nodes all name the next one so often: width ** depth pages in a few hundred bytes."""
    nodes = [
        f"<</Type/Pages/Count {width ** (depth - level)}/Kids[{f'{level + 3} 0 R ' * width}]>>"
        for level in range(depth)
    ]
    page = f"<</Type/Page/Parent {depth + 1} 0 R/MediaBox[0 0 612 792]>>"
    return pdf(["<</Type/Catalog/Pages 2 0 R>>", *nodes, page])


def hwpx_table(rows: int) -> bytes:
    """A table cell that says that it spans so many rows and columns."""
    span = f'<p:cellSpan colSpan="{rows}" rowSpan="{rows}"/>'
    inner = f"<p:tc><p:subList><p:p><p:run><p:t>서울</p:t></p:run></p:p></p:subList>{span}</p:tc>"
    return package(
        {
            "mimetype": "application/hwp+zip",
            "Contents/header.xml": "<head/>",
            "Contents/section0.xml": f'<s:sec xmlns:s="{HANGUL}/section" xmlns:p="{HANGUL}/paragraph"><p:p><p:run>'
            f'<p:tbl rowCnt="{rows}" colCnt="{rows}"><p:tr>{inner}</p:tr></p:tbl></p:run></p:p></s:sec>',
        }
    )


def book(times: int) -> bytes:
    """An e-book that names its only chapter so often."""
    spine = '<itemref idref="c"/>' * times
    return package(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container><rootfile full-path="a.opf"/></container>',
            "a.opf": f'<package><manifest><item id="c" href="c.xhtml"/></manifest><spine>{spine}</spine></package>',
            "c.xhtml": f"<html><body><p>{'Seoul ' * 200}</p></body></html>",
        }
    )


def pax(size: int) -> bytes:
    """A tar archive with an extended header that says to be so long."""
    out = io.BytesIO()
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, size
    out.write(header.tobuf(tarfile.GNU_FORMAT))
    out.write(b"30 comment=Seoul\n" * 100)
    return out.getvalue()


def gzipped(size: int) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as target:
        for _ in range(size >> 20):
            target.write(bytes(1 << 20))
    return out.getvalue()


def of_entities() -> dict[str, Callable[[], bytes]]:
    """Each container with each kind of entity."""
    return {
        f"{kind}.{container}": lambda make=make, head=head, body=body: make(head, body)
        for container, make in CONTAINERS.items()
        for kind, (head, body) in ENTITIES.items()
    }


RUNS: Mapping[str, Callable[[], bytes]] = {
    "one letter.txt": lambda: b"a" * 3_000_000,
    "one syllable.txt": lambda: "가".encode() * 1_000_000,
    "combining marks.txt": ("e" + "\u0301\u0323" * 500_000).encode,
    "jamo.txt": lambda: "ᄀ".encode() * 500_000,
    "brackets.txt": lambda: b"(" * 2_000_000,
    "brackets.md": lambda: b"[" * 1_000_000,
    "links.md": lambda: b"[a](" * 200_000,
    "backticks.md": lambda: b"`" * 1_000_000,
    "stars.md": lambda: b"*a_" * 300_000,
    "pipes.md": lambda: b"|" * 500_000 + b"\n" + b"|-" * 250_000,
    "equals.rst": lambda: b"=" * 1_000_000 + b"\na\n" + b"=" * 1_000_000,
    "carriage returns.csv": lambda: b"\r" * 2_000_000,
    "one field.csv": lambda: b'a,"' + b"b" * 5_000_000 + b'"\n',
    "digits.json": lambda: b'{"a": ' + b"9" * 1_000_000 + b"}",
    "exponent.json": lambda: b'{"a": 1e999999999, "text": "Seoul"}',
    "objects.jsonl": lambda: b"{}\n" * 1_000_000,
    "zeros.txt": lambda: bytes(2_000_000),
    "odd.txt": lambda: b"\xff\xfe" + b"\x00\xd8" * 500_001 + b"a",
    "less than.html": lambda: b"<" * 1_000_000,
    "comments.html": lambda: b"<!--" * 300_000,
    "attribute.html": lambda: b"<p title='" + b"a" * 2_000_000 + b"'>Seoul",
    "tables.html": lambda: b"<table><tr><td>" * 5_000 + b"Seoul",
    "spans.html": lambda: b"<table><tr><td rowspan=65534 colspan=1000>Seoul</table>" * 50,
    "heading.html": lambda: b"<h1>" + b"Seoul " * 80_000 + b"</h1>" + b"<p>busan</p>" * 1000,
    "headings.md": lambda: b"# Seoul\n" * 200_000,
    "boundary.eml": lambda: b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=a\n\n" + b"--a\n" * 500_000,
    "base64.eml": lambda: b"MIME-Version: 1.0\nContent-Transfer-Encoding: base64\n\n" + b"=A" * 1_000_000,
    "parameters.eml": lambda: b"MIME-Version: 1.0\nContent-Type: text/plain" + b"; a*0*=a" * 50_000 + b"\n\nSeoul",
    "froms.mbox": lambda: b"From a@b Mon Jan 1 00:00:00 2024\n\n" * 50_000,
    "binary.rtf": lambda: b"{\\rtf1\\bin2147483647 Seoul}",
    "escapes.rtf": lambda: b"{\\rtf1 " + b"\\u-1?" * 300_000 + b"}",
    "cells.rtf": lambda: b"{\\rtf1 " + b"\\trowd\\cellx1\\cell" * 100_000 + b"\\row}",
    "paragraphs.docx": lambda: docx("", "Seoul</w:t></w:r></w:p><w:p><w:r><w:t>" * 100_000),
    "stray cell.xlsx": lambda: xlsx(cell("A1", "Seoul") + cell("XFD1048576", "Busan")),
    "merged.xlsx": lambda: xlsx(cell("A1", "Seoul"), after='<mergeCells><mergeCell ref="A1:XFD1048576"/></mergeCells>'),
    "string 4000000000.xlsx": lambda: xlsx('<row r="1"><c r="A1" t="s"><v>4000000000</v></c></row>', strings="<si/>"),
    "repeated.ods": lambda: ods(
        '<b:table-row b:number-rows-repeated="1048576"><b:table-cell b:number-columns-repeated="16384">'
        "<t:p>Seoul</t:p></b:table-cell></b:table-row>"
    ),
    "spans.hwpx": lambda: hwpx_table(1_000_000_000),
    "chapters.epub": lambda: book(100_000),
    "a million pages.pdf": lambda: page_tree(6, 10),
    "a long chain of pages.pdf": lambda: page_tree(20_000, 1),
    "outside.zip": lambda: package({"../../outside.txt": "Seoul", "/etc/outside.txt": "Busan", "a" * 60_000: "x"}),
    "pax.tar": lambda: pax(30 << 30),
    "zeros.gz": lambda: gzipped(1 << 30),
}
HOSTILE: Mapping[str, Callable[[], bytes]] = {
    **of_entities(),
    **SWELLING,
    **RUNS,
    "ten gigabytes.zip": lambda: zeros(10 << 30),
}
"""Every file of the set, by its name."""
CHEAP = (
    "billion laughs.docx",
    "a file.svg",
    "nested.zip",
    "deep.json",
    "deep.rtf",
    "circular.pdf",
    "a million pages.pdf",
    "brackets.md",
    "stray cell.xlsx",
    "digits.json",
    "pax.tar",
    "spans.hwpx",
)
"""Those of the default test: one of each sort that costs little."""
