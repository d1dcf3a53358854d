import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import kosearch
from kosearch.searching import _PIECE, shared_spans, snippet

TEXT = "이 규정은 휴가를 정한다. 사용하지 않은 연차는 다음 해로 이월할 수 있다. 나머지는 수당으로 준다."


def shared(text: str, question: str) -> list[str]:
    return [text[start:end] for start, end in shared_spans(text, question)]


def test_a_korean_word_is_found_with_any_particle_and_inside_a_compound() -> None:
    assert shared("보안취약점은 바로 알린다", "취약점을 찾으면?") == ["취약점"]
    assert shared("휴가의 이월", "휴가는 어떻게 이월하나요?") == ["휴가", "이월"]


def test_words_of_other_scripts_match_whole_and_without_case() -> None:
    assert shared("Key rotation: rotate the KEY", "key rotating") == ["Key", "KEY"]


def test_a_question_in_nfd_matches() -> None:
    import unicodedata

    assert shared("취약점", unicodedata.normalize("NFD", "취약점")) == ["취약점"]


def test_the_best_part_is_the_sentence_that_shares_most() -> None:
    start, end = snippet(TEXT, "연차는 이월할 수 있나요?", 40)
    assert TEXT[start:end] == "사용하지 않은 연차는 다음 해로 이월할 수 있다."


def test_nothing_shared_gives_the_beginning() -> None:
    assert snippet(TEXT, "zebra", 20)[0] == 0


@given(st.text(max_size=300), st.text(max_size=40), st.integers(1, 200))
def test_the_best_part_lies_in_the_text_and_is_no_longer_than_asked(text: str, question: str, size: int) -> None:
    start, end = snippet(text, question, size)
    assert 0 <= start <= end <= len(text)
    assert end - start <= max(size, len(text) if not text.strip() else size)


@given(st.text(max_size=200), st.text(max_size=40))
def test_shared_spans_are_in_order_and_in_the_text(text: str, question: str) -> None:
    spans = shared_spans(text, question)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert spans == sorted(spans)


def test_hangul_and_hanja_beside_each_other_are_two_words() -> None:
    assert shared("國家국가의 일", "국가 國家") == ["國家", "국가"]


@given(st.text("가나다 .!?\n\"')ab1"))
def test_no_letter_is_lost_between_sentences(text: str) -> None:
    """As possessive groups lose some before Python 3.11.5."""
    assert "".join(piece.group() for piece in _PIECE.finditer(text)) == text


def test_a_possessive_group_stands_nowhere() -> None:
    """One matches wrongly before Python 3.11.5: https://github.com/python/cpython/issues/106052."""
    sources = Path(kosearch.__file__).parent.rglob("*.py")
    assert [one.name for one in sources if re.search(r"\)[*+?]\+", one.read_text(encoding="utf-8"))] == []
