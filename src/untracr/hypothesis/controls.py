"""What the same search reaches where there is nothing to find, beside which a line is judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from untracr.evaluate.share import Share
from untracr.hypothesis.causes import Effort, support_of
from untracr.hypothesis.interchange import Recorded, places_of, recorded
from untracr.hypothesis.lines import Lines
from untracr.hypothesis.subject import Codes, Subject
from untracr.network.controls import random_like, shuffled_within
from untracr.rasp.nodes import Ref


@dataclass(frozen=True)
class Control:
    """One control.

    Attributes:
        name: what was changed.
        share: interchange accuracy that the same search reached with it.
        chance: how often a wrong variable has the right one's value; 0 of another network.
    """

    name: str
    share: Share
    chance: float = 0.0


@dataclass(frozen=True, eq=False)
class ControlNetworks:
    """Networks without the algorithm, run on the same inputs, by name."""

    runs: tuple[tuple[str, Subject, Recorded], ...]


def control_networks(subject: Subject, data: Recorded, rng: np.random.Generator) -> ControlNetworks:
    """A random network of the same shape, and the network with shuffled entries."""
    networks = {
        "random network": random_like(subject.network, rng),
        "shuffled network": shuffled_within(subject.network, rng),
    }
    runs = []
    for name, network in networks.items():
        other = replace(subject, network=network)
        run = recorded(other, data.domain, data.tokens, data.lines, places_of(network))
        runs.append((name, other, run))
    return ControlNetworks(tuple(runs))


def controls_of(
    subject: Subject,
    data: Recorded,
    line: Ref,
    networks: ControlNetworks,
    seed: Sequence[int],
    effort: Effort,
) -> Iterator[Control]:
    """Every control of a line, each with the effort that was spent on the line itself."""
    for name, other, run in networks.runs:
        yield Control(name, support_of(other, run, line, _generator(seed), effort).share)
    wrong = {
        "wrong variable": wrong_variable(data.lines, line, _generator(seed)),
        "shuffled values": _shuffled(data.lines.columns[line].codes, _generator(seed)),
    }
    for name, labels in wrong.items():
        found = support_of(subject, data, line, _generator(seed), effort, labels=labels)
        chance = float((labels == data.lines.columns[line].codes).mean())
        yield Control(name, found.share, chance)


def _generator(seed: Sequence[int]) -> np.random.Generator:
    return np.random.default_rng(list(seed))


def wrong_variable(lines: Lines, line: Ref, rng: np.random.Generator) -> Codes:
    """[N, T], values of another variable with as many values.

    Of the line's values at other positions, the same distance away everywhere, and random
    functions of the tokens there, the one that tells least of the line's own value.
    """
    codes = np.ascontiguousarray(lines.columns[line].codes)
    tokens, count = lines.batch.tokens, len(lines.columns[line].values)
    candidates = []
    for shift in range(1, codes.shape[1]):
        table = rng.integers(count, size=len(tokens.values))
        candidates.append(np.roll(codes, shift, axis=1))
        candidates.append(table[np.roll(tokens.codes, shift, axis=1)])
    if not candidates:
        return _shuffled(codes, rng)
    return min(candidates, key=lambda other: told_information(other, codes))


def told_information(other: Codes, codes: Codes) -> float:
    """Mutual information in nats of two variables given as codes of the same shape."""
    pairs = other.ravel() * (int(codes.max()) + 1) + codes.ravel()
    return _entropy(other) + _entropy(codes) - _entropy(pairs)


def _entropy(codes: Codes) -> float:
    _, counts = np.unique(codes, return_counts=True)
    share = counts / counts.sum()
    return float(-(share * np.log(share)).sum())


def _shuffled(codes: Codes, rng: np.random.Generator) -> Codes:
    flat = np.ascontiguousarray(codes).ravel()
    return rng.permutation(flat).reshape(codes.shape)
