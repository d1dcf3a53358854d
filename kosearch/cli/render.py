"""How results look: to a person as text, to a script as JSON. Pure functions from records, without a terminal in sight.

Every JSON object names its schema and version; fields are added, never changed. A change that breaks a reader gets a
new version number. `kosearch docs scripts` describes each field.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from kosearch.config import database, is_database
from kosearch.errors import UsageError
from kosearch.naming import display_path, shown_path

if TYPE_CHECKING:
    from rich.text import Text

    from kosearch.evaluation.measures import Comparison, Failure, Report
    from kosearch.index import Globs, Status
    from kosearch.records import Answer, Hit, IndexReport, Passage, Score, Shown, Skipped


# Bidirectional marks can make a line read other than it is (CVE-2021-42574); they are shown as U+FFFD.
_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_VISIBLE = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}
_VISIBLE |= dict.fromkeys([*range(0x80, 0xA0), *map(ord, _BIDI), *range(0xD800, 0xE000)], 0xFFFD)
_LINE = _VISIBLE | {0x09: 0x20}
_BLOCK = _VISIBLE | {0x09: 0x09, 0x0A: 0x0A}
# JSON itself escapes only what is below the space; and readers may take some of these for line ends.
_ESCAPED = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), *map(ord, _BIDI), 0x2028, 0x2029)}
_ESCAPED |= dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


def one_line(text: str) -> str:
    """Text for one line of a terminal: control characters are shown as pictures of themselves."""
    return text.translate(_LINE)


def block(text: str) -> str:
    """The same for text of several lines: tabs and line feeds stay."""
    return text.translate(_BLOCK)


def json_line(text: str) -> str:
    """The same for an object in JSON, which reads as before: such characters are escaped, lone surrogates replaced."""
    return text.translate(_ESCAPED)


_WITHOUT_LINES = frozenset(("doc", "docx", "hwp", "odp", "ods", "odt", "ppt", "pptx", "rtf", "xls", "xlsx"))
"""Types whose own programs show no lines as they are counted in the text."""


def location(hit: Hit) -> str:
    """Where its best part stands: `:12-18` for lines, ` p. iv` for pages, `, 2025년 예산` for a sheet or a heading."""
    place = hit.cited
    if place.page_label and hit.kind != "pdf":
        return f", {place.page_label}"
    if place.page is not None:
        return f" p. {place.page_label or place.page}"
    if hit.kind in _WITHOUT_LINES:
        return f", {' '.join(place.headings[-1].split())}" if place.headings else ""
    if place.line_start == place.line_end:
        return f":{place.line_start}"
    return f":{place.line_start}-{place.line_end}"


def headline(hit: Hit, cwd: str) -> str:
    """Where a hit stands: path, member, page or lines."""
    member = f" » {hit.member}" if hit.member else ""
    state = {"changed": " (changed since indexed)", "gone": " (gone)", "elsewhere": " (on another machine)"}.get(
        hit.state, ""
    )
    read = "~" if hit.ocr else ""  # by OCR: letters may be wrong
    return one_line(shown_path(hit.path, cwd) + member + location(hit) + read + state)


def told_apart(names: Sequence[str]) -> dict[str, str]:
    """What is shown of indexes that are asked as one: of a URL its index alone, where no other has that name."""
    shown = {name: database(name).index if is_database(name) else name for name in names}
    counts = Counter(shown.values())
    return {name: short if counts[short] == 1 else name for name, short in shown.items()}


def heading_path(hit: Hit) -> str:
    """Title and headings above the best part, outermost first, nothing twice."""
    parts = [part for part in (hit.title, *hit.cited.headings) if part.strip()]
    return one_line(" › ".join(dict.fromkeys(" ".join(part.split()) for part in parts)))


def excerpt(hit: Hit) -> str:
    """The best part of the passage, with … where it was cut, paragraphs drawn together."""
    offset = hit.passage.start
    start, end = hit.best[0] - offset, hit.best[1] - offset
    lines = (" ".join(line.split()) for line in hit.text[start:end].splitlines())
    body = block("\n".join(line for line in lines if line))
    return f"{'… ' if start > 0 else ''}{body}{' …' if end < len(hit.text) else ''}"


def body(hit: Hit) -> list[str]:
    """What is shown of a passage: its best part, or all of it between the lines around it, when those are wanted."""
    if not hit.before and not hit.after:
        return [excerpt(hit)]
    return [block(text.strip("\n")) for text in (hit.before, hit.text, hit.after) if text.strip()]


def styled(text: str, style: str, question: str) -> Text:
    """The text with what it shares with the question in bold. Markup in the text means nothing."""
    from rich.text import Text

    from kosearch.searching import shared_spans

    shown = Text(text, style=style)
    for start, end in shared_spans(text, question):
        shown.stylize("bold yellow", start, end)
    return shown


def place(shown: Shown, cwd: str) -> str:
    """Where a shown passage's surroundings begin."""
    member = f" » {shown.member}" if shown.member else ""
    state = {"changed": " (changed since indexed)", "gone": " (gone)", "elsewhere": " (on another machine)"}.get(
        shown.state, ""
    )
    return one_line(f"{shown_path(shown.path, cwd)}{member}:{shown.line_start}{state}")


def explanation(hit: Hit) -> str:
    """`dense .8421 (#3, scaled .91) + lexical 12.30 (#1, scaled 1.00)`."""
    sides = [("dense", hit.dense), ("lexical", hit.lexical), ("sparse", hit.sparse), ("multi-vector", hit.multi_vector)]
    return " + ".join(
        f"{name} {side.value:.4f} (#{side.rank}, scaled {side.scaled:.2f})" for name, side in sides if side is not None
    )


VIMGREP = "{path}:{line}:1:{excerpt}"
"""What Vim's 'grepformat' and Emacs's compilation mode read."""
_FIELD = re.compile(r"\{(\w*)\}")


def template_fields(hit: Hit, question: str, cwd: str) -> dict[str, str]:
    """What a user's template may name, each on one line."""
    first, last = hit.lines
    fields: dict[str, object] = {
        "path": shown_path(hit.path, cwd),
        "absolute_path": hit.path,
        "member": hit.member,
        "line": first,
        "line_end": last,
        "page": "" if hit.page is None else hit.page,
        "place": location(hit),
        "rank": hit.rank,
        "score": f"{hit.score:.3f}",
        "title": hit.title,
        "heading": heading_path(hit),
        "excerpt": " ".join(excerpt(hit).split()),
        "text": " ".join(hit.text.split()),
        "type": hit.kind,
        "state": hit.state,
        "index": hit.index,
        "id": hit.id,
        "question": question,
    }
    return {name: one_line(str(value)) for name, value in fields.items()}


TEMPLATE_FIELDS = (
    *("path", "absolute_path", "member", "line", "line_end", "page", "place", "rank", "score", "title", "heading"),
    *("excerpt", "text", "type", "state", "index", "id", "question"),
)


def check_template(template: str) -> None:
    """See that a template names what there is. Raises UsageError."""
    wrong = next((name for name in _FIELD.findall(template) if name not in TEMPLATE_FIELDS), None)
    if wrong is not None or not _FIELD.search(template):
        what = f"there is no field {{{wrong}}}" if wrong is not None else f"--format {template!r} names no field"
        raise UsageError(what, f"fields are {', '.join(TEMPLATE_FIELDS)}")


def by_template(template: str, hit: Hit, question: str, cwd: str) -> str:
    """A hit as a user's template says; `\\n` and `\\t` in it are a new line and a tab."""
    fields = template_fields(hit, question, cwd)
    template = template.replace("\\n", "\n").replace("\\t", "\t")
    return _FIELD.sub(lambda found: fields[found[1]], template)


def asides(hit: Hit, cwd: str) -> list[str]:
    """Lines below a hit: other places of the same passage, other passages of the same document."""
    lines = []
    if hit.also:
        others = f" and {len(hit.also) - 2} more" if len(hit.also) > 2 else ""
        lines.append(one_line(f"also in {', '.join(shown_path(path, cwd) for path in hit.also[:2])}{others}"))
    if hit.more:
        lines.append(f"{counted(hit.more, 'more matching passage')} in this document")
    return lines


def missing_terms(answer: Answer, where: str) -> str:
    """What a miss tells: each word of the question with the number of passages in the index that it stands in."""
    counts = ", ".join(f"{one_line(term)} {count}" for term, count in answer.terms)
    return f"no hit{where}; passages with each term: {counts}" if counts else f"no hit{where}"


CHANGES = {"same": ("", "", "dim"), "gone": ("", "", "red strike"), "new": ("", "", "green")}
PLAIN_CHANGES = {"same": ("", "", ""), "gone": ("[-", "-]", ""), "new": ("{+", "+}", "")}
"""What stands before and after words, and their style, by what became of them."""
_SAME = 6
"""Words shown at either end of what is the same."""


def change(kind: str, text: str, marks: Mapping[str, tuple[str, str, str]]) -> str:
    """Words of a comparison; of many that are the same, only the first and the last."""
    words = text.split(" ")
    if kind == "same" and len(words) > 2 * _SAME:
        text = " ".join([*words[:_SAME], "…", *words[-_SAME:]])
    return marks[kind][0] + one_line(text) + marks[kind][1]


def counted(count: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def size_of(count: int) -> str:
    """1536 → `1.5 KiB`."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def duration_of(seconds: float) -> str:
    """75 → `1 min 15 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def status_rows(
    state: Status, problems: Sequence[Skipped], roots: Mapping[bytes, Globs], name: str, directory: str
) -> list[tuple[str, str]]:
    """What an index holds, a row a fact."""
    from kosearch.filters import local_time
    from kosearch.records import Reason

    without = len({one.path for one in problems if not one.member and one.reason is not Reason.PARTIAL})
    there = f"{max(state.files - without, 0)} of " if without else ""
    rows = [
        ("index", name if is_database(name) else f"{name} ({directory})"),
        *(("root", root_with_globs(root, globs)) for root, globs in roots.items()),
        ("documents", f"{state.documents} in {there}{counted(state.files, 'file')}"),
        ("passages", f"{state.passages}, of at most {state.identity.passage_tokens} tokens each"),
        ("model", f"{state.identity.model}{_place_of(state)}, {state.identity.dimensions} dimensions"),
        ("on disk", size_of(state.bytes)),
        ("generation", str(state.generation)),
    ]
    if state.graph:
        recall = f", recall {state.graph['recall']:.3f}" if state.graph["recall"] else ""
        rows.append(("nearest", f"by a graph (HNSW), {state.graph['width']:.0f} wide{recall}"))
    if state.last_run:
        rows.append(("last run", f"{local_time(state.last_run['ended'])}, {duration_of(state.last_run['seconds'])}"))
    if state.pending:
        rows.append(
            ("not published", f"{counted(state.pending, 'document')} of an interrupted run; kosearch index finishes it")
        )
    if state.ocr:
        rows.append(("read by OCR", _ocr_of(state.ocr)))
    if state.problems:
        counts = ", ".join(f"{count} {reason}" for reason, count in sorted(state.problems.items()))
        rows.append(("not searchable", f"{counts}; kosearch status --problems lists them"))
    return rows


def _ocr_of(counts: Mapping[str, int]) -> str:
    """Files with pictures: those that were read, and the rest with what to run."""
    text = f"{counted(counts['read'], 'file')}, {counted(counts['pictures'], 'picture')}"
    text += f" ({counts['unsure']} unsure)" if counts["unsure"] else ""
    text += f"; {counts['waiting']} waiting: kosearch index" if counts["waiting"] else ""
    return text + (f"; {counts['unread']} not read: kosearch docs files" if counts["unread"] else "")


def _place_of(state: Status) -> str:
    """Where the model answers, if that is not this machine's memory."""
    return f" at {state.identity.endpoint['url']}" if state.identity.endpoint else ""


def measures(name: str, reports: Sequence[Report]) -> list[str]:
    """A row a measure, a column a system, a block a family."""
    width = max([8, *(len(report.system) for report in reports)])
    lines = [f"{name}: {counted(len(reports[0].questions), 'question')}"]
    for family, means in reports[0].means.items():
        lines += ["", f"{family.value:<24}" + "".join(f"  {report.system:>{width}}" for report in reports)]
        for measure in means:
            values = "".join(f"  {report.means[family][measure]:>{width}.4f}" for report in reports)
            lines.append(f"{measure:<24}{values}")
    return lines


def comparisons(rows: Sequence[Comparison]) -> list[str]:
    """What each system gains over the first, and how likely such a difference is by chance."""
    if not rows:
        return []
    return ["", "against the first (paired permutation test):"] + [
        f"  {row.system} {row.measure}: {row.difference:+.4f}, "
        f"{counted(row.better, 'question')} better, {row.worse} worse, p = {row.p_value:.4f}"
        for row in rows
    ]


def failed(by_system: Mapping[str, Sequence[Failure]]) -> list[str]:
    """Questions whose first hit is wrong: what was expected, at which rank it came, and what came instead."""
    lines: list[str] = []
    for system, failures in by_system.items():
        for failure in failures:
            lines += ["", f"{system}, {failure.question}: {failure.text}"]
            lines += [f"  expected #{one.rank or '-'}: {one.document}" for one in failure.expected]
            lines += [f"  found #{one.rank}: {one.document} ({one.score:.3f})" for one in failure.found]
    return lines


_MODEL_COLUMNS = (
    ("here", "<8"),
    ("params", ">6"),
    ("memory", ">9"),
    ("dims", ">5"),
    ("tokens", ">6"),
    ("licence", "<10"),
    ("R@1", "<6"),
    ("languages", ""),
)
"""Head and format; together they fit a terminal of 80 columns."""


def models(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A model's name, and below it a row of facts, in which a dash is for what is not known, and its prompts."""
    lines = ["model", _model_row(head for head, _ in _MODEL_COLUMNS)]
    for row in rows:
        lines += [one_line(row["name"]), _model_row(_model_facts(row))]
        if row["note"]:
            lines.append(f"  {one_line(row['note'])}")
        prompts = row["prompts"] or {}
        lines += [f"  before a {side}: {one_line(repr(text))}" for side, text in prompts.items() if text]
    return lines


def _model_row(cells: Iterable[str]) -> str:
    formats = (width for _, width in _MODEL_COLUMNS)
    return "  " + "  ".join(f"{cell:{width}}" for cell, width in zip(cells, formats, strict=True))


def _model_facts(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        {"here": "yes", "part": "a part", "unusable": "unusable", "service": "service"}.get(row["state"], "-"),
        f"{row['parameters'] / 1e6:.0f}M" if row["parameters"] else "-",
        size_of(row["memory"]["cpu"]) if row["memory"] else "-",
        str(row["dimensions"] or "-"),
        str(row["max_tokens"] or "-"),
        row["licence"] or "-",
        f"{row['scores']['Recall@1']:.4f}" if row["scores"] else "-",
        row["languages"] or "-",
    )


def root_with_globs(root: bytes, globs: Globs) -> str:
    """`/home/me/docs (only *.md; not drafts)`."""
    limits = [f"only {' '.join(globs['include'])}"] if globs.get("include") else []
    limits += [f"not {' '.join(globs['exclude'])}"] if globs.get("exclude") else []
    return display_path(root) + (f" ({'; '.join(limits)})" if limits else "")


def watched(state: Mapping[str, Any]) -> str:
    """What watches an index, and how far behind its files it is."""
    behind = f"{counted(state['behind'], 'file')} behind" if state["behind"] else "up to date"
    since = f" at {datetime.fromtimestamp(state['looked']):%H:%M:%S}" if state["looked"] else ", not looked yet"
    return f"{state['how']}; {behind}{since}"


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Names and values in two columns."""
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"{name:<{width}}  {one_line(value)}" for name, value in rows)


QUERY = "kosearch.query/1"
HIT = "kosearch.hit/1"
BATCH = "kosearch.batch/1"
INDEX = "kosearch.index/1"
STATUS = "kosearch.status/1"
SIDES = ("dense", "lexical", "sparse", "multi_vector")


def answer_as_json(found: Answer, cwd: str) -> dict[str, Any]:
    """One question's answer."""
    return {
        "schema": QUERY,
        "question": found.question,
        "searched": found.searched,
        "mode": found.mode,
        "generation": found.generation,
        "behind": found.behind,
        "warnings": list(found.warnings),
        "terms": [{"term": term, "passages": count} for term, count in found.terms],
        "hits": [hit_as_json(one, cwd) for one in found.hits],
    }


def batch_as_json(answers: list[Answer], cwd: str) -> dict[str, Any]:
    """The answers of many questions, in the order asked."""
    return {"schema": BATCH, "answers": [answer_as_json(one, cwd) for one in answers]}


def hit_line_as_json(found: Hit, question: str, cwd: str) -> dict[str, Any]:
    """A hit that stands alone on its line."""
    return {"schema": HIT, "question": question, **hit_as_json(found, cwd)}


def hit_as_json(found: Hit, cwd: str) -> dict[str, Any]:
    """A hit's fields. Offsets are code points in the document's extracted text."""
    return {
        "rank": found.rank,
        "score": round(found.score, 6),
        "confidence": round(found.confidence, 3),
        "scores": {side: _value(getattr(found, side)) for side in SIDES},
        "ranks": {side: _rank(getattr(found, side)) for side in SIDES},
        "id": found.id,
        "path": shown_path(found.path, cwd),
        **file_name(found.path_bytes),
        "member": found.member or None,
        "type": found.kind,
        "title": found.title or None,
        "metadata": dict(found.metadata),
        **place_as_json(found.passage),
        "text": found.text,
        "best": list(found.best),
        "cited": {
            "page": found.cited.page,
            "page_label": found.cited.page_label or None,
            "lines": [found.cited.line_start, found.cited.line_end],
            "heading": list(found.cited.headings),
        },
        "ocr": found.ocr,
        "ocr_confidence": found.passage.ocr,
        "document_hash": found.document_hash,
        "state": found.state,
        "index": found.index,
        "also": [shown_path(path, cwd) for path in found.also],
        "more": found.more,
    }


def place_as_json(passage: Passage) -> dict[str, Any]:
    """Where a passage stands in its document."""
    return {
        "page": passage.page,
        "page_label": passage.page_label or None,
        "page_end": passage.page_end,
        "lines": [passage.line_start, passage.line_end],
        "start": passage.start,
        "end": passage.end,
        "heading": list(passage.headings),
    }


def file_name(path_bytes: bytes) -> dict[str, str]:
    """`absolute_path`, and `path_b64` with the exact bytes where they are not UTF-8."""
    try:
        return {"absolute_path": path_bytes.decode("utf-8")}
    except UnicodeDecodeError:
        return {
            "absolute_path": path_bytes.decode("utf-8", "replace"),
            "path_b64": base64.b64encode(path_bytes).decode("ascii"),
        }


def skipped_as_json(problem: Skipped) -> dict[str, Any]:
    """A file, or a member of one, that is not searchable."""
    return {
        "path": problem.path,
        "member": problem.member or None,
        "reason": str(problem.reason),
        "detail": problem.detail,
    }


def report_as_json(run: IndexReport, state: Status, name: str) -> dict[str, Any]:
    """What a run of `index` did, and what the index holds now."""
    return {
        "schema": INDEX,
        "index": name,
        "added": run.added,
        "changed": run.changed,
        "unchanged": run.unchanged,
        "removed": run.removed,
        "skipped": [skipped_as_json(one) for one in run.skipped],
        "warnings": [skipped_as_json(one) for one in run.warnings],
        "failed_roots": [skipped_as_json(one) for one in run.failed_roots],
        "embedded": run.embedded,
        "reused": run.reused,
        "documents": state.documents,
        "passages": state.passages,
        "generation": state.generation,
        "seconds": round(run.seconds, 3),
    }


def status_as_json(state: Status, roots: Mapping[bytes, Globs], name: str, directory: str) -> dict[str, Any]:
    """What an index holds."""
    return {
        "schema": STATUS,
        "index": name,
        "directory": directory,
        "generation": state.generation,
        "roots": [
            {**file_name(root), "include": list(globs.get("include", ())), "exclude": list(globs.get("exclude", ()))}
            for root, globs in roots.items()
        ],
        "files": state.files,
        "documents": state.documents,
        "passages": state.passages,
        "pending": state.pending,
        "bytes": state.bytes,
        "model": {
            "name": state.identity.model,
            "revision": state.identity.revision or None,
            "fingerprint": state.identity.fingerprint,
            "dimensions": state.identity.dimensions,
            "endpoint": state.identity.endpoint["url"] if state.identity.endpoint else None,
            "storage": state.identity.storage,
        },
        "passage_tokens": state.identity.passage_tokens,
        "passage_overlap": state.identity.overlap,
        "graph": dict(state.graph) if state.graph else None,
        "last_run": dict(state.last_run) if state.last_run else None,
        "not_searchable": dict(state.problems),
        "ocr": dict(state.ocr),
    }


def _value(score: Score | None) -> float | None:
    return None if score is None else round(score.value, 6)


def _rank(score: Score | None) -> int | None:
    return None if score is None else score.rank
