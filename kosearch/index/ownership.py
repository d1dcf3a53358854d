"""Whose an index is: made by this user on this machine, or somebody else's.

What an index says decides where questions go and which folders are read. So an index carries a seal over its own
number, its model with the endpoint, and its roots: HMAC-SHA256 by a secret that lies outside of it. An index without
the seal that this machine would give it was made elsewhere, or changed by somebody else.
"""

from __future__ import annotations

import hmac
import json
import os
from contextlib import suppress
from pathlib import Path

from kosearch.errors import IndexDamaged
from kosearch.index.schema import read_optional_meta, transaction, write_meta
from kosearch.index.store import Store
from kosearch.system import make_private

OWNER = "owner"
COPIES = ("owner, again",)
"""Where an index keeps its number and its seal: twice, for a flipped bit must not make it somebody else's."""
_SECRET = "index-secret"
_BYTES = 32


def secret(data_dir: Path) -> tuple[bytes | None, bool]:
    """This user's secret on this machine, and whether it was made only now; None where none can be kept."""
    path = data_dir / _SECRET
    with suppress(OSError):
        return (found, False) if len(found := path.read_bytes()) == _BYTES else (None, False)
    try:
        make_private(data_dir)
        scratch = path.with_name(f"{_SECRET}.{os.getpid()}-{os.urandom(4).hex()}")
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(os.urandom(_BYTES))
            file.flush()
            os.fsync(descriptor)
        try:
            os.link(scratch, path)  # whoever is first
            made = True
        except FileExistsError:
            made = False
        finally:
            scratch.unlink()
        return path.read_bytes(), made
    except OSError:
        return None, False


def is_sealed(store: Store, key: bytes) -> bool:
    """Whether the index has the seal that this secret gives it as it is."""
    owner = _owner(store)
    return owner is not None and hmac.compare_digest(owner["seal"], _seal(store, key, owner["id"]))


def seal(store: Store, key: bytes) -> None:
    """Give the index the seal of this secret, for as it is now."""
    with transaction(store.connection):
        number = (_owner(store) or {"id": os.urandom(16).hex()})["id"]
        _write(store, {"id": number, "seal": _seal(store, key, number)})


def mend(store: Store) -> None:
    """Make the damaged one of both records anew from the whole one; where neither is whole, the index is nobody's."""
    _write(store, _owner(store))


def _owner(store: Store) -> dict[str, str] | None:
    """The number and the seal, from whichever record of them is whole."""
    for name in (OWNER, *COPIES):
        with suppress(IndexDamaged):
            value = read_optional_meta(store.connection, name)
            if isinstance(value, dict) and all(isinstance(value.get(key), str) for key in ("id", "seal")):
                return value
    return None


def _write(store: Store, owner: dict[str, str] | None) -> None:
    for name in (OWNER, *COPIES):
        write_meta(store.connection, name, owner)


def _seal(store: Store, key: bytes, number: str) -> str:
    identity = store.identity
    roots = sorted(raw.hex() for raw in store.roots())
    sealed = json.dumps([number, identity.model, identity.endpoint, roots], sort_keys=True)
    return hmac.digest(key, sealed.encode(), "sha256").hex()
