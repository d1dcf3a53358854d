"""Keeps an index of today's format for later versions to open: `python tests/format_making.py`.

Run it once when a format's last change has landed, and commit what it writes below tests/data/index-formats/: an
index as the program makes it, packed, and what it holds. The index has all that the format knows: two generations,
rows that left the vector files, an HNSW graph, a file that cannot be read, and a document that is not published yet.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
from pathlib import Path

from kosearch.cli import main
from kosearch.index import SqliteStore, database, vectors
from kosearch.index.files import hooks

DATA = Path(__file__).parent / "data"
FORMATS = DATA / "index-formats"
QUESTIONS = {
    "연차를 다음 해로 넘길 수 있나요?": "휴가규정.md",
    "보안취약점": "정보보안지침.txt",
    "When must the boiler be descaled?": "espresso-machine.md",
    "소화기 사용법": "소방안전.pdf",
    "How long do old keys stay valid?": "rotate_keys.py",
}
"""Questions, and the document that answers each."""


def packed(version: int) -> Path:
    """The archive with the index of a format."""
    return FORMATS / f"{version}.tar.xz"


def unpack(version: int, folder: Path) -> None:
    """Put the index of a format into a folder."""
    with tarfile.open(packed(version)) as archive:
        if hasattr(tarfile, "data_filter"):  # Python 3.11.3 and before have none
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(folder)


def holdings(index: SqliteStore) -> dict[str, object]:
    """What must be in an index whatever version opens it."""
    with index.snapshot() as snapshot:
        documents = sorted(
            (Path(one.path).name, one.kind, one.title, one.text_hash, one.passages) for one in snapshot.documents()
        )
        return {
            "generation": snapshot.generation,
            "passages": snapshot.passages,
            "documents": list(map(list, documents)),
            "pending": index.status().pending,
            "problems": sorted(f"{Path(one.path).name}: {one.reason}" for one in index.problems()),
        }


def make(folder: Path) -> SqliteStore:
    """An index of the corpus with a history."""
    corpus, place = folder / "corpus", folder / "index"
    shutil.copytree(DATA / "corpus", corpus)
    (corpus / "broken.pdf").write_bytes(b"%PDF-1.4\nno more")
    (corpus / "leaves.txt").write_text("This page leaves before the second generation.\n")

    def index() -> int:
        return main(["index", str(corpus), "--index", str(place), "--quiet", "--model", "bundled"])

    vectors.MIN_ROWS = 4
    assert index() == 0
    (corpus / "leaves.txt").unlink()
    (corpus / "second.txt").write_text("The second generation brings a page about harbour cranes.\n")
    assert index() == 0
    (corpus / "pending.txt").write_text("This page was stored by a run that was interrupted.\n")
    hooks.append(_interrupt)
    assert index() == 130
    return SqliteStore(place)


def _interrupt(step: str) -> None:
    if step == "folder made":
        raise KeyboardInterrupt


def write() -> None:
    """Pack the index of this version; refuses where there is one, for a format that is out never changes."""
    target = packed(database.VERSION)
    if target.exists():
        raise SystemExit(f"{target} is there already: a format keeps the index that was made when it came")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_DATA_HOME"] = folder
        index = make(Path(folder))
        held = holdings(index)
        index.close()
        FORMATS.mkdir(exist_ok=True)
        target.with_suffix("").with_suffix(".json").write_text(json.dumps(held, ensure_ascii=False, indent=1) + "\n")
        with tarfile.open(target, "w:xz", preset=9) as archive:
            archive.add(index.directory, "index", filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Without what tells of the machine that made it, and without what every process makes anew."""
    if member.name.endswith(("/lock", "-shm")):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    write()
