"""Training processes that work on one batch together.

`torchrun` starts them and tells each its number in environment variables. A
process on its own is the first of one, and nothing here waits for another. What
lies on a GPU is added up by NCCL, all else by gloo.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

from untracr.errors import UntracrError, UsageError
from untracr.train.rendezvous import meeting_store


@dataclass(frozen=True)
class Processes:
    """How many train together, and which one this is.

    Every method is called by all of them, in the same order, inside of `joined`.

    Attributes:
        world: how many there are, on all machines.
        rank: the number of this one, from 0; the first one writes the files.
        local: its number on its machine.
        watched: the process id of the `torchrun` that started it, 0 where none did.
    """

    world: int = 1
    rank: int = 0
    local: int = 0
    watched: int = 0

    @staticmethod
    def of_environment() -> Processes:
        """What `torchrun`, or another launcher, says.

        Raises:
            UsageError: it speaks of several processes, but does not say where they meet.
        """
        world = _whole("WORLD_SIZE", 1)
        if world == 1:
            return Processes()
        needed = ("RANK", "MASTER_ADDR", "MASTER_PORT")
        missing = [name for name in needed if name not in os.environ]
        if missing:
            raise UsageError(
                f"WORLD_SIZE={world} in the environment asks for several processes, but "
                f"{missing[0]} is not set; start them by torchrun"
            )
        watched = os.getppid() if distributed.is_torchelastic_launched() else 0
        return Processes(world, _whole("RANK", 0), _whole("LOCAL_RANK", 0), watched)

    @property
    def is_first(self) -> bool:
        """Whether this one writes the files."""
        return self.rank == 0

    @property
    def orphaned(self) -> bool:
        """Whether the `torchrun` that started this process is gone."""
        return self.watched != 0 and os.getppid() != self.watched

    def part(self, count: int) -> range:
        """Which of ``count`` things are this process's; shares differ by one at most."""
        return range(self.rank * count // self.world, (self.rank + 1) * count // self.world)

    def agree(self, elapsed: float, stop: int) -> tuple[float, int]:
        """The first one's clock, and the highest signal that any of them was sent.

        Raises:
            UntracrError: another process is gone.
        """
        if self.world == 1:
            return elapsed, stop
        told = torch.tensor([elapsed if self.is_first else -1.0, stop], dtype=torch.float64)
        with _told_as_lost():
            distributed.all_reduce(told, distributed.ReduceOp.MAX)
        return float(told[0]), int(told[1])

    def add_up(self, numbers: Tensor) -> None:
        """Replaces numbers by their sums over all processes, the same bits in each.

        Raises:
            UntracrError: another process is gone.
        """
        if self.world > 1:
            with _told_as_lost():
                distributed.all_reduce(numbers)

    def from_first(self, data: bytes) -> bytes:
        """What the first process gives, in all of them.

        Raises:
            UntracrError: another process is gone.
        """
        if self.world == 1:
            return data
        size = torch.tensor(len(data))
        with _told_as_lost():
            distributed.broadcast(size, src=0)
            box = torch.zeros(int(size), dtype=torch.uint8)
            if self.is_first and data:
                box.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
            distributed.broadcast(box, src=0)
        return box.numpy().tobytes()


@contextmanager
def joined(processes: Processes, device: torch.device, timeout_minutes: float) -> Iterator[None]:
    """Around all that processes do together; none leaves before the last one is through.

    Args:
        processes: as the environment says.
        device: what this process computes on.
        timeout_minutes: how long to wait for one that hangs; one that ends is noticed
            at once.

    Raises:
        UsageError: several processes cannot train on such a device.
        UntracrError: another process is gone.
    """
    if processes.world == 1:
        yield
        return
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"several processes train on cpu or cuda, not on {device.type}")
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    timeout = timedelta(minutes=timeout_minutes)
    try:
        distributed.init_process_group(
            backend,
            store=meeting_store(processes.rank, processes.world, timeout),
            rank=processes.rank,
            world_size=processes.world,
            timeout=timeout,
        )
    except RuntimeError as error:
        raise UntracrError(f"training processes cannot meet: {_cause(error)}") from None
    yield
    # After an error the group is left as it is: taking it down could wait for the others.
    processes.agree(0.0, 0)
    distributed.destroy_process_group()


@contextmanager
def _told_as_lost() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise UntracrError(
            "another training process is gone or did not answer; started again, the run goes "
            f"on from its last checkpoint ({_cause(error)})"
        ) from None


def _cause(error: RuntimeError) -> str:
    return str(error).strip().partition("\n")[0].partition(". ")[0]


def _whole(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise UsageError(f"{name} in the environment must be a whole number, not {text!r}")
    return int(text)
