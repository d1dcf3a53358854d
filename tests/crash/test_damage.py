"""Any byte changes, any file is cut, removed or sealed: an error, a rebuild, or the same answers."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import Tally
from index_making import answers, make, put, quick_folder, source

from crash.conftest import Place
from crash.folders import answers_in, chance, documents_in
from kosearch.errors import IndexStateError
from kosearch.index import SqliteStore, vectors

NAMES = [f"f{number}" for number in range(30)]
PAGE = 8192


def flip(path: Path, generator: random.Random) -> None:
    data = bytearray(path.read_bytes() or b"\0")
    data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
    path.write_bytes(data)


def cut(path: Path, generator: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: generator.randrange(len(data) or 1)])


def blank(path: Path, generator: random.Random) -> None:
    """A page of zeros."""
    data = bytearray(path.read_bytes())
    start = generator.randrange(len(data) or 1) // PAGE * PAGE
    data[start : start + PAGE] = bytes(len(data[start : start + PAGE]))
    path.write_bytes(data)


def remove(path: Path, _: random.Random) -> None:
    path.unlink()


def seal(path: Path, _: random.Random) -> None:
    path.chmod(0o400)


DAMAGES: list[Callable[[Path, random.Random], None]] = [flip, flip, flip, cut, blank, remove, seal]


@dataclass(frozen=True)
class Whole:
    """An index with a graph, vectors in two parts, deleted terms and something pending; `logged` before its log came
    home, `settled` after."""

    folder: Path
    expected: dict[str, Any]

    def damaged(self, generator: random.Random) -> tuple[Path, str]:
        """A copy with one damage, and what it is."""
        directory = self.folder / "copy"
        if directory.exists():
            shutil.rmtree(directory)
        shutil.copytree(self.folder / generator.choice(["logged", "settled"]), directory)
        files = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != "lock")
        kinds = {
            kind: [one for one in files if kind in str(one)] for kind in ("sqlite", "usearch", "vectors", "lexical", "")
        }
        path = generator.choice(kinds[generator.choice(list(kinds))])
        damage = generator.choice(DAMAGES)
        damage(path, generator)
        return directory, f"{damage.__name__} {path.relative_to(directory)}"


@pytest.fixture(scope="module")
def whole() -> Iterator[Whole]:
    with quick_folder() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "MIN_ROWS", 4)
        index = make(folder / "settled", NAMES)
        with index.snapshot(), index.writer() as writer:  # while somebody reads, the log cannot come home
            put(writer, "g")
            writer.remove([source(NAMES[0]).path_bytes])
            writer.publish()
            expected = answers(index, warm=True)
            put(writer, "pending")
            shutil.copytree(folder / "settled", folder / "logged")
        assert (folder / "logged/index.sqlite-wal").stat().st_size > PAGE
        index.close()
        yield Whole(folder, expected)


@pytest.mark.parametrize("times", [12, pytest.param(500, marks=pytest.mark.crash)])
def test_no_damage_goes_unnoticed(whole: Whole, times: int, tally: Tally) -> None:
    generator = chance(times)
    seen = {"error": 0, "warning": 0, "the same answers": 0}
    for _ in range(times):
        directory, what = whole.damaged(generator)
        tally.tried("damage")
        try:
            with closing(SqliteStore(directory)) as index:
                with index.snapshot(warm=True) as snapshot:
                    warned = bool(snapshot.warnings)
                # A log that ends early is an earlier state: its files have been swept, which is warned of.
                assert answers(index, warm=True) == whole.expected or (warned and "wal" in what), what
            seen["warning" if warned else "the same answers"] += 1
        except IndexStateError as error:
            say_what_to_do(error)
            seen["error"] += 1
        mend(whole, directory, what)
    assert sum(seen.values()) == times
    assert seen["warning"], seen


def say_what_to_do(error: IndexStateError) -> None:
    assert "kosearch" in error.hint or "permissions" in error.hint


def mend(whole: Whole, directory: Path, what: str) -> None:
    """What `check`, `repair` and the next `index` make of it."""
    try:
        with closing(SqliteStore(directory)) as index:
            found = index.check()
            index.repair()
    except IndexStateError as error:
        # The database cannot be read at all: the error says how to begin anew.
        assert "sqlite" in what
        say_what_to_do(error)
        return
    index = SqliteStore(directory)
    assert index.check() == [], (what, found)
    with index.writer() as writer:
        known = writer.files()
        for name in [*NAMES[1:], "g"]:
            if not known.get(source(name).path_bytes) or not known[source(name).path_bytes].hash:
                put(writer, name)
        writer.remove([source("pending").path_bytes, source(NAMES[0]).path_bytes])
        writer.publish()
    assert answers(index, warm=True) == whole.expected, what
    assert index.check() == [], what
    index.close()


@pytest.mark.parametrize("times", [1, pytest.param(60, marks=pytest.mark.crash)])
def test_the_program_meets_damage(place: Place, times: int, tally: Tally) -> None:
    """Each command ends with 0 or 4, and where all end with 0 the answers are those of a fresh index."""
    generator = chance(times)
    for _ in range(times):
        place.reset()
        files = sorted(path for path in place.index.rglob("*") if path.is_file() and path.name != "lock")
        path = generator.choice([*files, *[one for one in files if one.name == "index.sqlite"] * 4])
        damage = generator.choice(DAMAGES)
        damage(path, generator)
        what = f"{damage.__name__} {path.name}"
        tally.tried("damage")
        asked = place.query()
        assert asked.code in (0, 4), (what, asked.stderr)
        if asked.code == 0:
            found = answers_in(asked.stdout)
            for answer in found.values():
                answer["warnings"] = [one for one in answer["warnings"] if "damaged" not in one]
            assert found == place.before, what
        commands = (["check"], ["repair"], ["index", place.docs] if what == "remove index.sqlite" else ["index"])
        ended = [place.forked.run(*command, index=place.index) for command in commands]
        for one in ended:
            assert one.code in (0, 4), (what, one.stderr)
            assert "Traceback" not in one.stderr
        if what == "remove index.sqlite":  # which folders it was of is lost with it, and nothing else
            assert ended[-1].code == 0, ended[-1].stderr
            assert documents_in(place.index) == documents_in(place.base.with_name("fresh"))
        elif ended[-1].code == 0:
            assert place.answers() == place.after, what
        else:
            assert path.name.startswith("index.sqlite"), what
            assert "kosearch" in ended[-1].stderr, what
