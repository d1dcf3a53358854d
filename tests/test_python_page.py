"""`kosearch docs python` is true: its examples run and print what is shown, and it names what is public."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import CORPUS

import kosearch

PAGE = (Path(kosearch.__file__).parent / "docs/python.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", PAGE, re.MULTILINE | re.DOTALL)
"""Each example, and what it prints where that is shown."""
WITH_OTHERS = [one for one, _ in EXAMPLES if re.match(r"from (?!kosearch)", one)]
pytestmark = pytest.mark.filterwarnings("ignore")  # those of other people's imports


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> dict[str, Any]:
    """The names that the examples have made, in a folder with a copy of the corpus where a clone has it."""
    home = tmp_path_factory.mktemp("clone")
    shutil.copytree(CORPUS, home / "tests/data/corpus")
    names: dict[str, Any] = {"__name__": __name__}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KOSEARCH_CACHE_DIR", str(cache_dir))
        patch.setenv("KOSEARCH_DATA_DIR", str(home / "data"))
        patch.chdir(home)
        for example, shown in EXAMPLES:
            if example not in WITH_OTHERS:
                printed = io.StringIO()
                with contextlib.redirect_stdout(printed):
                    exec(example, names)
                assert printed.getvalue() == shown
    names["notes"].close()
    return names


@pytest.fixture(autouse=True)
def _data(clone: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOSEARCH_DATA_DIR", str(clone["notes"].directory.parents[1]))


def test_examples_print_what_the_page_shows(clone: dict[str, Any]) -> None:
    assert clone["report"].added == 8
    assert len(EXAMPLES) - len(WITH_OTHERS) >= 6


def test_the_web_service_answers(clone: dict[str, Any]) -> None:
    pytest.importorskip("flask")
    names = dict(clone)
    exec(next(one for one in WITH_OTHERS if "flask" in one), names)
    found = names["app"].test_client().get("/search", query_string={"q": "연차 이월"}).get_json()
    assert found[0]["path"].endswith("휴가규정.md")
    assert 0 < found[0]["score"] <= 1


def test_the_retriever_retrieves(clone: dict[str, Any]) -> None:
    pytest.importorskip("langchain_core")
    names = dict(clone)
    exec(next(one for one in WITH_OTHERS if "langchain" in one), names)
    documents = names["NotesRetriever"](k=1).invoke("연차 이월")
    assert [Path(one.metadata["source"]).name for one in documents] == ["휴가규정.md"]
    assert documents[0].page_content.count("이월")


def test_the_page_names_what_is_public_and_nothing_else() -> None:
    functions = set(re.findall(r"\bkosearch\.(\w+)\(", PAGE))
    records = set(re.findall(r"`([A-Z]\w+)`", PAGE))
    raised = set(re.findall(r"\bkosearch\.([A-Z]\w+)", PAGE))
    # The root of all errors is named in the plural.
    assert functions | records | raised | set(re.findall(r"`(\w+Error)`s", PAGE)) == set(kosearch.__all__)
    called = set(re.findall(r"\bnotes\.(\w+)\(", PAGE)) | set(re.findall(r"`(\w+)\([^`]*\)`[,|` ]", PAGE))
    methods = {name for name in called if hasattr(kosearch.Index, name)}
    assert called - methods == set()
    assert {"index", "indexing", "search", "show", "vectors", "passages", "status", "problems", "remove"} <= methods
