"""One writer, many readers, in threads and processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from index_making import IDENTITY, QUERY, TERMS, answers, document, make, put, quick_folder, source

from kosearch.errors import IndexBusy
from kosearch.index import SqliteStore

HOLD = """
import sys, time
from pathlib import Path
from kosearch.index import SqliteStore
sys.path.insert(0, sys.argv[2])
from index_making import put
with SqliteStore(Path(sys.argv[1])).writer() as writer:
    put(writer, "b")
    print("held", flush=True)
    time.sleep(60)
"""


def holder(directory: Path) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", HOLD, str(directory), str(Path(__file__).parent)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_writer_is_told_of_the_first(tmp_path: Path) -> None:
    index = make(tmp_path, "a")
    with holder(tmp_path) as process:
        with pytest.raises(IndexBusy) as caught, index.writer():
            pass
        for part in (f"process {process.pid}", f"on {socket.gethostname()}", "since 2"):
            assert part in caught.value.message
        assert "--wait" in caught.value.hint
        assert len(answers(index)["documents"]) == 1  # readers do not wait
        process.kill()
    # The lock of a process that was killed is nobody's, and what it had stored is there.
    with index.writer() as writer:
        writer.publish()
    assert len(answers(index)["documents"]) == 2


def test_waiting_for_the_first(tmp_path: Path) -> None:
    index = make(tmp_path, "a")
    with holder(tmp_path) as process:
        threading.Timer(0.3, process.send_signal, [signal.SIGKILL]).start()
        begun = time.monotonic()
        with index.writer(wait=True) as writer:
            assert time.monotonic() - begun > 0.2
            put(writer, "c")
            writer.publish()
    assert len(answers(index)["documents"]) == 3


def test_two_writers_in_one_process(tmp_path: Path) -> None:
    index = make(tmp_path, "a")
    with index.writer(), pytest.raises(IndexBusy, match=f"process {os.getpid()}"), SqliteStore(tmp_path).writer():
        pass
    with index.writer():
        pass


@pytest.mark.parametrize("content", ["", "{", json.dumps({"pid": 1}), "null", "\x00" * 9])
def test_an_unreadable_note_of_the_holder(tmp_path: Path, content: str) -> None:
    index = make(tmp_path, "a")
    with index.writer():
        (tmp_path / "lock").write_text(content)
        with pytest.raises(IndexBusy, match="only just begun"), index.writer():
            pass


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_worker_does_not_keep_the_lock(tmp_path: Path) -> None:
    """A writer is killed, and a worker that it had forked lives on."""
    index = make(tmp_path, "a")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with index.writer():
            worker = os.fork()
            if worker == 0:
                time.sleep(30)
                os._exit(0)
            os.write(writing, str(worker).encode())
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    worker = int(os.read(reading, 20))
    try:
        with index.writer():
            pass
    finally:
        os.kill(worker, signal.SIGKILL)
        os.close(reading)
        os.close(writing)


def write_rounds(index: SqliteStore, files: int, rounds: int) -> None:
    """Each generation holds files of one version only, and a number of them that tells which."""
    with index.writer() as writer:
        for version in range(1, rounds + 1):
            for number in range(files):
                if number % 7 == version % 7:
                    writer.remove([source(f"f{number}").path_bytes])
                else:
                    put(writer, f"f{number}", version, passages=2)
            assert writer.publish() == version


def read_until(index: SqliteStore, last: int) -> int:
    """Read until the last generation is seen, and see that each snapshot is all of one generation."""
    reads = 0
    while True:
        with index.snapshot(warm=True) as snapshot:
            documents = list(snapshot.documents())
            versions = {one.title.split(" v")[1] for one in documents}
            assert versions == ({str(snapshot.generation)} if snapshot.generation else set())
            ids, _ = snapshot.dense(QUERY, 20)
            found = snapshot.lexical(TERMS, 20)
            for stored in [*snapshot.stored(ids), *snapshot.stored(found)]:
                assert stored.document.title.endswith(f" v{snapshot.generation}")
            assert len(snapshot.terms(found)) == len(found)
            assert snapshot.passages == sum(one.passages for one in documents)
            assert snapshot.statistics({"heading": ["제목"]}).frequencies["heading"]["제목"] == snapshot.passages
            assert snapshot.warnings == ()
            reads += 1
            if snapshot.generation == last:
                return reads


@pytest.mark.parametrize(("files", "rounds"), [(20, 12), pytest.param(1000, 30, marks=pytest.mark.slow)])
def test_readers_never_see_half_a_generation(files: int, rounds: int) -> None:
    with quick_folder() as folder:
        index = SqliteStore.create(folder, IDENTITY)
        shared = SqliteStore(folder)
        with ThreadPoolExecutor(9) as pool:
            readers = [pool.submit(read_until, shared, rounds) for _ in range(2)]
            readers += [pool.submit(read_until, SqliteStore(folder), rounds) for _ in range(6)]
            pool.submit(write_rounds, index, files, rounds).result()
            reads = sum(reader.result() for reader in readers)
        assert reads >= 8
        assert index.check() == []


def test_a_snapshot_outlives_its_files(tmp_path: Path) -> None:
    index = make(tmp_path, "abc")
    with index.snapshot() as snapshot:
        before = snapshot.dense(QUERY, 5)[0].tolist(), snapshot.lexical(TERMS, 50).tolist()
        with index.writer() as writer:
            writer.remove([source(name).path_bytes for name in "abc"])
            assert writer.publish() == 2
        assert not (tmp_path / "generation-1").exists()
        assert before == (snapshot.dense(QUERY, 5)[0].tolist(), snapshot.lexical(TERMS, 50).tolist())
        assert len(snapshot.stored(snapshot.lexical(TERMS, 50))) == 12
    with index.snapshot() as snapshot:
        assert snapshot.passages == 0


def test_a_folder_that_is_swept_while_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between reading the generation and opening its files, a writer publishes the next: one more try."""
    from kosearch.index import Derived

    index = make(tmp_path, "abc")
    writing = SqliteStore(tmp_path)

    def late(*arguments: object) -> Derived:
        monkeypatch.undo()
        with writing.writer() as writer:
            put(writer, "d")
            writer.publish()
        return Derived(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("kosearch.index.Derived", late)
    with index.snapshot() as snapshot:
        assert (snapshot.generation, snapshot.warnings) == (2, ())
        assert len(snapshot.stored(snapshot.dense(QUERY, 100)[0])) == 16


def test_many_threads_share_an_index(tmp_path: Path) -> None:
    index = make(tmp_path, [f"f{number}" for number in range(20)])
    expected = answers(index)
    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(lambda _: answers(index), range(40)):
            assert result == expected
    assert document("a").passages
