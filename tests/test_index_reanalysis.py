"""Terms by other rules, from the stored texts: whole or not at all, seen at once, gone on with after a kill."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from index_making import IDENTITY, answers, document, make, put, quick_folder, source

from kosearch.index import NewDocument, SqliteStore, UnanalysedDocument, Writer, files

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
RULES, FIELDS = "terms-2", ("body", "heading", "name")
NAMES = "abcdef"


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as place:
        yield place


def by_new_rules(lines: Sequence[str], name: str) -> list[Mapping[str, Sequence[str]]]:
    return [{"body": [*line.split()[:3], "새말"], "heading": ["제목", "새말"], "name": [name]} for line in lines]


def analysed(document: UnanalysedDocument) -> tuple[UnanalysedDocument, list[Mapping[str, Sequence[str]]]]:
    return document, by_new_rules(document.texts, document.name)


def renew(writer: Writer, most: int | None = None) -> None:
    reanalysis = writer.reanalysis(RULES, FIELDS)
    for number, one in enumerate(reanalysis.documents()):
        if number == most:
            return
        reanalysis.put([analysed(one)])
    reanalysis.finish()


def old(directory: Path) -> SqliteStore:
    """An index with a published and a pending change that a run left behind."""
    index = make(directory, NAMES)
    with index.writer() as writer:
        put(writer, "a", 1, mtime_ns=2)
        put(writer, "g")
        writer.remove([source("b").path_bytes])
    return index


def fresh(directory: Path) -> SqliteStore:
    """What `old` must be once it was renewed."""
    index = SqliteStore.create(directory, replace(IDENTITY, term_rules=RULES, fields=FIELDS))
    with index.writer() as writer:
        for name in ("a", *"cdefg"):
            new = document(name, int(name == "a"))
            texts = [new.extracted.text[one.passage.start : one.passage.end] for one in new.passages]
            terms = by_new_rules(texts, source(name).path)
            passages = [replace(one, terms=own) for one, own in zip(new.passages, terms, strict=True)]
            state = source(name, 2 if name == "a" else 1)
            writer.put(state, "", [NewDocument(new.extracted, passages)])
        writer.publish()
    return index


def test_readers_see_the_old_terms_until_all_are_new(folder: Path) -> None:
    index = old(folder / "index")
    before = answers(index)
    with index.writer() as writer:
        reanalysis = writer.reanalysis(RULES, FIELDS)
        assert len(reanalysis) == 6
        for one in reanalysis.documents():
            reanalysis.put([analysed(one)])
            assert answers(index) == before
        assert len(reanalysis) == 0
        with index.snapshot() as snapshot:
            assert reanalysis.finish() == 2
            assert snapshot.identity.fields == IDENTITY.fields
            assert snapshot.statistics({"body": ["새말"]}).frequencies == {"body": {"새말": 0}}
    assert answers(index) == answers(fresh(folder / "fresh"))
    assert (index.identity.term_rules, index.identity.fields) == (RULES, FIELDS)
    assert index.check() == []
    with index.writer() as writer:  # and it goes on as any other
        put(writer, "h")
        writer.publish()
    assert index.repair() == []
    assert index.check() == []


def test_terms_by_yet_other_rules_begin_anew(folder: Path) -> None:
    index = old(folder / "index")
    with index.writer() as writer:
        renew(writer, most=3)
    with index.writer() as writer:
        assert len(writer.reanalysis(RULES, FIELDS)) == 3  # goes on
        assert len(writer.reanalysis("terms-3", FIELDS)) == 6
        renew(writer)
    assert answers(index) == answers(fresh(folder / "fresh"))


def test_a_document_that_cannot_be_analysed_stays_and_is_read_again(folder: Path) -> None:
    index = make(folder, "ab")
    with index.writer() as writer:
        reanalysis = writer.reanalysis(RULES, FIELDS)
        first, second = reanalysis.documents()
        reanalysis.give_up(first)
        reanalysis.put([analysed(second)])
        reanalysis.finish()
        assert [state.hash for state in writer.files().values()] == ["", "hash-b-0"]
    assert index.status().documents == 2
    assert index.check() == []


def test_a_kill_at_any_step_loses_nothing(folder: Path) -> None:
    expected = answers(fresh(folder / "fresh"))
    before = answers(old(folder / "before"))
    at = 0
    while True:
        directory = folder / str(at)
        old(directory).close()
        child = os.fork()
        if child == 0:
            count = 0

            def kill(_name: str, at: int = at) -> None:
                nonlocal count
                if count == at:
                    os.kill(os.getpid(), signal.SIGKILL)
                count += 1

            files.hooks.append(kill)
            with SqliteStore(directory).writer() as writer:
                renew(writer)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        index = SqliteStore(directory)
        assert answers(index) == (expected if index.identity.term_rules == RULES else before)
        with index.writer() as writer:
            renew(writer)
        assert answers(index) == expected
        assert index.check() == []
        index.close()
        if status == 0:
            break
        at += 1
    assert at > 15
