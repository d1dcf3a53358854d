"""The README and the pages are true: their commands run and print what is shown, and they name all there is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

import json_schema
import pytest
from conftest import CORPUS, Program, make_program
from terminal_making import picture

from kosearch import errors
from kosearch.cli import app
from kosearch.config import Settings
from kosearch.filters import FILES, GROUPS, KINDS
from kosearch.records import Reason

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "kosearch/docs"
WRITE = os.environ.get("KOSEARCH_GOLDEN") == "write"
MODELS = (json_schema.MODELS, json_schema.MODEL, json_schema.MODEL_CHECK)
PAGES = {
    "en": [ROOT / "README.md", *(DOCS / f"{topic}.md" for topic in app.TOPICS)],
    "ko": sorted((DOCS / "ko").glob("*.md"), key=lambda page: ["README", *app.TOPICS].index(page.stem)),
}
"""Each language's pages, in the order in which their examples go on from each other."""


def read(topic: str) -> str:
    return (DOCS / f"{topic}.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return [
        found
        for name, found in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        if name == language
    ]


README = (ROOT / "README.md").read_text(encoding="utf-8")
USER = "\n".join(page.read_text(encoding="utf-8") for page in PAGES["en"])
"""All that a user may read."""


@pytest.fixture
def clone(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Program:
    """A home with a copy of the corpus where a clone has it."""
    home = tmp_path_factory.mktemp("clone")
    shutil.copytree(CORPUS, home / "tests/data/corpus")
    return make_program(home, cache_dir)


def run(program: Program, script: str) -> str:
    """What a script prints on a terminal that shows both streams."""
    result = subprocess.run(
        ["bash", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        cwd=program.home,
        env=program.environment,
        timeout=240,
        check=False,
    )
    return result.stdout


def stable(text: str) -> str:
    """Without what differs from machine to machine: seconds, the last digits of scores, and why this model."""
    text = re.sub(r"^model: .*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"(?:\d+ h \d+ min|\d+ min \d+ s|\d+\.\d s)$", "# s", text, flags=re.MULTILINE)
    return re.sub(r"  \d\.\d{3}$", "  #", text, flags=re.MULTILINE)


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
@pytest.mark.parametrize("language", ["en", "ko"])
def test_commands_print_what_the_pages_show(clone: Program, language: str) -> None:
    for page in PAGES[language]:
        text = new = page.read_text(encoding="utf-8")
        pairs = []
        if page.stem == "README":
            installing, shown = blocks(text, "sh")[0], blocks(text, "text")[0]
            printed = run(clone, installing.split("pip install . && ", 1)[1])
            pairs.append((shown, printed))
            new = new.replace(f"```text\n{shown}```", f"```text\n{printed}```")
        for block in blocks(text, "console"):
            made = ""
            for command, expected in examples(block):
                printed = run(clone, command)
                pairs.append((expected, printed))
                made += f"$ {command}".replace("\n", "\n> ") + f"\n{printed}"
            new = new.replace(f"```console\n{block}```", f"```console\n{made}```")
        if WRITE:
            page.write_text(new, encoding="utf-8")
            continue
        for expected, printed in pairs:
            assert stable(printed) == stable(expected), f"{page.name}: if that is right, run with KOSEARCH_GOLDEN=write"


def examples(block: str) -> list[tuple[str, str]]:
    """Each command of a console block with the output below it."""
    found: list[tuple[str, str]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        elif line.startswith("> ") and found and not found[-1][1]:
            found[-1] = (f"{found[-1][0]}\n{line[2:]}", "")
        else:
            found[-1] = (found[-1][0], f"{found[-1][1]}{line}\n")
    return found


def test_the_test_command_is_the_one_that_ci_runs() -> None:
    command = blocks(README, "sh")[1].strip()
    assert command == "pip install -e '.[dev]' && pytest -n auto --dist worksteal"
    assert f"\n{command}\n" in (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert len(blocks(README, "sh")) == 2


def test_each_set_up_is_one_command_line() -> None:
    assert all(len(block.strip().splitlines()) == 1 for block in blocks(README, "sh"))


def test_every_command_and_query_option_is_named() -> None:
    group = app.commands()
    for name, command in group.commands.items():
        assert re.search(rf"kosearch {name}\b", USER), name
        for inner in getattr(command, "commands", ()):
            assert f"`{name} {inner}" in USER or f"`kosearch {name} {inner}" in USER
    for param in group.commands["query"].params:
        if param.param_type_name == "option" and param.name not in {"quiet", "index", "device"}:
            assert any(re.search(rf"(?<![\w-]){option}(?![\w-])", USER) for option in param.opts), param.name


def test_every_exit_code_is_named() -> None:
    def classes(one: type[errors.KosearchError]) -> set[type[errors.KosearchError]]:
        return {one}.union(*map(classes, one.__subclasses__()))

    codes = {one.exit_code for one in classes(errors.KosearchError)}
    codes |= {errors.OK, errors.NO_HIT, errors.HUNG_UP, errors.INTERRUPTED, errors.TERMINATED}
    table = read("scripts").split("## Exit codes")[1].split("\n## ")[0]
    named = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for code in row.split(", ")}
    assert named == codes


def test_every_field_of_a_hit_and_of_an_answer_has_its_row() -> None:
    section = read("scripts").split("## JSON")[1].split("\n## ")[0]
    rows = [
        name for row in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", section, re.MULTILINE) for name in row.split(", ")
    ]
    assert rows == [f"`{key.rstrip('?')}`" for schema in (json_schema.QUERY, json_schema.HIT) for key in schema]
    for schema in (
        json_schema.INDEX,
        json_schema.STATUS,
        json_schema.SHOW,
        json_schema.EXTRACT,
        json_schema.SKIPPED,
        *MODELS,
    ):
        for key in schema:
            assert f"`{key.rstrip('?')}`" in section, key


def test_every_field_of_a_brief_answer_is_named() -> None:
    page = read("agents")
    for key in (*json_schema.BRIEF_ANSWER, *json_schema.BRIEF_HIT, "next", "answers"):
        assert f"`{key.rstrip('?')}`" in page, key


def test_every_setting_is_named_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `KOSEARCH_\w+` \| (.+?) \|", read("settings"), re.MULTILINE))
    assert rows.keys() == {setting.name for setting in fields(Settings)} - {"config_file", "data_dir", "cache_dir"}
    for setting in fields(Settings):
        if setting.name in rows:
            assert f"| `{setting.name}` | `KOSEARCH_{setting.name.upper()}` |" in read("settings")
            shown = rows[setting.name].strip("`")
            default = {None: "auto", True: "on", False: "off", 64 * 1024**2: "64M"}.get(
                setting.default, setting.default
            )
            assert shown in (str(default), f"{default:g}" if isinstance(default, float) else ""), setting.name


def test_every_type_and_reason_is_named() -> None:
    formats = read("files").split("## Formats")[1]
    assert set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", formats, re.MULTILINE)))) == set(KINDS)
    assert all(re.search(rf"\b{name}\b", formats) for name in (*GROUPS, *FILES))
    for reason in Reason:
        assert f"`{reason}`" in USER


def test_every_page_is_listed() -> None:
    assert {page.stem for page in DOCS.glob("*.md")} == set(app.TOPICS)
    assert all(f"](kosearch/docs/{topic}.md)" in README for topic in app.TOPICS)


def test_the_readme_is_short() -> None:
    assert len(README.encode()) <= 9 * 1024


@pytest.mark.parametrize("korean", PAGES["ko"], ids=lambda page: page.name)
def test_both_languages_name_the_same_commands_and_options(korean: Path) -> None:
    english = ROOT / "README.md" if korean.stem == "README" else DOCS / korean.name

    def named(page: Path) -> set[str]:
        text = page.read_text(encoding="utf-8").split("\n## Tests\n")[0]
        commands = "|".join(app.COMMANDS)
        found = re.findall(
            rf"(?<![\w-])--[a-z][a-z-]+|kosearch (?:{commands})\b|`(?:models|serve) [a-z]+|KOSEARCH_[A-Z_]+", text
        )
        return {one.strip("`") for one in found}

    assert named(korean) == named(english)


@pytest.mark.parametrize("topic", ["scripts", "settings", "files"])
def test_both_languages_have_the_same_rows(topic: str) -> None:
    def rows(page: str) -> list[str]:
        return re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE)

    korean = rows(read(f"ko/{topic}"))
    assert korean == [row for row in rows(read(topic)) if not row.startswith("`kosearch.")]


def test_a_locale_chooses_the_language(program: Program) -> None:
    result = program.shell(
        "LC_ALL=ko_KR.UTF-8 kosearch docs use; LANG=ko kosearch docs | head -1; kosearch docs privacy"
    )
    assert result.stdout.startswith((DOCS / "ko/use.md").read_text(encoding="utf-8"))
    assert "매일 쓰는 명령" in result.stdout
    assert result.stdout.endswith(read("privacy"))


@pytest.mark.parametrize("page", [page for pages in PAGES.values() for page in pages], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
        if "://" not in link:
            target = page.parent / link if link else page
            assert target.exists(), link
            heads = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
            assert not anchor or anchor in {head.lower().replace(" ", "-") for head in heads}, f"{link}#{anchor}"


def test_the_picture_is_what_a_terminal_shows(clone: Program) -> None:
    commands = [("index", "tests/data/corpus"), ("query", "연차를 다음 해로 넘길 수 있나요?", "-k", "1")]
    shown = []
    for arguments in commands:
        code, written = clone.on_terminal(*arguments, colour=True, cwd=clone.home)
        assert code == 0, written
        line = " ".join(f'"{one}"' if " " in one else one for one in arguments)
        shown.append((f"kosearch {line}", written))
    drawn = picture(shown, columns=80)
    if WRITE:
        (DOCS / "terminal.svg").write_text(drawn, encoding="utf-8")
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", ""), "nothing is fetched from elsewhere"
    stored = (DOCS / "terminal.svg").read_text(encoding="utf-8")
    assert _words(drawn) == _words(stored), "if that is right, run with KOSEARCH_GOLDEN=write"


def _words(svg: str) -> list[str]:
    """What stands in a picture, without what differs from machine to machine."""
    return [re.sub(r"\d+\.\d+", "#", found) for found in re.findall(r">([^<\n]+)<", svg) if "model:" not in found]


def test_the_map_names_every_room_and_tests_that_exist() -> None:
    page = read("architecture")
    package = ROOT / "kosearch"
    rooms = {one.stem for one in package.glob("*.py")} | {one.parent.name for one in package.glob("*/__init__.py")}
    assert rooms - {"__init__", "__main__"} <= set(
        re.findall(r"`(\w+)/?`", page.split("## Rooms")[1].split("\n## ")[0])
    )
    for folder in (DOCS, ROOT / ".github"):
        for other in folder.glob("*.md"):
            for file, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)", other.read_text(encoding="utf-8")):
                assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), name
