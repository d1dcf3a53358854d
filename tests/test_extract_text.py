"""Decoding, and the formats that are text already."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosearch.extract import ExtractError, extract
from kosearch.extract.text import decode, normalise
from kosearch.records import Extracted, Reason

KOREAN = "취약점은 보안 담당자에게 알려야 한다.\n둘째 줄"


def read(data: bytes | str, path: str = "a.txt") -> Extracted:
    (document,) = extract(data.encode() if isinstance(data, str) else data, path=path).documents
    return document


def outline(document: Extracted) -> list[tuple[int, str]]:
    """Levels and titles, each checked to stand where it says."""
    for heading in document.headings:
        assert heading.title.split()[-1] in document.text[heading.start :][:200]
    return [(heading.level, heading.title) for heading in document.headings]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "cp949", "euc-kr", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_korean_in_every_usual_encoding(encoding: str) -> None:
    document = read(KOREAN.encode(encoding))
    assert document.text == KOREAN
    assert document.warnings == ()


# The 2350 syllables of KS X 1001, which are all that Korean text normally holds.
SYLLABLES = bytes(byte for row in range(0xB0, 0xC9) for cell in range(0xA1, 0xFF) for byte in (row, cell)).decode(
    "euc_kr"
)


@given(st.text(SYLLABLES, min_size=2))
def test_short_cp949_is_never_guessed(text: str) -> None:
    decoded = decode(text.encode("cp949"))
    assert decoded.text == text or decoded.encoding == "utf-8"


def test_a_guess_and_a_loss_are_never_silent() -> None:
    shift_jis = "これは日本語の文章です。漢字とかなが混ざっています。" * 4
    guessed = decode(shift_jis.encode("shift_jis"))
    assert guessed.text == shift_jis
    assert "guessed" in guessed.warnings[0]
    damaged = decode("한글 ".encode() * 50 + b"\xff\xfe broken " + "한글 ".encode() * 50)
    assert damaged.encoding == "utf-8"
    assert damaged.text.count("한글") == 100
    assert "replaced: 2" in damaged.warnings[0]


def test_a_cut_last_character_does_not_change_the_encoding() -> None:
    assert decode(("가" * 100).encode()[:-1]).encoding == "utf-8"
    assert decode(("가" * 100).encode("cp949")[:-1]).encoding == "cp949"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x7fELF\x02\x01\x01" + bytes(64), Reason.BINARY),
        (bytes(range(256)) * 8, Reason.BINARY),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Reason.BROKEN),  # a picture, and its end is missing
    ],
)
def test_binary_is_refused(data: bytes, reason: Reason) -> None:
    with pytest.raises(ExtractError) as caught:
        extract(data, path="a.txt")
    assert caught.value.reason is reason


@pytest.mark.parametrize(("data", "reason"), [(b"", Reason.EMPTY), (b" \n\t\n", Reason.NO_TEXT)])
def test_nothing_is_not_success(data: bytes, reason: Reason) -> None:
    with pytest.raises(ExtractError) as caught:
        extract(data, path="a.md")
    assert caught.value.reason is reason


@given(st.text())
def test_normalised_text_keeps_its_promises(text: str) -> None:
    clean = normalise(text)
    assert unicodedata.is_normalized("NFC", clean)
    assert not set(clean) & set("\r\0\x0b\x0c\x1c\x85\u2028\ufeff\xad")
    assert clean.splitlines() == clean.removesuffix("\n").split("\n") or not clean
    clean.encode()
    assert normalise(clean) == clean


def test_markdown_headings() -> None:
    document = read(
        "# 제목 **하나** #\n\n본문\n둘째\n===\n\n```\n# not a heading\n```\n\n## [링크](http://a) `x`\n\n- 항목\n---\n"
        "    # code\n\n셋째\n---\n#nothing\n",
        "a.md",
    )
    assert outline(document) == [(1, "제목 하나"), (1, "둘째"), (2, "링크 x"), (2, "셋째")]
    assert document.title == "제목 하나"


@pytest.mark.parametrize(
    "front",
    [
        '---\ntitle: "휴가 규정"\nauthor: 김철수\ndate: 2024-02-29\n# comment\n---\n',
        '+++\ntitle = "휴가 규정"\nauthor = "김철수"\ndate = 2024-02-29\n# comment\n+++\n',
    ],
)
def test_front_matter_is_metadata(front: str) -> None:
    document = read(front + "# 본문\n", "a.md")
    assert document.title == "휴가 규정"
    assert document.metadata == {"author": "김철수", "created": "2024-02-29"}
    assert outline(document) == [(1, "본문")]


def test_a_line_at_the_top_is_no_front_matter() -> None:
    assert outline(read("---\n\n# 제목\n\n---\n\n## 다음\n", "a.md")) == [(1, "제목"), (2, "다음")]


def test_restructuredtext_levels_follow_the_order_of_adornments() -> None:
    document = read(
        "=====\nGuide\n=====\n\n:Author: Lee\n:Date: 2023-05-01\n\n설치 방법\n----------\n\ntext\n\n"
        "Deeper\n~~~~~~\n\nNext\n----\n",
        "a.rst",
    )
    assert outline(document) == [(1, "Guide"), (2, "설치 방법"), (3, "Deeper"), (2, "Next")]
    assert document.metadata == {"author": "Lee", "created": "2023-05-01"}


CODE = {
    "a.py": ("class Index:\n    async def open(self) -> None:\n        pass\n\ndef main():\n    pass\n",
             [(1, "class Index"), (2, "def open"), (1, "def main")]),
    "a.ts": ("export default class Box<T> {\n}\nexport async function load(x: number) {\n}\ninterface Shape {}\n",
             [(1, "class Box<T>"), (1, "function load"), (1, "interface Shape")]),
    "a.go": ("type T struct{}\nfunc (t *T) Run() error {\n}\n", [(1, "func (t *T) Run")]),
    "a.rs": ("pub(crate) struct A;\nimpl A {\n    pub fn new() -> Self {}\n}\n",
             [(1, "struct A"), (1, "impl A"), (2, "fn new")]),
    "a.c": ("static int add(int a, int b)\n{\n    if (a) { return b; }\n    return add(a, b);\n}\n", [(1, "add")]),
    "a.sh": ("build() {\n  :\n}\n", [(1, "build")]),
    "a.sql": ("CREATE TABLE IF NOT EXISTS hits (id int);\n", [(1, "TABLE hits")]),
}  # fmt: skip


@pytest.mark.parametrize("path", CODE)
def test_definitions_are_headings(path: str) -> None:
    source, expected = CODE[path]
    document = read(source, path)
    assert outline(document) == expected
    assert document.kind == "code"
    assert document.text == source


def test_json_escapes_are_read_and_json_stays_json() -> None:
    document = read(r'{"name": "\ud55c\uae00 \ud83d\ude00", "quote": "\u0022"}', "a.jsonl")
    assert document.text == r'{"name": "한글 😀", "quote": "\u0022"}'


@pytest.mark.parametrize(
    ("data", "path", "kind"),
    [
        ("<!DOCTYPE html><title>t</title><p>본문", "a.txt", "html"),
        ("<table><tr><td>해<td>원</table>", "보고서.xls", "html"),
        ("<html><body>로그인하십시오", "a.pdf", "html"),
        ('data = b"%PDF-1.7"', "a.py", "code"),
        ("<HWPML> 은 형식의 이름이다", "a.txt", "text"),
        ("From: a@b.kr\nMIME-Version: 1.0\nSubject: x\n\n본문", "12.M3P4", "mail"),
        ("From: 여기부터 저기까지", "a.txt", "text"),
    ],
)
def test_content_decides_with_the_suffix(data: str, path: str, kind: str) -> None:
    assert read(data, path).kind == kind
