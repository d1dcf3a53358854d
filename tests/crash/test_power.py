"""The power fails: whatever had not reached the disk is lost in any combination, and what was committed answers."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import pytest
from conftest import Tally

from crash.conftest import Place
from crash.folders import chance, litter
from crash.forked import Fault
from crash.power import Disk, marks, read_log
from crash.test_kill import PUBLISHED
from kosearch.index import SqliteStore


@pytest.mark.parametrize("times", [3, pytest.param(300, marks=pytest.mark.crash)])
def test_the_power_fails_during_a_run(place: Place, times: int, tally: Tally, tmp_path: Path) -> None:
    place.reset()
    before = Disk(place.index)
    assert place.forked.run("index", index=place.index, fault=Fault(log=str(tmp_path / "log"))).code == 0
    operations = read_log(tmp_path / "log")
    published = next(number for number, name in marks(operations).items() if name == PUBLISHED)
    generator = chance(times)
    begins = (0, published)  # every second time the run has published: then nothing at all may be lost
    for number in range(times):
        end = generator.randrange(begins[number % 2], len(operations))
        disk = copy.deepcopy(before)
        disk.go_to(operations, end)
        shutil.rmtree(place.index)
        disk.cut(place.index, generator)
        tally.tried("power")
        found = place.answers()
        assert found in ((place.after,) if end > published else (place.before, place.after)), operations[end]
        assert place.forked.run("index", index=place.index).code == 0
        assert place.answers() == place.after
        assert litter(place.index) == []
        index = SqliteStore(place.index)
        assert index.check() == []
        index.close()
