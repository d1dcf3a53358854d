"""Terms: what passages and questions share, operators, and text that is not what one expects."""

from __future__ import annotations

import subprocess
import sys
import threading
import unicodedata
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kosearch.terms import (
    BIGRAMS,
    CONTEXT,
    FIELD_WEIGHTS,
    FIELDS,
    FORMS,
    MORPHEMES,
    Analyzer,
    Question,
    matches,
    scripts,
)
from kosearch.terms.operators import Parsed, parse

texts = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from(
            list("가나다은는이하취약점보안시중은행 \n\t\"'+-%.,1239abcZㄱㅏㅋ漢字かナ①㎏Ａ\u200b\u1100\u1161")
        ),
    ),
    max_size=60,
)


ANALYZER = Analyzer()
"""One for all tests here, since Kiwi takes seconds to load."""


@pytest.fixture
def analyzer() -> Analyzer:
    return ANALYZER


def shared(analyzer: Analyzer, question: str, passage: str) -> set[tuple[str, str]]:
    """The (field, term) that a question and a passage have in common."""
    terms = analyzer.passage_terms(passage, ())
    weights = analyzer.question(question).terms
    return {(field, term) for field in FIELDS for term in weights[field] if term in terms[field]}


@pytest.mark.parametrize(
    ("question", "passage", "term"),
    [
        ("취약점", "보안취약점을 고쳤다.", "취약점"),
        ("취약점은", "이 취약점이 위험하다.", "취약점"),
        ("휴가는 어떻게 이월하나요?", "남은 휴가를 다음 해로 이월할 수 있다.", "이월"),
        ("휴가는 어떻게 이월하나요?", "남은 휴가를 다음 해로 이월할 수 있다.", "휴가"),
        ("시중 은행", "시중은행의 금리", "은행"),
        ("시중은행", "시중 은행의 금리", "시중"),
        ("3.5%", "금리는 3.5%이다.", "3.5%"),
        ("3.5", "금리는 3.5%이다.", "3.5"),
        ("2024년 2월", "2024년 2월에는", "2월"),
        ("2024", "2024년에는", "2024"),
        ("제8조", "은행법 제8조에 따라", "8조"),
        ("BGE-m3", "bge-M3 모델은", "m3"),
        ("돈", "돈을 입금한다", "돈"),
        ("추웠나요", "추운 날이었다", "춥다"),
        ("漢字", "그는 漢字를 읽는다", "漢"),
        ("カタカナ", "カタカナで", "カ"),
        ("heating plates", "a heated plate", "heat"),
        ("ＡＢＣ 5㎏", "abc는 5kg이다", "5kg"),
        ("10 mg", "10mg을 먹는다", "10"),
    ],
)
def test_a_question_meets_its_passage(analyzer: Analyzer, question: str, passage: str, term: str) -> None:
    assert (MORPHEMES, term) in shared(analyzer, question, passage)


@pytest.mark.parametrize(
    ("question", "passage"),
    [
        ("은행은 어떤가요?", "학교는 어떻게 가나요?"),
        ("그것은 무엇인가요?", "이것이 무엇인지 그것은 모른다"),
        ("이월하는", "학교에 가는"),
    ],
)
def test_particles_endings_and_question_words_make_no_match(analyzer: Analyzer, question: str, passage: str) -> None:
    assert not {term for _, term in shared(analyzer, question, passage)} - {"어떻", "어떻다"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("비밀번호를 바꾸는 방법을 알려줘", ["비밀", "번호", "바꾸다"]),
        ("휴가는 어떻게 이월하나요?", ["휴가", "이월"]),
        ("How do I descale the boiler?", ["descal", "boiler"]),
        ("What does WHO say about IT", ["who", "say", "it"]),
        ("it 부서 연락처", ["it", "부서", "연락처"]),
        ("방법", ["방법"]),
        ("what is it", ["what", "is", "it"]),
    ],
)
def test_words_that_only_ask_are_passed_over(analyzer: Analyzer, text: str, words: list[str]) -> None:
    question = analyzer.question(text)
    assert list(question.terms[MORPHEMES]) == words
    assert [term for term in question.terms[CONTEXT] if term[0] != "/"] == words


def test_what_is_demanded_keeps_every_word(analyzer: Analyzer) -> None:
    (phrase,) = analyzer.question('"how to descale"').phrases
    assert dict(phrase.alternatives)[MORPHEMES] == ("how", "to", "descal")
    assert "방법" in analyzer.passage_terms("점검 방법", ())[MORPHEMES]


def test_a_name_that_is_demanded_is_found_however_it_is_read(analyzer: Analyzer) -> None:
    """정도준 by itself is read as 정도 and 줄다."""
    for name in ("정도준", "남경름", "유지빈"):
        for question in (f'"{name}"', f"+{name}"):
            assert matches(analyzer.question(question), analyzer.passage_terms(f"담당 {name} 참고.", ()))


def test_a_quarter_and_a_date_are_read_in_a_name_without_spaces(analyzer: Analyzer) -> None:
    assert "q2" in analyzer.passage_terms("본문", (), "BudgetReviewQ2")[FORMS]
    assert "d2024-03-05" in analyzer.passage_terms("본문", (), "IMG20240305")[FORMS]


def test_a_wrong_space_gives_the_same_pairs(analyzer: Analyzer) -> None:
    pairs = ["시중", "중은", "은행"]
    assert analyzer.passage_terms("시중은행에서", ())[BIGRAMS] == pairs
    assert analyzer.passage_terms("시중 은행에서", ())[BIGRAMS] == pairs
    assert analyzer.passage_terms("시중\n은행에서", ())[BIGRAMS] == pairs


def test_pairs_find_what_the_analysis_keeps_whole(analyzer: Analyzer) -> None:
    assert analyzer.passage_terms("보안취약점은", ())[BIGRAMS] == ["보안", "안취", "취약", "약점"]


@pytest.mark.parametrize("text", ["휴가는 어떻게 이월하나요?", "제8조의 취약점", "각 국민의 漢字"])
def test_decomposed_text_gives_the_same_terms(analyzer: Analyzer, text: str) -> None:
    decomposed = unicodedata.normalize("NFD", text)
    assert decomposed != text
    assert analyzer.passage_terms(decomposed, ()) == analyzer.passage_terms(text, ())
    assert analyzer.question(decomposed) == analyzer.question(text)


def test_terms_keep_order_and_repetition(analyzer: Analyzer) -> None:
    assert analyzer.passage_terms("2024년 은행 Bank 은행", ())[MORPHEMES] == ["2024", "2024년", "은행", "bank", "은행"]


def test_context_is_read_once_each_and_apart(analyzer: Analyzer) -> None:
    terms = analyzer.passage_terms("본문", ("은행 규정", "은행 규정", "rules_2024"))
    assert terms[CONTEXT] == ["은행", "규정", "rule", "2024"]
    assert terms[MORPHEMES] == ["본문"]


def test_a_name_has_its_words_again_as_those_of_a_name(analyzer: Analyzer) -> None:
    assert analyzer.passage_terms("본문", (), "OrderPayment2024 휴가규정")[CONTEXT] == [
        "orderpayment2024",
        "휴가",
        "규정",
        "order",
        "payment",
        "2024",
        "휴가",
        "규정",
        *("/휴가", "/가규", "/규정", "/orderpayment2024", "/order", "/payment"),
    ]
    first, second = analyzer.question("payment 휴가.txt 파일 찾아줘").called  # 파일 is where it is looked for
    assert (first[frozenset(["/payment"])], second[frozenset(["/휴가"])]) == (1, 1)


def test_weights_are_the_fields_as_often_as_a_term_is_asked_for(analyzer: Analyzer) -> None:
    terms = analyzer.question("은행 은행 금리").terms
    assert terms[MORPHEMES] == {"은행": 2 * FIELD_WEIGHTS[MORPHEMES], "금리": FIELD_WEIGHTS[MORPHEMES]}
    assert terms[CONTEXT].items() >= {"은행": 2 * FIELD_WEIGHTS[CONTEXT], "금리": FIELD_WEIGHTS[CONTEXT]}.items()
    assert terms[BIGRAMS]["금리"] == FIELD_WEIGHTS[BIGRAMS]


def fits(analyzer: Analyzer, question: str, passage: str, context: tuple[str, ...] = ()) -> bool:
    return matches(analyzer.question(question), analyzer.passage_terms(passage, context))


@pytest.mark.parametrize(
    ("question", "passage", "expected"),
    [
        ("금리 +은행", "은행이 많다", True),
        ("금리 +은행", "금리가 높다", False),
        ("+취약점", "보안취약점을 고쳤다", True),
        ("금리 -은행", "은행의 금리", False),
        ("금리 -은행", "금리가 높다", True),
        ('"시중 은행"', "시중은행은", True),
        ('"시중 은행"', "시중에는 은행이 많다", True),  # particles do not count
        ('"시중 은행"', "은행은 시중에 있다", False),
        ('-"시중 은행" 금리', "시중은행의 금리", False),
        ('+"제8조" 인가', "제8조에 따라", True),
        ('+"제8조" 인가', "제18조에 따라", False),
        ("+2월 계획", "3월 계획", False),
        ('"body pressure"', "pressures of the body", False),
        ('"body pressure"', "body pressures", True),
        ("+2024년 -초안 계획", "2024년의 계획 초안", False),
        ("금리-은행 C+학점", "아무 말이나", True),
        ("- + -- ++", "아무 말이나", True),
    ],
)
def test_operators(analyzer: Analyzer, question: str, passage: str, expected: bool) -> None:
    assert fits(analyzer, question, passage) == expected


def test_operators_look_at_title_and_headings_too(analyzer: Analyzer) -> None:
    assert fits(analyzer, "+취약점 조치", "이렇게 조치한다", ("취약점 보고서",))
    assert not fits(analyzer, "조치 -초안", "이렇게 조치한다", ("보고서_초안",))


def test_a_passage_with_no_field_at_all_has_no_word(analyzer: Analyzer) -> None:
    assert not matches(analyzer.question("+은행"), {})
    assert matches(analyzer.question("-은행"), {})


def test_the_embedder_sees_the_question_without_its_operators(analyzer: Analyzer) -> None:
    question = analyzer.question('+시중은행 "예비 인가" -외국계 절차는?')
    assert question.text == "시중은행 예비 인가 절차는?"
    assert [wanted.text for wanted in question.must] == ["시중은행"]
    assert [wanted.text for wanted in question.must_not] == ["외국계"]
    assert [wanted.text for wanted in question.phrases] == ["예비 인가"]
    assert "외국" not in question.terms[MORPHEMES]
    assert analyzer.question('체스에서 "행"은 무엇인가?').text == "체스에서 행은 무엇인가?"


@pytest.mark.parametrize(
    "line",
    [
        "tar -xzf",
        "ls -al",
        "ls -al 명령의 뜻",
        "리눅스에서 rm -rf 되돌리기",
        "$ tar -czf out.tgz docs",
        "/usr/bin/grep -rn word",
        "find . -name",
        "sort -nr",
        "git commit -am",
        "docker run -it --rm",
        "java -jar app.jar",
        "javac -classpath lib",
        "sudo apt-get install -qq",
        "chmod +rwx file",
        "dostuff --fast -verbosely",
        "build -Dkey=value",
        "백신 -m",
        "자바 힙 -Xmx4g",
    ],
)
def test_an_option_of_a_command_demands_nothing(line: str) -> None:
    assert parse(line) == Parsed(line)


@pytest.mark.parametrize(
    "line",
    [
        "-1층 주차장",
        "지하 -2층 기계실",
        "인원 -3명",
        "-끝-",
        "-수신자 제위-",
        "RE: -회의-",
        "-담당자: 김철수",
        "-일시: 3월 5일 -장소: 회의실",
        "1. -서류 접수",
        "→ -서류 접수",
        "* +추가 안건",
    ],
)
def test_signs_of_lists_of_frames_and_of_what_is_counted_demand_nothing(line: str) -> None:
    assert parse(line) == Parsed(line)


def test_what_is_quoted_in_a_structure_demands_nothing() -> None:
    parsed = parse('{"id": 3, "name": "값"}')
    assert not parsed.demands
    assert len(parsed.notes) == 1


@pytest.mark.parametrize(
    ("question", "demanded"),
    [
        ("policy -draft", "-draft"),
        ("leave -draft policy", "-draft"),
        ("보고서 -pdf", "-pdf"),
        ("java -spring", "-spring"),
        ("docker -compose", "-compose"),
        ("tar 압축 -리눅스", "-리눅스"),
        ("압축 -tar", "-tar"),
        ("jazz +blues", "+blues"),
        ("정책 -2023", "-2023"),
        ("계획 -3월", "-3월"),
        ("주차 -주말 A-", "-주말"),
        ("“연차” 규정 -“서울 지사”", '-"서울 지사"'),
    ],
)
def test_a_sign_that_leaves_out_or_demands_is_no_option(question: str, demanded: str) -> None:
    assert [demand.written for demand in parse(question).demands] == [demanded]


def test_without_operators_a_question_is_only_words(analyzer: Analyzer) -> None:
    question = analyzer.question('methods -dash "exact"', operators=False)
    assert (question.must, question.must_not, question.phrases, question.notes) == ((), (), (), ())
    assert set(question.terms[MORPHEMES]) == {"method", "dash", "exact"}


def test_an_open_quotation_mark_and_an_empty_demand_are_said(analyzer: Analyzer) -> None:
    assert "not closed" in " ".join(analyzer.question('"시중 은행').notes)
    assert analyzer.question('"시중 은행').text == "시중 은행"
    assert "demands nothing" in " ".join(analyzer.question("+그리고 은행").notes)
    assert analyzer.question("은행").notes == ()


@pytest.mark.parametrize(
    "text", ["", " ", "?!…", "ㄱ", "ㅋㅋㅋ", "\u1100", '"', '""', "+", "-", "\ud800", "\x00", "가" * 10_000]
)
def test_odd_questions_are_questions(analyzer: Analyzer, text: str) -> None:
    question = analyzer.question(text)
    assert isinstance(question, Question)
    assert matches(question, analyzer.passage_terms("시중은행", ()))


def test_a_lone_jamo_finds_itself(analyzer: Analyzer) -> None:
    assert (MORPHEMES, "ㅋㅋ") in shared(analyzer, "ㅋㅋ", "그는 ㅋㅋ 웃었다")


@settings(max_examples=200, deadline=None)
@given(texts)
@example("가\u200b나 \ud800 ﬁ\x1f한")
def test_terms_are_single_words_of_bounded_length(text: str) -> None:
    for terms in (ANALYZER.passage_terms(text, (text,)), ANALYZER.question(text).terms):
        for term in (term for field in FIELDS for term in terms[field]):
            assert 0 < len(term) <= 64
            assert not any(c.isspace() or unicodedata.category(c) in ("Cc", "Cs") for c in term)


@settings(max_examples=100, deadline=None)
@given(texts)
@example("0\x1bg")
def test_a_passage_shares_every_term_of_the_same_question(text: str) -> None:
    passage, question = ANALYZER.passage_terms(text, ()), ANALYZER.question(text, operators=False)
    plain = ANALYZER.passage_terms(question.text, ())
    for field in (MORPHEMES, BIGRAMS):
        assert set(question.terms[field]) <= set(plain[field])
    if '"' not in text and text == " ".join(text.split()):
        assert plain == passage


@settings(max_examples=100, deadline=None)
@given(texts | st.sampled_from(["가", "가?", "무엇", "what is", '"은행"']))
def test_a_questions_morphemes_are_those_of_the_whole_question(text: str) -> None:
    assert ANALYZER.question_morphemes(text) == list(ANALYZER.question(text, operators=False).terms[MORPHEMES])


@settings(max_examples=100, deadline=None)
@given(texts, st.sampled_from(["은행", "취약점", "3월", "bge"]))
def test_a_demand_and_its_opposite_never_agree(text: str, word: str) -> None:
    passage = ANALYZER.passage_terms(text, ())
    assert matches(ANALYZER.question(f"+{word}"), passage) != matches(ANALYZER.question(f"-{word}"), passage)


def test_a_question_is_read_by_kiwi_once(monkeypatch: pytest.MonkeyPatch) -> None:
    analyzer, found, read = Analyzer(), Analyzer._found, list[str]()
    monkeypatch.setattr(Analyzer, "_found", lambda self, text: read.append(text) or found(self, text))
    question = analyzer.question("2024년 3월 출장비 규정은?")
    assert question.called
    assert question.written
    assert read == [question.text]


def test_text_without_hangul_does_not_load_kiwi() -> None:
    code = (
        "import sys; from kosearch.terms import Analyzer; a = Analyzer();"
        "a.passage_terms('Plain words, 3.5% and カタカナ', ('title',)); a.question('+plain -words');"
        "assert 'kiwipiepy' not in sys.modules; a.question('은행'); assert 'kiwipiepy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_threads_share_an_analyzer() -> None:
    analyzer = Analyzer()
    passages = [f"시중은행 {i}호의 인가 절차는 제{i}조에 따른다" for i in range(40)]
    found: dict[int, Mapping[str, list[str]]] = {}

    def read(i: int) -> None:
        found[i] = analyzer.passage_terms(passages[i], ())

    threads = [threading.Thread(target=read, args=(i,)) for i in range(len(passages))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[i] for i in range(len(passages))] == [analyzer.passage_terms(text, ()) for text in passages]
    assert Counter(found[7][MORPHEMES])["7조"] == 1


def test_a_question_in_quotation_marks_is_no_phrase() -> None:
    analyzer = Analyzer()
    for asked in ("디지털 배움터의 수강 대상에는 어떤 제한이 있나요?", "How long is a day?"):
        question = analyzer.question(f'"{asked}"')
        assert (question.phrases, question.text, len(question.notes)) == ((), asked, 1)
    for phrase in ("남은 금액", "정말?", "반납하여야 한다."):
        assert [one.text for one in analyzer.question(f'"{phrase}"').phrases] == [phrase]
    assert [one.text for one in analyzer.question('+"누가 가나?"').must] == ["누가 가나?"]


def test_a_middle_dot_is_in_no_term() -> None:
    """Kiwi takes some of these for nouns with a dot in them, others not, by what stands behind."""
    analyzer = Analyzer()
    for words in ("시ㆍ도지사", "시·군·구", "온·오프라인", "초･중등"):
        asked = analyzer.question(words)
        for text in (words, f"{words}에게 신고한다."):
            terms = analyzer.passage_terms(text, ())
            assert not any("·" in term for found in terms.values() for term in found)
            assert terms[MORPHEMES][: len(asked.terms[MORPHEMES])] == list(asked.terms[MORPHEMES])


@pytest.mark.parametrize("word", ["취약점", "값없다", "꿇앉", "의왕", "ㄱ나"])
def test_slips_are_all_words_of_syllables_that_one_edit_makes(word: str) -> None:
    typed = scripts.strokes(word)
    jamo = sorted({one for syllable in range(0xAC00, 0xD7A4) for one in scripts.strokes(chr(syllable))})
    edits = {typed[:i] + typed[i + 1 :] for i in range(len(typed))}
    edits |= {typed[:i] + one + typed[i + rest :] for i in range(len(typed) + 1) for one in jamo for rest in (0, 1)}
    edits |= {typed[:i] + typed[i + 1] + typed[i] + typed[i + 2 :] for i in range(len(typed) - 1)}
    made = {scripts.composed(one) for one in edits}
    assert set(scripts.slips(word)) == {one for one in made if scripts.is_syllables(one)} - {word}
