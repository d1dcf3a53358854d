"""Mail, mailboxes and Outlook's files."""

from __future__ import annotations

import base64
import struct
from email.message import EmailMessage

from kosearch.extract.mail import uncompressed_rtf
from kosearch.records import Extraction

from . import case, has, lacks, only, read, refusal, same, whole
from .compound import compound


@case("the HTML body's text", file="23-mixed-html-parts.eml")
def html_beside_plain(found: Extraction) -> None:
    has(only(found).text, "본문 HTML 내용", "백신으로 검사")


@case("the HTML body's text", file="23-alt-empty-plain.eml")
def html_with_a_plain_notice(found: Extraction) -> None:
    has(only(found).text, "청구금액 | 55,000원", "납부기한은 3월 25일")


@case("Hangul in headers and body", file="21-hdr-ks.eml")
def korean_headers(found: Extraction) -> None:
    document = only(found)
    same(document.title, "회의 자료 송부")
    has(document.text, "홍길동", "김철수", "안녕하세요. 회의 자료를 보냅니다.")
    lacks(document.text, "\x1b", "$)C")


@case("kanji and kana", file="21-iso2022jp.eml")
def japanese_mail(found: Extraction) -> None:
    same(only(found).title, "会議の件")
    has(only(found).text, "お世話になっております")


@case("inline CSV and invitation are documents; the CP949 file name is readable", file="22-names.eml")
def named_parts(found: Extraction) -> None:
    names = [one.member for one in found.documents]
    same(
        names[1:],
        [
            "보고서.txt",
            "요약.txt",
            "견적서.txt",
            "인건비.txt",
            "날것이름.txt",
            "inline-note.txt",
            "data.csv",
            "invite.ics",
        ],
    )
    has(whole(found), "CSVVALUE", "주간 회의 초대", "INLINE NOTE")


@case("what winmail.dat holds", file="23-tnef.eml")
def winmail(found: Extraction) -> None:
    has(whole(found), "TNEF body text 본문", "티넵첨부")


@case('a body line that begins with "From " splits no mail', file="24-from-split.mbox")
def from_in_a_body(found: Extraction) -> None:
    same(len(found.documents), 1)
    has(whole(found), "From next week", "Monday: 회의")


def message(subject: str, body: str, **more: str) -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = subject
    mail["Date"] = "Mon, 2 Mar 2026 09:00:00 +0900"
    mail.set_content(body, **more)  # type: ignore[arg-type]
    return mail


@case("body and subject in UTF-7")
def utf_7() -> None:
    head = b"Subject: =?utf-7?Q?" + "회의".encode("utf-7") + b"?=\nContent-Type: text/plain; charset=utf-7\n\n"
    document = only(read(head + "회의록을 보냅니다".encode("utf-7"), "a.eml"))
    same(document.text, "회의\n\n회의록을 보냅니다")


@case("a subject in bare escapes of ISO-2022-KR, an unknown charset, and CP949 that calls itself Latin-1")
def careless_charsets() -> None:
    raw = b"Subject: " + "견적 요청".encode("iso2022_kr") + b"\nContent-Type: text/plain; charset=x-unknown\n\n"
    same(only(read(raw + "본문입니다".encode("cp949"), "a.eml")).text, "견적 요청\n\n본문입니다")
    latin = b"Subject: a\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: 8bit\n\n"
    has(only(read(latin + "첨부 파일을 보세요".encode("cp949"), "a.eml")).text, "첨부 파일을 보세요")


@case("a forwarded message in base64 is read")
def forwarded_in_base64() -> None:
    inner = base64.encodebytes("Subject: 안쪽\n\n전달된 본문입니다.\n".encode())
    head = b"Subject: a\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nsee below\n"
    part = b"--b\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" + inner + b"--b--\n"
    has(whole(read(head + part, "a.eml")), "전달된 본문입니다.")


@case("an invitation without a name, beside its text in an alternative, is a document")
def invitation_in_an_alternative() -> None:
    mail = message("초대", "회의에 초대합니다.")
    mail.add_alternative(
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:예산 회의\nEND:VEVENT\nEND:VCALENDAR\n", subtype="calendar"
    )
    found = read(bytes(mail), "a.eml")
    same([one.kind for one in found.documents], ["mail", "calendar"])
    has(found.documents[0].text, "회의에 초대합니다.")


@case("a plain text that is empty, or says less, does not hide the page beside it")
def page_within_mixed_and_related() -> None:
    mail = message("청구", " ")
    mail.add_alternative("<p>납부 기한은 <b>3월 25일</b>입니다.</p>", subtype="html")
    mail.add_attachment("첨부한 표".encode(), maintype="text", subtype="plain", filename="표.txt")
    found = read(bytes(mail), "a.eml")
    has(found.documents[0].text, "납부 기한은 3월 25일입니다.")
    same(found.documents[1].member, "표.txt")


@case("attachments take their mail's date, unless they state one")
def dates_of_attachments() -> None:
    mail = message("보고", "첨부합니다.")
    mail.add_attachment("글".encode(), maintype="text", subtype="plain", filename="글.txt")
    mail.add_attachment(b"---\ndate: 2020-01-01\n---\n# a\n", maintype="text", subtype="markdown", filename="a.md")
    dates = [one.metadata.get("created") for one in read(bytes(mail), "a.eml").documents]
    same(dates, ["2026-03-02T09:00:00+09:00", "2026-03-02T09:00:00+09:00", "2020-01-01"])


FOLDER = (
    "From - Mon Mar  2 09:00:00 2026\nX-Mozilla-Status: 0001\nSubject: 하나\nFrom: a@b.c\n\n첫째 글\n>From 여기부터\n\n"
    "From 3월 on the plan is:\nMonday: 회의\n\nFrom - Tue Mar  3 09:00:00 2026\nSubject: 둘\nFrom: a@b.c\n\n둘째 글\n"
)


@case("a folder of Thunderbird without a suffix is a mailbox; its quoted and its innocent From lines are text")
def thunderbird_folder() -> None:
    found = read(FOLDER, "Inbox")
    same([one.title for one in found.documents], ["하나", "둘"])
    has(found.documents[0].text, "\nFrom 여기부터", "From 3월 on the plan is:\nMonday: 회의")


@case("Thunderbird's own list of a folder says where the mail is")
def thunderbird_index() -> None:
    has(refusal(b'// <!-- <mdb:mork:z v="1.4"/> -->\n< <(a=c)>', "Inbox.msf").detail, "the file beside it")


@case("names in every way that programs write them")
def names_of_attachments() -> None:
    names = (
        b'filename="=?EUC-KR?B?' + base64.b64encode("견적.txt".encode("cp949")) + b'?="',
        b"filename*=UTF-8''%EA%B2%AC%EC%A0%81.txt",
        "filename=견적.txt".encode(),
        'filename="견적.txt"'.encode("cp949"),
    )
    parts = b"".join(
        b"--b\nContent-Type: text/plain\nContent-Disposition: attachment; " + one + b"\n\nx\n" for one in names
    )
    raw = b"Subject: a\nContent-Type: multipart/mixed; boundary=b\n\n" + parts + b"--b--\n"
    same([one.member for one in read(raw, "a.eml").documents[1:]], ["견적.txt"] * 4)


@case("a message of Outlook in a message, an attachment, a page for a body, and the date of both")
def outlook_message() -> None:
    document, inner, attached = read(outlook(), "a.msg").documents
    has(document.text, "From: 홍길동 <hong@example.com>\n", "화면의 글")
    same((inner.member, inner.title), ("안쪽 소식.msg", "안쪽 소식"))
    same((attached.member, attached.text), ("명단.txt", "서울의 명단"))
    same(attached.metadata["created"], document.metadata["created"])


def outlook() -> bytes:
    def wide(text: str) -> bytes:
        return text.encode("utf-16-le")

    fixed = struct.pack("<HHIQ", 0x40, 0x39, 6, 133536384000000000) + struct.pack("<HHIQ", 3, 0x3FFD, 6, 949)
    inner = "__attach_version1.0_#00000000/__substg1.0_3701000D"
    return compound(
        {
            "__properties_version1.0": bytes(32) + fixed,
            "__substg1.0_0037001F": wide("소식"),
            "__substg1.0_1000001F": wide("HTML로 보세요"),
            "__substg1.0_10130102": "<p>화면의 <b>글</b></p>".encode("cp949"),
            "__substg1.0_0C1A001E": "홍길동".encode("cp949"),
            "__substg1.0_5D01001F": wide("hong@example.com"),
            "__substg1.0_0C1F001F": wide("hong@example.com"),
            "__attach_version1.0_#00000000/__properties_version1.0": bytes(8),
            f"{inner}/__properties_version1.0": bytes(24),
            f"{inner}/__substg1.0_0037001F": wide("안쪽 소식"),
            f"{inner}/__substg1.0_1000001F": wide("안쪽 글"),
            "__attach_version1.0_#00000001/__properties_version1.0": bytes(8),
            "__attach_version1.0_#00000001/__substg1.0_3707001F": wide("명단.txt"),
            "__attach_version1.0_#00000001/__substg1.0_37010102": "서울의 명단".encode(),
        }
    )


@case("RTF as Outlook packs it: repeated parts come from a window of 4 kB")
def packed_rtf() -> None:
    raw = b"\x0a\x00{\\rtf1 abcabc}"
    stored = struct.pack("<IIII", len(raw) + 12, len(raw), 0x414C454D, 0) + raw
    same(uncompressed_rtf(stored), raw)
    # The example of [MS-OXRTFCP] 4.1.1.
    example = bytes.fromhex(
        "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
    )
    same(uncompressed_rtf(example), b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n")
