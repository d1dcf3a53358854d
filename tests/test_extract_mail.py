"""Mail, mailboxes and archives: documents inside a file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from email.message import EmailMessage

import pytest

from kosearch.extract import ExtractError, extract, outdated, version
from kosearch.records import Extraction, Reason


def message(subject: str = "회의 자료", body: str = "서울에서 뵙겠습니다.") -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = subject
    mail["From"] = "홍길동 <hong@example.com>"
    mail["Date"] = "Thu, 29 Feb 2024 12:00:00 +0900"
    mail.set_content(body)
    return mail


def archive(members: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return out.getvalue()


def read(mail: EmailMessage, *, archives: bool = False) -> Extraction:
    return extract(bytes(mail), path="mail.eml", archives=archives)


def test_subject_sender_and_date() -> None:
    (document,) = read(message()).documents
    assert document.kind == "mail"
    assert document.title == "회의 자료"
    assert document.metadata == {"author": "홍길동 <hong@example.com>", "created": "2024-02-29T12:00:00+09:00"}
    assert document.text.startswith("회의 자료\nFrom: 홍길동 <hong@example.com>\n")
    assert document.text.endswith("\n\n서울에서 뵙겠습니다.")


def test_attachments_are_documents_inside_the_mail() -> None:
    mail = message()
    mail.add_attachment(
        "이름,나이\n김철수,30\n이영희,31\n".encode("cp949"), maintype="text", subtype="csv", filename="명단.csv"
    )
    mail.add_attachment(b"\x89PNG\r\n\x1a\n\0\0", maintype="image", subtype="png", filename="그림.png")
    mail.add_attachment(message("안의 메일", "안의 글"))
    found = read(mail)
    assert [(one.member, one.kind) for one in found.documents] == [
        ("", "mail"),
        ("명단.csv", "csv"),
        ("안의 메일.eml", "mail"),
    ]
    assert found.documents[1].text.endswith("이름: 이영희 | 나이: 31")
    assert [(one.path, one.member, one.reason) for one in found.skipped] == [("mail.eml", "그림.png", Reason.BROKEN)]


def test_html_mail_is_read_as_a_page() -> None:
    mail = message(body="")
    mail.set_content("<h2>알림</h2><p>서울<br>회의</p>", subtype="html", charset="utf-8")
    (document,) = read(mail).documents
    assert document.text.endswith("알림\n\n서울\n회의")
    assert [(heading.level, heading.title) for heading in document.headings] == [(1, "회의 자료"), (2, "알림")]


def test_plain_text_wins_over_its_html_twin() -> None:
    mail = message(body="글로 된 본문\n- 둘째 줄")
    mail.add_alternative("<p>글로 된 <b>본문</b></p><ul><li>둘째 줄</ul>", subtype="html")
    (document,) = read(mail).documents
    assert document.text.endswith("\n\n글로 된 본문\n- 둘째 줄")
    assert document.text.count("본문") == 1


def test_a_page_that_says_more_than_its_plain_twin_is_shown() -> None:
    mail = message(body="HTML을 지원하는 프로그램으로 보세요.")
    mail.add_alternative("<p>청구 금액은 55,000원입니다.</p>", subtype="html")
    (document,) = read(mail).documents
    assert document.text.endswith("\n\n청구 금액은 55,000원입니다.")


def test_bare_eight_bit_headers_of_old_programs() -> None:
    raw = "Subject: 옛날 메일\nFrom: 김철수 <a@b.kr>\n\n본문입니다.\n".encode("cp949")
    (document,) = extract(raw, path="a.eml").documents
    assert document.title == "옛날 메일"
    assert document.metadata == {"author": "김철수 <a@b.kr>"}


def test_mail_in_mail_ends() -> None:
    mail = message("바닥")
    for depth in range(6):
        outer = message(f"겹 {depth}")
        outer.add_attachment(mail)
        mail = outer
    found = read(mail)
    assert len(found.documents) == 3
    assert [one.reason for one in found.skipped] == [Reason.UNSUPPORTED]


def test_archives_are_opened_when_asked_and_one_level_deep() -> None:
    packed = archive({
        "안/글.txt": "한글".encode("cp949"), "메모.md": "# 제목".encode(), "겹.zip": archive({"a.txt": b"deep"}),
        "사진.jpg": b"\xff\xd8\xff\0", "__MACOSX/._글.txt": b"\0", "빈 글.txt": b"",
    })  # fmt: skip
    with pytest.raises(ExtractError) as caught:
        extract(packed, path="묶음.zip")
    assert caught.value.reason is Reason.UNSUPPORTED
    assert "--archives" in caught.value.detail
    found = extract(packed, path="묶음.zip", archives=True)
    assert [(one.member, one.text) for one in found.documents] == [("안/글.txt", "한글"), ("메모.md", "# 제목")]
    assert [(one.member, one.reason) for one in found.skipped] == [
        ("겹.zip", Reason.UNSUPPORTED),
        ("사진.jpg", Reason.BROKEN),
        ("빈 글.txt", Reason.EMPTY),
    ]
    mail = message()
    mail.add_attachment(packed, maintype="application", subtype="zip", filename="묶음.zip")
    assert [one.member for one in read(mail, archives=True).documents] == ["", "묶음.zip/안/글.txt", "묶음.zip/메모.md"]


def test_names_in_the_encoding_of_old_korean_archives() -> None:
    packed = archive({"XXXX.txt": b"text"}).replace(b"XXXX", "한글".encode("cp949"))
    assert [one.member for one in extract(packed, path="a.zip", archives=True).documents] == ["한글.txt"]


def test_a_bomb_in_an_archive_costs_its_member() -> None:
    packed = archive({"bomb.txt": bytes(32 << 20), "글.txt": "서울".encode()})
    found = extract(packed, path="a.zip", archives=True)
    assert [one.text for one in found.documents] == ["서울"]
    assert [(one.member, one.reason) for one in found.skipped] == [("bomb.txt", Reason.TOO_LARGE)]


def test_an_extraction_names_the_versions_of_all_its_readers() -> None:
    mail = message()
    mail.add_attachment("이름,나이\n".encode(), maintype="text", subtype="csv", filename="명단.csv")
    found = read(mail)
    assert found.readers == (version("csv"), version("mail"))
    assert not outdated(found.readers)
    assert outdated(("mail/0", version("csv")))
    with pytest.raises(ExtractError) as caught:
        extract(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), path="a.xyz")
    assert caught.value.readers == (version(""),)
