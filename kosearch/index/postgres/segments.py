"""Makes the segments of postings.py of what was committed, as whoever writes does now and then.

While one is made, others ask and write: it takes nothing away, and what it covers are passages that nobody can add to
any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from kosearch.index.contract import Ids
from kosearch.index.postgres.postings import Hashes, Places, rows_of, terms_of
from kosearch.index.postgres.schema import (
    MOST_SPAN,
    Segment,
    State,
    hashes_of,
    is_taken,
    lock_in,
    lock_out,
    read_state,
)
from kosearch.index.postgres.server import Server, Session

SPAN = MOST_SPAN
"""A segment covers so many ids."""
TAIL = 1 << 10
"""So many passages are not left without a segment when they are committed."""
_MAKER = -1
"""The number that whoever makes segments takes; those of slots are from 0 up."""
FEW = 64
"""Nor so many when a run is over."""
_ALIKE = 3
"""After so many segments of about its size, or less, one is made together with them: a passage is written some four
times in all, and a question looks into a dozen of small segments at most."""
_ROWS = 4096


def make_segments(server: Server, state: State, *, tidy: bool = False) -> None:
    """Cover what no segment does, where it is much; `tidy`, after a run, where it is more than a few.

    Whoever may not write there, or may not see all passages, leaves it to others.
    """

    def look(session: Session) -> tuple[bool, bool, State]:
        (leaves,) = session.row(
            "SELECT row_security_active('lexicon') OR NOT"
            " (has_table_privilege('posting', 'INSERT') AND has_table_privilege('posting', 'DELETE'))"
        )
        now = read_state(session, server.place)
        return leaves, lack_segments(session, now, FEW if tidy else None), now

    leaves, lacking, now = server.again(look)
    if leaves:
        return
    if lacking:
        until = server.again(_settled)
        while server.again(lambda session: _make_one(session, server, state, until)):
            pass
    if tidy and _is_worn(now):
        server.again(lambda session: _make_worn_anew(session, server, state))


def lack_segments(session: Session, state: State, least: int | None = None) -> bool:
    """Whether so many passages have no segment, `TAIL` unless it is said."""
    sql = "SELECT count(*) FROM (SELECT 1 FROM lexicon WHERE passage > %s LIMIT %s) more"
    wanted = least or TAIL
    return bool(session.row(sql, state.segments[-1].high if state.segments else 0, wanted)[0] == wanted)


def drop_segments(session: Session) -> None:
    """Let the GIN index answer, until segments are made again. The caller has locked all others out."""
    session.run("DELETE FROM segment")
    session.run("DELETE FROM posting")


def wrong_segments(session: Session, state: State) -> Iterator[str]:
    """A sentence where a segment's lists are not what its passages have."""
    for segment in state.segments:
        ids, hashes, places = _terms_between(session, segment.low, segment.high)
        rows = session.rows("SELECT body FROM posting WHERE segment = %s ORDER BY first", segment.low)
        listed, at = terms_of([body for (body,) in rows], segment.high - segment.low)
        there = np.isin(at, ids - segment.low - 1)
        order = np.argsort(hashes, kind="stable")
        if not (np.array_equal(listed[there], hashes[order]) and np.array_equal(at[there], places[order])):
            yield "the lists of who has a term are not those of the passages"
            return


def _settled(session: Session) -> int:
    """The last passage: whoever writes later has ids above it, and nobody who began before is still at it."""
    lock_out(session)
    (last,) = session.row("SELECT coalesce(max(passage), 0) FROM lexicon")
    return int(last)


def _taken_up(session: Session, server: Server, state: State) -> State | None:
    """The index as it is now, for whoever makes segments alone; None where another does, or the rules have changed."""
    lock_in(session)
    if is_taken(session, _MAKER):
        return None
    now = read_state(session, server.place)
    if (now.id, now.identity) != (state.id, state.identity):
        return None
    if not now.segments:  # those that are there are by other rules
        drop_segments(session)
    return now


def _make_one(session: Session, server: Server, state: State, until: int) -> bool:
    """Make a segment of the first passages that have none, up to an id, and of small ones before; whether to go on."""
    now = _taken_up(session, server, state)
    if now is None:
        return False
    kept = list(now.segments)
    sql = "SELECT passage FROM lexicon WHERE passage > %s AND passage <= %s ORDER BY passage LIMIT %s"
    new = [number for (number,) in session.rows(sql, kept[-1].high if kept else 0, until, SPAN)]
    if not new:
        return False
    low = new[0] - 1
    high = min(until, low + SPAN)
    count = int(np.searchsorted(new, high, side="right"))
    while len(alike := [one for one in kept[-_ALIKE:] if one.passages < 2 * count]) == _ALIKE:
        joined = [one for one in alike if high - one.low <= SPAN]
        if not joined:
            break
        low, count = joined[0].low, count + sum(one.passages for one in joined)
        for one in joined:
            kept.remove(one)
            _drop(session, one)
    _write(session, low, high, state.identity.term_rules)
    return bool(high < until)


def _is_worn(state: State) -> bool:
    """Whether more passages in segments have left than there are."""
    return sum(one.passages for one in state.segments) > 2 * state.passages


def _make_worn_anew(session: Session, server: Server, state: State) -> None:
    now = _taken_up(session, server, state)
    for one in now.segments if now is not None and _is_worn(now) else ():
        sql = "SELECT count(*) FROM lexicon WHERE passage > %s AND passage <= %s"
        (there,) = session.row(sql, one.low, one.high)
        if 2 * there < one.passages:
            _drop(session, one)
            if there:
                _write(session, one.low, one.high, state.identity.term_rules)


def _drop(session: Session, segment: Segment) -> None:
    session.run("DELETE FROM segment WHERE low = %s", segment.low)
    session.run("DELETE FROM posting WHERE segment = %s", segment.low)


def _write(session: Session, low: int, high: int, rules: str) -> None:
    ids, hashes, places = _terms_between(session, low, high)
    rows = rows_of(hashes, places, high - low)
    while some := list(islice(rows, _ROWS)):  # not by COPY: the table has policies
        firsts, bodies = map(list, zip(*some, strict=True))
        session.run(
            "INSERT INTO posting SELECT %s, * FROM unnest(%s::bigint[], %s::bytea[])",
            *(low, firsts, bodies),
        )
    session.run("INSERT INTO segment VALUES (%s, %s, %s, %s)", low, high, len(ids), rules)


def _terms_between(session: Session, low: int, high: int) -> tuple[Ids, Hashes, Places]:
    """The passages between two ids, and for each of their terms its hash and whose it is, by the place in a segment."""
    sql = "SELECT passage, array_send(hashed) FROM lexicon WHERE passage > %s AND passage <= %s ORDER BY passage"
    ids, hashes, places = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.uint16)]
    for rows in session.stream(sql, _ROWS, low, high):
        ids.append(np.array([number for number, _ in rows], np.int64))
        found, counts = hashes_of([terms for _, terms in rows])
        hashes.append(found)
        places.append(np.repeat(ids[-1] - low - 1, counts).astype(np.uint16))
    return np.concatenate(ids), np.concatenate(hashes), np.concatenate(places)
