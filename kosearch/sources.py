"""Roots to files: which files are there, which are wanted, and their bytes.

Ignore files work as in git. `.kosearchignore` is read beside `.gitignore` and decides before it, at every level.
Hidden names and the folders of version control are left out unless they are roots themselves.
"""

from __future__ import annotations

import os
import stat
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace

from kosearch.filters import Globs, TooManyGlobs
from kosearch.naming import canonical, display_path, lies_under
from kosearch.records import Reason, Skipped, SourceFile

_MIB = 1024 * 1024
_RULES_LIMIT = _MIB
_CLOCK_TICK_NS = 20_000_000
"""File times come from the kernel's tick, at most 10 ms apart."""
UNSETTLED = -1
"""As the time of the last change: no file has it, so that the next run looks into this one."""
_GIT_RULES = b".gitignore"
_OWN_RULES = b".kosearchignore"
_HIDDEN = (".", "~$")  # the second is how Office marks a document that is open
_VCS_FOLDERS = frozenset({"CVS", "_darcs"})  # those of other systems are hidden
_OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO that took the file's place must not wait for its writer
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)


@dataclass(frozen=True, slots=True)
class WalkRules:
    """What a walk leaves out beyond ignore files. Globs are as in `.gitignore`, relative to the root."""

    include: tuple[str, ...] = ()
    """If there are any: only files that match, or that lie in a folder that matches."""
    exclude: tuple[str, ...] = ()
    max_size: int = 64 * _MIB
    """In bytes; a larger file is reported and not read."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of several parts that all files fall into by their paths: each of several machines takes one."""

    number: int = 1
    """From 1."""
    of: int = 1

    def __contains__(self, path_bytes: bytes) -> bool:
        return zlib.crc32(path_bytes) % self.of == self.number - 1


WHOLE = Part()


@dataclass(frozen=True, slots=True)
class Unseen:
    """A root, folder or file that could not be looked at: what is indexed at or below `path_bytes` must stay."""

    path_bytes: bytes
    root: bytes
    problem: Skipped

    @property
    def is_root(self) -> bool:
        return self.path_bytes == self.root


@dataclass(frozen=True, slots=True)
class Content:
    """A file's bytes, and the size and time it had when they were read."""

    data: bytes
    sha256: str
    size: int
    mtime_ns: int
    ctime_ns: int
    """-1 for a file so young that another change within the same tick of the clock would not show in its times."""
    inode: int


class ReadError(Exception):
    """A file could not be read; `reason` and `detail` are for its `Skipped`."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def find(roots: Mapping[bytes, WalkRules]) -> Iterator[SourceFile | Skipped | Unseen]:
    """Walk the roots, files and folders, each by its rules, in sorted order, and yield each file once.

    Links are followed in the roots' own names and nowhere else: what a link points to is found under its own
    name where it lies under a root, and reported where it does not. Of two roots, one inside the other, the
    inner owns what lies below it. A root is walked even where it is hidden or ignored.
    """
    by_name = {canonical(root): rules for root, rules in roots.items()}
    for root in sorted(by_name):
        yield from _Walk(root, frozenset(by_name), by_name[root]).run()


def read(path_bytes: bytes, max_size: int) -> Content:
    """Read a whole file, and see that it stayed the same meanwhile; raises ReadError."""
    try:
        descriptor = os.open(path_bytes, _OPEN_FLAGS)
        try:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise ReadError(Reason.NOT_A_FILE, _kind_of(before.st_mode))
            if before.st_size > max_size:
                raise ReadError(Reason.TOO_LARGE, _too_large(before.st_size, max_size))
            data = _read_up_to(descriptor, before.st_size + 1)  # a byte more than expected shows that it has grown
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise ReadError(Reason.VANISHED, "the file vanished before it was read") from error
    except OSError as error:
        raise ReadError(Reason.UNREADABLE, _cause(error)) from error
    if not after.st_nlink:
        raise ReadError(Reason.VANISHED, "the file was deleted while it was read")
    if len(data) != after.st_size or before.st_mtime_ns != after.st_mtime_ns:
        raise ReadError(Reason.CHANGED, "the file changed while it was read; index it again")
    settled = time.time_ns() - after.st_ctime_ns > _CLOCK_TICK_NS  # users set the other time, the system this one
    ctime_ns = after.st_ctime_ns if settled else UNSETTLED
    import hashlib  # here: who only shows paths need not wait for it

    return Content(data, hashlib.sha256(data).hexdigest(), after.st_size, after.st_mtime_ns, ctime_ns, after.st_ino)


def _read_up_to(descriptor: int, size: int) -> bytes:
    chunks = []
    while size and (chunk := os.read(descriptor, size)):
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


@dataclass(frozen=True, slots=True)
class _Folder:
    path_bytes: bytes
    path: str
    """For display and matching, without a `/` at the end."""
    git_rules: tuple[Globs, ...] = ()
    own_rules: tuple[Globs, ...] = ()
    """Both from the outermost folder inwards."""
    included: bool = False
    """Whether `include` took in this folder as a whole."""


class _Walk:
    def __init__(self, root: bytes, roots: frozenset[bytes], rules: WalkRules) -> None:
        self._root = root
        self._roots = roots
        self._max_size = rules.max_size
        base = root if os.path.isdir(root) else os.path.dirname(root)
        start = len(_folder_path(base)) + 1
        self._exclude = Globs(rules.exclude, start)
        self._include = Globs(rules.include, start) if rules.include else None

    def run(self) -> Iterator[SourceFile | Skipped | Unseen]:
        try:
            status = os.lstat(self._root)
        except (FileNotFoundError, NotADirectoryError):
            yield self._unseen(self._root, Reason.VANISHED, "there is no such file or folder")
        except OSError as error:
            yield self._unseen(self._root, Reason.UNREADABLE, _cause(error))
        else:
            yield from self._folders() if stat.S_ISDIR(status.st_mode) else self._file(status)

    def _file(self, status: os.stat_result) -> Iterator[SourceFile | Skipped | Unseen]:
        """A root that is no folder: no ignore file applies to it, only the user's own globs."""
        path = display_path(self._root)
        name = path.rpartition("/")[2]
        if self._exclude.verdict(path, name, False) or not self._includes(path, name, False, above=False):
            yield self._unseen(self._root, Reason.EMPTY, "--include or --exclude leaves it out")
        elif item := self._judge(self._root, path, status):
            yield item

    def _folders(self) -> Iterator[SourceFile | Skipped | Unseen]:
        """Folders wait in a list and not on the call stack: no tree is too deep."""
        found = False
        start, problems = _start(self._root)
        yield from problems
        waiting = [start]
        while waiting:
            folder = waiting.pop()
            try:
                listing = _list(folder.path_bytes)
            except OSError as error:
                found = True
                reason = Reason.VANISHED if isinstance(error, FileNotFoundError) else Reason.UNREADABLE
                yield self._unseen(folder.path_bytes, reason, _cause(error))
                continue
            folder, problems = _with_rules(folder, {name for name, _ in listing})
            yield from problems
            inner = []
            for raw_name, status in listing:
                path_bytes = os.path.join(folder.path_bytes, raw_name)
                name = display_path(raw_name)
                path = f"{folder.path}/{name}"
                is_folder = not isinstance(status, OSError) and stat.S_ISDIR(status.st_mode)
                if path_bytes in self._roots:
                    found = True
                elif not self._admits(folder, path, name, is_folder):
                    continue
                elif isinstance(status, OSError):
                    found = True
                    yield self._unseen(path_bytes, Reason.UNREADABLE, _cause(status))
                elif is_folder:
                    included = self._includes(path, name, is_folder, above=folder.included)
                    inner.append(_Folder(path_bytes, path, folder.git_rules, folder.own_rules, included))
                elif self._includes(path, name, is_folder, above=folder.included) and (
                    item := self._judge(path_bytes, path, status)
                ):
                    found = found or isinstance(item, SourceFile)
                    yield item
            waiting.extend(reversed(inner))
        if not found:
            yield self._unseen(self._root, Reason.EMPTY, "no file was found here that the rules let in")

    def _admits(self, folder: _Folder, path: str, name: str, is_folder: bool) -> bool:
        if name.startswith(_HIDDEN) or (is_folder and name in _VCS_FOLDERS):
            return False
        if self._exclude.verdict(path, name, is_folder):
            return False
        ignored = _last_verdict(folder.own_rules, path, name, is_folder)
        if ignored is None:
            ignored = _last_verdict(folder.git_rules, path, name, is_folder)
        return not ignored

    def _includes(self, path: str, name: str, is_folder: bool, *, above: bool) -> bool:
        """`above` is what holds for the folder that the entry lies in."""
        if self._include is None:
            return True
        verdict = self._include.verdict(path, name, is_folder)
        return above if verdict is None else verdict

    def _judge(self, path_bytes: bytes, path: str, status: os.stat_result) -> SourceFile | Skipped | None:
        """None for a link to what is found under its own name."""
        if stat.S_ISLNK(status.st_mode):
            return self._judge_link(path_bytes, path)
        if not stat.S_ISREG(status.st_mode):
            return Skipped(path, Reason.NOT_A_FILE, _kind_of(status.st_mode), path_bytes=path_bytes)
        if status.st_size > self._max_size:
            return Skipped(path, Reason.TOO_LARGE, _too_large(status.st_size, self._max_size), path_bytes=path_bytes)
        times = (status.st_mtime_ns, status.st_ctime_ns)
        return SourceFile(path_bytes, path, self._root, status.st_size, *times, status.st_ino)

    def _judge_link(self, path_bytes: bytes, path: str) -> Skipped | None:
        target = os.path.realpath(path_bytes)
        if not os.path.exists(target):
            return Skipped(path, Reason.NOT_A_FILE, "a symbolic link that leads nowhere", path_bytes=path_bytes)
        if any(lies_under(target, root) for root in self._roots):
            return None
        detail = f"a symbolic link that leads out of the roots; index its target: {display_path(target)}"
        return Skipped(path, Reason.NOT_A_FILE, detail, path_bytes=path_bytes)

    def _unseen(self, path_bytes: bytes, reason: Reason, detail: str) -> Unseen:
        return Unseen(path_bytes, self._root, Skipped(display_path(path_bytes), reason, detail, path_bytes=path_bytes))


def _list(folder: bytes) -> list[tuple[bytes, os.stat_result | OSError]]:
    """A folder's entries, sorted, each with its status or why there is none; raises OSError."""
    entries: list[tuple[bytes, os.stat_result | OSError]] = []
    with os.scandir(folder) as listing:
        for entry in listing:
            try:
                entries.append((entry.name, entry.stat(follow_symlinks=False)))
            except FileNotFoundError:
                continue  # deleted since it was listed
            except PermissionError:
                raise  # the folder may be listed but not entered: no entry would do better
            except OSError as error:
                entries.append((entry.name, error))
    entries.sort(key=lambda entry: entry[0])
    return entries


def _start(root: bytes) -> tuple[_Folder, list[Skipped]]:
    """The root with the rules of the folders above it, up to the top of the repository it lies in.

    Who may write to a folder above must not decide what is found here: as in git, only what belongs to this user, to
    the root's owner or to root counts there.
    """
    above: list[bytes] = []
    top = root
    owners = _trusted(root)
    while not _belongs_to(os.path.join(top, b".git"), owners):
        parent = os.path.dirname(top)
        if parent == top:
            return _Folder(root, _folder_path(root)), []
        top = parent
        above.append(parent)
    git_rules: tuple[Globs, ...] = ()
    own_rules: tuple[Globs, ...] = ()
    problems: list[Skipped] = []
    for path_bytes in reversed(above):
        names = {name for name in (_GIT_RULES, _OWN_RULES) if _belongs_to(os.path.join(path_bytes, name), owners)}
        folder, more = _with_rules(_Folder(path_bytes, _folder_path(path_bytes), git_rules, own_rules), names)
        git_rules, own_rules = folder.git_rules, folder.own_rules
        problems += more
    return _Folder(root, _folder_path(root), git_rules, own_rules), problems


def _trusted(root: bytes) -> frozenset[int]:
    """The users whose ignore files above a root count."""
    if not hasattr(os, "geteuid"):
        return frozenset()
    owners = {0, os.geteuid()}
    with suppress(OSError):
        owners.add(os.stat(root).st_uid)
    return frozenset(owners)


def _belongs_to(path: bytes, owners: frozenset[int]) -> bool:
    """Whether it is there and one of them owns it; where there are no users, whether it is there."""
    try:
        return not owners or os.lstat(path).st_uid in owners
    except OSError:
        return False


def _with_rules(folder: _Folder, names: Set[bytes]) -> tuple[_Folder, list[Skipped]]:
    """The folder with the rules of its own ignore files added, and those that could not be read."""
    git_rules = () if b".git" in names else folder.git_rules  # a repository inside another has its own rules only
    own_rules = folder.own_rules
    problems: list[Skipped] = []
    for name in names & {_GIT_RULES, _OWN_RULES}:
        try:
            rules = Globs(_ignore_lines(os.path.join(folder.path_bytes, name)), len(folder.path) + 1)
        except ReadError as error:
            path = f"{folder.path}/{display_path(name)}"
            problems.append(Skipped(path, error.reason, f"its rules do not apply: {error.detail}"))
            continue
        except TooManyGlobs as error:
            path = f"{folder.path}/{display_path(name)}"
            problems.append(Skipped(path, Reason.TOO_LARGE, f"its rules do not apply: {error}"))
            continue
        if name == _GIT_RULES:
            git_rules += (rules,)
        else:
            own_rules += (rules,)
    return replace(folder, git_rules=git_rules, own_rules=own_rules), problems


def _ignore_lines(path_bytes: bytes) -> list[str]:
    """The lines of an ignore file. Raises ReadError."""
    try:
        return read(path_bytes, _RULES_LIMIT).data.decode("utf-8-sig", "replace").split("\n")
    except ReadError as error:
        if error.reason != Reason.TOO_LARGE:
            raise
        raise ReadError(
            error.reason, f"more than the {_RULES_LIMIT // _MIB} MiB that an ignore file may have"
        ) from error


def _folder_path(path_bytes: bytes) -> str:
    return display_path(path_bytes).rstrip("/")


def _cause(error: OSError) -> str:
    return error.strerror or str(error)


def _kind_of(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFLNK: "a symbolic link",
    }
    return f"{kinds.get(stat.S_IFMT(mode), 'something special')}, not a regular file"


def _too_large(size: int, limit: int) -> str:
    return f"{size / _MIB:,.1f} MiB are more than the limit of {limit / _MIB:,.1f} MiB; --max-file-size sets it"


def _last_verdict(chain: Sequence[Globs], path: str, name: str, is_folder: bool) -> bool | None:
    for rules in reversed(chain):
        verdict = rules.verdict(path, name, is_folder)
        if verdict is not None:
            return verdict
    return None
