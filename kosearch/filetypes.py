"""The types of documents, and the names by which people ask for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

KINDS = (
    *("asciidoc", "calendar", "code", "csv", "doc", "docx", "epub", "html", "hwp", "json", "latex", "mail", "markdown"),
    *("notebook", "odp", "ods", "odt", "org", "pdf", "ppt", "pptx", "rst", "rtf", "subtitles", "text", "vcard", "vsdx"),
    *("xls", "xlsx", "xml", "xps"),
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


def plain(name: str) -> str:
    """The name of a type as it is looked up: PDF and .pdf are pdf."""
    return name.strip().lower().removeprefix(".")


def selector(names: Sequence[str]) -> Callable[[str, str, str], bool]:
    """Whether a document of this kind, in the file at this path, of this member's name, is of one of the types.

    A name that is no kind's and no group's is a suffix.
    """
    kinds: set[str] = set()
    suffixes: list[str] = []
    for name in map(plain, names):
        if name in KINDS or name in GROUPS:
            kinds.update(GROUPS.get(name, (name,)))
        else:
            suffixes.extend(FILES.get(name, (f".{name}",)))
    ends = tuple(suffixes)
    return lambda kind, path, member: (
        kind in kinds or (bool(ends) and (path.lower().endswith(ends) or member.lower().endswith(ends)))
    )
