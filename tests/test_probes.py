"""The Korean probes that every release passes, through the installed program: question → the file that answers it."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from conftest import Program, make_program

DOCUMENTS = {
    "보안점검": "지난달 점검에서 보안취약점이 세 건 나왔고 모두 조치를 마쳤다.",
    "백신": "백신 프로그램은 자동으로 갱신되며 직원이 끌 수 없다.",
    "휴가": "사용하지 않은 연차는 다음 해 3월 말까지 이월할 수 있다.",
    "병가": "병가를 쓰려면 의사의 진단서를 낸다. 휴직은 따로 정한다.",
    "금리": "대출 금리가 3.5%로 내렸다.",
    "물가": "소비자 물가는 한 해 동안 3.7% 올랐고 35% 가까이 오른 품목도 있다.",
    "이월규정": "제8조 회계 연도가 끝난 예산은 다음 해로 넘기지 못한다.",
    "복무규정": "제18조 근무 시간은 오전 아홉 시부터 오후 여섯 시까지로 한다. 제80조는 삭제한다.",
    "회의": "2024년 2월 회의에서 사무실을 판교로 옮기기로 정했다.",
    "행사": "2023년 2월 행사는 강당에서, 2022년 12월 행사는 마당에서 열렸다.",
    "은행": "시중은행 다섯 곳이 점포를 줄이고 있다.",
    "가로수": "은행나무 가로수의 열매를 시에서 거두어 간다. 시중 물가와 무관하다.",
    "보험": "여행자 보험은 출장 전에 총무팀이 들어 준다.",
    "법률": "법 앞에 모두가 평등하다.",
    "전기": "전기 요금은 사용량에 따라 세 단계로 나뉜다.",
    "띄어쓰기": "신용 카드 결제는 이튿날 승인된다.",
    "모델": "검색에는 BGE-m3 계열의 모델을 쓴다.",
}

PROBES = {
    "취약점": "보안점검",
    "취약점은": "보안점검",
    "취약점을 조치했나": "보안점검",
    "휴가는 어떻게 이월하나요?": "휴가",
    "연차": "휴가",
    "3.5%": "금리",
    "제8조": "이월규정",
    "2024년 2월": "회의",
    "법": "법률",
    "시중 은행": "은행",
    "시중은행": "은행",
    "시중은행의 점포": "은행",
    "신용카드": "띄어쓰기",
    "BGE-m3": "모델",
}


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """The hits for each probe as typed (NFC and NFD), by mode."""
    home = tmp_path_factory.mktemp("probes")
    program: Program = make_program(home, cache_dir)
    folder = home / "문서"
    folder.mkdir()
    for number, text in enumerate(DOCUMENTS.values()):
        form = ("NFC", "NFD")[number % 2]  # names and texts as they come from Linux and from a Mac
        (folder / unicodedata.normalize(form, f"{number:02}.txt")).write_text(
            unicodedata.normalize(form, f"{text}\n"), encoding="utf-8"
        )
    questions = home / "questions.txt"
    typed = [unicodedata.normalize(form, probe) for form in ("NFC", "NFD") for probe in PROBES]
    questions.write_text("\n".join(typed), encoding="utf-8")
    indexed = program.run("index", folder)
    assert indexed.returncode == 0, indexed.stderr
    found = {}
    for mode in ("hybrid", "lexical"):
        result = program.run("query", "--batch", questions, "--mode", mode, "--json", "-k", "3")
        assert result.returncode == 0, result.stderr
        answers = json.loads(result.stdout)["answers"]
        found[mode] = dict(zip(typed, (answer["hits"] for answer in answers), strict=True))
    return found


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("mode", ["hybrid", "lexical"])
def test_probe(probed: dict[str, dict[str, list[dict[str, Any]]]], mode: str, probe: str, form: str) -> None:
    hits = probed[mode][unicodedata.normalize(form, probe)]
    assert hits, "no hit"
    assert hits[0]["text"].strip() == DOCUMENTS[PROBES[probe]]


@pytest.mark.parametrize("mode", ["hybrid", "lexical"])
def test_what_is_typed_decomposed_is_found_alike(probed: dict[str, dict[str, list[dict[str, Any]]]], mode: str) -> None:
    for probe in PROBES:
        composed, decomposed = (probed[mode][unicodedata.normalize(form, probe)] for form in ("NFC", "NFD"))
        assert [hit["id"] for hit in composed] == [hit["id"] for hit in decomposed]
