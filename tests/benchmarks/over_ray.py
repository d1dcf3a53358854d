"""Processor time of indexing by a Ray cluster, against the plain run.

    python -m tests.benchmarks over_ray [--files N] [--words N] [--nodes N]

N files (2,000) of a line and N words (100), half of them Korean, go into two indexes of one PostgreSQL server: by
`kosearch index`, and by `kosearch index --ray` on a cluster of N nodes (2) on this machine, which stands before.
Printed: CPU seconds of all processes that the command started or that are the cluster's, without the server's, and
their ratio. What more the nodes take is loading, on each of them, so that files of a line each (`--words 0`) show it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from postgres_making import running
from ray_making import cluster, write_files

PROGRAM = Path(sys.executable).with_name("kosearch")
TICKS = os.sysconf("SC_CLK_TCK")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="over_ray", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--words", type=int, default=100)
    parser.add_argument("--nodes", type=int, default=2)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, running() as server:
        files = write_files(Path(folder, "files"), options.files, options.words)
        data = {**os.environ, "KOSEARCH_DATA_DIR": str(Path(folder, "data"))}
        plain = spent(["--index", server.url("plain")], files, data, server.process.pid if server.process else 0)
        print(f"plain      {plain:.1f} s CPU", flush=True)
        with cluster(options.nodes) as nodes:
            by_nodes = ["--ray", nodes.address, "--index", server.url("nodes")]
            over = spent(by_nodes, files, data, server.process.pid if server.process else 0)
        print(f"over {options.nodes} nodes {over:.1f} s CPU, {over / plain:.2f} times the plain run's")


def spent(arguments: list[str], files: Path, environ: dict[str, str], server: int) -> float:
    """CPU seconds that all below this process, but for the server, take for a run of indexing.

    Its own are those of looking, which count for neither. The others are looked at ten times a second: what nobody
    waits for, such as an actor's processes, takes its count with it.
    """
    latest: dict[tuple[int, int], float] = {}
    look(latest, server)
    before = dict(latest)
    run = subprocess.Popen([PROGRAM, "index", files, "-q", *arguments], env=environ)
    while run.poll() is None:
        look(latest, server)
        time.sleep(0.1)
    if run.returncode:
        raise subprocess.CalledProcessError(run.returncode, run.args)
    look(latest, server)
    return sum(seconds - before.get(one, 0.0) for one, seconds in latest.items())


def look(latest: dict[tuple[int, int], float], server: int) -> None:
    """Note the CPU seconds of each process below this one, by its number and when it began; of one met before, too."""
    children: dict[int, list[int]] = {}
    own: dict[int, tuple[int, float]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        number = int(stat.parent.name)
        children.setdefault(int(fields[1]), []).append(number)
        own[number] = int(fields[19]), sum(map(int, fields[11:13])) / TICKS  # see proc(5): starttime, utime, stime
    waiting = [os.getpid(), *(number for number, began in latest if number in own and own[number][0] == began)]
    seen = {server}
    while waiting:
        number = waiting.pop()
        if number in seen:
            continue
        seen.add(number)
        if number in own and number != os.getpid():
            latest[number, own[number][0]] = own[number][1]
        waiting += children.get(number, [])


if __name__ == "__main__":
    main(sys.argv[1:])
