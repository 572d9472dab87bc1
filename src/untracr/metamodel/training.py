"""Training: fresh programs until the clock runs out, resumable at any moment.

The learning rate rises over the first 2% and then falls linearly to zero,
keyed to the share of the run that is over: of its hours, or of its steps.
Under `torchrun` each process takes its share of the batches and gradients are
averaged.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import Tensor, distributed, nn
from tqdm import tqdm

from untracr.errors import UsageError
from untracr.metamodel.checkpoint import (
    Checkpoint,
    load_checkpoint,
    restore_optimizer,
    save_checkpoint,
)
from untracr.metamodel.stream import Arrays, BatchStream, StreamPlace

WARM_UP = 0.02
CHECKPOINT = "checkpoint.safetensors"
LOG = "log.jsonl"


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Attributes:
        out: folder of the run; a run found there is resumed.
        hours: wall-clock length; or
        steps: length in steps; exactly one of the two.
        seed: of the data stream and the initial weights.
        batch_size: examples a step and process.
        learning_rate: at its highest.
        weight_decay: of AdamW.
        workers: data processes.
        threads: torch threads.
        device: "auto", "cpu", "cuda", ...
        save_minutes: between checkpoints.
        log_every: steps between log lines.
    """

    out: Path
    hours: float | None = None
    steps: int | None = None
    seed: int = 0
    batch_size: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    workers: int = 1
    threads: int = 1
    device: str = "auto"
    save_minutes: float = 3.0
    log_every: int = 20

    def validate(self) -> None:
        """Checks the settings.

        Raises:
            UsageError: one of them makes no sense.
        """
        if (self.hours is None) == (self.steps is None):
            raise UsageError("give either --hours or --steps")
        positive = {
            "hours": self.hours,
            "steps": self.steps,
            "batch-size": self.batch_size,
            "threads": self.threads,
            "learning-rate": self.learning_rate,
        }
        for name, value in positive.items():
            if value is not None and not value > 0:
                raise UsageError(f"--{name} must be positive, not {value}")
        if self.workers < 0 or self.seed < 0:
            raise UsageError("--workers and --seed must not be negative")


@dataclass(frozen=True)
class Task:
    """What is trained: the baseline and the meta-model differ only here.

    Attributes:
        name: checked when a run is resumed.
        config: JSON of the network's sizes, checked likewise.
        build: makes the network.
        make: makes the arrays of one batch, see `BatchStream`.
        loss: ``(network, arrays, device) -> (loss, programs all right, tokens right)``,
            the last two as shares.
        evaluate: ``(network, device) -> metrics`` on fresh programs, called with each
            checkpoint.
    """

    name: str
    config: dict[str, Any]
    build: Callable[[], nn.Module]
    make: Callable[[int, int, int], Arrays]
    loss: Callable[[nn.Module, Arrays, torch.device], tuple[Tensor, float, float]]
    evaluate: Callable[[nn.Module, torch.device], dict[str, float]]


def pick_device(name: str) -> torch.device:
    """``auto`` is the GPU where there is one.

    Raises:
        UsageError: torch has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"--device {name} cannot be used: {error}") from None
    return device


def train(task: Task, settings: TrainingSettings) -> Path:
    """Trains, or goes on training.

    Returns:
        The checkpoint's path.

    Raises:
        UsageError: settings make no sense, or the folder holds another run.
    """
    settings.validate()
    torch.set_num_threads(settings.threads)
    world, rank = _join_processes()
    device = pick_device(settings.device)
    torch.manual_seed(settings.seed)
    network = task.build().to(device)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=settings.weight_decay
    )
    path = settings.out / CHECKPOINT
    state = _resume(task, settings, path, network, optimizer)
    run = _Run(task, settings, network, optimizer, device, path, state, world, rank)
    place = StreamPlace(settings.seed, settings.batch_size, state["step"] * world + rank, world)
    try:
        with BatchStream(task.make, place, settings.workers) as stream:
            run.go(stream)
    finally:
        if world > 1:
            distributed.destroy_process_group()
    return path


def _join_processes() -> tuple[int, int]:
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        return world, distributed.get_rank()
    return 1, 0


def _resume(
    task: Task,
    settings: TrainingSettings,
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> dict[str, Any]:
    wanted = {
        "task": task.name,
        "config": task.config,
        "seed": settings.seed,
        "batch_size": settings.batch_size,
    }
    if not path.exists():
        return {**wanted, "step": 0, "examples": 0, "elapsed": 0.0}
    found: Checkpoint = load_checkpoint(path)
    for name, value in wanted.items():
        if found.state.get(name) != value:
            raise UsageError(
                f"{path} belongs to a run with {name}={found.state.get(name)}, not {value}; "
                "give another --out or the same settings"
            )
    network.load_state_dict(found.model)
    restore_optimizer(optimizer, network, found.optimizer)
    return found.state


@dataclass
class _Run:
    """One training run in one process.

    Attributes:
        path: of the checkpoint.
        state: what the checkpoint says besides tensors: step, elapsed seconds, ...
        world, rank: how many processes train, and which one this is.
    """

    task: Task
    settings: TrainingSettings
    network: nn.Module
    optimizer: torch.optim.Optimizer
    device: torch.device
    path: Path
    state: dict[str, Any]
    world: int
    rank: int

    def go(self, stream: BatchStream) -> None:
        """Trains until the end."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        begun = time.monotonic() - self.state["elapsed"]
        saved = time.monotonic()
        with (self.path.parent / LOG).open("a") as log, self._bar() as bar:
            for arrays in stream:
                self.state["elapsed"] = time.monotonic() - begun
                progress = self._progress()
                if progress >= 1.0:
                    break
                self._step(arrays, progress, log, bar)
                if time.monotonic() - saved > 60 * self.settings.save_minutes:
                    self._save(log)
                    saved = time.monotonic()
            self._save(log)

    def _bar(self) -> tqdm[Any]:
        return tqdm(total=100.0, unit="%", disable=None if self.rank == 0 else True, mininterval=1)

    def _progress(self) -> float:
        """The share of the run that is over; the same in every process."""
        if self.settings.steps is not None:
            return float(self.state["step"]) / self.settings.steps
        assert self.settings.hours is not None
        share = self.state["elapsed"] / (3600 * self.settings.hours)
        if self.world > 1:
            together = torch.tensor([share], device=self.device)
            distributed.broadcast(together, src=0)
            share = together.item()
        return float(share)

    def _step(self, arrays: Arrays, progress: float, log: TextIO, bar: tqdm[Any]) -> None:
        rate = self.settings.learning_rate * learning_rate_factor(progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, exact, tokens = self.task.loss(self.network, arrays, self.device)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.world > 1:
            for parameter in self.network.parameters():
                if parameter.grad is not None:
                    distributed.all_reduce(parameter.grad)
                    parameter.grad /= self.world
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.state["step"] += 1
        self.state["examples"] += self.settings.batch_size * self.world
        if self.rank == 0 and self.state["step"] % self.settings.log_every == 0:
            self._log(
                log,
                {
                    "loss": loss.item(),
                    "exact": exact,
                    "tokens": tokens,
                    "grad_norm": float(norm),
                    "lr": rate,
                },
            )
            bar.n = round(100 * progress, 1)
            bar.set_postfix(loss=f"{loss.item():.4f}", exact=f"{exact:.3f}")

    def _save(self, log: TextIO) -> None:
        if self.rank != 0:
            return
        self._log(log, self.task.evaluate(self.network, self.device))
        save_checkpoint(self.path, self.network, self.optimizer, self.state)

    def _log(self, log: TextIO, values: dict[str, float]) -> None:
        counts = {name: self.state[name] for name in ("step", "examples", "elapsed")}
        log.write(json.dumps({**counts, **values}) + "\n")
        log.flush()


def learning_rate_factor(progress: float) -> float:
    """Up over the first `WARM_UP` share, then linearly down to zero."""
    return min(progress / WARM_UP, 1.0) * max(0.0, 1.0 - progress) if progress else 1e-3


def shares_right(hits: Tensor, counts: Tensor) -> tuple[float, float]:
    """How much was written rightly.

    Args:
        hits: [B, T] bools, tokens that are right; true where none counts.
        counts: [B, T] bools, which tokens count.

    Returns:
        The share of programs whose tokens are all right, and that of tokens.
    """
    exact = hits.all(dim=1).float().mean().item()
    return exact, (hits & counts).sum().item() / counts.sum().item()
