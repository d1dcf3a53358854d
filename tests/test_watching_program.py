"""The installed program watches: everything that happens to folders, as it happens to people."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import PROGRAM, Program, until

pytest.importorskip("watchfiles")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="limits and mounts are those of Linux"),
]
SOON = 300
"""Seconds, on a machine that has other things to do."""


@contextmanager
def watching(program: Program, *command: str, refresh: str = "0") -> Iterator[Program]:
    """A process that watches the folder `docs`, begun by a command in front of it; no question looks for itself."""
    warm = Program(program.home, {**program.environment, "KOSEARCH_RESIDENT": "on", "KOSEARCH_REFRESH": refresh})
    docs = warm.home / "docs"
    docs.mkdir(exist_ok=True)
    (docs / "boiler.md").write_text("The boiler is serviced in May.\n")
    assert program.run("index", docs, "--model", "bundled", timeout=3 * SOON).returncode == 0
    process = subprocess.Popen(
        [*command, PROGRAM, "serve", "--watch"], env=warm.environment, cwd=warm.home, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        told = [process.stderr.readline() for _ in range(2)]
        assert "ready for questions" in told[1], told
        assert until(lambda: state(warm).get("looked", 0) > 0, SOON)
        yield warm
    finally:
        warm.run("serve", "--stop", timeout=SOON)
        process.wait(SOON)
        process.stderr.close()


def state(program: Program) -> dict[str, object]:
    """What `serve --status` says of watching."""
    residents = json.loads(program.run("serve", "--status", "--json", timeout=SOON).stdout)["residents"]
    found: dict[str, object] = next((one for resident in residents for one in resident.get("watching", ())), {})
    return found


def found(program: Program, word: str) -> list[str]:
    """The files with a word, as the watching process knows them."""
    printed = program.run("query", word, "--mode", "lexical", "--paths", "-k", "50", timeout=SOON).stdout
    return sorted(str(Path(path).relative_to(program.home / "docs")) for path in printed.splitlines())


def seen(program: Program, word: str, *names: str) -> bool:
    return bool(until(lambda: found(program, word) == sorted(names), SOON))


def test_editors_save_in_every_way(program: Program) -> None:
    with watching(program) as warm:
        docs = warm.home / "docs"
        note = docs / "note.md"
        note.write_text("written at once: walrus\n")
        assert seen(warm, "walrus", "note.md")
        kept = docs / "note.md~"  # Emacs: the old one is renamed, the new one written under its name
        note.rename(kept)
        note.write_text("written anew: narwhal\n")
        kept.unlink()
        assert seen(warm, "narwhal", "note.md")
        beside = docs / ".note.md.swp"  # VS Code, gedit and others: beside it, then over it
        beside.write_text("renamed over it: porpoise\n")
        beside.replace(note)
        assert seen(warm, "porpoise", "note.md")
        subprocess.run(["sed", "-i", "s/porpoise/dolphin/", note], check=True)
        assert seen(warm, "dolphin", "note.md")
        with note.open("r+") as file:  # in place, twice, without being closed in between
            file.write("written over: manatee, and more\n")
            file.flush()
            assert seen(warm, "manatee", "note.md")
        if vim := shutil.which("vim") or shutil.which("vi"):
            keys = ("-c", "%s/.*/by Vim: beluga/", "-c", "wq")
            subprocess.run([vim, "-es", *keys, note], check=False, stdin=subprocess.DEVNULL)
            assert seen(warm, "beluga", "note.md")
        (warm.home / "outside").mkdir()
        (warm.home / "outside" / "deep.md").write_text("moved in with its folder: orca\n")
        (warm.home / "outside").rename(docs / "inside")
        assert seen(warm, "orca", "inside/deep.md")
        note.unlink()
        shutil.rmtree(docs / "inside")
        assert seen(warm, "orca")
        assert state(warm) | {"index": "", "looked": 0} == {"index": "", "how": "by events", "behind": 0, "looked": 0}


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_a_checkout_of_two_thousand_files_beside_another_run(program: Program) -> None:
    docs = program.home / "docs"

    def git(*arguments: str) -> None:
        names = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *names, *arguments], cwd=docs, check=True, capture_output=True)

    docs.mkdir()
    git("init", "--initial-branch=main")
    git("commit", "--allow-empty", "-m", "nothing")
    git("checkout", "-b", "many")
    for number in range(2000):
        (docs / f"{number}.md").write_text("The same in every file.\n" if number else "One has a walrus.\n")
    git("add", ".")
    git("commit", "-m", "many")
    git("checkout", "main")
    with watching(program) as warm:
        git("checkout", "many")
        (warm.home / "more").mkdir()
        (warm.home / "more" / "seal.md").write_text("Somebody indexes a seal meanwhile.\n")
        beside = program.run("index", warm.home / "more", "--wait", timeout=3 * SOON)
        assert beside.returncode == 0, beside.stderr
        assert until(lambda: found(warm, "walrus") == ["0.md"], 3 * SOON)
        assert until(lambda: state(warm)["behind"] == 0, 3 * SOON)
        told = warm.run("status", timeout=SOON).stdout
        assert "documents   2002 in 2002 files" in told  # with boiler.md, which no branch has, and seal.md
        git("checkout", "main")
        assert until(lambda: "documents   2 in 2 files" in warm.run("status", timeout=SOON).stdout, 3 * SOON)


def test_without_room_to_watch_it_says_so_and_looks_now_and_then(program: Program) -> None:
    few = (
        "unshare",
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        'echo 3 > /proc/sys/user/max_inotify_watches && exec "$@"',
    )
    if subprocess.run([*few, "sh", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no limits can be set here")
    for number in range(9):
        (program.home / "docs" / str(number)).mkdir(parents=True)
    with watching(program, *few, "sh", refresh="5") as warm:
        assert until(lambda: "sysctl fs.inotify.max_user_watches" in str(state(warm)["how"]), SOON)
        assert "every 30 s: " in warm.run("serve", "--status").stdout
        (warm.home / "docs" / "8" / "new.md").write_text("A walrus in a folder that nobody watches.\n")
        assert seen(warm, "walrus", "8/new.md")  # the question itself looks


@pytest.mark.skipif(os.geteuid() != 0, reason="needs mounts")
def test_a_disk_goes_away_and_returns(program: Program) -> None:
    image, docs = program.home / "image", program.home / "docs"
    for one in (image, docs):
        one.mkdir()
    if subprocess.run(["mount", "--bind", image, docs], check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    mounted = True
    try:
        with watching(program) as warm:
            subprocess.run(["umount", "--lazy", docs], check=True)
            mounted = False
            (image / "boiler.md").write_text("While it was away, the furnace was changed.\n")
            time.sleep(8)  # a look or two at an empty folder
            assert found(warm, "boiler") == ["boiler.md"]  # what was there is not forgotten
            subprocess.run(["mount", "--bind", image, docs], check=True)
            mounted = True
            assert seen(warm, "furnace", "boiler.md")
            (docs / "new.md").write_text("A walrus came with the disk.\n")
            assert seen(warm, "walrus", "new.md")
            assert state(warm)["how"] == "by events"
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", docs], check=True)


SFTP = next((one for one in ("/usr/lib/openssh/sftp-server", "/usr/lib/ssh/sftp-server") if os.path.exists(one)), "")


@pytest.mark.skipif(not (SFTP and shutil.which("sshfs")), reason="needs sshfs and sftp-server")
def test_a_network_folder_is_looked_at_on_a_timer(program: Program) -> None:
    """A real one, by SFTP through a pair of sockets instead of a network."""
    server, docs = program.home / "server", program.home / "docs"
    for one in (server, docs):
        one.mkdir()
    ours, theirs = socket.socketpair()
    remote = subprocess.Popen([SFTP], stdin=ours, stdout=ours, stderr=subprocess.DEVNULL)
    mount = subprocess.Popen(["sshfs", "-f", "-o", "passive", f":{server}", docs], stdin=theirs, stdout=theirs)
    try:
        if not until(lambda: os.path.ismount(docs), 30):
            pytest.skip("sshfs mounts nothing here")
        with watching(program, refresh="5") as warm:
            assert state(warm)["how"] == "every 30 s: fuse.sshfs tells of no changes"
            (server / "new.md").write_text("A walrus was saved by somebody else.\n")
            assert seen(warm, "walrus", "new.md")
    finally:
        subprocess.run(["umount", "--lazy", docs], check=False)
        for one in (mount, remote):
            one.terminate()
            one.wait(30)
        ours.close()
        theirs.close()
