"""What a search must get right whatever it is asked: rare words, dates, codes, typos, opposites, over small folders.

Folders are made here, and answered by the bundled model. Where the project's shared cases lie beside it, they are run
as well.
"""

from __future__ import annotations

import os
import random
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from kosearch.config import load
from kosearch.library import Index
from kosearch.records import Answer, Query

Ask = Callable[..., Answer]

SENTENCES = """부서장은 분기마다 계획을 점검하고 결과를 보고한다.|신청자는 서류를 갖추어 담당 부서에 제출한다.
회의는 매주 월요일 오전에 열리며 참석자는 의견을 낸다.|시설을 쓰려는 사람은 사흘 전에 예약하여야 한다.
담당자는 접수한 날부터 열흘 안에 결과를 알린다.|교육을 마친 직원에게는 이수증을 준다.
장비는 쓰기 전에 상태를 살피고 이상이 있으면 신고한다.|예산은 항목별로 집행하고 남은 금액은 반납한다.
방문객은 안내소에서 이름을 적고 출입증을 받는다.|주차장은 평일에만 열고 주말에는 닫는다.
도서를 빌린 사람은 두 주 안에 돌려주어야 한다.|재해가 일어나면 비상 연락망에 따라 곧바로 알린다.
계약을 맺을 때에는 법무 부서의 검토를 거친다.|식당의 차림표는 한 달에 한 번 바꾼다.
창고의 물품은 장부와 맞추어 수량을 센다.|전기 설비는 해마다 전문 업체가 점검한다.
출장에서 돌아오면 보고서와 영수증을 낸다.|민원은 접수한 순서대로 처리함을 원칙으로 한다.
동호회는 회원이 열 명을 넘으면 지원을 받는다.|쓰레기는 종류를 나누어 정해진 곳에 버린다.
신입 직원은 석 달 동안 수습으로 일한다.|건강 검진은 두 해에 한 번 받을 수 있다.
공사를 시작하기 전에 이웃에게 미리 알린다.|통학 버스는 학기 중에만 다닌다.""".replace("\n", "|").split("|")
_SUBJECTS = "인사 총무 재무 시설 안전 교육 전산 구매 홍보 감사 기획 복지 연구 도서 식당 주차 경비 민원 계약 환경"
SUBJECTS = _SUBJECTS.split()

SYLLABLES = "가나다라마바사아자차카타파하거너더러머버서어저처커터퍼허고노도로모보소오조초"


def words_of_one_document(chance: random.Random) -> dict[str, list[str]]:
    """Of each kind 25 words, all different."""
    kinds: dict[str, Callable[[], str]] = {
        "number": lambda: str(chance.randrange(10_000, 99_999)),
        "decimal": lambda: f"{chance.randrange(1, 99)}.{chance.randrange(101, 999)}",
        "code": lambda: f"{chance.choice('KQXZ')}{chance.choice('RTVW')}-{chance.randrange(1000, 9999)}",
        "hangul": lambda: "".join(chance.choice(SYLLABLES) for _ in range(3)) + chance.choice("산천골들"),
    }
    words: dict[str, list[str]] = {}
    for kind, make in kinds.items():
        found: dict[str, None] = {}
        while len(found) < 25:
            found.setdefault(make())
        words[kind] = list(found)
    return words


@pytest.fixture(scope="module")
def library_of(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Callable[[Mapping[str, str]], Ask]:
    """Folder's files, by name → what asks an index of them."""
    shared: dict[str, object] = {}

    def make(texts: Mapping[str, str], folder: Path | None = None) -> Ask:
        place = tmp_path_factory.mktemp("asked")
        if folder is None:
            folder = place / "docs"
            folder.mkdir()
            for name, text in texts.items():
                (folder / name).write_text(text, encoding="utf-8")
        settings = load({"index": str(place / "index"), "resident": "off"})
        library = Index(settings)
        for _ in library.update([os.fsencode(folder)]):
            pass
        for name in ("analyzer", "query_embedder"):  # loaded once for all folders
            vars(library)[name] = shared.setdefault(name, getattr(library, name))

        def ask(question: str, **options: object) -> Answer:
            return library.answer(Query(question, **options))  # type: ignore[arg-type]

        return ask

    return make


def first(answer: Answer) -> str:
    return unicodedata.normalize("NFC", Path(answer.hits[0].path).name) if answer.hits else ""


@pytest.fixture(scope="module")
def rare(library_of: Callable[[Mapping[str, str]], Ask]) -> tuple[Ask, dict[str, list[tuple[str, str]]]]:
    """220 documents, of which a hundred have a word of their own: kind → word and document."""
    chance = random.Random(11)
    words = words_of_one_document(chance)
    placed: dict[str, list[tuple[str, str]]] = {kind: [] for kind in words}
    left = [(kind, word) for kind, found in words.items() for word in found]
    texts = {}
    for number in range(220):
        name, sentences = f"{number:03}.txt", chance.sample(SENTENCES, 4)
        if number % 2 and left:
            kind, word = left.pop()
            sentences.insert(chance.randrange(5), f"{chance.choice(SUBJECTS)} 문서 번호 {word} 참고.")
            placed[kind].append((word, name))
        texts[name] = f"{chance.choice(SUBJECTS)} 업무 안내\n{' '.join(sentences)}\n"
    assert not left
    return library_of(texts), placed


@pytest.mark.parametrize("form", ["{}", "문서 번호 {}", "{} 찾아줘", "문서 번호 {} 찾아줘"])
@pytest.mark.parametrize("kind", ["number", "decimal", "code", "hangul"])
def test_a_rare_word_is_found_whatever_meaning_says(
    rare: tuple[Ask, dict[str, list[tuple[str, str]]]], kind: str, form: str
) -> None:
    ask, placed = rare
    missed = {
        mode: [word for word, name in placed[kind] if first(ask(form.format(word), mode=mode, k=1)) != name]
        for mode in ("hybrid", "lexical")
    }
    assert len(missed["hybrid"]) <= 1 or len(missed["hybrid"]) <= len(missed["lexical"]), missed
