"""Fuzzing that follows coverage, by atheris: input that reaches new lines is kept and changed further.

    pip install -e '.[fuzz]' && python -m tests.crash.coverage TARGET [--seconds 60] [--keep FOLDER]

TARGET is one of those below. It ends with an error at the first input that raises what it should not, or takes longer
than half a minute, and leaves that input in FOLDER. hypothesis (`tests/hostile/test_fuzz.py`) knows the
shape of its input and runs everywhere; this knows nothing, and finds what nobody thought of.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["kosearch"]):
    from kosearch.errors import UsageError
    from kosearch.evaluation.collections import read_corpus, read_qrels, read_queries
    from kosearch.evaluation.questions import read_questions
    from kosearch.excerpts import best_part, shared_spans
    from kosearch.extract import ExtractError, code, extract, markup, rtf, text  # noqa: F401 - instrumented here
    from kosearch.extract.decoding import decode, normalise
    from kosearch.globs import Globs
    from kosearch.passages import cut
    from kosearch.records import Extracted
    from kosearch.resident import wire
    from tests.crash.mutations import broken_promise

SECONDS_AN_INPUT = 30


def _reader(name: str) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        with suppress(ExtractError):
            for document in extract(data, path=name).documents:
                assert not broken_promise(document), broken_promise(document)

    return read


def _decoding(data: bytes) -> None:
    with suppress(ExtractError):
        normalise(decode(data).text)


def _passages(data: bytes) -> None:
    found = Extracted(normalise(data.decode("utf-8", "replace")), "text")
    for one in cut(found, lambda line: [(n, n + 1) for n in range(0, len(line), 2)], size=16, overlap=3):
        assert 0 <= one.start < one.end <= len(found.text)


def _excerpts(data: bytes) -> None:
    passage, _, question = data.decode("utf-8", "replace").partition("\0")
    best_part(passage, question, 100)
    shared_spans(passage, question)


def _globs(data: bytes) -> None:
    rules, _, path = data.decode("utf-8", "replace").partition("\0")
    Globs(rules.split("\n"), 0).verdict(path, path.rpartition("/")[2], False)


def _messages(data: bytes) -> None:
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        wire.query(wire.message(data))


def _evaluation(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as stream:
        stream.write(data)
        stream.flush()
        file = Path(stream.name)
        for read in (read_corpus, read_queries, read_questions):
            with suppress(UsageError):
                read(file)
        with suppress(UsageError):
            read_qrels(file, questions=set(), documents=None)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "decoding": _decoding,
    "passages": _passages,
    "excerpts": _excerpts,
    "globs": _globs,
    "messages": _messages,
    "evaluation": _evaluation,
    **{suffix: _reader(f"a.{suffix}") for suffix in ("md", "rst", "rtf", "csv", "json", "py", "eml", "ipynb", "hml")},
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.coverage", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir(), "kosearch-fuzz"))
    chosen = parser.parse_args()
    chosen.keep.mkdir(parents=True, exist_ok=True)
    limits = [
        f"-max_total_time={chosen.seconds}",
        f"-timeout={SECONDS_AN_INPUT}",
        "-max_len=4096",
        "-rss_limit_mb=4096",
    ]
    _decoding("é".encode("latin-1"))  # what is imported late is imported now: it takes no input's time
    atheris.Setup([sys.argv[0], *limits], TARGETS[chosen.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
