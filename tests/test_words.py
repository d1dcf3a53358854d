"""Words of the user's own, in `words.txt`: an index is made with them, and says when they have changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from index_making import make

from kosearch.config import load
from kosearch.errors import IndexDamaged, UsageError
from kosearch.index import SqliteStore, database
from kosearch.library import Index
from kosearch.records import Answer, Query
from kosearch.resident.server import Warm
from kosearch.terms import MORPHEMES, Analyzer
from kosearch.terms.dictionaries import MOST_WORDS, read_synonyms, read_words

NAME = "한걸음센터"
DOCUMENTS = {
    "a.txt": "한걸음센터는 화요일에 문을 연다.",
    "b.txt": "한 걸음 더 가면 센터 게시판이 있고, 화요일에 바뀐다.",
}


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of the settings."""
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "config.toml").touch()
    monkeypatch.setenv("KOSEARCH_CONFIG", str(folder / "config.toml"))
    return folder


@pytest.fixture
def index(config: Path, tmp_path: Path, cache_dir: Path) -> Iterator[Index]:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name, text in DOCUMENTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    with Index(load({"index": str(tmp_path / "index"), "resident": "off"}), questions=1) as made:
        made.index(folder)
        yield made


def asked(index: Index, question: str = NAME) -> Answer:
    return index.answer(Query(question, mode="lexical"))


def taken_whole(index: Index) -> int:
    """How many passages have the name as one term; a question by these words has it too."""
    with index.store.snapshot() as snapshot:
        found = snapshot.statistics({MORPHEMES: [NAME]}).frequencies[MORPHEMES][NAME]
    assert (NAME in index.analyzer.question(NAME).terms[MORPHEMES]) == (NAME in index.store.identity.words)
    return found


def notes(index: Index, *paths: Path) -> str:
    return "\n".join(step.note for step in index.indexing(*paths) if step.note)


def test_an_index_says_that_words_have_changed_and_takes_them_up_without_reading_a_file(
    index: Index, config: Path, tmp_path: Path
) -> None:
    before = asked(index)
    (config / "words.txt").write_text(f"# 이름\n{NAME}\n", encoding="utf-8")
    answer = asked(index)
    assert answer.hits == before.hits, "the words that the index was made with hold until it takes up others"
    assert taken_whole(index) == 0
    assert any("words.txt has changed" in line and "kosearch index" in line for line in answer.warnings)
    warm, directory, query = Warm(index.settings), str(index.directory), Query(NAME, mode="lexical")
    assert warm.answers([directory], [query])[0].warnings == answer.warnings
    for path in (tmp_path / "docs").iterdir():
        path.chmod(0)
    assert "the stored texts of 2 documents" in notes(index)
    for path in (tmp_path / "docs").iterdir():
        path.chmod(0o600)
    assert (taken_whole(index), asked(index).warnings) == (1, ())
    (answer,) = warm.answers([directory], [query])  # a warm process notices
    assert (answer.warnings, answer.hits[1].score < before.hits[1].score) == ((), True)
    (tmp_path / "docs" / "c.txt").write_text(f"{NAME}에서 만난다.", encoding="utf-8")
    assert not [line for line in notes(index).splitlines() if "taken apart" in line]
    assert taken_whole(index) == 2, "what is new is taken apart by them as well"
    assert not index.check()


def test_words_may_stand_beside_an_index_and_are_there_when_it_is_made(
    config: Path, tmp_path: Path, cache_dir: Path
) -> None:
    (config / "words.txt").write_text(f"{NAME}\n", encoding="utf-8")
    (tmp_path / "a.txt").write_text(DOCUMENTS["a.txt"], encoding="utf-8")
    with Index(load({"index": str(tmp_path / "index")}), questions=1) as made:
        assert "taken apart" not in notes(made, tmp_path / "a.txt")
        (made.directory / "words.txt").write_text("하늘누리\n", encoding="utf-8")
        assert "taken apart" in notes(made)
        assert made.store.identity.words == ("하늘누리", NAME)
        assert taken_whole(made) == 1


def test_a_wrong_line_is_named_and_questions_go_on(index: Index, config: Path) -> None:
    (config / "words.txt").write_text(f"{NAME}\n법카 = 법인카드\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"words\.txt, line 2: '법카 = 법인카드' is no word") as raised:
        index.index()
    assert "synonyms.txt" in raised.value.hint
    answer = asked(index)
    assert len(answer.hits) == 2
    assert any("line 2" in line for line in answer.warnings)


def test_a_word_is_one_term_whatever_follows_it() -> None:
    terms = {NAME: NAME, "T맵": "t맵", "나루 포털": "나루포털", "갤럭시S24": "갤럭시s24"}
    analyzer = Analyzer(tuple(terms))  # all at once: to load Kiwi is what takes long
    for line, term in terms.items():
        for particle in ("", "는", "에서", "을"):
            text = f"오늘 {line}{particle} 봤다"
            terms_of_it = analyzer.passage_terms(text, (line,), line)
            assert term in terms_of_it[MORPHEMES]
            assert not [one for found in terms_of_it.values() for one in found if one.split() != [one]]
            assert term in analyzer.question(text).terms[MORPHEMES]


@pytest.mark.parametrize("line", ["gateway", "가", "가" * 41, "한걸음, 센터", "제2의-이름", "2024"])
def test_what_is_no_word(line: str, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text(f"\n{line}", encoding="utf-8")
    with pytest.raises(UsageError, match="line 2"):
        read_words([tmp_path])


def test_files_of_words(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    (first / "words.txt").write_text("\ufeff한걸음센터 # 이름\n\n  나루   포털\n", encoding="utf-8")
    (second / "words.txt").write_bytes("한걸음센터\r\n가나다\r\n".encode())
    assert read_words([first, second, tmp_path]) == ("가나다", "나루 포털", "한걸음센터")
    (second / "words.txt").write_bytes("한글".encode("utf-16"))
    with pytest.raises(UsageError, match="cannot read"):
        read_words([second])
    (second / "words.txt").write_text("\n".join(f"가나{i}" for i in range(MOST_WORDS + 1)), encoding="utf-8")
    with pytest.raises(UsageError, match="5,001 words"):
        read_words([second])
    (first / "synonyms.txt").write_bytes(
        "법카 = 법인카드".encode().replace("법".encode(), "\u1107\u1165\u11b8".encode())
    )
    assert read_synonyms([first]).others("법카로") == ["법인카드"]


def test_synonyms_are_words_and_not_lists_of_them(tmp_path: Path) -> None:
    (tmp_path / "synonyms.txt").write_text("C# = 씨샵 # 언어\n#법카 = 법인카드\n1,000원 ＝ 천원권\n", encoding="utf-8")
    synonyms = read_synonyms([tmp_path])
    assert synonyms.groups == (("C#", "씨샵"), ("1,000원", "천원권"))
    for wrong in ("법카 => 법인카드", "법카 = 법인카드, 법인 카드", '"법카" = "법인카드"', "법카 → 법인카드 = 카드"):
        (tmp_path / "synonyms.txt").write_text(f"법카 = 법인카드\n{wrong}\n", encoding="utf-8")
        with pytest.raises(UsageError, match="line 2"):
            read_synonyms([tmp_path])


def test_folders_without_files(tmp_path: Path) -> None:
    assert read_words([tmp_path, Path(os.devnull)]) == ()


@pytest.mark.parametrize("crafted", [5, [5], [""], ["가\x00나"], {"가": 1}])
def test_words_of_a_crafted_index_are_damage(crafted: object, tmp_path: Path) -> None:
    directory = tmp_path / "index"
    make(directory, "a")
    connection = database.connect(directory, write=True)
    with database.transaction(connection):
        database.write_meta(connection, "words", crafted)
    connection.close()
    with pytest.raises(IndexDamaged, match="words"):
        SqliteStore(directory)
