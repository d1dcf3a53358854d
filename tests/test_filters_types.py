"""`--type`: what the JSON output says is what the filter takes, and so are the names that people type."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import DATA

import kosearch
from kosearch import filters
from kosearch.filters import FILES, GROUPS, KINDS, plain_type, selector
from kosearch.index import Snapshot, StoredDocument
from kosearch.records import Query

pytestmark = pytest.mark.filterwarnings("ignore")  # those of other people's imports


@pytest.fixture(scope="module")
def formats(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Iterator[Snapshot]:
    """A file of each format, indexed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KOSEARCH_CACHE_DIR", str(cache_dir))
        index = kosearch.open(tmp_path_factory.mktemp("formats") / "index")
        index.index(DATA / "extract", archives=True)
        with index.store.snapshot() as snapshot:
            yield snapshot


def documents(formats: Snapshot, *names: str) -> list[StoredDocument]:
    found = formats.find_documents(kinds=names)
    assert found is not None
    return [one for one in formats.documents() if one.id in found]


def test_every_kind_that_is_printed_is_found_by_its_name(formats: Snapshot) -> None:
    kinds = {one.kind for one in formats.documents()}
    assert kinds <= set(KINDS)
    assert set(KINDS) - kinds <= {"odp"}  # the corpus has no such file
    for kind in kinds:
        of_it = [one for one in formats.documents() if one.kind == kind]
        for name in (kind, kind.upper(), f".{kind}"):
            assert documents(formats, name) == of_it


@pytest.mark.parametrize(
    ("name", "files"),
    {
        "odf": {"text.odt", "table.ods"},
        "Odt": {"text.odt"},
        "md": {"nfd.md"},
        "TXT": {"cp949.txt", "plain.txt", "utf16.txt"},
        "ipynb": {"study.ipynb"},
        "hwpx": {"plan.hwpx"},
        "hwpml": {"old.hml"},
        "hml": {"old.hml"},
        "mbox": {"box.mbox"},
        "mhtml": {"saved.mhtml"},
        "mht": set(),
        "zip": {"several.zip"},
        "word": {"old.doc", "report.docx"},
        "excel": {"old.xls", "sheet.xlsx"},
        "powerpoint": {"old.ppt", "slides.pptx"},
        "py": {"program.py"},
        "jsonl": {"lines.jsonl"},
        "htm": {"page.html"},
    }.items(),
)
def test_names_that_people_type(formats: Snapshot, name: str, files: set[str]) -> None:
    found = {Path(one.path).name for one in documents(formats, name)}
    assert files <= found
    kinds, ends = (
        GROUPS.get(plain_type(name), (plain_type(name),)),
        FILES.get(plain_type(name), (f".{plain_type(name)}",)),
    )
    for one in documents(formats, name):
        assert one.kind in kinds or one.path.endswith(ends) or one.member.endswith(ends)
    assert bool(found) == bool(files)


def test_several_are_added_up(formats: Snapshot) -> None:
    assert len(documents(formats, "pdf", "zip", "rtf")) == sum(
        len(documents(formats, one)) for one in ("pdf", "zip", "rtf")
    )


def test_every_name_finds_something_or_is_refused(formats: Snapshot) -> None:
    for name in (*GROUPS, *FILES):
        assert documents(formats, name), name
    index = kosearch.open("nothing")
    for name in ("pfd", "office-xml", "", ".", "exe"):
        with pytest.raises(kosearch.UsageError, match="there is no type") as refused:
            index.search("휴가", type=[name])
        assert all(kind in refused.value.hint for kind in KINDS)
    with pytest.raises(kosearch.IndexMissing):
        index.search("휴가", type=["PDF", ".md", "py"])


@pytest.mark.parametrize("name", ["xlsb", ".XLSM", "dotx", "ppsx", "hwt", "fodt"])
def test_endings_of_office_files_are_types_whatever_is_in_them(name: str) -> None:
    filters.check(Query(text="x", kinds=(name,)))
    assert selector([name])("xlsx", f"/docs/예산.{plain_type(name)}", "")
    assert not selector([name])("xlsx", "/docs/예산.xlsx", "")
