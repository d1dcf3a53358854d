"""What is wrong, then what to run: every mistake a user can make ends with a sentence, a hint and its code."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import CORPUS, Program

from kosearch import errors
from kosearch.cli import app, main

NAMES = tuple(app.COMMANDS)

USAGE = [
    (["휴가는", "며칠"], "No such command '휴가는'.", 'to ask that: kosearch query "휴가는 며칠"'),
    (["search", "holiday carryover"], "No such command 'search'.", 'did you mean: kosearch query "holiday carryover"'),
    (["query", "x", "--tpye", "pdf"], "No such option: --tpye", "did you mean --type?"),
    (["serach"], "No such command 'serach'.", "kosearch --help"),
    (["query", "x", "--frobnicate"], "No such option: --frobnicate", "kosearch query --help"),
    (["query", "-휴가 연차"], "No such option", "a question that begins with - comes after --"),
    (["query", "-18℃", "보관", "--index", "../"], "there is no index", "kosearch index PATH"),
    (["query", "x", "-k", "0"], "greater than or equal to 1", "kosearch query --help"),
    (["query", "x", "-k", "many"], "valid integer", "kosearch query --help"),
    (["query", "x", "--weight", "1.5"], "less than or equal to 1", "kosearch query --help"),
    (["query", "x", "--mode", "psychic"], "--mode is 'psychic'; it must be hybrid, dense or lexical", ""),
    (["query", "x", "--device", "tpu"], "--device is 'tpu'", ""),
    (["query", "x", "--json", "--paths"], "each print something else", "choose one"),
    (["query", "x", "-0"], "-0 goes with --paths", "xargs -0"),
    (["query", "x", "--batch", "file"], "TEXT and --batch both ask", "leave one"),
    (["query", "x", "--mode", "lexical", "--min-score", "0.5"], "--min-score is a cosine", "leave it out"),
    (["query", "--batch", "no-such-file"], "cannot read no-such-file", "--batch"),
    (["query", "  "], "the question is empty", "kosearch query TEXT"),
    (["query", "e" + "\u0301\u0323" * 30_000], "the question has 60,001 characters", "a paragraph"),
    (["query", "x", "--type", "pfd"], "there is no type 'pfd'", "types are"),
    (["query", "x", "--after", "someday"], "--after 'someday' is not a date", "2024-02-01"),
    (["query", "x", "--index", "../"], "there is no index", "kosearch index PATH"),
    (["query", "x", "--index", ".x"], "cannot be the name of an index", "plain name"),
    (["show"], "Missing argument 'HIT'.", "kosearch show --help"),
    (["index"], "nothing is indexed yet", "kosearch index PATH"),
    (["index", "no-such-folder"], "no-such-folder: there is no such file or folder", "check the path"),
    (["index", ".", "--max-file-size", "huge"], "--max-file-size is 'huge'", ""),
    (["index", ".", "--passage-tokens", "20", "--passage-overlap", "20"], "cannot overlap", "smaller"),
    (["index", ".", "--passage-tokens", "500"], "do not fit", "--passage-tokens 416 is the most"),
    (["index", ".", "--model", "./no-such-model"], "there is no such directory", "check the path"),
    (
        ["index", ".", "--model", "someone/never-fetched"],
        "nothing is downloaded unasked",
        "kosearch models pull someone/never-fetched",
    ),
    (["query", "x"], "there is no index 'default'", "make it: kosearch index PATH"),
    (["status", "--index", "notes"], "there is no index 'notes'", "kosearch index PATH --index notes"),
    (["remove", "."], "there is no index", "kosearch index PATH"),
    (["show", "01234567:0:1"], "there is no index", "kosearch index PATH"),
    (["extract", "no-such-file"], "cannot read no-such-file: No such file or directory", ""),
    (["eval", "no-such-collection"], "no-such-collection: there is no such file or folder", "check the path"),
]


@pytest.mark.parametrize(("arguments", "message", "hint"), USAGE, ids=[" ".join(one[0])[:80] for one in USAGE])
def test_mistakes(
    arguments: Sequence[str],
    message: str,
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code = main(arguments)
    captured = capsys.readouterr()
    assert captured.out == ""
    first, *rest = captured.err.splitlines()
    assert first.startswith("kosearch: ")
    assert message in first
    assert hint in "".join(rest)
    assert len(rest) <= 1
    expected = {"--model": 3, "default": 4, "notes": 4, "01234567:0:1": 4, "remove": 4, "../": 4, "extract": 6}
    assert code == next((code for word, code in expected.items() if word in f"{arguments} {message}"), 2)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("KOSEARCH_K", "many", "KOSEARCH_K is 'many'"),
        ("KOSEARCH_MODE", "psychic", "KOSEARCH_MODE is 'psychic'"),
        ("KOSEARCH_CONFIG", "/no-such-file", "/no-such-file is not there"),
    ],
)
def test_settings_that_make_no_sense(
    variable: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)
    assert main(["query", "x"]) == errors.ConfigError.exit_code == 2
    assert message in capsys.readouterr().err


def test_questions_that_are_hardly_any(indexed: Program, tmp_path: Path) -> None:
    """Punctuation, one character, 10,000 characters, a lone jamo, an unclosed quote: an answer or a miss."""
    questions = ["?!…", "a", "ㅋ", "법", '"password manager', "key " * 2500, "+", "-", '""', "\u1112\u1172\u1100\u1161"]
    file = tmp_path / "questions.txt"
    file.write_text("\n".join(questions) + "\n", encoding="utf-8")
    result = indexed.run("query", "--batch", file, "--paths", "-k", "1")
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    lexical = indexed.run("query", "--batch", file, "--json", "--mode", "lexical")
    assert lexical.returncode == 0, lexical.stderr


def test_a_batch_that_is_no_text(indexed: Program, tmp_path: Path) -> None:
    file = tmp_path / "questions.txt"
    file.write_bytes("연차".encode("cp949"))
    result = indexed.run("query", "--batch", file)
    assert (result.returncode, result.stdout) == (2, "")
    assert "not UTF-8" in result.stderr
    nothing = indexed.run("query", stdin="\n \n")
    assert (nothing.returncode, nothing.stdout) == (2, "")


def test_an_id_that_is_none_or_no_longer(indexed: Program) -> None:
    for hit in ("nonsense:x:y", f"{'0' * 64}:0:10"):
        result = indexed.run("show", hit)
        assert (result.returncode, result.stdout) == (2, "")
        assert "kosearch query TEXT --json" in result.stderr


def test_a_damaged_index_says_what_to_do(program: Program) -> None:
    place = program.home / "broken"
    place.mkdir()
    (place / "index.sqlite").write_bytes(b"not a database" * 100)
    result = program.run("query", "x", "--index", f"{place}/")
    assert result.returncode == 4
    first, hint = result.stderr.splitlines()
    assert "damaged" in first
    assert hint.strip() == "kosearch repair"
    result = program.run("repair", "--index", f"{place}/")
    assert result.returncode == 4
    assert f"move {place} away, then kosearch index PATH" in result.stderr


def test_an_error_of_our_own_has_its_own_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("cogs\x1b[31m")

    monkeypatch.setattr("kosearch.cli.app.invoke", fails)
    assert main(["status"]) == errors.INTERNAL == 70
    assert "\x1b" not in (first := capsys.readouterr().err)
    assert "Traceback" not in first
    monkeypatch.setenv("KOSEARCH_DEBUG", "1")
    main(["status"])
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["status"], ["status", "--problems"], ["query", "-h"]]
)
def test_nothing_heavy_is_imported_for_little(indexed: Program, arguments: list[str]) -> None:
    script = (
        "import sys\n"
        "from kosearch.cli import main\n"
        f"assert main({arguments!r}) == 0\n"
        "heavy = {'torch', 'transformers', 'tokenizers', 'kiwipiepy', 'tantivy', 'usearch', 'pypdfium2', 'rich'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=indexed.environment, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr


def test_a_question_by_word_loads_no_model(indexed: Program) -> None:
    script = (
        "import sys\n"
        "from kosearch.cli import main\n"
        "assert main(['query', 'password', '--mode', 'lexical']) == 0\n"
        "assert not {'torch', 'transformers', 'tokenizers', 'kiwipiepy', 'numpy.ma'} & set(sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=indexed.environment, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr


def test_help_lists_every_command_and_one_that_is_run_is_loaded_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) < 24  # the prompt has a line, too
    described, _, named = out.partition("Commands:\n")[2].partition("More: ")
    assert [line.split()[0] for line in described.splitlines() if line] + named.replace(",", "").split() == list(NAMES)
    for name, whole in app.commands().commands.items():
        alone = app.commands((name,)).commands
        assert list(alone) == [name]
        assert [one.opts for one in alone[name].params] == [one.opts for one in whole.params]


def test_without_a_command_it_says_what_to_do_next(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 0
    first, *_ = capsys.readouterr().out.splitlines()
    assert first == "nothing is indexed yet. Begin with a folder: kosearch index PATH"
    assert main(["--help"]) == 0
    assert capsys.readouterr().out.index("kosearch index ~/Documents") < 300


def test_help_fits_into_80_columns_and_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["--help"],
        *([name, "--help"] for name in NAMES),
    ):
        assert main(arguments) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        assert captured.out.startswith("Usage: kosearch")
        assert max(map(len, captured.out.splitlines())) <= 80
        assert "..." not in captured.out.replace("[ARGS]...", "").replace("]...", "").replace("}...", "")


def test_extract_names_what_it_cannot_read(program: Program, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    result = program.run("extract", "empty.txt", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (6, "")
    assert result.stderr == "kosearch: empty.txt: the file is empty [empty]\n"
    assert program.run("extract", CORPUS / "notes/backup-diary.rst").stdout.startswith("Backup diary\n=====")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "arguments", ["status", "query vinegar --mode lexical", "query vinegar --mode lexical --paths -0"]
)
def test_output_that_has_no_room(indexed: Program, arguments: str) -> None:
    done = indexed.shell(f"kosearch {arguments} > /dev/full || echo ended with $? >&2")
    assert done.stderr.splitlines() == [
        "kosearch: the output cannot be written: No space left on device",
        "  see where it goes, and how full that is",
        "ended with 70",
    ]
