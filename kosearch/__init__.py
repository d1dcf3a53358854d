"""Semantic and Korean full-text search over local documents: index folders, and find the passages that answer.

    import kosearch

    notes = kosearch.open("notes")
    notes.index("./docs")
    for hit in notes.search("연차를 다음 해로 넘길 수 있나요?", k=5):
        print(hit.path, hit.page, hit.score, hit.text)

What is public stands in `__all__`; `kosearch docs python` shows how it is used. A name is imported when it is first
asked for, so that this module itself costs next to nothing.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False  # type checkers know the name; importing it takes time
if TYPE_CHECKING:
    from kosearch.analysis.duplicates import Duplicate as Duplicate
    from kosearch.analysis.duplicates import DuplicateGroup as DuplicateGroup
    from kosearch.analysis.topics import Topic as Topic
    from kosearch.analysis.topics import Topics as Topics
    from kosearch.errors import ConfigError as ConfigError
    from kosearch.errors import FilesSkipped as FilesSkipped
    from kosearch.errors import IndexBusy as IndexBusy
    from kosearch.errors import IndexDamaged as IndexDamaged
    from kosearch.errors import IndexMismatch as IndexMismatch
    from kosearch.errors import IndexMissing as IndexMissing
    from kosearch.errors import IndexStateError as IndexStateError
    from kosearch.errors import KosearchError as KosearchError
    from kosearch.errors import ModelError as ModelError
    from kosearch.errors import ResourcesError as ResourcesError
    from kosearch.errors import UsageError as UsageError
    from kosearch.index import FullDocument as FullDocument
    from kosearch.index import Identity as Identity
    from kosearch.index import Status as Status
    from kosearch.index import StoredDocument as StoredDocument
    from kosearch.index import StoredPassage as StoredPassage
    from kosearch.joined import Joined as Joined
    from kosearch.joined import join as join
    from kosearch.library import Index as Index
    from kosearch.library import IndexRun as IndexRun
    from kosearch.library import attachment as attachment
    from kosearch.library import embed as embed
    from kosearch.library import open as open
    from kosearch.library import read as read
    from kosearch.library import similarity as similarity
    from kosearch.records import Answer as Answer
    from kosearch.records import Changes as Changes
    from kosearch.records import Extracted as Extracted
    from kosearch.records import Extraction as Extraction
    from kosearch.records import Heading as Heading
    from kosearch.records import Hit as Hit
    from kosearch.records import IndexProgress as IndexProgress
    from kosearch.records import IndexReport as IndexReport
    from kosearch.records import PageStart as PageStart
    from kosearch.records import Passage as Passage
    from kosearch.records import Reason as Reason
    from kosearch.records import Score as Score
    from kosearch.records import Shown as Shown
    from kosearch.records import Skipped as Skipped
    from kosearch.training import Candidate as Candidate
    from kosearch.training import Gain as Gain
    from kosearch.training import Training as Training
    from kosearch.training import candidate_questions as candidate_questions
    from kosearch.training import train as train

_ROOMS = {
    "joined": ("join", "Joined"),
    "library": ("open", "read", "attachment", "embed", "similarity", "Index", "IndexRun"),
    "training": ("train", "Training", "Gain", "candidate_questions", "Candidate"),
    "analysis.duplicates": ("DuplicateGroup", "Duplicate"),
    "analysis.topics": ("Topics", "Topic"),
    "records": (
        *("Answer", "Hit", "Passage", "Score", "Shown"),
        *("IndexProgress", "IndexReport", "Changes", "Skipped", "Reason"),
        *("Extraction", "Extracted", "Heading", "PageStart"),
    ),
    "index": ("Status", "Identity", "StoredPassage", "StoredDocument", "FullDocument"),
    "errors": (
        *("KosearchError", "UsageError", "ConfigError", "ModelError", "IndexStateError", "IndexMissing"),
        *("IndexMismatch", "IndexDamaged", "IndexBusy", "FilesSkipped", "ResourcesError"),
    ),
}
"""Module → what of it is public."""

__all__ = [name for names in _ROOMS.values() for name in names]


def __getattr__(name: str) -> object:
    for room, names in _ROOMS.items():
        if name in names:
            from importlib import import_module

            value: object = getattr(import_module(f"kosearch.{room}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'kosearch' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
