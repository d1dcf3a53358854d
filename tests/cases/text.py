"""Plain text in its many encodings, markup, XML and archives."""

from __future__ import annotations

from kosearch.records import Extraction

from . import case, has, lacks, only, same


@case("Hangul instead of escape sequences", file="30-iso2022kr.txt")
def iso_2022_kr(found: Extraction) -> None:
    same(only(found).text, "한글 아이에스오 문서")


@case("a log with NULs is text", file="30-nul-log.txt")
def log_with_nuls(found: Extraction) -> None:
    has(only(found).text, "log start", "normal log line about failure")


@case("no tags, entities decoded", file="31-data.xml")
def korean_xml(found: Extraction) -> None:
    has(only(found).text, "휴무 안내", "쉽니다 & 정상 근무 한글")
    lacks(only(found).text, "<", "&#", "&amp;")


@case("summary, description and place as sentences", file="31-cal.ics")
def calendar(found: Extraction) -> None:
    has(only(found).text, "분기 예산 회의", "안건은 다음과 같습니다\n", "본관 3층", "2026-03-02")
    lacks(only(found).text, "\\n", "BEGIN:")
