"""What belongs together: signals on made vectors, and the commands on a small index of real files."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import CORPUS, DATA, Program, make_program
from json_schema import (
    DUPLICATES,
    GRADED_PAIRS,
    HIT_LINE,
    REPEATED_PASSAGES,
    SIMILAR,
    SIMILARITY,
    TOPICS,
    VECTOR,
    problems,
)

import kosearch
from kosearch.analysis import corpus, topics
from kosearch.analysis.difference import changes
from kosearch.analysis.duplicates import Kind
from kosearch.analysis.map import draw
from kosearch.analysis.neighbours import mutual_nearest, near_pairs
from kosearch.analysis.pairs import correlations, read_pairs
from kosearch.analysis.topics import _levels, _rearranged, _Tree
from kosearch.cli import main

pytestmark = pytest.mark.filterwarnings("ignore")  # those of other people's imports
RULES = (CORPUS / "규정/휴가규정.md").read_text(encoding="utf-8")
PAIRS = [json.loads(line) for line in (DATA / "analysis/translations.jsonl").read_text(encoding="utf-8").splitlines()]
PARALLEL = [json.loads(line) for line in (DATA / "analysis/parallel.jsonl").read_text(encoding="utf-8").splitlines()]
BOILERPLATE = (
    "이 문서는 수신인에게만 보내는 것이며 법에 따라 보호되는 비밀을 담고 있을 수 있습니다. 잘못 "
    "받으셨다면 보낸 사람에게 곧바로 알려 주시고, 복사하거나 다른 이에게 전하지 마신 채 지워 "
    "주시기 바랍니다. 우리 기관은 첨부 자료를 열어 생긴 손해를 책임지지 않으며, 여기에 적힌 "
    "의견은 작성자의 것으로 기관의 공식 입장과 다를 수 있습니다. 개인 정보 처리 방침은 누리집 "
    "첫 화면 아래에 있고, 열람이나 정정을 원하시면 민원실로 신청하시면 열흘 안에 답을 드립니다. "
    "녹음과 촬영은 미리 동의를 받은 때에만 허용되며 상담 내용은 서비스를 개선하는 데 쓰일 수 "
    "있습니다."
)


def vectors(count: int, seed: int = 0) -> corpus.Vectors:
    """Some near each other, in 384 dimensions of which the first tell most."""
    chance = np.random.default_rng(seed)
    rows = chance.standard_normal((count, 384)) * np.arange(1, 385) ** -0.35
    rows[count // 2 :] = rows[: count - count // 2] + 0.3 * rows[count // 2 :]
    return corpus.unit(rows.astype(np.float32))


@pytest.mark.parametrize("least", [0.5, 0.7, 0.9])
def test_near_pairs_are_all_pairs_that_are_near(least: float) -> None:
    rows = vectors(600)
    told = {
        (int(i), int(j)) for first, second, _ in near_pairs(rows, least) for i, j in zip(first, second, strict=True)
    }
    first, second = np.nonzero(np.triu(rows @ rows.T, 1) >= least)
    assert told == set(zip(first.tolist(), second.tolist(), strict=True))
    assert len(told) >= 100


def test_of_many_equal_ones_each_is_joined_with_some() -> None:
    rows = np.repeat(vectors(2), 3000, axis=0)
    pairs = sum(len(first) for first, _, _ in near_pairs(rows, 0.99))
    assert len(rows) - 2 <= pairs <= 16 * len(rows)


def test_mutual_nearest() -> None:
    first, second = vectors(300), vectors(300)[::-1]
    mine, theirs, products, ahead = mutual_nearest(first, np.ascontiguousarray(second))
    assert (mine + theirs == 299).all()
    assert len(mine) == 300
    assert np.allclose(products, 1, atol=1e-5)
    assert np.allclose(ahead, 1 - np.sort(first @ first.T, axis=1)[:, -2], atol=1e-5)
    assert len(mutual_nearest(first, first[:0])[0]) == 0
    assert mutual_nearest(first[:1], first[:1])[3] == 2


def test_a_difference_has_both_texts_whole() -> None:
    chance = random.Random(0)
    words = [chance.choice("가나다라마바사") + str(chance.randrange(40)) for _ in range(3000)]
    old = " ".join(words)
    new = " ".join(word for word in [*words[:500], *["새", "글", "이다"], *words[900:]] if chance.random() > 0.02)
    parts = list(changes(old, new))
    assert " ".join(text for kind, text in parts if kind != "new") == old
    assert " ".join(text for kind, text in parts if kind != "gone") == new
    assert sum(len(text.split()) for kind, text in parts if kind == "same") > 2300
    assert list(changes("", "")) == []


def test_one_tree_serves_every_number_of_topics() -> None:
    from scipy.cluster import hierarchy

    tree = _Tree(vectors(200), hierarchy, None)
    for coarse, fine in ((1, 2), (3, 8), (8, 30), (30, 200)):
        above, below = tree.cut(coarse), tree.cut(fine)
        assert (len(above), len(below)) == (coarse, fine)
        wholes = [set(tree.documents(one).tolist()) for one in above]
        assert all(sum(whole.issuperset(tree.documents(node).tolist()) for whole in wholes) == 1 for node in below)
        assert sorted(row for node in below for row in tree.documents(node).tolist()) == list(range(200))


def test_levels_nest_and_each_document_is_in_the_nearest_topic() -> None:
    from scipy.cluster import hierarchy

    rows = vectors(400)
    tree = _Tree(rows, hierarchy, None)
    cuts = [tree.cut(count) for count in (5, 20, 60)]
    coarse, *finer = _levels(rows, tree, cuts)
    centres = corpus.unit(np.stack([rows[coarse == place].sum(axis=0) for place in range(5)]))
    assert np.array_equal((rows @ centres.T).argmax(axis=1), coarse)
    begun = np.zeros(400, np.int64)
    for place, node in enumerate(cuts[0]):
        begun[tree.documents(node)] = place
    assert (begun != coarse).any(), "the tree alone leaves some in a farther topic"
    for above, below in pairwise([coarse, *finer]):
        assert all(len(np.unique(above[below == place])) == 1 for place in np.unique(below))
    assert all(
        np.array_equal(one, other) for one, other in zip(_levels(rows, tree, cuts), [coarse, *finer], strict=True)
    )


def test_two_topics_in_one_and_one_in_two_are_put_right() -> None:
    generator = np.random.default_rng(5)
    centres = corpus.unit(generator.normal(size=(4, 16)).astype(np.float32))
    truth = np.repeat(np.arange(4), 30)
    rows = corpus.unit((centres[truth] + 0.1 * generator.normal(size=(120, 16))).astype(np.float32))
    wrong = np.where(truth == 1, 0, truth)
    wrong[:15], wrong[90:105] = 0, 1  # topics 0 and 1 are one, and the last is two
    found = _rearranged(rows, wrong)
    assert len(np.unique(found)) == 4
    assert all(len(np.unique(found[truth == place])) == 1 for place in range(4))
    assert np.array_equal(_rearranged(rows, found), found)


def test_equal_documents_are_one_topic() -> None:
    from scipy.cluster import hierarchy

    tree = _Tree(np.repeat(vectors(1), 9, axis=0), hierarchy, None)
    assert tree.cut(5) == [tree.root]


def test_many_documents_are_grouped_first(monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.cluster import hierarchy

    monkeypatch.setattr(topics, "WARD", 100)
    monkeypatch.setattr(topics, "_CENTRES", 20)
    rows = vectors(300)
    one, other = (_Tree(rows, hierarchy, None) for _ in range(2))
    assert one.leaves == 20
    assert [one.documents(node).tolist() for node in one.cut(6)] == [
        other.documents(node).tolist() for node in other.cut(6)
    ]
    assert sum(len(one.documents(node)) for node in one.cut(6)) == 300


def test_correlations_are_those_of_sentence_transformers() -> None:
    evaluation = pytest.importorskip("sentence_transformers.sentence_transformer.evaluation")
    chance = np.random.default_rng(3)
    rows = chance.standard_normal((2, 60, 12)).astype(np.float32)
    rows[1, :30] += rows[0, :30]
    grades = chance.integers(0, 6, 60) / 5
    known = {f"{side} {place}": rows[side, place] for side in range(2) for place in range(60)}

    class Encoder:
        similarity_fn_name = "cosine"

        def encode(self, texts: list[str], **_: object) -> object:
            return np.stack([known[text] for text in texts])

        class model_card_data:  # noqa: N801 - sentence-transformers' own name
            set_evaluation_metrics = staticmethod(lambda *_: None)

    sides = [[f"{side} {place}" for place in range(60)] for side in range(2)]
    evaluator = evaluation.EmbeddingSimilarityEvaluator(*sides, grades.tolist(), main_similarity="cosine")
    theirs = evaluator(Encoder())
    ours = correlations((corpus.unit(rows[0]) * corpus.unit(rows[1])).sum(axis=1).astype(np.float64), grades.tolist())
    assert ours[0] == pytest.approx(theirs["pearson_cosine"], abs=1e-6)
    assert ours[1] == pytest.approx(theirs["spearman_cosine"], abs=1e-6)


def test_pairs_of_both_forms_and_what_are_none(tmp_path: Path) -> None:
    file = tmp_path / "pairs.tsv"
    file.write_text("a b\tc\t3.5\n\nd\te\t1\n", encoding="utf-8")
    assert [(one.first, one.second, one.grade) for one in read_pairs(file)] == [("a b", "c", 3.5), ("d", "e", 1.0)]
    file.write_text("genre\tscore\tsentence1\tsentence2\nnews\t5\t가\t나\n", encoding="utf-8")
    assert [(one.first, one.second, one.grade) for one in read_pairs(file)] == [("가", "나", 5.0)]
    for text, reason in (
        ("", "no pair"),
        ("alone\n", "line 1: there are no two texts"),
        ("a\tb\tx\n", "'x' is no grade"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(kosearch.UsageError, match=reason):
            read_pairs(file)
    with pytest.raises(kosearch.UsageError, match="cannot read"):
        read_pairs(tmp_path / "none.tsv")
    with pytest.raises(kosearch.UsageError, match="differ"):
        correlations([0.1, 0.2], [3.0, 3.0])


def noted(folder: Path, name: str, text: str, day: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    moment = kosearch_time(day)
    os.utime(path, (moment, moment))


def kosearch_time(day: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(f"{day}T12:00:00").timestamp()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus with copies, a version, forms that differ in a number, excerpts, boilerplate and translations."""
    made = tmp_path_factory.mktemp("together") / "files"
    shutil.copytree(CORPUS, made)
    noted(made, "규정/휴가규정.md", RULES, "2024-05-01")
    noted(made, "옛 자료/휴가규정 사본.md", RULES.replace("\n\n", "\n\n\n"), "2024-04-01")
    noted(made, "옛 자료/휴가규정 초안.md", re.sub(r"### 제8조.*", "", RULES, flags=re.DOTALL), "2023-04-01")
    form = "휴가 신청서. 소속과 이름을 적고 부서장의 확인을 받아 인사팀에 낸다. 신청 일수 {} 일, 남은 일수 {} 일. "
    form += "비상 연락처를 적는다."
    noted(made, "신청서/1.txt", form.format(3, 12), "2024-01-03")
    noted(made, "신청서/2.txt", form.format(5, 7), "2024-02-03")
    for number, pair in enumerate(PAIRS):
        for language, text in pair.items():
            noted(made, f"{language}/{number}.txt", text, "2024-01-01")
    noted(made, "ko/short.txt", "연차 휴가 신청서", "2024-01-01")
    noted(made, "en/short.txt", "Application for annual leave", "2024-01-01")
    others = [one["ko"] for one in PARALLEL if len(one) == 2]
    noted(made, "부분/원본.txt", " ".join(others[:4]), "2024-03-01")
    noted(made, "부분/오타.txt", " ".join(others[:4]).replace("멸치", "밀치").replace("잠수부", "잠수사"), "2024-02-01")
    noted(made, "부분/일부.txt", " ".join([*others[:3], *others[5:12]]), "2024-01-01")
    for number in range(6):
        own = " ".join(others[14 + 3 * number : 16 + 3 * number])
        noted(made, f"서식/{number}.txt", f"{BOILERPLATE}\n\n{own}", "2024-01-01")
    return made


@pytest.fixture(scope="module")
def index(folder: Path, cache_dir: Path) -> Iterator[kosearch.Index]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KOSEARCH_CACHE_DIR", str(cache_dir))
        with kosearch.open(folder.parent / "index") as opened:
            opened.index(folder)
            yield opened


def names(group: kosearch.DuplicateGroup) -> list[str]:
    return [Path(one.document.path).name for one in group.members]


def test_each_kind_is_found_and_named(index: kosearch.Index) -> None:
    groups = index.duplicates()
    rules = next(group for group in groups if "휴가규정.md" in names(group))
    assert names(rules)[:2] == ["휴가규정.md", "휴가규정 사본.md"]
    kinds = {name: one.kind for name, one in zip(names(rules), rules.members, strict=True)}
    assert kinds["휴가규정 사본.md"] == "exact"
    draft = next(group for group in groups if "휴가규정 초안.md" in names(group))
    assert draft.kind in ("version", "contained")
    assert ("copy", ["원본.txt", "오타.txt"]) in [(group.kind, names(group)) for group in groups]
    part = next(group for group in groups if "일부.txt" in names(group))
    assert (part.kind, names(part)[0]) == ("part", "원본.txt")
    forms = next(group for group in groups if "1.txt" in names(group) and "2.txt" in names(group))
    assert (forms.kind, names(forms), forms.members[1].only_numbers) == ("version", ["2.txt", "1.txt"], True)
    translated = {frozenset(names(group)) for group in groups if group.kind == "translation"}
    assert len(translated) >= 4
    assert all(len(one) == 1 for one in translated), "each pair has one name, in two folders"
    assert {*kinds.values(), *(group.kind for group in groups)} >= {*Kind} - {Kind.VERSION, Kind.CONTAINED}
    assert {"short.txt"} not in translated, "so few words are alike by chance"
    assert not any(one.share for group in groups if group.kind == "translation" for one in group.members)


def test_what_many_documents_have_makes_no_versions_of_them(index: kosearch.Index, folder: Path) -> None:
    assert len(BOILERPLATE) > 0.5 * len((folder / "서식/0.txt").read_text(encoding="utf-8"))
    assert not [group for group in index.duplicates() if any("서식" in one.document.path for one in group.members)]


def test_kinds_and_paths_narrow(index: kosearch.Index) -> None:
    assert [names(group) for group in index.duplicates(kind="exact")] == [["휴가규정.md", "휴가규정 사본.md"]]
    assert index.duplicates(kind="exact", path="신청서/") == []
    with pytest.raises(kosearch.UsageError, match="no kind 'twin'"):
        index.duplicates(kind="twin")


def test_the_order_of_indexing_does_not_show(
    index: kosearch.Index, folder: Path, tmp_path: Path, cache_dir: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Whatever is indexed first, together with what, and by which of the engines, whose last digits differ."""
    files = sorted((path for path in folder.rglob("*") if path.is_file()), reverse=True)
    shuffled = random.Random(1).sample(files, len(files))
    orders = {
        "reversed, by torch": [files[: len(files) // 2], files[len(files) // 2 :]],
        "shuffled, by numpy": [shuffled[0::3], shuffled[1::3], shuffled[2::3]],
    }
    first = printed(index, capsysbinary)
    assert first.count(b'"kind": "translation"') >= 4
    for name, runs in orders.items():
        with kosearch.open(tmp_path / name) as other:
            if "torch" in name:
                other.prepare()
                assert type(other.embedder) is not type(other.query_embedder)
            for run in runs:
                other.index(*run)
            assert printed(other, capsysbinary) == first


def printed(index: kosearch.Index, captured: pytest.CaptureFixture[bytes]) -> bytes:
    captured.readouterr()
    assert main(["duplicates", "--json", "--index", str(index.directory)]) == 0
    return captured.readouterr().out


def told(found: kosearch.Topics) -> list[object]:
    def rows(some: tuple[kosearch.Topic, ...]) -> list[object]:
        return [(one.words, one.title, [each.path for each in one.documents], rows(one.topics)) for one in some]

    return rows(found.topics)


def test_a_passage_that_stands_in_several_documents(index: kosearch.Index) -> None:
    groups = index.repeated_passages()
    assert {"휴가규정.md", "휴가규정 사본.md"} <= {Path(one.document.path).name for group in groups for one in group}
    assert all(len({one.document.id for one in group}) > 1 for group in groups)


def test_similar_leaves_out_the_thing_and_its_copies(index: kosearch.Index, folder: Path) -> None:
    rules = folder / "규정/휴가규정.md"
    found = [Path(hit.path).name for hit in index.similar(rules, k=50)]
    assert not {"휴가규정.md", "휴가규정 사본.md"} & {*found}
    assert set(found[:3]) & {"휴가규정 초안.md", "1.txt", "2.txt"}
    assert len(found) == len({hit.document_id for hit in index.similar(rules, k=50)})
    assert "휴가규정 사본.md" in [Path(hit.path).name for hit in index.similar(rules, k=50, copies=True)]
    only = index.similar(rules, k=50, path="ko/")
    assert {Path(hit.path).parent.name for hit in only} == {"ko"}


def test_similar_by_page_passage_text_and_a_file_outside(index: kosearch.Index, folder: Path, tmp_path: Path) -> None:
    assert len(index.similar(f"{folder / 'manuals/소방안전.pdf'}:1", k=3)) == 3
    with pytest.raises(kosearch.UsageError, match="no text on a page 99"):
        index.similar(f"{folder / 'manuals/소방안전.pdf'}:99")
    hit = index.search("소화기는 어떻게 쓰나요", k=1)[0]
    assert hit.id not in [one.id for one in index.similar(hit.id, k=50)]
    assert index.similar(text=PAIRS[1]["en"], k=1, copies=True)[0].path.endswith("en/1.txt")
    across = index.similar(folder / "en/1.txt", k=3)
    assert ("ko", "1.txt") in [Path(hit.path).parts[-2:] for hit in across], "words tell nothing across languages"
    outside = tmp_path / "outside.md"
    outside.write_text(f"# Notes\n\n{PAIRS[4]['en']} And so on.", encoding="utf-8")
    assert any(hit.path.endswith("ko/4.txt") for hit in index.similar(outside, k=3))
    for thing in (tmp_path / "nothing.txt", f"{tmp_path / 'nothing.txt'}:3"):
        with pytest.raises(kosearch.FilesSkipped, match="No such file"):
            index.similar(thing)
    with pytest.raises(kosearch.UsageError, match="no such passage"):
        index.similar("0123456789abcdef:0:9")
    with pytest.raises(kosearch.UsageError, match="a thing or a text"):
        index.similar()


def test_a_warm_process_finds_what_one_process_finds(program: Program, folder: Path) -> None:
    """And `kosearch open` opens its hits; a text on standard input and a file outside the index are read there too."""
    runtime = Path(tempfile.mkdtemp(prefix="ks-", dir="/tmp"))
    program = Program(program.home, {**program.environment, "KOSEARCH_VIEWERS": "other=show {path}"})
    warm = Program(program.home, {**program.environment, "KOSEARCH_RESIDENT": "on", "XDG_RUNTIME_DIR": str(runtime)})
    runtime.chmod(0o700)
    (program.home / "outside.md").write_text(PAIRS[4]["en"], encoding="utf-8")
    try:
        for arguments, stdin in (
            (["files/규정/휴가규정.md", "--json", "-k", "3"], ""),
            (["files/규정/휴가규정.md", "--path", "files/ko", "--explain"], ""),
            (["-", "--jsonl", "-k", "2"], PAIRS[0]["en"]),
            (["outside.md", "--paths"], ""),
            (["nothing.md"], ""),
        ):
            by_itself = program.run("similar", *arguments, "--no-resident", stdin=stdin)
            found = warm.run("similar", *arguments, stdin=stdin)
            assert (found.returncode, found.stdout, found.stderr) == (
                by_itself.returncode,
                by_itself.stdout,
                by_itself.stderr,
            )
        (state,) = json.loads(warm.run("serve", "--status", "--json").stdout)["residents"]
        assert state["requests"] >= 4
        for one in (warm, program):
            for thing, hit in (("files/en/1.txt", "ko/1.txt"), ("files/en/2.txt", "ko/2.txt")):
                assert one.on_terminal("similar", thing, "-k", "1", "--path", "ko/", cwd=program.home)[0] == 0
                assert hit in one.on_terminal("open", "--print")[1]
    finally:
        warm.run("serve", "--stop")
        shutil.rmtree(runtime)


def test_topics_are_named_by_what_tells_siblings_apart(index: kosearch.Index) -> None:
    found = index.topics(4)
    assert sum(len(topic.documents) for topic in found.topics) == len(found.documents) == index.status().documents
    for siblings in (found.topics, *(topic.topics for topic in found.topics)):
        for place, one in enumerate(siblings):
            assert all(len({*one.words} & {*other.words}) <= 2 for other in siblings[:place])
    words = {word for topic in found.topics for word in topic.words}
    assert not {"the", "and", "것", "경우"} & words
    assert told(index.topics(4)) == told(found)


def test_the_map_is_whole_and_asks_for_nothing(index: kosearch.Index) -> None:
    from xml.etree import ElementTree

    found = index.topics(4)
    svg = draw(found, ".svg")
    circles = ElementTree.fromstring(svg).findall("{http://www.w3.org/2000/svg}circle")
    assert len(circles) == len(found.documents)
    page = draw(found, ".html")
    assert draw(found, ".html") == page
    assert not re.search(r"<script|https?://(?!www\.w3\.org)", page)
    with pytest.raises(kosearch.UsageError, match=r"a map is \.svg or \.html"):
        draw(found, ".png")


def test_one_document_and_none(tmp_path: Path, cache_dir: Path) -> None:
    with kosearch.open(tmp_path / "index") as one:
        for ask in (one.duplicates, one.topics, one.repeated_passages):
            with pytest.raises(kosearch.IndexMissing):
                ask()
        file = tmp_path / "only.txt"
        file.write_text("단 하나의 문서입니다.", encoding="utf-8")
        one.index(file)
        assert (one.duplicates(), one.repeated_passages(), list(one.similar(file))) == ([], [], [])
        with pytest.raises(kosearch.UsageError, match="1 document has no topics"):
            one.topics()
        one.remove(file)
        for ask in (one.duplicates, one.topics, one.repeated_passages):
            with pytest.raises(kosearch.UsageError, match="nothing is searchable"):
                ask()


def test_all_documents_equal(tmp_path: Path, cache_dir: Path) -> None:
    for number in range(40):
        noted(tmp_path, f"{number}.txt", RULES[:300], "2024-01-01")
    with kosearch.open(tmp_path / "index") as index:
        index.index(*tmp_path.glob("*.txt"))
        [group] = index.duplicates()
        assert (group.kind, len(group.members)) == ("exact", 40)
        assert {one.of.path for one in group.spare if one.of} == {group.members[0].document.path}
        found = index.topics()
        assert [topic.topics for topic in found.topics] == [()], "one topic, and no finer one that says it again"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert draw(found, ".svg").count("<circle") == 40
        assert list(index.similar(tmp_path / "0.txt")) == []


@pytest.fixture
def program(index: kosearch.Index, folder: Path, cache_dir: Path) -> Program:
    made = make_program(folder.parent, cache_dir)
    return Program(made.home, {**made.environment, "KOSEARCH_INDEX": str(index.directory)})


def test_what_the_commands_print_has_a_schema(program: Program, tmp_path: Path) -> None:
    def one(*arguments: str, stdin: str = "") -> object:
        result = program.run(*arguments, stdin=stdin)
        assert (result.returncode, result.stderr) == (0, "")
        return json.loads(result.stdout)

    assert problems(one("duplicates", "--json"), DUPLICATES) == []
    assert problems(one("duplicates", "--passages", "--json"), REPEATED_PASSAGES) == []
    assert problems(one("topics", "--json", "-n", "3"), TOPICS) == []
    assert problems(one("similar", "files/규정/휴가규정.md", "--json", "-k", "2"), SIMILAR) == []
    line = program.run("similar", "-", "--jsonl", "-k", "1", stdin=PAIRS[0]["en"]).stdout
    assert problems(json.loads(line), HIT_LINE) == []
    assert problems(one("similarity", "연차 휴가", "annual leave", "--json"), SIMILARITY) == []
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text(
        "연차 휴가\tannual leave\t5\n연차 휴가\tboiler\t0\n소화기\tfire extinguisher\t5\n", encoding="utf-8"
    )
    assert problems(one("eval", str(pairs), "--json"), GRADED_PAIRS) == []
    assert program.run("eval", pairs).stdout.splitlines()[0] == "pairs.tsv: 3 pairs"
    rows = [json.loads(row) for row in program.run("vectors", "--jsonl").stdout.splitlines()]
    assert problems(rows[0], VECTOR) == []


def test_vectors_in_files(program: Program, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    count = len(program.run("vectors", "--jsonl").stdout.splitlines())
    assert program.run("vectors", "--npy", tmp_path / "v.npy").returncode == 0
    rows = np.load(tmp_path / "v.npy")
    places = [json.loads(line) for line in (tmp_path / "v.npy.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows.shape == (count, 384)
    assert len(places) == count
    assert program.run("vectors", "--parquet", tmp_path / "v.parquet").returncode == 0
    table = parquet.read_table(tmp_path / "v.parquet")
    assert table.column("id").to_pylist() == [one["id"] for one in places]
    assert np.allclose(np.array(table.column("vector").to_pylist()), rows)
    refused = program.run("vectors", "--npy", tmp_path / "none/v.npy")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 2)
    assert program.run("vectors").returncode == 2


def test_embed_and_similarity_agree(program: Program) -> None:
    rows = program.run("embed", "--query", stdin="연차 휴가\n\nannual leave\n").stdout.splitlines()
    first, second = (np.array(json.loads(row)) for row in rows)
    assert program.run("similarity", "연차 휴가", "annual leave").stdout == f"{first @ second:.4f}\n"
    assert program.run("embed", stdin="\n").returncode == 2


def test_duplicates_for_people_and_pipes(program: Program, folder: Path) -> None:
    printed = program.run("duplicates", "--kind", "version", "--diff", "--path", "신청서/").stdout
    assert printed.splitlines()[0] == "version: 2 documents"
    assert "  2024-01-03  other numbers   files/신청서/1.txt" in printed
    assert "[-5-] {+3+}" in printed
    spare = program.run("duplicates", "--paths", "-0").stdout
    assert spare == f"{folder / '옛 자료/휴가규정 사본.md'}\0"
    assert (folder / "옛 자료/휴가규정 사본.md").exists()
    nothing = program.run("duplicates", "--path", "manuals/")
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert nothing.stderr.startswith("kosearch: no duplicates")
    for wrong in (["--paths", "--json"], ["-0"], ["--kind", "twin"], ["--passages", "--diff"]):
        assert program.run("duplicates", *wrong).returncode == 2


def test_at_eighty_columns(program: Program) -> None:
    for arguments in (["topics"], ["duplicates", "--diff"]):
        code, screen = program.on_terminal(*arguments, cwd=program.home)
        assert code == 0
        assert all(width(line) <= 80 for line in re.sub(r"\x1b\[[0-9;]*m", "", screen).splitlines())


def width(line: str) -> int:
    from rich.cells import cell_len

    return cell_len(line)


def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch, index: kosearch.Index) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "scipy.cluster.hierarchy", None)
    with pytest.raises(kosearch.UsageError, match="topics needs scipy, which is not installed") as raised:
        index.topics()
    assert raised.value.hint == "pip install 'kosearch[analysis]'"


def test_the_page_on_classifying_is_true(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = [Path(kosearch.__file__).parent / "docs" / name for name in ("classify.md", "ko/classify.md")]
    code, same = (
        re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[0]
        for page in pages
    )
    assert code == same
    files = tmp_path / "files"
    for label in ("ko", "en"):
        for number in range(4):
            place = files / ("inbox" if number == 3 else label)
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / label / f"{number}.txt", place / f"{label}{number}.txt")
    monkeypatch.setenv("KOSEARCH_DATA_DIR", str(tmp_path / "data"))
    with kosearch.open("notes") as notes:
        notes.index(files)
    exec(code, {})
    assert capsys.readouterr().out == "en3.txt en\nko3.txt ko\n"
