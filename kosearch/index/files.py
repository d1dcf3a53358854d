"""The derived files of a generation: a folder, and a manifest that says what must be in it.

    generation-12/
      manifest.json          size and CRC-32 of every other file; SQLite keeps the manifest's own checksum
      rows.i64               passage id, document id of every vector, ids ascending, negative where dead
      vectors-3.f32, …       vectors (int8: .i8) in the order of rows.i64, in parts named by their first generation
      codes-3.i8, …          what a scan of a large part reads in its place (codes.py)
      graph-8.usearch        HNSW over the passages that there were in generation 8, if there were many
      lexical/               Tantivy's files
      verified.json          when a reader last compared each of them with its CRC, and how the file was then

A file that is the same in the next generation is a hard link there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from kosearch.errors import IndexBusy, IndexStateError

MANIFEST = "manifest.json"
VERIFIED = "verified.json"
_VERIFIED_SECONDS = 24 * 60 * 60.0
"""Every byte is read again after so long, for a disk may lose one without anybody writing."""
_SAME_TICK = 3.0
"""What was written less than so many seconds ago may be written again at the same time: clocks of files are coarse."""
GRAPH, CODES = "graph", "codes"
"""How the names of files begin without which there still are vectors to scan."""
GRAPH_SUFFIX = ".usearch"
"""Of a graph's file. Earlier versions wrote hnswlib's, with another one: such a graph is not read, but built anew."""
MAX_DEAD = 0.25
"""Rows that left, among all that a generation drags along, before its files are written anew."""
_CHUNK = 1 << 20
_NAME = re.compile(r"(?:lexical/)?[A-Za-z0-9_][A-Za-z0-9_.-]*|lexical/\.[A-Za-z0-9_.-]*[A-Za-z0-9_]")
"""Of a derived file, in its generation's folder."""


class Damaged(Exception):
    """A derived file is missing or is not what was written. Never leaves this package: there is SQLite."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a file must be."""

    size: int
    crc32: int


@dataclass(frozen=True, slots=True)
class Graph:
    """The HNSW file and what is in it."""

    name: str
    items: int
    """All its items, deleted ones too."""
    last: int
    """The highest passage id in it: every live passage up to it is in the graph."""
    ef: int = 400
    """How wide it is searched; 0 where no width finds enough, and a scan is the better answer."""
    recall: float = 0.0
    """The share of the nearest of 200 questions that were found so when it was written; 0 where that is not known."""

    @property
    def is_used(self) -> bool:
        """Whether it is searched."""
        return self.is_current and self.ef > 0

    @property
    def is_current(self) -> bool:
        """Whether it is of the kind that is read and written now."""
        return self.name.endswith(GRAPH_SUFFIX)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What belongs to a generation."""

    generation: int
    dimensions: int
    storage: str = "float16"
    """What SQLite keeps vectors in. Files hold int8 as it is, and float16 as the float32 that is multiplied."""
    parts: tuple[tuple[str, int], ...] = ()
    """Vector files and their rows, in order."""
    graph: Graph | None = None
    declined: int = 0
    """Where there is no graph, because one would not pay: how many passages there were when that was found."""
    files: dict[str, Entry] = field(default_factory=dict)
    """Every file, by its path in the folder."""

    def check(self, directory: Path, prefix: str) -> None:
        """See that the files whose path begins with `prefix` are what was written.

        Reads them all: 15 ms for 100 MB in the page cache. Raises Damaged.
        """
        for name, entry in self.files.items():
            if name.startswith(prefix) and measure(directory / name, entry.size) != entry:
                raise Damaged(f"{name} is not what was written")

    def whole(self, directory: Path, prefix: str) -> bool:
        """Whether the files whose path begins so are what was written, and a graph of the kind that is written now."""
        if prefix == GRAPH and self.graph and not self.graph.is_current:
            return False
        try:
            self.check(directory, prefix)
        except Damaged:
            return False
        return True

    def without(self, prefix: str) -> Manifest:
        """The same generation as if it had no files whose path begins so: a scan stands in for codes and graph."""
        kept = {name: entry for name, entry in self.files.items() if not name.startswith(prefix)}
        return replace(self, graph=None if prefix == GRAPH else self.graph, files=kept)


class Verified:
    """The files of a generation for a reader: each is read as a whole when it is met, and then once a day.

    In between it is the one that was read where size, inode and times are the same. To read a gigabyte anew takes
    longer than all else of a question. Who writes the next generation does so all the same, and `kosearch check`.
    """

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self._directory, self._manifest = directory, manifest
        self._noted = _read_notes(directory)

    def check(self, prefix: str) -> None:
        """As Manifest.check, of the files that are not known to be whole. Raises Damaged."""
        now, names = time.time(), [name for name in self._manifest.files if name.startswith(prefix)]
        states = {name: self._state(name) for name in names}
        unknown = [name for name in names if not self._is_known(name, states[name], now)]
        for name in unknown:
            self._manifest.check(self._directory, name)
        settled = (now - _SAME_TICK) * 1e9
        new = {name: [now, *state] for name in unknown if (state := states[name]) and state[0] < settled}
        if new:
            self._noted.update(new)
            _write_notes(self._directory, self._noted)

    def _state(self, name: str) -> list[int]:
        """By what it is told that a file was written to; empty where it cannot be met."""
        try:
            found = os.stat(self._directory / name)
        except OSError:
            return []
        return [found.st_ctime_ns, found.st_mtime_ns, found.st_ino, found.st_size, self._manifest.files[name].crc32]

    def _is_known(self, name: str, state: list[int], now: float) -> bool:
        noted = self._noted.get(name)
        return bool(state and noted and noted[1:] == state and 0 <= now - noted[0] < _VERIFIED_SECONDS)


def _read_notes(directory: Path) -> dict[str, list[float]]:
    """What readers have noted of the files that they read; nothing where that makes no sense."""
    try:
        found = json.loads((directory / VERIFIED).read_bytes())
        numbers = [number for noted in found.values() for number in noted]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return found if all(isinstance(number, int | float) for number in numbers) else {}


def _write_notes(directory: Path, noted: dict[str, list[float]]) -> None:
    """Keep that, where this reader may write; if it is lost, files are read once more."""
    scratch = directory / f".{VERIFIED}-{os.getpid()}-{os.urandom(4).hex()}"
    with suppress(OSError):
        try:
            scratch.write_text(json.dumps(noted), encoding="ascii")
            scratch.chmod(0o600)
            scratch.replace(directory / VERIFIED)
        finally:
            scratch.unlink(missing_ok=True)


def folder(directory: Path, generation: int) -> Path:
    """Where the derived files of a generation lie."""
    return directory / f"generation-{generation}"


def measure(path: Path, size: int | None = None) -> Entry:
    """Size and CRC-32 of a file; the CRC only where the size is the one expected. Raises Damaged."""
    try:
        with path.open("rb") as stream:
            actual = os.fstat(stream.fileno()).st_size
            crc = 0
            if size is None or actual == size:
                while chunk := stream.read(_CHUNK):
                    crc = zlib.crc32(chunk, crc)
            return Entry(actual, crc)
    except OSError as error:
        raise Damaged(f"{path.name} cannot be read: {error}") from error


def measure_all(directory: Path, name: str, known: Mapping[str, Entry]) -> dict[str, Entry]:
    """Size and CRC-32 of every file in a folder of `directory` but locks, by its path there; some are `known`."""
    paths = {path.relative_to(directory).as_posix(): path for path in (directory / name).iterdir()}
    return {one: known.get(one) or measure(paths[one]) for one in sorted(paths) if paths[one].suffix != ".lock"}


def write_manifest(directory: Path, manifest: Manifest) -> str:
    """Write the manifest, make the whole folder durable and private, and return the manifest's checksum."""
    data = json.dumps(asdict(manifest), indent=1).encode()
    (directory / MANIFEST).write_bytes(data)
    for parent, _, names in os.walk(directory):
        for name in names:
            _sync(Path(parent, name), 0o600)
        sync_folder(Path(parent))
    sync_folder(directory.parent)
    return _checksum(data)


def read_manifest(directory: Path, checksum: str) -> Manifest:
    """The manifest with this checksum. Raises Damaged."""
    try:
        data = (directory / MANIFEST).read_bytes()
    except OSError as error:
        raise Damaged(f"{MANIFEST} cannot be read: {error}") from error
    if _checksum(data) != checksum:
        raise Damaged(f"{MANIFEST} is not what was written")
    try:
        value = json.loads(data)
        manifest = Manifest(
            value["generation"],
            value["dimensions"],
            value.get("storage", "float16"),
            tuple((name, rows) for name, rows in value["parts"]),
            Graph(**value["graph"]) if value["graph"] else None,
            value.get("declined", 0),
            {name: Entry(**entry) for name, entry in value["files"].items()},
        )
        _require_sense(manifest)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged(f"{MANIFEST} makes no sense") from error
    return manifest


def _require_sense(manifest: Manifest) -> None:
    """See that it names files of its own folder and sizes of that sort. Raises ValueError.

    The checksum says that nothing was damaged; an index that came from elsewhere may have been made up.
    """
    graph = manifest.graph
    numbers = [manifest.generation, manifest.dimensions, manifest.declined, *(rows for _, rows in manifest.parts)]
    numbers += [graph.items, graph.last, graph.ef] if graph else []
    if graph and not 0 <= graph.recall <= 1:
        raise ValueError
    numbers += [number for entry in manifest.files.values() for number in (entry.size, entry.crc32)]
    if not all(type(number) is int and 0 <= number < 1 << 60 for number in numbers):
        raise ValueError
    names = [name for name, _ in manifest.parts] + ([graph.name] if graph else [])
    if manifest.dimensions < 1 or manifest.storage not in {"float16", "int8"} or not {*names} <= {*manifest.files}:
        raise ValueError
    if not all(_NAME.fullmatch(name) for name in manifest.files):
        raise ValueError


def link(source: Path, target: Path) -> None:
    """The same file in another folder: a hard link, or a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def link_terms(source: Path, target: Path, generation: int, name: str) -> None:
    """Let another index have the terms of a generation, in the folder `name` of it; not what is made of vectors.

    Where that is not possible, they are made anew from SQLite.
    """
    old, new = folder(source, generation), folder(target, generation)
    try:
        (new / name).mkdir(mode=0o700, parents=True)
        shutil.copyfile(old / MANIFEST, new / MANIFEST)
        for path in (old / name).iterdir():
            if path.suffix != ".lock":
                link(path, new / name / path.name)
    except OSError:
        shutil.rmtree(new, ignore_errors=True)


def sweep(directory: Path, keep: int) -> None:
    """Remove the folders of other generations, as far as that is possible now."""
    for path in generations(directory):
        if path != folder(directory, keep):
            shutil.rmtree(path, ignore_errors=True)


def total_size(directory: Path) -> int:
    """Bytes of all files below a folder, each counted once however often it is linked."""
    sizes: dict[int, int] = {}
    for parent, _, names in os.walk(directory):
        for name in names:
            with suppress(FileNotFoundError):
                status = os.lstat(os.path.join(parent, name))
                sizes[status.st_ino] = status.st_size
    return sum(sizes.values())


def remove(directory: Path) -> None:
    """Remove a folder that may not be there."""
    if directory.exists():
        shutil.rmtree(directory)


def generations(directory: Path) -> Iterator[Path]:
    """The folders of all generations, finished or not."""
    return directory.glob("generation-*")


def sync_folder(directory: Path) -> None:
    """Make the names in a folder durable, and the folder private."""
    _sync(directory, 0o700)


def _checksum(data: bytes) -> str:
    return f"{zlib.crc32(data):08x}"


def _sync(path: Path, mode: int) -> None:
    if sys.platform == "win32" and path.is_dir():
        return  # folders can neither be opened nor synced there
    path.chmod(mode)
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# One writer at a time: a file lock that the kernel gives back when its process ends, however it ends.

if sys.platform == "win32":
    import msvcrt

    def _try_to_lock(descriptor: int) -> bool:
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # a locked byte cannot be read, so not one of the note's
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_to_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:  # as on some network storage
            raise IndexStateError(
                f"the index lies where files cannot be locked ({error.strerror}), and two writers would destroy it",
                "choose a folder on a disk of this machine with --index",
            ) from error
        return True


_POLL_SECONDS = 0.2
_BRIEF_SECONDS = 60.0
"""Seconds that a brief holder is waited for; it means to take five of them, but on an overloaded machine takes more."""
_held: set[int] = set()


def _close_in_child() -> None:
    """A forked worker shares its parent's lock: were it to outlive the parent, the lock would seem held."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_close_in_child)


@contextmanager
def exclusive(path: Path, *, wait: bool, brief: bool = False) -> Iterator[None]:
    """Hold the lock file `path`; what a dead process left in it does not matter.

    Raises IndexBusy, naming the holder, unless `wait` says to wait for it. Who holds it `brief`ly says so, and is
    waited for a while by everybody else.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise IndexStateError(f"the index in {path.parent} cannot be written: {error}", "kosearch status") from error
    owner, ends = os.getpid(), time.monotonic() + _BRIEF_SECONDS
    _held.add(descriptor)
    try:
        while not _try_to_lock(descriptor):
            if not wait and (time.monotonic() > ends or not _holder(path).get("brief")):
                raise _busy(descriptor, path.parent)
            time.sleep(_POLL_SECONDS)
        record = {
            "pid": owner,
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat("T", "seconds"),
            "brief": brief,
        }
        _note(descriptor, json.dumps(record).encode())
        yield
        _note(descriptor, b"")
    finally:
        if descriptor in _held and os.getpid() == owner:
            _held.discard(descriptor)
            os.close(descriptor)


def held_since(path: Path) -> datetime | None:
    """When the process that holds the lock file `path` took it; None where none does, as far as its note tells.

    Nothing is locked for this: it must not turn a writer away.
    """
    try:
        holder = json.loads(path.read_bytes())
        if holder["host"] == socket.gethostname() and not _is_alive(int(holder["pid"])):
            return None
        return datetime.fromisoformat(holder["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _holder(path: Path) -> dict[str, object]:
    """What the holder of a lock file has noted; nothing where it has not yet."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # another user's
    return True


def _note(descriptor: int, text: bytes) -> None:
    with suppress(OSError):  # on a full disk the lock holds all the same
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, text)


def _busy(descriptor: int, directory: Path) -> IndexBusy:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        holder = json.loads(os.read(descriptor, 4096))
        who = f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        who = "a process that has only just begun"
    return IndexBusy(f"the index in {directory} is being written by {who}", "try again later, or add --wait")


# Named moments of a write, so that tests can stop the program at each of them.

hooks: list[Callable[[str], None]] = []


def step(name: str) -> None:
    """Say that a write has come to `name`; a hook may raise or kill the process there."""
    for hook in hooks:
        hook(name)
