"""Settings, and the places where things lie.

A setting comes from the command line, else the environment (`KOSEARCH_` and its name in capitals), else the user's
`config.toml`, else its default. Files in the folders that are indexed or searched are never asked.
"""

from __future__ import annotations

import os
import re
import shlex
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kosearch.errors import ConfigError, UsageError

REFRESH_SECONDS = 5.0
"""Work for about so long is done before a question is answered, where that is wanted and nothing else is said."""
_APP = "kosearch"
DEFAULT_INDEX = "default"
PROJECT = ".kosearch"
"""The folder of an index that lies in the folder that it is of."""
_INDEXES = "indexes"
_AUTOMATIC = "auto"
_LARGEST = 1024**4


@dataclass(frozen=True, slots=True)
class Settings:
    """What the program was told, complete and checked. None means "decide by what is there"."""

    config_file: Path
    """It need not exist, unless KOSEARCH_CONFIG names it."""
    data_dir: Path
    cache_dir: Path
    index: str = DEFAULT_INDEX
    """A name, a directory, or a URL of PostgreSQL's: see `index_place`."""
    model: str | None = None
    endpoint: str | None = None
    """The URL of a model that answers over HTTP; None is where the model's provider or the index has it."""
    query_prompt: str = ""
    """What an endpoint's model wants before a question…"""
    passage_prompt: str = ""
    """…and before a passage."""
    dimensions: int | None = None
    """How many of a vector's numbers are kept, from its first; an endpoint is asked for so many."""
    device: str = _AUTOMATIC
    storage: str = "float16"
    """What numbers of vectors are kept in."""
    ann: str = _AUTOMATIC
    """How the nearest of very many passages are found: auto, hnsw or exact; see `Store.ann`."""
    passage_tokens: int | None = None
    passage_overlap: int = 32
    """In tokens."""
    max_file_size: int = 64 * 1024**2
    """In bytes."""
    mode: str = "hybrid"
    weight: float = 0.5
    """The share of the dense score in a hybrid one, 0 to 1."""
    k: int = 10
    workers: int | None = None
    timeout: float = 60.0
    """Seconds for one file."""
    refresh: float | None = None
    """Seconds of changes that are indexed before a question is answered; 0 for none. None is five where a warm process
    answers, and else none."""
    ocr: str = _AUTOMATIC
    """Whether scanned pages and pictures are read: auto (where there is an engine), off, or force (every page)."""
    resident: bool = True
    """Whether questions go to a warm process, which the first one starts."""
    resident_idle: float = 900.0
    """Seconds without a question after which that process ends."""
    log: bool = False
    """Whether it is kept which hits are opened, for `kosearch train`."""
    viewers: tuple[tuple[str, str], ...] = ()
    """Types of documents (`other` for the rest), and the command that `kosearch open` shows them with."""


def load(flags: Mapping[str, object], environ: Mapping[str, str] = os.environ) -> Settings:
    """Settle every setting; `flags` are the command line's, with None for those not given.

    Raises ConfigError, which names the place, the setting and what is allowed.
    """
    named_file = _place(environ, "KOSEARCH_CONFIG")
    config_file = named_file or _user_place("config") / "config.toml"
    values: dict[str, Any] = {
        "config_file": config_file,
        "data_dir": _place(environ, "KOSEARCH_DATA_DIR") or _user_place("data"),
        "cache_dir": _place(environ, "KOSEARCH_CACHE_DIR") or _user_place("cache"),
    }
    for name, value in _read_toml(config_file, must_exist=named_file is not None).items():
        values[name] = _checked(name, value, f"`{name}` in {config_file}")
    for name in _SETTINGS:
        variable = f"KOSEARCH_{name.upper()}"
        if environ.get(variable):
            values[name] = _checked(name, environ[variable], f"the environment variable {variable}")
    for name, value in flags.items():
        if value is not None:
            option = f"--{name.replace('_', '-')}" if len(name) > 1 else f"-{name}"
            values[name] = _checked(name, value, option)
    settings = Settings(**values)
    for name in named_indexes(settings.index):
        _refuse_url(name)  # before anything shows it: there may be a password in it
    if settings.passage_tokens is not None and settings.passage_overlap >= settings.passage_tokens:
        raise ConfigError(
            f"passages of {settings.passage_tokens} tokens cannot overlap by {settings.passage_overlap}",
            "Make passage_overlap smaller than passage_tokens.",
        )
    return settings


@dataclass(frozen=True, slots=True)
class Database:
    """An index that a PostgreSQL server keeps, as its URL names it."""

    url: str
    """What libpq connects by; no password is in it."""
    index: str
    """Its name among the indexes of the database."""
    source: str
    """Under what name this machine's files are known there."""

    @property
    def schema(self) -> str:
        """The schema of its tables."""
        return f"kosearch_{self.index}"

    def __str__(self) -> str:
        """The URL that names it, whatever machine says it."""
        return f"{self.url}{'&' if '?' in self.url else '?'}index={self.index}"

    @property
    def address(self) -> str:
        """The same with the name of this machine's files: the index, seen from here, whoever opens it and where."""
        from urllib.parse import quote

        return f"{self}&source={quote(self.source, safe='')}"


IndexPlace = Path | Database
"""Where an index is kept."""
_HOST = r"(?:\[[0-9a-fA-F:.]+\]|[^\s\[\]:,/@?#]*)(?::[0-9]*)?"
_SCHEME = re.compile("postgres(?:ql)?://", re.IGNORECASE)
_STRANGE = re.compile(r"://|(?:^|\s)(?:jdbc|postgres(?:ql)?):", re.IGNORECASE)
"""What other URLs have, or begin with."""
_SERVER = re.compile(rf"(?:[^\s:@/?#]*@)?{_HOST}(?:,{_HOST})*(?:/[^\s/@?#]*)?")
INDEX_NAME = re.compile("[a-z][a-z0-9_]{0,47}")
"""What an index in a database may be called."""
_FORM = "postgresql://USER@HOST/DATABASE?index=NAME"


def is_database(name: str) -> bool:
    """Whether a name of an index is a URL of PostgreSQL's."""
    return _SCHEME.match(name.lstrip()) is not None


def named_indexes(name: str) -> list[str]:
    """The names in what names one index, or several that servers keep: their URLs with spaces in between."""
    return name.split() if is_database(name) else [name]


def database(url: str) -> Database:
    """The index that a URL of PostgreSQL's names; `index` and `source` in it are ours, all else is libpq's.

    Raises UsageError, which repeats nothing of the URL: there may be a password in it.
    """
    import socket
    from urllib.parse import parse_qsl, quote, urlencode

    url = url.strip()
    server, _, query = _SCHEME.sub("", url, count=1).partition("?")
    given = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True)  # to libpq it is no space
    secret = any(word in name.lower() for name, _ in given for word in ("password", "secret"))
    if secret or ("@" in server and ":" in server.rpartition("@")[0]):
        raise UsageError(
            "there is a password in the URL of the index: everybody sees what a command was called with",
            "leave it out: it comes from ~/.pgpass (or the file that PGPASSFILE names), a service file or PGPASSWORD",
        )
    if len(url.split()) > 1:
        raise UsageError("that is for one index, and several are named", "name one URL; kosearch query asks several")
    if not _SERVER.fullmatch(server):
        raise UsageError("the URL of the index makes no sense", _FORM)
    ours = dict(given)
    index = ours.get("index", DEFAULT_INDEX)
    if not INDEX_NAME.fullmatch(index):
        raise UsageError(
            f"{index!r} cannot be the name of an index in a database",
            "use letters from a to z, digits and _, at most 48",
        )
    libpqs = [(name, value) for name, value in given if name not in ("index", "source")]
    rest = f"?{urlencode(libpqs, safe='/,', quote_via=quote)}" if libpqs else ""
    return Database(f"postgresql://{server}{rest}", index, ours.get("source") or socket.gethostname())


def _refuse_url(name: str) -> None:
    """Raises UsageError, which repeats nothing of it, for a URL that no index can have."""
    if is_database(name):
        database(name)
    elif _STRANGE.search(name):
        raise UsageError("the name of the index is a URL, and none of PostgreSQL's", _FORM)


def index_place(name: str, settings: Settings) -> IndexPlace:
    """Where the index of this name is kept: a folder, or a database. Raises UsageError."""
    return database(name) if is_database(name) else index_directory(name, settings)


def address_of(place: IndexPlace) -> str:
    """By what an index is known to processes that stand elsewhere: its folder's real path, or its URL."""
    return os.path.realpath(place) if isinstance(place, Path) else place.address


def index_directory(name: str, settings: Settings) -> Path:
    """Where an index lies: the directory that `name` says, or a place of that name among the user's data.

    A directory is what holds a separator, or begins with a dot and exists. Raises UsageError for what is neither
    a directory nor fit to be a name.
    """
    if is_database(name):
        raise UsageError("that is for an index in a folder, and a server keeps this one", "name another: --index NAME")
    _refuse_url(name)
    path = Path(os.path.expanduser(name))
    is_path = any(separator in name for separator in (os.sep, os.altsep) if separator)
    if "\0" not in name and (is_path or (name.startswith(".") and path.is_dir())):
        return _in_utf8(path.absolute())
    if not name.isprintable() or not name.strip() or name.startswith((".", "~", "-")):
        raise UsageError(
            f"{name!r} cannot be the name of an index",
            "Use a plain name such as `notes`, or a directory such as `./notes`.",
        )
    return _in_utf8(settings.data_dir / _INDEXES / unicodedata.normalize("NFC", name))


def _in_utf8(directory: Path) -> Path:
    """Tantivy opens no others."""
    try:
        os.fspath(directory).encode()
    except UnicodeEncodeError:
        raise UsageError(f"an index cannot lie in {directory}, whose name is not UTF-8") from None
    return directory


_DATABASE = "index.sqlite"
"""What makes a folder an index, as the room `index` names it."""


def project_index(folder: str) -> str | None:
    """The index of the project that a folder is in: the nearest `.kosearch` in it or above it.

    Who else may write to a folder above must not decide what is asked: only what is this user's or root's counts.
    """
    here = Path(folder)
    return next((str(one / PROJECT) for one in (here, *here.parents) if _is_own_index(one / PROJECT)), None)


def _is_own_index(place: Path) -> bool:
    try:
        owners = {place.lstat().st_uid, place.stat().st_uid}  # of a link, too
    except OSError:
        return False
    return (place / _DATABASE).is_file() and (not hasattr(os, "geteuid") or owners <= {0, os.geteuid()})


def index_names(settings: Settings) -> list[str]:
    """The names of the indexes among the user's data, sorted."""
    try:
        return sorted(entry.name for entry in (settings.data_dir / _INDEXES).iterdir() if entry.is_dir())
    except OSError:
        return []


def _place(environ: Mapping[str, str], variable: str) -> Path | None:
    place = environ.get(variable)
    return Path(os.path.expanduser(place)).absolute() if place else None


def _user_place(kind: Literal["config", "data", "cache"]) -> Path:
    import platformdirs

    return Path(getattr(platformdirs, f"user_{kind}_dir")(_APP, appauthor=False))


def _read_toml(file: Path, *, must_exist: bool) -> dict[str, object]:
    try:
        text = file.read_text("utf-8-sig")
        import tomllib

        return tomllib.loads(text)
    except FileNotFoundError:
        if must_exist:
            raise ConfigError(
                f"the settings file {file} is not there", "Create it, or unset KOSEARCH_CONFIG."
            ) from None
        return {}
    except OSError as error:
        raise ConfigError(f"the settings file {file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"the settings file {file} is not valid TOML: {error}") from error


def _checked(name: str, value: object, place: str) -> object:
    """The value in its own type; `place` says where it was given."""
    if name not in _SETTINGS:
        raise ConfigError(f"{place}: there is no such setting", f"There are {', '.join(_SETTINGS)}.")
    setting = _SETTINGS[name]
    try:
        return setting.parse(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{place} is {value!r}; it must be {setting.allowed}") from None


@dataclass(frozen=True, slots=True)
class _Setting:
    parse: Callable[[object], object]
    """From an option's or a variable's text, or a TOML value; raises ValueError or TypeError."""
    allowed: str


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value


def _any_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _whole(least: int, most: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if not isinstance(value, int | str) or isinstance(value, bool):
            raise TypeError
        number = int(value)
        if not least <= number <= most:
            raise ValueError
        return number

    return parse


def _number(least: float, most: float) -> Callable[[object], float]:
    def parse(value: object) -> float:
        if not isinstance(value, int | float | str) or isinstance(value, bool):
            raise TypeError
        number = float(value)
        if not least <= number <= most:  # so says a NaN too
            raise ValueError
        return number

    return parse


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if (text := _text(value).lower()) not in ("on", "off"):
        raise ValueError
    return text == "on"


def _matching(pattern: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if re.fullmatch(pattern, text := _text(value)) is None:
            raise ValueError
        return text

    return parse


def _automatic_or(parse: Callable[[object], object]) -> Callable[[object], object]:
    return lambda value: None if value == _AUTOMATIC else parse(value)


def _size(value: object) -> int:
    """Bytes, from a whole number or from text such as `10M`."""
    if not isinstance(value, str):
        return _whole(1, _LARGEST)(value)
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([kmgt]?)(?:i?b)?", value.strip().lower())
    if match is None:
        raise ValueError
    return _whole(1, _LARGEST)(int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " ")))


def _commands(value: object) -> tuple[tuple[str, str], ...]:
    """Commands by type, from a table or from text such as `pdf=zathura {path}; other=less {path}`."""
    if isinstance(value, str):
        value = dict(one.strip().split("=", 1) for one in value.split(";") if one.strip())
    if not isinstance(value, Mapping):
        raise TypeError
    found = tuple(sorted((str(kind).strip(), _text(command).strip()) for kind, command in value.items()))
    if any(not shlex.split(command) for _, command in found):
        raise ValueError
    return found


_SETTINGS: Mapping[str, _Setting] = {
    "index": _Setting(_text, "a name, a directory or a URL of PostgreSQL's"),
    "model": _Setting(_automatic_or(_text), "`auto`, a model's name or its directory"),
    "endpoint": _Setting(
        _automatic_or(_matching(r"https?://[^\s/?#@]+(/[^\s?#]*)?")),
        "`auto`, or a URL such as http://localhost:8000/v1, without a key in it",
    ),
    "query_prompt": _Setting(_any_text, "text"),
    "passage_prompt": _Setting(_any_text, "text"),
    "dimensions": _Setting(_automatic_or(_whole(1, 65_536)), "`auto`, or a whole number from 1 to 65536"),
    "device": _Setting(
        _matching(r"auto|cpu|mps|cuda|cuda:[0-9]+(,cuda:[0-9]+)*"), "auto, cpu, cuda, cuda:0, cuda:0,cuda:1 or mps"
    ),
    "storage": _Setting(_matching("float16|int8"), "float16 or int8"),
    "ann": _Setting(_matching("auto|hnsw|exact"), "auto, hnsw or exact"),
    "passage_tokens": _Setting(_automatic_or(_whole(16, 32_768)), "`auto`, or a whole number from 16 to 32768"),
    "passage_overlap": _Setting(_whole(0, 32_768), "a whole number from 0 to 32768"),
    "max_file_size": _Setting(_size, "a size from 1 byte to 1T, such as 500k, 10M or 1.5G"),
    "mode": _Setting(_matching("hybrid|dense|lexical"), "hybrid, dense or lexical"),
    "weight": _Setting(_number(0, 1), "a number from 0 (lexical only) to 1 (dense only)"),
    "k": _Setting(_whole(1, 1_000_000), "a whole number from 1 to 1000000"),
    "workers": _Setting(_automatic_or(_whole(1, 256)), "`auto`, or a whole number from 1 to 256"),
    "timeout": _Setting(_number(0.1, 86_400), "a number of seconds from 0.1 to 86400"),
    "refresh": _Setting(_automatic_or(_number(0, 86_400)), "`auto`, or a number of seconds from 0 to 86400"),
    "ocr": _Setting(_matching("auto|off|force"), "auto, off or force"),
    "resident": _Setting(_switch, "on or off"),
    "log": _Setting(_switch, "on or off"),
    "viewers": _Setting(_commands, "commands by type, such as `pdf=zathura -P {page} {path}; other=xdg-open {path}`"),
    "resident_idle": _Setting(_number(1, 31_536_000), "a number of seconds from 1 to 31536000"),
}
