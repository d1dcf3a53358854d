"""The commands, put together: only those that an invocation wants, since each costs time to import. And `docs`."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from kosearch import __version__
from kosearch.cli import options, render
from kosearch.cli.output import Caller, ClosedPipe, Output
from kosearch.config import REFRESH_SECONDS
from kosearch.errors import OK, UsageError

COMMANDS = {
    "index": ("index", "index"),
    "query": ("query", "query"),
    "show": ("query", "show"),
    "open": ("open", "open_hit"),
    "pick": ("pick", "pick"),
    "status": ("index", "status"),
    "remove": ("index", "remove"),
    "extract": ("index", "extract"),
    "similar": ("analysis", "similar"),
    "duplicates": ("analysis", "duplicates"),
    "topics": ("analysis", "topics"),
    "vectors": ("analysis", "vectors"),
    "embed": ("analysis", "embed"),
    "similarity": ("analysis", "similarity"),
    "eval": ("models", "evaluate"),
    "train": ("train", "train"),
    "questions": ("train", "questions"),
    "serve": ("query", "serve"),
    "ui": ("ui", "command"),
    "mcp": ("mcp", "command"),
    "check": ("index", "check"),
    "repair": ("index", "repair"),
    "docs": ("app", "docs"),
    "completions": ("app", "completions"),
    "indexes": ("index", "indexes"),
    "models": ("models", "models"),
}
"""Name → module of this package, and function or group in it; in the order that `--help` lists them."""
_EVERYDAY = 8
"""`--help` says of so many what they do, and only names the others: it fits a terminal of 24 lines."""
_NUMBERS = {int: re.compile(r"[0-9]{1,9}"), float: re.compile(r"[0-9]*\.?[0-9]+")}
"""Numbers that are plainly so."""


_ELSEWHERE = {
    **dict.fromkeys(("search", "find", "ask", "grep", "찾기", "검색"), "query"),
    **dict.fromkeys(("add", "update", "sync", "색인"), "index"),
    **dict.fromkeys(("delete", "rm", "forget"), "remove"),
    **dict.fromkeys(("list", "ls"), "indexes"),
    **dict.fromkeys(("cat", "read"), "extract"),
}
"""What other programs call a command."""
_PLACES = ("PATH", "GLOB", "NAME_OR_DIR", "FILE", "FILE|FILE:PAGE|HIT|-")
"""What may name a file, and so be no text: the metavars of such parameters."""
_SIGNED, _MARK = re.compile(r"-(?!0$)\d"), "\0"
"""No option begins with a digit, but for -0: what does, as -18℃, is text. It is marked while options are looked for."""


@cache  # a resident runs many
def commands(names: tuple[str, ...] = tuple(COMMANDS)) -> Any:
    """Typer's group of these commands."""
    app = typer.Typer(
        name="kosearch",
        cls=_Group,
        add_completion="_KOSEARCH_COMPLETE" in os.environ,  # only when a shell asks: it adds two options
        rich_markup_mode=None,
        context_settings=options.HELP,
    )
    app.callback(invoke_without_command=True)(_top)
    for name in names:
        module, attribute = COMMANDS[name]
        found = getattr(import_module(f"{__package__}.{module}"), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    group: Any = typer.main.get_command(app)
    context = typer.Context(group, **group.context_settings)
    for command in _all_commands(group):
        for parameter in command.get_params(context):
            parameter._runtime_param = _Plain()
            if parameter.name == "help":
                parameter.callback = _help
    return group


def _all_commands(group: Any) -> Iterator[Any]:
    yield group
    for command in getattr(group, "commands", {}).values():
        yield from _all_commands(command)


def invoke(argv: list[str], caller: Caller) -> int:
    """Run one command line; returns the command's exit code, raises what it raises."""
    end = argv.index("--") if "--" in argv else len(argv)
    argv = [f"--refresh={REFRESH_SECONDS:g}" if one == "--refresh" else one for one in argv[:end]] + argv[end:]
    # Options that stand before a command take no value, so its name can only be the first word.
    group = commands((argv[0],)) if argv and argv[0] in COMMANDS else commands()
    words = [f"{_MARK}{word}" if _SIGNED.match(word) else word for word in argv]
    try:
        result = group.main(args=words, prog_name="kosearch", standalone_mode=False, obj=caller)
    except TyperException as problem:
        raise _usage_error(problem, argv) from problem
    except SystemExit as end:  # Typer's own, where nobody reads the help on
        raise ClosedPipe from end
    return result if isinstance(result, int) else 0


class _Group(typer.core.TyperGroup):
    def format_commands(self, ctx: Any, formatter: Any) -> None:
        names = self.list_commands(ctx)
        widest = max(map(len, names[:_EVERYDAY]))
        helps = [self.commands[name].get_short_help_str(formatter.width - widest - 4) for name in names[:_EVERYDAY]]
        with formatter.section("Commands"):
            formatter.write_dl(list(zip(names[:_EVERYDAY], helps, strict=True)))
        formatter.write_text(f"More: {', '.join(names[_EVERYDAY:])}")


class _Plain:
    """Passes on at once what needs no thought, in the place of Typer's own conversion.

    Typer converts every value, even a missing one, by pydantic, which takes longer to import than a warm process
    takes to answer. What is not plain goes there all the same, and so does what is wrong: the message is Typer's.
    """

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        kind = param.type_descriptor
        if isinstance(value, str):
            value = value.removeprefix(_MARK)
        elif isinstance(value, list | tuple):
            value = [one.removeprefix(_MARK) if isinstance(one, str) else one for one in value]
        if not (kind.annotation is Path or param.metavar in _PLACES):
            _check_text(value, param)
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if kind.annotation is str and isinstance(value, str):
            return value
        if kind.annotation == list[str] and isinstance(value, list | tuple):
            return list(value)
        if kind.annotation in _NUMBERS and _NUMBERS[kind.annotation].fullmatch(str(value)):
            number, limits = kind.annotation(value), kind.parameter_info
            if (limits.min is None or number >= limits.min) and (limits.max is None or number <= limits.max):
                return number
        param._runtime_param = None
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)


def _check_text(value: Any, param: Any) -> None:
    """See that words are text: bytes that are not UTF-8 come as lone surrogates. Raises UsageError."""
    for word in value if isinstance(value, list | tuple) else (value,):
        try:
            str(word).encode()
        except UnicodeEncodeError as error:
            byte = os.fsencode(word[error.start])
            name = param.opts[0] if param.opts[0].startswith("-") else param.metavar or param.name.upper()
            raise UsageError(f"{name} is not UTF-8: byte 0x{byte.hex()} at character {error.start + 1}") from None


def _help(context: Any, _parameter: Any, wanted: bool) -> None:
    """In Typer's place, so that a full disk and a closed pipe are what they are for any output."""
    if wanted and not context.resilient_parsing:
        context.obj.output.line(context.get_help())
        raise typer.Exit


def _version(context: typer.Context, wanted: bool) -> None:
    if wanted:
        context.obj.output.line(f"kosearch {__version__}")
        raise typer.Exit


def _top(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Search your own documents, Korean and English, by meaning and by word. Nothing leaves this machine.

    \b
      kosearch index ~/Documents
      kosearch query "연차를 다음 해로 넘길 수 있나요?"
    """
    if context.invoked_subcommand is None:
        _greet(options.output_of(context))


def _greet(output: Output) -> None:
    """Say what to do next, for whoever names no command."""
    from kosearch.library import Index

    settings = options.settings()
    library = Index(settings)
    name = "" if settings.index == "default" else f" {settings.index}"
    if library.exists:
        documents = library.status().documents
        output.line(f"your index{name} has {render.counted(documents, 'document')}. Ask: kosearch query TEXT")
        output.line("Bring it up to date: kosearch index. Add to it: kosearch index PATH")
    else:
        output.line(f"nothing is indexed yet{' in' + name if name else ''}. Begin with a folder: kosearch index PATH")
        output.line("Then ask: kosearch query TEXT")
    output.line("All commands: kosearch --help. The manual: kosearch docs use")


def _usage_error(problem: TyperException, argv: Sequence[str]) -> UsageError:
    from difflib import get_close_matches

    context = getattr(problem, "ctx", None)
    name = context.command_path if context else "kosearch"
    hint = f"{name} --help lists what there is"
    if name == "kosearch query" and hasattr(problem, "option_name"):
        hint += "; a question that begins with - comes after --"
    message: str = problem.format_message()
    if meant := _meant(getattr(problem, "option_name", ""), getattr(problem, "possibilities", None) or ()):
        message, hint = message.partition(" (Possible")[0], f"did you mean {meant}? {hint}"
    elif name == "kosearch" and argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
        if command := _ELSEWHERE.get(argv[0].casefold()):
            hint = f"did you mean: kosearch {command} {_quoted(argv[1:])}".rstrip()
        elif not get_close_matches(argv[0], COMMANDS):
            hint = f"to ask that: kosearch query {_quoted(argv)}"
    return UsageError(message, hint)


def _quoted(words: Sequence[str]) -> str:
    """Words as they are typed in a shell."""
    text = " ".join(words)
    return shlex.join(words) if set(text) & set('"$`\\!') or " " not in text else f'"{text}"'


def _meant(option: str, possible: Iterable[str]) -> str:
    """The option that one is a slip of; empty where none is near."""
    from difflib import get_close_matches

    near = {part.split("=")[0]: part for part in possible}
    return next(iter(get_close_matches(option, near, n=1, cutoff=0.6)), "")


TOPICS = {
    "use": "Everyday use",
    "together": "What belongs together: duplicates, similar documents, topics",
    "classify": "Classify documents by examples",
    "scripts": "In scripts: exit codes and JSON",
    "ui": "A page in the browser: search, and see where it stands",
    "agents": "For agents: the MCP server, and in a shell",
    "python": "From Python",
    "server": "For a team: an index that a PostgreSQL server keeps",
    "files": "Which files are read, and as what",
    "models": "Models, on this machine and over HTTP",
    "train": "A better index from your own questions",
    "settings": "Settings and places",
    "quality": "How well it finds",
    "speed": "How fast it is",
    "privacy": "What it never does, and its limits",
    "threat-model": "Who could do harm, what is promised, and what holds it",
    "architecture": "For developers: rooms, ways, form on disk, promises, glossary",
    "changelog": "What changed",
}
"""A page's name → what it is about."""
_SCRIPTS = {"bash": "kosearch.bash", "zsh": "_kosearch", "fish": "kosearch.fish"}
_TOPICS_KO = {
    "use": "매일 쓰는 명령",
    "together": "서로 묶이는 것: 중복, 비슷한 문서, 주제",
    "classify": "예로 문서 분류하기",
    "scripts": "스크립트에서: 종료 코드와 JSON",
    "ui": "브라우저에서 찾고 그 자리를 보기",
    "agents": "에이전트에서: MCP 서버와 셸",
    "server": "여럿이: PostgreSQL 서버에 두는 색인",
    "files": "읽는 파일과 형식",
    "models": "모델: 이 컴퓨터에서, HTTP로",
    "train": "내 질문으로 더 잘 찾는 색인",
    "settings": "설정과 저장 위치",
    "privacy": "하지 않는 일과 한계",
}


def _complete(incomplete: str) -> list[str]:
    return [name for name in TOPICS if name.startswith(incomplete)]


def docs(
    context: typer.Context,
    topic: Annotated[
        str | None, typer.Argument(metavar="[TOPIC]", help="Which page.", autocompletion=_complete)
    ] = None,
) -> int:
    """Print a page of the documentation; without a topic, list them. In Korean where the locale is."""
    output = options.output_of(context)
    korean = is_korean(context.obj.environ)
    if topic is None:
        names = {**TOPICS, **(_TOPICS_KO if korean else {})}
        for name, about in names.items():
            output.line(f"{name:<14}{about}")
        return OK
    if topic not in TOPICS:
        raise UsageError(f"there is no page {topic!r}", "kosearch docs lists them")
    output.page(page(topic, korean=korean))
    return OK


def completions(
    context: typer.Context,
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="For which shell.")],
) -> int:
    """Print what completes commands in a shell; its head says where to put it."""
    if shell not in _SCRIPTS:
        raise UsageError(f"there are no completions for {shell!r}", "kosearch completions bash, zsh or fish")
    package = Path(__file__).parents[1]  # a wheel carries them inside, a checkout beside the package
    folder = next(one for one in (package / "completions", package.parent / "completions") if one.is_dir())
    script = folder / _SCRIPTS[shell]
    options.output_of(context).line(script.read_text(encoding="utf-8").rstrip("\n"))
    return OK


def is_korean(environ: Mapping[str, str]) -> bool:
    """Whether messages are wanted in Korean: the first of the three variables that is set says so, as in POSIX."""
    language = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return language == "ko" or language.startswith(("ko_", "ko."))


def page(topic: str, *, korean: bool) -> str:
    """A page's Markdown: the Korean one where it is wanted and there is one."""
    from importlib.resources import files

    folder = files("kosearch") / "docs"
    wanted = folder / "ko" / f"{topic}.md"
    return (wanted if korean and wanted.is_file() else folder / f"{topic}.md").read_text(encoding="utf-8")
