"""What agents can do: five tools, and documents as resources.

All give text, never more than CAP characters, and say how to go on. Documents are named by ids alone: no path that an
agent says is ever opened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import date
from threading import Event
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote

from pydantic import BaseModel, ConfigDict, Field

from kosearch import filters
from kosearch.agents import brief
from kosearch.agents.asking import Asker, Wish
from kosearch.config import Settings, index_names
from kosearch.errors import UsageError
from kosearch.filters import local_time
from kosearch.index import FullDocument, StoredDocument
from kosearch.library import Index
from kosearch.naming import display_path, shown_path
from kosearch.records import IndexProgress

CAP = 12_000
"""Characters of whatever is given."""
PAGE = 100
"""Resources that are listed at a time."""
_SCHEME = "kosearch://documents/"
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, marks that make a line read other than it is, and what is no character."""
_CURSOR = re.compile(r"([0-9a-f]{8,64})@([0-9]+)-([0-9]+)")
_OFFSET = re.compile("[0-9]{1,9}")
_SPAN = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
_SURROUNDINGS = 1
"""Passages that are read before and after a hit, unless told otherwise."""

Report = Callable[[float, float | None, str], None]
"""Takes how far something is, of how much, and what it is about."""


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")


_IndexName = Annotated[str | None, Field(description="Which index: as the hit says; the usual one if left out.")]
_IndexNames = Annotated[
    str | list[str] | None, Field(description='Which index, or several, or "all"; the usual one if left out.')
]
_Globs = Annotated[
    list[str], Field(default_factory=list, description="Only paths that match one of these globs, as in .gitignore.")
]
_Types = Annotated[
    list[str], Field(default_factory=list, description="Only these types: pdf, hwp, markdown, code, …; or suffixes.")
]
_After = Annotated[str | None, Field(description="Dated then or later: 2024, 2024-02, 2024-02-01, 3d (days ago).")]
_Before = Annotated[str | None, Field(description="Dated then or earlier.")]
_Offset = Annotated[int, Field(ge=0, le=100_000, description="To go on: what the last answer says.")]


class Search(_Arguments):
    """Find passages of the user's own documents that answer questions, by meaning and word, in Korean and English.

    Each hit has an id for `read`, its place, a score from 0 to 1 (weak: perhaps no answer) and its best sentences.
    """

    questions: Annotated[
        list[str],
        Field(min_length=1, max_length=8, description='Sentences or words; "a phrase", +must, -not narrow a question.'),
    ]
    k: Annotated[int, Field(ge=1, le=50, description="Hits of each question.")] = 8
    mode: Annotated[
        Literal["hybrid", "dense", "lexical"] | None, Field(description="dense: by meaning; lexical: by word.")
    ] = None
    path: _Globs
    type: _Types
    after: _After = None
    before: _Before = None
    index: _IndexNames = None
    offset: _Offset = 0


class Read(_Arguments):
    """Read a document, or a hit with the passages around it, as text."""

    id: Annotated[str, Field(description="A hit's or document's id; or, to go on, what the last answer says.")]
    neighbours: Annotated[int, Field(ge=0, le=50, description="Passages before and after a hit.")] = _SURROUNDINGS
    pages: Annotated[str | None, Field(description="Only these pages, slides or sheets: 3 or 3-5.")] = None
    index: _IndexName = None


class ListFiles(_Arguments):
    """List the documents that are searchable: id, path, type, length, date."""

    path: _Globs
    type: _Types
    after: _After = None
    before: _Before = None
    index: _IndexNames = None
    offset: _Offset = 0


class Status(_Arguments):
    """Tell which indexes there are, what one holds and how fresh it is."""

    index: _IndexNames = None


class Refresh(_Arguments):
    """Bring an index up to date with the files of its folders now: what is new, changed or gone."""

    index: _IndexNames = None


class Tools:
    """Every method may be called from any thread, gives text and raises KosearchError."""

    def __init__(self, settings: Settings, asker: Asker, cwd: str) -> None:
        self._settings = settings
        self._asker = asker
        self._cwd = cwd

    def search(self, wanted: Search) -> str:
        """Hits, a head and a line each."""
        for question in wanted.questions:
            filters.check_text(question)
        wish = Wish(
            wanted.questions,
            wanted.k,
            wanted.offset,
            wanted.mode,
            wanted.path,
            wanted.type,
            wanted.after,
            wanted.before,
        )
        found = self._asker.answers(self._names(wanted.index), wish)
        answers = found["answers"]
        longest = max((len(one["hits"]) for one in answers), default=0)
        go_on = found["next"]
        for count in range(longest, -1, -1):
            text = "\n".join(_answer(one, one["hits"][:count], titled=len(answers) > 1) for one in answers)
            if len(text) <= CAP or count == 1:
                break
            go_on = wanted.offset + count - 1
        if go_on is not None:
            text += f"\n(to go on: offset {go_on})"
        return text

    def read(self, wanted: Read) -> str:
        """A span of a document's text below a line that says which."""
        cursor = _CURSOR.fullmatch(wanted.id)
        with self._opened(wanted.index) as index:
            found = index.document(cursor[1] if cursor else wanted.id)
        if cursor:
            start, end = int(cursor[2]), min(int(cursor[3]), len(found.text))
            if start >= end:
                raise UsageError(f"{wanted.id}: the document has no such part")
        elif wanted.pages is not None:
            start, end = _pages(found, wanted.pages)
        else:
            start, end = _neighbourhood(found, wanted.id, wanted.neighbours)
        return self._part(found, start, end)

    def list_files(self, wanted: ListFiles) -> str:
        """A line a document."""
        names = self._names(wanted.index)
        found: list[tuple[str, StoredDocument]] = []
        for name in names:
            with self._opened(name) as index:
                listed = index.documents(path=wanted.path, type=wanted.type, after=wanted.after, before=wanted.before)
            found += [(name, one) for one in listed]
        lines: list[str] = []
        size, last = 0, wanted.offset
        for name, one in found[wanted.offset :]:
            line = self._listed(one) + (_in(name) if len(names) > 1 else "")
            size += len(line) + 1
            if size > CAP - 200 and lines:
                break
            lines.append(line)
            last += 1
        if not lines:
            return f"no documents ({len(found)} fit)" if found else "no documents fit"
        rest = f"\n(to go on: offset {last}; {len(found)} documents in all)" if last < len(found) else ""
        return "\n".join(lines) + rest

    def status(self, wanted: Status) -> str:
        """What indexes hold, a line a fact."""
        return "\n\n".join(map(self._status, self._names(wanted.index)))[:CAP]

    def _status(self, name: str) -> str:
        with self._opened(name) as index:
            state, roots, changes = index.status(), index.roots(), index.changes()
        lines = [
            f"index: {index.settings.index} (all: {', '.join(self.names())})",
            f"documents: {state.documents} in {state.files} files; passages: {state.passages}",
            *(f"folder: {display_path(root)}" for root in roots),
            f"model: {state.identity.model}",
        ]
        if state.last_run:
            since = f"; {changes.count} files changed since" if changes.count else ""
            lines.append(f"brought up to date: {local_time(state.last_run['ended'])}{since}")
        if state.pending:
            lines.append(f"not searchable yet: {state.pending} documents, of a run that goes on or was interrupted")
        if state.problems:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(state.problems.items()))
            lines.append(f"not searchable: {reasons} (kosearch status --problems lists them)")
        return _clean("\n".join(lines))

    def refresh(self, wanted: Refresh, report: Report, cancelled: Event) -> str:
        """What was new. Left early when cancelled: what was committed until then stays."""
        names = self._names(wanted.index)
        done = [(_in(name) if len(names) > 1 else "", self._refreshed(name, report, cancelled)) for name in names]
        return "\n".join(f"{title}\n{text}".strip() for title, text in done)[:CAP]

    def _refreshed(self, name: str, report: Report, cancelled: Event) -> str:
        if cancelled.is_set():
            return "cancelled"
        report(0.0, None, "looking at the folders")
        if (done := self._asker.refreshed(name)) is not None:
            return _clean(_run(done))
        with self._opened(name) as index:
            run = index.indexing()
            for step in run:
                if cancelled.is_set():
                    run.close()
                    return "cancelled"
                _reported(step, report)
        return _clean(_run(asdict(run.report)))

    def names(self) -> list[str]:
        """The indexes that may be asked: the one that the settings name, and those among the user's data."""
        return list(dict.fromkeys([self._settings.index, *index_names(self._settings)]))

    def resources(self, cursor: str | None) -> tuple[list[tuple[str, StoredDocument]], str | None]:
        """Documents of the usual index with their URIs, and the cursor of those that follow."""
        start = int(cursor) if cursor and _OFFSET.fullmatch(cursor) else 0
        with self._opened(None) as index:
            found = index.documents()
        page = [(self.uri(one.text_hash), one) for one in found[start : start + PAGE]]
        return page, str(start + PAGE) if start + PAGE < len(found) else None

    def uri(self, text_hash: str) -> str:
        """The URI of a document of the usual index."""
        return f"{_SCHEME}{quote(self._settings.index, safe='')}/{brief.short_hash(text_hash)}"

    def resource(self, uri: str) -> str:
        """A document's text. Raises UsageError for a URI that is none of ours."""
        name, _, id = uri.removeprefix(_SCHEME).partition("/")
        if not uri.startswith(_SCHEME) or not id:
            raise UsageError(f"{uri}: there is no such resource", f"resources are {TEMPLATE}")
        return self.read(Read(id=unquote(id), index=unquote(name)))

    def _part(self, found: FullDocument, start: int, end: int) -> str:
        last = _cut(found.text, start, end)
        head = f"{self._shown(found.stored)} {_whereabouts(found, start, last)}"
        head += {
            "changed": " (changed since it was indexed)",
            "gone": " (the file is gone)",
            "elsewhere": " (on another machine)",
        }.get(found.state, "")
        rest = f"\n(to go on: id {brief.short_hash(found.stored.text_hash)}@{last}-{end})" if last < end else ""
        return _clean(f"{head}\n{found.text[start:last].strip()}{rest}")

    def _listed(self, one: StoredDocument) -> str:
        day = date.fromtimestamp(0)
        with suppress(ValueError, OSError, OverflowError):
            day = date.fromtimestamp(one.mtime_ns / 1e9)
        return f"{brief.short_hash(one.text_hash)} {self._shown(one)} ({one.kind}, {one.length} characters, {day})"

    def _shown(self, one: StoredDocument) -> str:
        member = f" » {one.member}" if one.member else ""
        return _line(shown_path(one.path, self._cwd) + member)

    def _opened(self, name: str | None) -> Index:
        return Index(replace(self._settings, index=self._name(name)))

    def _names(self, wanted: str | list[str] | None) -> list[str]:
        """The indexes that are meant. Raises UsageError as `_name` does, and where there is none."""
        if wanted == "all":
            there = [one for one in self.names() if Index(replace(self._settings, index=one)).exists]
            return there or [self._settings.index]
        if isinstance(wanted, list) and not wanted:
            raise UsageError("no index is named", "leave `index` out for the usual one")
        return list(dict.fromkeys(map(self._name, wanted if isinstance(wanted, list) else [wanted])))

    def _name(self, name: str | None) -> str:
        """A name that may be asked. Raises UsageError for any other, folders above all."""
        if name is None:
            return self._settings.index
        if name not in self.names():
            raise UsageError(f"there is no index {name!r}", f"there are: {', '.join(self.names())}")
        return name


def name_of(one: StoredDocument) -> str:
    """A document's name without its folders."""
    return _line((one.member or one.path).rpartition("/")[2])


TEMPLATE = f"{_SCHEME}{{index}}/{{id}}"


def _answer(found: dict[str, Any], hits: Sequence[dict[str, Any]], *, titled: bool) -> str:
    lines = [f"# {_line(found['question'])}"] if titled else []
    lines += [f"warning: {_line(one)}" for one in found.get("warnings", ())]
    if not hits:
        counts = ", ".join(f"{_line(term)} {count}" for term, count in found.get("terms", {}).items())
        lines.append(f"no hit{f'; passages with each word: {counts}' if counts else ''}")
    folder = _common([one["path"] for one in hits])
    if folder:
        lines.append(f"below {_line(folder)}:")
    for one in hits:
        place = _place(one) + ("~" if one.get("ocr") else "")  # read in a picture: letters may be wrong
        aside = "".join(f" {note}" for note in ("weak" if one.get("weak") else "", one.get("state", "")) if note)
        member = f" » {one['member']}" if "member" in one else ""
        path = _line(one["path"].removeprefix(folder) + member)
        where = _in(one["index"]) if "index" in one else ""
        lines.append(f"{one['rank']} {path}{place} [{one['id']}] {one['score']:.2f}{aside}{where}")
        heading, excerpt = _line(one.get("heading", "")), _line(one["excerpt"])
        lines.append(f"{heading}: {excerpt}" if heading and heading not in excerpt else excerpt)
    return "\n".join(lines)


def _in(name: str) -> str:
    """Of which index something is, where that is not plain."""
    return f" (index {_line(name)})"


def _place(one: dict[str, Any]) -> str:
    if "page" in one:
        return f" p. {_line(one.get('page_label') or str(one['page']))}"
    first, last = one["lines"]
    return f":{first}" if first == last else f":{first}-{last}"


def _common(paths: Sequence[str]) -> str:
    """The folder of absolute paths, where they are several and saying it once is shorter."""
    if len(paths) < 2 or not all(path.startswith("/") for path in paths):
        return ""
    first, last = min(paths), max(paths)
    same = next((i for i, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    folder = first[: first.rfind("/", 0, same) + 1]
    return "" if folder == "/" else folder


def _pages(found: FullDocument, wanted: str) -> tuple[int, int]:
    """The span of pages m to n. Raises UsageError where there are none such."""
    match = _SPAN.fullmatch(wanted.strip())
    if match is None:
        raise UsageError(f"pages {wanted!r}: not a page or a span of pages", "such as 3 or 3-5")
    if not found.pages:
        raise UsageError("the document has no pages", "read it without `pages`")
    first, last = int(match[1]), int(match[2] or match[1])
    starts = [one.start for one in found.pages if first <= one.number <= last]
    ends = [one.start for one in found.pages if one.number > last]
    if not starts:
        there = f"{found.pages[0].number}-{found.pages[-1].number}"
        raise UsageError(f"pages {wanted}: the document has none such", f"it has {there}")
    return min(starts), min(ends, default=len(found.text))


def _neighbourhood(found: FullDocument, id: str, neighbours: int) -> tuple[int, int]:
    """The span of the passage that an id names, with those before and after it; of a document's id, all of it."""
    _, *place = id.split(":")
    if not place:
        return 0, len(found.text)
    start, end = map(int, place)
    inside = [i for i, one in enumerate(found.passages) if one.start < end and one.end > start]
    if not inside:
        raise UsageError(f"{id}: the document has no such passage", "search again")
    first, last = max(0, inside[0] - neighbours), min(len(found.passages), inside[-1] + 1 + neighbours)
    return found.passages[first].start, max(one.end for one in found.passages[first:last])


def _cut(text: str, start: int, end: int) -> int:
    """Where to stop: at the end, or after the last line, else word, of what may be given."""
    most = start + CAP - 500
    if end <= most:
        return end
    for mark in ("\n", " "):
        if (found := text.rfind(mark, start + CAP // 2, most)) > 0:
            return found + 1
    return most


def _whereabouts(found: FullDocument, start: int, end: int) -> str:
    """`p. 3-4, lines 40-80, characters 120-9000 of 45000`."""
    pages = [one.number for one in found.pages if one.start < end]
    inside = [one.number for one in found.pages if start < one.start < end]
    before = [one.number for one in found.pages if one.start <= start]
    parts = []
    if pages:
        first, last = (before or inside)[-1 if before else 0], pages[-1]
        parts.append(f"p. {first}" if first == last else f"p. {first}-{last}")
    first_line = found.text.count("\n", 0, start) + 1
    parts.append(f"lines {first_line}-{first_line + found.text.count(chr(10), start, max(start, end - 1))}")
    if end - start < len(found.text):
        parts.append(f"characters {start}-{end} of {len(found.text)}")
    return ", ".join(parts)


def _reported(step: IndexProgress, report: Report) -> None:
    if not step.note:
        total = None if step.walking else float(step.files_total)
        report(float(step.files_done), total, f"{step.files_done} files")


def _run(done: Mapping[str, Any]) -> str:
    """What a run of indexing did, by the names of `IndexReport`."""
    counts = ", ".join(f"{done[name]} {name}" for name in ("added", "changed", "removed", "unchanged"))
    lines = [f"files: {counts}; in {done['seconds']:.1f} s"]
    problems = [*done["failed_roots"], *done["skipped"]]
    lines += [f"skipped {_line(one['path'])}: {one['detail']} [{one['reason']}]" for one in problems]
    return "\n".join(lines)


def _line(text: str) -> str:
    return _clean(" ".join(text.split()))


def _clean(text: str) -> str:
    return _UNSEEN.sub("\ufffd", text)
