"""What people select documents by: days, types, and globs of paths; and what a question may demand of its hits.

Globs are as in gitignore(5), and limit a walk too: which entries of a folder tree a list of patterns matches. They are
matched here and not by a library because a hostile pattern such as `*a*a*a*a*a*a*a*b` must not hang a walk (pathspec
1.1 takes minutes for it): each becomes a regular expression that reads a path about once. Unlike git, names are
compared as code points in NFC: `?` is a Hangul syllable, and an NFC pattern finds an NFD name.
"""

from __future__ import annotations

import os
import re
import unicodedata
from calendar import monthrange
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from kosearch.errors import UsageError
from kosearch.records import Query

LONGEST_QUESTION = 20_000
"""Characters: ten pages. What asks with more means a document, and waits for it by the minute."""
MODES = ("hybrid", "dense", "lexical")


_NO_LETTERS = re.compile("[\u115f\u1160\u3164\uffa0ㆍᆞ]")
"""Letters by their class alone: the fillers, which nobody sees, and the old vowel that stands for a middle dot."""


def check(query: Query, flag: str = "") -> None:
    """See that what is demanded makes sense. Raises UsageError, in which `flag` stands before an option's name."""
    if query.mode not in MODES:
        raise UsageError(f"{flag}mode is {query.mode!r}; it must be hybrid, dense or lexical")
    if query.mode == "lexical" and query.min_score is not None:
        raise UsageError(
            f"{_named(flag, 'min_score')} is a cosine, and {flag}mode lexical computes none", "leave it out"
        )
    if query.mode == "lexical" and query.rerank:
        raise UsageError(f"{flag}rerank asks the model, and {flag}mode lexical does not", "leave one of them out")
    if query.k < 1 or not 0 <= query.weight <= 1 or query.context < 0 or query.rerank < 0:
        raise UsageError(f"{flag}k is at least 1, {flag}weight from 0 to 1, and other numbers are not below 0")
    for name, day in (("after", query.after), ("before", query.before)):
        if day is not None and days(day) is None:
            raise UsageError(
                f"{flag}{name} {day!r} is not a date", "dates are 2024, 2024-02, 2024-02-01, 3d (days ago)"
            )
    if query.kinds:
        named = {*KINDS, *GROUPS, *FILES}
        for one in query.kinds:
            if plain_type(one) not in named | SUFFIXES and f".{plain_type(one)}" not in KIND_OF_SUFFIX:
                hint = f"types are {', '.join(sorted(named))}, and the suffixes of files, such as py and xlsm"
                raise UsageError(f"there is no type {one!r}", hint)


def check_text(text: str) -> None:
    """See that a question is one. Raises UsageError."""
    if not text.strip():
        raise UsageError("the question is empty", "kosearch query TEXT")
    if not any(map(str.isalnum, _NO_LETTERS.sub("", text))):
        raise UsageError("the question has neither a letter nor a digit", "kosearch query TEXT")
    if len(text) > LONGEST_QUESTION:
        raise UsageError(
            f"the question has {len(text):,} characters; it may have {LONGEST_QUESTION:,}",
            "ask with a sentence or a paragraph of it",
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"the question is no text: a lone surrogate at character {error.start + 1}") from None


def glob(pattern: str, folder: str = "") -> str:
    """A glob as it is matched: one that begins with . or .. is below `folder`, by default the current one.

    `.`, `./notes` and `../*.md` are typed as for any other program, and no path in an index has such a part.
    """
    if pattern.partition("/")[0] not in (".", ".."):
        return pattern
    literal = re.sub(r"([*?\[\\])", r"\\\1", unicodedata.normalize("NFC", folder or os.getcwd()))
    path = os.path.normpath(f"{literal}/{pattern}")
    return "/**" if path == "/" else path + "/" * pattern.endswith("/")


def _named(flag: str, name: str) -> str:
    """An option's name as it is written in Python, or on the command line."""
    return flag + name.replace("_", "-") if flag else name


Days = tuple[date, date]
"""The first and the last of some days."""

_NAMES = "january february march april may june july august september october november december"
_MONTHS = {name: month for month, name in enumerate(_NAMES.split(), 1)}
_MONTHS |= {name[:3]: month for name, month in _MONTHS.items()} | {"sept": 9}
_PARTS = re.compile(
    r"(\d{4}|['’‘]\d\d)(?:\s?[-./년年]\s?(\d{1,2})(?:\s?[-./월月]\s?(\d{1,2}))?)?\s?(?:[.년월일年月日]|년도)?"
)
_COMPACT = re.compile(r"((?:19|20)\d\d)(\d\d)(\d\d)?")
_WEEKDAY = re.compile(r"\s?\([월화수목금토일]\)$")
_ENGLISH = re.compile(
    r"(?:(\d{1,2})(?:st|nd|rd|th)?[\s-]+(?:of\s)?)?([A-Za-z]{3,9})\.?,?\s*(?:(\d{1,2})(?:st|nd|rd|th)?,?)?[\s-]+(\d{4})"
)
_YEAR_FIRST = re.compile(r"(\d{4})[\s-]([A-Za-z]{3,9})\.?[\s-](\d{1,2})")
_AGO = re.compile(r"(\d{1,4})\s?(?:([dwmy])|(일|주|개월|달|년)\s?전|(day|week|month|year)s?\sago)")
_UNITS_AGO = {"일": "d", "주": "w", "개월": "m", "달": "m", "년": "y"}
_NAMED_DAYS = {"today": 0, "오늘": 0, "yesterday": 1, "어제": 1, "그제": 2, "그저께": 2}


def days(text: str, today: date | None = None) -> Days | None:
    """The first and the last day of what a text names, or None where it names none.

    2024, 2024-03, 2024-3-5, 2024/3/5, 2024.3.5, '24.3.5, 20240305, 2024년 3월, 5 Mar 2024, an instant as ISO 8601;
    `3d`, `2w`, `6m`, `1y`, 3일 전, 3 days ago; today.
    """
    text = _WEEKDAY.sub("", text.strip())
    ago = _AGO.fullmatch(text.casefold())
    if text.casefold() in _NAMED_DAYS or ago:
        day = _ago(text.casefold(), ago, today or date.today())
        return (day, day) if day else None
    if ":" in text:
        return _day_of_instant(text)
    if parts := _COMPACT.fullmatch(text) or _PARTS.fullmatch(text):
        year, *month_and_day = parts.groups()
        return _days_of(
            int(year.lstrip("'’‘")) + 2000 * (len(year) == len("'24")), *(int(part) for part in month_and_day if part)
        )
    if english := _ENGLISH.fullmatch(text):
        before, named, behind, year = english.groups()
    elif english := _YEAR_FIRST.fullmatch(text):
        (year, named, behind), before = english.groups(), None
    else:
        return None
    month_named = _MONTHS.get(named.lower())
    return (
        _days_of(int(year), month_named, *(int(part) for part in (before, behind) if part))
        if month_named and not (before and behind)
        else None
    )


def _day_of_instant(text: str) -> Days | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    day = (moment.astimezone() if moment.tzinfo else moment).date()
    return day, day


def local_days(stated: str) -> Days | None:
    """The same of what a document states: an instant (ISO 8601 with a zone) is a day of this machine's zone."""
    if len(stated) <= len("2024-03-05"):
        return days(stated) or _day_of_instant(stated)
    return _day_of_instant(stated) or days(stated)


def day_of(seconds: float) -> date | None:
    """The day of this machine's zone on which an instant falls; None for one that no calendar has."""
    try:
        return datetime.fromtimestamp(seconds).date()
    except (ValueError, OverflowError, OSError):
        return None


def iso_date(text: str) -> str:
    """A date that a document states as ISO 8601, as exact as it was given; "" when it is none."""
    text = text.strip()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        found = days(text) or _leading_days(text)
        if found is None:
            return ""
        first, last = found
        if first == last:
            return first.isoformat()
        return first.isoformat()[: len("2024-03") if first.month == last.month else len("2024")]
    return moment.date().isoformat() if len(text) <= 10 else moment.isoformat()


def local_time(stated: str) -> str:
    """An instant as this machine's clock shows it: 2024-03-05 08:00:00."""
    return datetime.fromisoformat(stated).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _leading_days(text: str) -> Days | None:
    """The date that a longer text begins with: 2024년 3월 5일 (화) 09:00."""
    found = _PARTS.match(text)
    return days(found.group()) if found and found[2] else None


def _days_of(year: int, month: int | None = None, day: int | None = None) -> Days | None:
    try:
        if month is not None and day is not None:
            return date(year, month, day), date(year, month, day)
        if month is not None:
            return date(year, month, 1), date(year, month, monthrange(year, month)[1])
        return date(year, 1, 1), date(year, 12, 31)
    except ValueError:
        return None


def _ago(text: str, ago: re.Match[str] | None, today: date) -> date | None:
    if ago is None:
        return today - timedelta(_NAMED_DAYS[text])
    count, unit = int(ago[1]), ago[2] or _UNITS_AGO.get(ago[3]) or ago[4][0]
    if unit in "dw":
        return today - timedelta(count * (7 if unit == "w" else 1))
    months = today.year * 12 + today.month - 1 - count * (12 if unit == "y" else 1)
    year, month = divmod(months, 12)
    if year < 1:
        return None
    return date(year, month + 1, min(today.day, monthrange(year, month + 1)[1]))


KINDS = (
    *(
        "asciidoc",
        "calendar",
        "code",
        "csv",
        "doc",
        "docx",
        "epub",
        "html",
        "hwp",
        "image",
        "json",
        "latex",
        "mail",
        "markdown",
    ),
    *("notebook", "odp", "ods", "odt", "org", "pdf", "ppt", "pptx", "rst", "rtf", "subtitles", "text", "vcard"),
    *("vsdx", "xls", "xlsx", "xml", "xps"),
)
"""What a document is: `type` in the JSON output, and what the filter takes."""
GROUPS = {
    "odf": ("odp", "ods", "odt"),
    "word": ("doc", "docx"),
    "excel": ("xls", "xlsx"),
    "powerpoint": ("ppt", "pptx"),
    "md": ("markdown",),
    "txt": ("text",),
    "htm": ("html",),
    "ipynb": ("notebook",),
    "eml": ("mail",),
    "adoc": ("asciidoc",),
    "tex": ("latex",),
    "ics": ("calendar",),
    "vcf": ("vcard",),
}
"""Other names for one kind, or for several."""
_SUFFIXES = {
    "asciidoc": "adoc asciidoc",
    "calendar": "ics ical ifb vcs",
    "code": "bash c cc clj cpp cs css cxx dart el erl ex exs fs go gradle groovy h hh hpp hrl hs hxx java jl"
    " js jsx kt kts less lisp lua m mjs ml mm pas php pl pm proto ps1 py pyi pyx r rb rkt rs sass scala scm"
    " scss sh sql swift tcl ts tsx v vb vue zig zsh",
    "csv": "csv tsv tab",
    "html": "htm html shtml xhtml xht",
    "hwpml": "hml",
    "json": "json jsonl ndjson geojson",
    "latex": "latex ltx tex",
    "mail": "eml emlx",
    "markdown": "markdown md mdown mdx mkd qmd rmd",
    "mbox": "mbox",
    "mhtml": "mht mhtml",
    "notebook": "ipynb",
    "org": "org",
    "pdf": "pdf",
    "rst": "rest rst",
    "subtitles": "smi srt vtt",
    "vcard": "vcard vcf",
    "xml": "atom drawio fb2 gpx kml opml rss svg tmx ttml xlf xliff xml",
}
KIND_OF_SUFFIX = {f".{suffix}": kind for kind, names in _SUFFIXES.items() for suffix in names.split()}
"""How files are read whose content leaves a choice, by how their names end."""
FILES = {
    "hwpx": (".hwpx",),
    "hwpml": (".hml", ".hwpml"),
    "mbox": (".mbox", ".mbx"),
    "mhtml": (".mhtml", ".mht"),
    "msg": (".msg",),
    "tar": (".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz"),
    "zip": (".zip",),
}
"""Names of files whose documents are of other kinds: those match by what the file, or the member of it, is called."""
SUFFIXES = frozenset(
    (
        *("docm", "dot", "dotm", "dotx", "fodp", "fods", "fodt", "hwt", "hwtx", "otp", "ots", "ott", "pot", "potm"),
        *("potx", "pps", "ppsm", "ppsx", "pptm", "xlsb", "xlsm", "xlt", "xltm", "xltx"),
    )
)
"""Further endings of files that are read as what is in them: templates, with macros, binary."""


def plain_type(name: str) -> str:
    """The name of a type as it is looked up: PDF and .pdf are pdf."""
    return name.strip().lower().removeprefix(".")


def selector(names: Sequence[str]) -> Callable[[str, str, str], bool]:
    """Whether a document of this kind, in the file at this path, of this member's name, is of one of the types.

    A name that is no kind's and no group's is a suffix.
    """
    kinds: set[str] = set()
    suffixes: list[str] = []
    for name in map(plain_type, names):
        if name in KINDS or name in GROUPS:
            kinds.update(GROUPS.get(name, (name,)))
        else:
            suffixes.extend(FILES.get(name, (f".{name}",)))
    ends = tuple(suffixes)
    return lambda kind, path, member: (
        kind in kinds or (bool(ends) and (path.lower().endswith(ends) or member.lower().endswith(ends)))
    )


_LONGEST = 4096
"""Code points of a pattern: no path is longer (PATH_MAX), and what an ignore file can cost stays bounded."""
_MOST_MATCHED = 2000
_SPECIAL = re.compile(r"[*?\[\\]")


class TooManyGlobs(UsageError):
    """So many patterns that matching them would take too long."""


class Globs:
    """The patterns of one ignore file, or of one option; of those that match an entry the last decides.

    They look at the entry itself, never at the folders it lies in: a walk does not enter what is ignored.

    Long ignore files are lists of names, of paths and of endings: such patterns are looked up, however many they are.
    Only those with wildcards elsewhere are matched one by one, at most 2,000.
    """

    __slots__ = ("_any_name", "_any_path", "_kinds", "_looked_up", "_matched", "_start")

    def __init__(self, lines: Iterable[str], start: int) -> None:
        """`start` is where, in an entry's path, the part below the rules' own folder begins. Raises TooManyGlobs."""
        self._start = start
        self._looked_up: dict[tuple[str, str], list[int]] = {}
        """What is looked up ("name", "path" or "ending", and its text) → numbers of patterns, ascending."""
        self._matched: list[tuple[int, _Glob, re.Pattern[str]]] = []
        self._kinds: list[_Glob] = [glob for line in lines if (glob := _parse(line)) is not None]
        for number, glob in enumerate(self._kinds):
            if (key := _key(glob)) is not None:
                self._looked_up.setdefault(key, []).append(number)
            elif (source := _translate(glob.text)) is not None:
                if len(self._matched) == _MOST_MATCHED:
                    raise TooManyGlobs(f"more than {_MOST_MATCHED:,} patterns with wildcards inside")
                self._matched.append((number, glob, re.compile(source, re.DOTALL)))
        self._any_name = _any_of(regex for _, glob, regex in self._matched if not glob.anchored)
        self._any_path = _any_of(regex for _, glob, regex in self._matched if glob.anchored)

    def verdict(self, path: str, name: str, is_folder: bool) -> bool | None:
        """True where a pattern matches, False where a `!` pattern does, None where none does."""
        below = path[self._start :]
        last = max(self._last_looked_up(below, name, is_folder), self._last_matched(below, name, is_folder))
        return None if last < 0 else not self._kinds[last].negated

    def _last_looked_up(self, below: str, name: str, is_folder: bool) -> int:
        """The number of the last pattern of those that are looked up; -1 where none matches."""
        if not self._looked_up:
            return -1
        keys = [("name", name), ("path", below), *(("ending", name[at:]) for at in range(len(name) + 1))]
        found = [number for key in keys for number in self._looked_up.get(key, ())]
        return max((one for one in found if is_folder or not self._kinds[one].folders_only), default=-1)

    def _last_matched(self, below: str, name: str, is_folder: bool) -> int:
        """The same of the others."""
        # Most entries match nothing: two tests tell, instead of one for each pattern.
        if (self._any_name is None or self._any_name.match(name) is None) and (
            self._any_path is None or self._any_path.match(below) is None
        ):
            return -1
        for number, glob, regex in reversed(self._matched):
            subject = below if glob.anchored else name
            if (is_folder or not glob.folders_only) and regex.match(subject):
                return number
        return -1


@dataclass(frozen=True, slots=True)
class _Glob:
    text: str
    """Without `!` in front, `/` in front and behind."""
    anchored: bool
    """Whether it speaks of the path below the rules' folder; otherwise of the name alone."""
    negated: bool
    folders_only: bool


def _key(glob: _Glob) -> tuple[str, str] | None:
    """Under what a pattern is looked up; None for one that has to be matched."""
    if not _SPECIAL.search(glob.text):
        return ("path" if glob.anchored else "name", glob.text) if glob.text else None
    ending = glob.text.removeprefix("*")
    return (
        ("ending", ending)
        if not glob.anchored and len(ending) < len(glob.text) and not _SPECIAL.search(ending)
        else None
    )


def _any_of(patterns: Iterable[re.Pattern[str]]) -> re.Pattern[str] | None:
    sources = [one.pattern for one in patterns]
    return re.compile("|".join(sources), re.DOTALL) if sources else None


def _parse(line: str) -> _Glob | None:
    """One line of an ignore file; None for blank lines, comments, and what is too long to match anything."""
    line = line.removesuffix("\r")
    kept = line.rstrip(" ")
    escaped = (len(kept) - len(kept.rstrip("\\"))) % 2 == 1
    line = kept + " " if escaped and kept != line else kept
    if not line or line.startswith("#") or len(line) > _LONGEST:
        return None
    negated = line.startswith("!")
    text = unicodedata.normalize("NFC", line.removeprefix("!"))
    folders_only = text.endswith("/")
    text = text.removesuffix("/")
    anchored = "/" in text
    return _Glob(text.removeprefix("/"), anchored, negated, folders_only)


def _translate(glob: str) -> str | None:
    """A regular expression for a whole path; None where git lets the glob match nothing.

    What stands between two `*`, or between two `**`, may be matched at the first place where it fits, since
    the second star takes any rest. Atomic groups say so, and keep the time linear.
    """
    segments = _split(glob)
    if segments is None:
        return None
    *groups, last = _groups(segments)
    source = ""
    for number, group in enumerate(groups):
        if group:
            path = "".join(f"{segment}/" for segment in group)
            source += f"(?>(?:[^/]++/)*?{path})" if number else path
    if not last:
        return source + r".+\Z"
    return source + ("(?:[^/]++/)*?" if groups else "") + "/".join(last) + r"\Z"


def _groups(segments: Sequence[str | None]) -> list[list[str]]:
    """The segments between the `**`, which are None."""
    groups: list[list[str]] = [[]]
    for segment in segments:
        if segment is None:
            groups.append([])
        else:
            groups[-1].append(segment)
    return groups


def _split(glob: str) -> list[str | None] | None:
    """A regular expression for each part between two `/`, None for a `**`; None for a broken glob."""
    pieces: list[list[str]] = [[""]]  # the text between the stars of each segment
    position = 0
    while position < len(glob):
        character = glob[position]
        position += 1
        if character == "\\":
            if position == len(glob):
                return None
            character = glob[position]
            position += 1
            if character != "/":
                pieces[-1][-1] += re.escape(character)
                continue
        if character == "/":
            pieces.append([""])
        elif character == "*":
            pieces[-1].append("")
        elif character == "?":
            pieces[-1][-1] += "[^/]"
        elif character == "[":
            bracket = _bracket(glob, position)
            if bracket is None:
                return None
            source, position = bracket
            pieces[-1][-1] += source
        else:
            pieces[-1][-1] += re.escape(character)
    return [_segment(piece) for piece in pieces]


def _segment(pieces: Sequence[str]) -> str | None:
    if len(pieces) > 2 and not any(pieces):
        return None
    first, *middle = pieces
    if not middle:
        return first
    *middle, last = middle
    return first + "".join(f"(?>[^/]*?{piece})" for piece in middle if piece) + "[^/]*" + last


_MEMBER = re.compile(
    r"\[:(?P<named>[^\]]{0,9}):\] | (?P<low>\\.|[^\\]) (?: - (?P<high>\\.|[^\]\\]))?", re.DOTALL | re.VERBOSE
)
_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": r"\ \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": r"\ -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\ \t\n\v\f\r",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
}


def _bracket(glob: str, position: int) -> tuple[str, int] | None:
    """From behind a `[`: the regular expression, and where the bracket ends; None where it does not."""
    negated = glob.startswith(("!", "^"), position)
    position += negated
    members = ""
    start = position
    while (member := _MEMBER.match(glob, position)) is not None:
        if glob[position] == "]" and position > start:
            source = f"[^/{members}]" if negated else f"(?!/)[{members}]" if members else "(?!)"
            return source, position + 1
        position = member.end()
        if (named := member["named"]) is not None:
            if named not in _CLASSES:
                return None
            members += _CLASSES[named]
            continue
        low = member["low"][-1]
        high = member["high"][-1] if member["high"] else low
        members += f"{re.escape(low)}-{re.escape(max(low, high))}"  # git reads `z-a` as `z`
    return None
