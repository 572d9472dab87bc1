"""Where processes find each other: a store whose keys no earlier attempt has written.

`torchrun` starts processes again with the store that the dead ones used, and
what those wrote there about themselves would be believed.
"""

from __future__ import annotations

import secrets
import time
from datetime import timedelta

from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

POLL_SECONDS = 0.05


def meeting_store(rank: int, world: int, timeout: timedelta) -> Store:
    """The store of this attempt, for all processes that the environment names.

    Raises:
        RuntimeError: the others did not come in time.
    """
    store, _, _ = next(rendezvous("env://", rank, world, timeout=timeout))
    store.set_timeout(timeout)
    return PrefixStore(agreed_name(store, rank, world, timeout), store)


def agreed_name(store: Store, rank: int, world: int, timeout: timedelta) -> str:
    """A new name that all processes know, whatever is in the store already.

    Each of them says hello by a name of its own that was never used before, and the first
    one tells its own to every name that it finds, old ones too, until all have heard it.

    Raises:
        RuntimeError: the others did not come in time.
    """
    own = secrets.token_hex(8)
    if rank > 0:
        store.set(f"untracr hello {rank}", own)
        name: str = store.get(f"untracr answer {own}").decode()
        store.set(f"untracr heard {name} {rank}", "")
        return name
    limit = time.monotonic() + timeout.total_seconds()
    others = range(1, world)
    while not store.check([f"untracr heard {own} {other}" for other in others]):
        if time.monotonic() > limit:
            raise RuntimeError(f"not all of {world} processes came within {timeout}")
        for other in others:
            if store.check([f"untracr hello {other}"]):
                hello = store.get(f"untracr hello {other}").decode()
                store.set(f"untracr answer {hello}", own)
        time.sleep(POLL_SECONDS)
    return own
