"""Writes completions/ from the commands themselves: `python tests/completion_making.py`.

Commands, options and fixed values stand in the scripts, so a TAB costs nothing; the names of indexes and models
are asked of the program when they are wanted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import typer

from kosearch.cli import app
from kosearch.filters import FILES, GROUPS, KINDS

FOLDER = Path(__file__).parents[1] / "completions"
HEADER = "Completes kosearch's commands, options and values. Made by `python tests/completion_making.py`."


@dataclass(frozen=True)
class Option:
    """An option as shells complete it."""

    flags: tuple[str, ...]
    help: str
    value: str
    """Empty for a switch, else what follows: index, model, file, any, or `one|of|these`."""
    many: bool


@dataclass(frozen=True)
class Command:
    name: str
    """Of a group's command with the group's before it: `models pull`."""
    help: str
    options: tuple[Option, ...]
    files: bool
    """Whether its arguments name files."""
    models: bool = False
    """Whether its first argument names a model."""
    within: tuple[Command, ...] = ()
    """The commands of a group."""

    @property
    def last(self) -> str:
        return self.name.rpartition(" ")[2]


def commands() -> list[Command]:
    """The program itself under the empty name, then its commands."""
    group = app.commands()
    top = typer.Context(group, **group.context_settings)
    return [
        _command("", group, top),
        *(_command(name, one, typer.Context(one, parent=top)) for name, one in group.commands.items()),
    ]


def all_of(top: list[Command]) -> list[Command]:
    """The commands, with those of groups after their group."""
    return [one for command in top for one in (command, *command.within)]


def _command(name, command, context) -> Command:
    params = command.get_params(context)
    named = [one.metavar for one in params if one.param_type_name == "argument"]
    within = getattr(command, "commands", {}).items() if name else ()
    return Command(
        name,
        _sentence(command.help),
        tuple(_option(one) for one in params if one.param_type_name == "option"),
        bool({"PATH", "FILE", "COLLECTION"} & set(named)),
        bool({"NAME", "NAME_OR_DIR"} & set(named)),
        tuple(_command(f"{name} {inner}", one, typer.Context(one, parent=context)) for inner, one in within),
    )


def _option(param) -> Option:
    flags = tuple(sorted(param.opts, key=len))
    return Option(flags, _sentence(param.help), _value(param), getattr(param, "multiple", False))


def _value(param) -> str:
    if getattr(param, "is_flag", False) or param.name == "help":
        return ""
    if param.name in {"index", "model"}:
        return param.name
    if param.metavar == "TYPE":
        return "|".join(sorted({*KINDS, *GROUPS, *FILES}))
    if "|" in (param.metavar or ""):
        return param.metavar
    return "file" if (param.metavar or "").startswith("FILE") else "any"


def _sentence(text: str) -> str:
    """The first sentence, without the full stop and what the help adds in brackets."""
    text = re.sub(r"\s*\[[^]]*\]", "", text)
    return re.split(r"\.\s|\.$|\n\n", text, maxsplit=1)[0]


def bash() -> str:
    top, *rest = commands()
    every, groups = all_of(rest), [one for one in rest if one.within]
    actions: dict[str, list[str]] = {}
    for command in every:
        for option in command.options:
            if option.value:
                patterns = actions.setdefault(_bash_action(option.value), [])
                patterns += [f"'{command.name} {flag}'" for flag in option.flags]
    cases = [f"{' | '.join(patterns)}) {action} ;;" for action, patterns in actions.items()]
    flags = [
        f"{command.name or '*'}) words='{' '.join(flag for one in command.options for flag in one.flags)}' ;;"
        for command in (*every, top)
    ]
    flags = [re.sub(r"^(\w+ \w+)\)", r"'\1')", line) for line in flags]
    names = [command.name for command in rest]
    inner = [
        f'{one.name}\\ {"|".join(part.last for part in one.within)}) command+=" ${{COMP_WORDS[i + 1]}}" ;;'.replace(
            "|", f" | {one.name}\\ "
        )
        for one in groups
    ]
    lists = [
        f"elif [[ $command == {one.name} ]]; then\n                words='{' '.join(part.last for part in one.within)}'"
        for one in groups
    ]
    naming = [f"'{one.name}'" for one in every if one.models]
    files = "".join(f"|{command.name}|" for command in every if command.files and not command.models)
    return f"""# {HEADER}
# In ~/.bashrc: source <(kosearch completions bash); or copy it into ~/.local/share/bash-completion/completions/.

_kosearch_names() {{
    env COMP_WORDS="kosearch index --$2 " COMP_CWORD=3 _KOSEARCH_COMPLETE=complete_bash "$1" 2>/dev/null
}}

_kosearch() {{
    local word=$2 previous=$3 command= words= line i
    [[ $word == '=' ]] && word=
    [[ $previous == '=' ]] && previous=${{COMP_WORDS[COMP_CWORD - 2]}}
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${{COMP_WORDS[i]}} in
        {"|".join(names)}) command=${{COMP_WORDS[i]}}; break ;;
        esac
    done
    ((i + 1 < COMP_CWORD)) && case "$command ${{COMP_WORDS[i + 1]}}" in
{_indented(inner, 8)}
    esac
    COMPREPLY=()
    case "$command $previous" in
{_indented(cases, 8)}
        *)
            if [[ $word == -* ]]; then
                case "$command" in
{_indented(flags, 16)}
                esac
            elif [[ -z $command ]]; then
                words='{" ".join(names)}'
            {_indented(lists, 12).lstrip()}
            elif [[ '{files}' == *"|$command|"* ]]; then
                return  # files, by the shell's default
            else
                case "$command" in
                {" | ".join(naming)}) words=$(_kosearch_names "$1" model) ;;
                esac
            fi
            words=${{words// /$'\\n'}}
            ;;
    esac
    while IFS= read -r line; do
        [[ -n $line && $line == "$word"* ]] && COMPREPLY+=("$(printf %q "$line")")
    done <<<"$words"
}}

complete -o default -F _kosearch kosearch
"""


def _bash_action(value: str) -> str:
    if value in {"file", "any"}:
        return "return"
    if value in {"index", "model"}:
        return f'words=$(_kosearch_names "$1" {value})'
    return f"words=$'{value.replace('|', chr(92) + 'n')}'"


def _indented(lines: list[str], by: int) -> str:
    return "\n".join(" " * by + line for line in lines)


def zsh() -> str:
    top, *rest = commands()
    names = "\n".join(f"        '{command.name}:{_zsh_text(command.help)}'" for command in rest)
    groups = [one for one in rest if one.within]
    inner = "\n".join(
        f"            [[ $command == {one.name} && ' {' '.join(part.last for part in one.within)} '"
        ' == *" $words[2] "* ]] && command+=" $words[2]"'
        for one in groups
    )
    cases = "\n".join(
        f"                {_zsh_name(command.name)})\n                    _arguments \\\n"
        + " \\\n".join(" " * 24 + spec for spec in _zsh_specs(command))
        + "\n                    ;;"
        for command in all_of(rest)
    )
    return f"""#compdef kosearch
# {HEADER}
# Copy it into a folder of $fpath.

_kosearch_names() {{
    local kind=$@[-1]
    local -a names
    names=("${{(@f)$(env COMP_WORDS="kosearch index --$kind " COMP_CWORD=3 _KOSEARCH_COMPLETE=complete_bash \\
        kosearch 2>/dev/null)}}")
    compadd "${{@[1,-2]}}" -a names
    _directories
}}

_kosearch() {{
    local -a commands line
    local state command
    commands=(
{names}
    )
    _arguments -C {" ".join(_zsh_specs(top))} '1: :->command' '*:: :->argument'
    case $state in
        command) _describe -t commands command commands ;;
        argument)
            command=$line[1]
{inner}
            case $command in
{cases}
            esac
            ;;
    esac
}}

_kosearch "$@"
"""


def _zsh_specs(command: Command) -> list[str]:
    specs = [_zsh_spec(option) for option in command.options]
    if command.within:
        specs.append(f"'1: :({' '.join(one.last for one in command.within)})'")
    elif command.name:
        specs += ["'1: :'"] if " " in command.name else []
        specs += ["'2: :_kosearch_names model'"] if command.models else []
        specs.append("'*: :_files'" if command.files else "'*: :'")
    return specs


def _zsh_name(name: str) -> str:
    return f"'{name}'" if " " in name else name


def _zsh_spec(option: Option) -> str:
    actions = {
        "": "",
        "index": ":index:_kosearch_names index",
        "model": ":model:_kosearch_names model",
        "file": ":file:_files",
        "any": ":value:",
    }
    action = actions.get(option.value, f":value:({option.value.replace('|', ' ')})")
    text = f"[{_zsh_text(option.help)}]{action}"
    flags = [f"{flag}=" if option.value and flag.startswith("--") else flag for flag in option.flags]
    if option.many:
        return " ".join(f"'*{flag}{text}'" for flag in flags)
    if len(flags) == 1:
        return f"'{flags[0]}{text}'"
    return f"'({' '.join(option.flags)})'{{{','.join(flags)}}}'{text}'"


def _zsh_text(text: str) -> str:
    return text.replace("'", "'\\''").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")


def fish() -> str:
    top, *rest = commands()
    lines = [f"complete -c kosearch -n __fish_use_subcommand -a {one.name} -d {_fish_text(one.help)}" for one in rest]
    for command in (top, *all_of(rest)):
        when = "__fish_use_subcommand"
        if command.name:
            when = "'" + "; and ".join(f"__fish_seen_subcommand_from {part}" for part in command.name.split()) + "'"
            lines.append("")
            inner = " ".join(one.last for one in command.within)
            lines += [
                f"complete -c kosearch -n '__fish_seen_subcommand_from {command.name}; and not"
                f" __fish_seen_subcommand_from {inner}' -a {one.last} -d {_fish_text(one.help)}"
                for one in command.within
            ]
            if command.models:
                lines.append(f"complete -c kosearch -n {when} -a '(__kosearch_names model)'")
            if command.files:
                lines.append(f"complete -c kosearch -n {when} -F")
        lines += [f"complete -c kosearch -n {when} {_fish_option(option)}" for option in command.options]
    return f"""# {HEADER}
# Copy it into ~/.config/fish/completions/.

function __kosearch_names
    env COMP_WORDS="kosearch index --$argv[1] " COMP_CWORD=3 _KOSEARCH_COMPLETE=complete_bash kosearch 2>/dev/null
end

complete -c kosearch -f
{chr(10).join(lines)}
"""


def _fish_option(option: Option) -> str:
    flags = " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags)
    values = {
        "": "",
        "index": " -x -a '(__kosearch_names index; __fish_complete_directories)'",
        "model": " -x -a '(__kosearch_names model; __fish_complete_directories)'",
        "file": " -r -F",
        "any": " -x",
    }
    value = values.get(option.value, f" -x -a '{option.value.replace('|', ' ')}'")
    return f"{flags}{value} -d {_fish_text(option.help)}"


def _fish_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SCRIPTS = {"kosearch.bash": bash, "_kosearch": zsh, "kosearch.fish": fish}

if __name__ == "__main__":
    for name, make in SCRIPTS.items():
        (FOLDER / name).write_text(make(), encoding="utf-8")
