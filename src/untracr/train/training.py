"""Training: fresh programs until the clock runs out, resumable at any moment.

The learning rate rises over the first 2% and then falls linearly to zero,
keyed to the share of the run that is over: of its hours, or of its steps.
Under `torchrun` each process takes its part of every batch, and gradients are
added up as if one process had seen it whole.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import nn
from tqdm import tqdm

from untracr.errors import UsageError
from untracr.metamodel.checkpoint_file import counts_of, read_checkpoint
from untracr.train.checkpoint import checkpoint_of, restore, save_checkpoint
from untracr.train.first_difference import first_difference
from untracr.train.metrics import Score
from untracr.train.processes import Processes, joined
from untracr.train.stop_request import StopRequest, stop_requests
from untracr.train.stream import Arrays, BatchStream, StreamPlace
from untracr.train.training_log import LOG, cut_log

WARM_UP = 0.02
CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Attributes:
        out: folder of the run; a run found there is resumed.
        hours: wall-clock length; or
        steps: length in steps; exactly one of the two.
        seed: of the data stream and the initial weights.
        batch_size: examples a step, of all processes together.
        learning_rate: at its highest.
        weight_decay: of AdamW.
        workers: data processes of each training process.
        threads: torch threads of each training process.
        device: "auto", "cpu", "cuda", ...
        save_minutes: between checkpoints.
        log_every: steps between log lines.
        timeout_minutes: how long to wait for a training process that hangs.
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
    timeout_minutes: float = 10.0

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
            "timeout-minutes": self.timeout_minutes,
        }
        for name, value in positive.items():
            if value is not None and not value > 0:
                raise UsageError(f"--{name} must be positive, not {value}")
        if self.workers < 0 or self.seed < 0:
            raise UsageError("--workers and --seed must not be negative")

    def schedule(self) -> dict[str, float | None]:
        """What the course of the learning rate and of the weights depends on."""
        names = ("hours", "steps", "learning_rate", "weight_decay")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Task:
    """What is trained: the baseline and the meta-model differ only here.

    Attributes:
        name: checked when a run is resumed.
        config: JSON of the network's sizes, checked likewise.
        build: makes the network.
        make: makes the arrays of one batch, see `BatchStream`.
        loss: ``(network, arrays, device) -> Score``.
        evaluate: ``(network, device) -> metrics`` on fresh programs, called with each
            checkpoint.
    """

    name: str
    config: dict[str, Any]
    build: Callable[[], nn.Module]
    make: Callable[[int, int, int], Arrays]
    loss: Callable[[nn.Module, Arrays, torch.device], Score]
    evaluate: Callable[[nn.Module, torch.device], dict[str, float]]


def pick_device(name: str, local: int | None = None) -> torch.device:
    """``auto`` is the GPU where there is one.

    Args:
        name: of the device.
        local: which of the GPUs, where several processes of a machine take one each.

    Raises:
        UsageError: torch has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and local is not None:
        name = f"cuda:{local}"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"--device {name} cannot be used: {error}") from None
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def train(task: Task, settings: TrainingSettings) -> Path:
    """Trains, or goes on training.

    SIGINT or SIGTERM, sent to any of the processes, ends the step, then a checkpoint
    is written and all of them follow the signal.

    Returns:
        The checkpoint's path.

    Raises:
        UsageError: settings make no sense, or the folder holds another run.
        UntracrError: another training process is gone.
    """
    settings.validate()
    torch.set_num_threads(settings.threads)
    processes = Processes.of_environment()
    if settings.batch_size < processes.world:
        raise UsageError(
            f"--batch-size {settings.batch_size} must give each of {processes.world} "
            "processes an example"
        )
    device = pick_device(settings.device, processes.local if processes.world > 1 else None)
    path = settings.out / CHECKPOINT
    with stop_requests() as stop, joined(processes, device, settings.timeout_minutes):
        torch.manual_seed(settings.seed)
        network = task.build().to(device)
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=settings.weight_decay
        )
        state = _resume(task, settings, path, network, optimizer, processes)
        run = _Run(task, settings, network, optimizer, device, path, state, processes, stop)
        part = processes.part(settings.batch_size)
        place = StreamPlace(
            settings.seed,
            start=state["examples"] + part.start,
            count=len(part),
            stride=settings.batch_size,
        )
        with BatchStream(task.make, place, settings.workers) as stream:
            followed = run.go(stream)
    if followed:
        signal.raise_signal(followed)
    return path


def _resume(
    task: Task,
    settings: TrainingSettings,
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    processes: Processes,
) -> dict[str, Any]:
    """Fills network and optimizer from the checkpoint that the first process finds."""
    wanted = {
        "task": task.name,
        "config": task.config,
        "seed": settings.seed,
        "batch_size": settings.batch_size,
    }
    _require_same({**wanted, **settings.schedule()}, processes)
    is_there = processes.is_first and path.exists()
    data = processes.from_first(read_checkpoint(path) if is_there else b"")
    if not data:
        return {**wanted, "step": 0, "examples": 0, "elapsed": 0.0}
    checkpoint = checkpoint_of(data, path)
    for name, value in wanted.items():
        other = first_difference(name, checkpoint.state.get(name), value)
        if other is not None:
            raise UsageError(
                f"{path} belongs to a run with {other.place}={other.found}, not {other.wanted}; "
                "give another --out or the same settings"
            )
    restore(network, optimizer, checkpoint, path)
    return checkpoint.state | counts_of(checkpoint.state, path)


def _require_same(asked: dict[str, Any], processes: Processes) -> None:
    """Every process must have been started alike, or their networks would drift apart."""
    own = json.dumps(asked)
    first = json.loads(processes.from_first(own.encode()))
    for name, value in json.loads(own).items():
        other = first_difference(name, first[name], value)
        if other is not None:
            raise UsageError(
                f"every process must be given the same settings: process {processes.rank} "
                f"has {other.place}={other.wanted}, the first one {other.found}"
            )


@dataclass
class _Run:
    """One training run in one process.

    Attributes:
        path: of the checkpoint.
        state: what the checkpoint says besides tensors: step, elapsed seconds, ...
        processes: that train together.
        stop: whether this process was asked to stop.
    """

    task: Task
    settings: TrainingSettings
    network: nn.Module
    optimizer: torch.optim.Optimizer
    device: torch.device
    path: Path
    state: dict[str, Any]
    processes: Processes
    stop: StopRequest

    def go(self, stream: BatchStream) -> int:
        """Trains until the end.

        Returns:
            The signal that ended it before, else 0; the same in every process.
        """
        begun = time.monotonic() - self.state["elapsed"]
        saved = time.monotonic()
        wish = 0
        with self._opened_log() as log, self._bar() as bar:
            for arrays in stream:
                wish = signal.SIGTERM if self.processes.orphaned else self.stop.signal
                elapsed, wish = self.processes.agree(time.monotonic() - begun, wish)
                self.state["elapsed"] = elapsed
                progress = self._progress()
                if wish or progress >= 1.0:
                    break
                self._step(arrays, progress, log, bar)
                _move(bar, self._progress())
                if time.monotonic() - saved > 60 * self.settings.save_minutes:
                    self._save(log)
                    saved = time.monotonic()
            # Who sends a signal soon sends another: there is no time to evaluate.
            self._save(log, evaluate=not wish)
        return wish

    @contextmanager
    def _opened_log(self) -> Iterator[TextIO | None]:
        if not self.processes.is_first:
            yield None
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        cut_log(self.path.parent / LOG, self.state["step"])
        with (self.path.parent / LOG).open("a") as log:
            yield log

    def _bar(self) -> tqdm[Any]:
        hidden = None if self.processes.is_first else True
        return tqdm(total=100.0, unit="%", disable=hidden, mininterval=1)

    def _progress(self) -> float:
        """The share of the run that is over; the same in every process."""
        if self.settings.steps is not None:
            return float(self.state["step"]) / self.settings.steps
        assert self.settings.hours is not None
        return float(self.state["elapsed"]) / (3600 * self.settings.hours)

    def _step(self, arrays: Arrays, progress: float, log: TextIO | None, bar: tqdm[Any]) -> None:
        rate = self.settings.learning_rate * learning_rate_factor(progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        score = self.task.loss(self.network, arrays, self.device)
        score.loss.backward()  # type: ignore[no-untyped-call]
        if self.processes.world > 1:
            score = self._of_whole_batch(score)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.state["step"] += 1
        self.state["examples"] += self.settings.batch_size
        if log is not None and self.state["step"] % self.settings.log_every == 0:
            loss, exact = score.loss.item(), score.exact
            values = {
                "loss": loss,
                "exact": exact,
                "tokens": score.tokens,
                "grad_norm": float(norm),
                "lr": rate,
            }
            self._log(log, values)
            bar.set_postfix(loss=f"{loss:.4f}", exact=f"{exact:.3f}", refresh=False)

    def _of_whole_batch(self, score: Score) -> Score:
        """Makes gradients and score those of the whole batch, in one exchange.

        A process's loss is a mean over its own tokens, so it counts as often as it has
        tokens: the mean of the means would be another loss.
        """
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        means = [*(gradient.flatten() for gradient in gradients), score.loss.detach()[None]]
        flat = torch.cat([torch.cat(means) * score.tally[0], score.tally])
        self.processes.add_up(flat)
        flat, tally = flat[: -len(score.tally)], flat[-len(score.tally) :]
        flat = flat / tally[0]
        sizes = [gradient.numel() for gradient in gradients]
        *wholes, loss = torch.split(flat, [*sizes, 1])
        for gradient, whole in zip(gradients, wholes, strict=True):
            gradient.copy_(whole.view_as(gradient))
        return Score(loss[0], tally)

    def _save(self, log: TextIO | None, *, evaluate: bool = True) -> None:
        if log is None:
            return
        if evaluate:
            self._log(log, self.task.evaluate(self.network, self.device))
        save_checkpoint(self.path, self.network, self.optimizer, self.state)

    def _log(self, log: TextIO, values: dict[str, float]) -> None:
        counts = {name: self.state[name] for name in ("step", "examples", "elapsed")}
        log.write(json.dumps({**counts, **values}) + "\n")
        log.flush()


def _move(bar: tqdm[Any], progress: float) -> None:
    """Shows how much of the run is over; the bar itself decides how often it is drawn."""
    bar.update(round(100 * min(progress, 1.0), 1) - bar.n)


def learning_rate_factor(progress: float) -> float:
    """Up over the first `WARM_UP` share, then linearly down to zero."""
    return min(progress / WARM_UP, 1.0) * max(0.0, 1.0 - progress) if progress else 1e-3
