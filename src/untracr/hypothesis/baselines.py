"""What predictors that know no algorithm reach: tables and a tree fitted to a network's outputs.

Each is fitted to one half of the inputs and counted on the other, by whole inputs: right
only where every output of an input is. Axes: M positions of all inputs together, F
features.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.evaluate.share import Share
from untracr.rasp.nodes import children
from untracr.rasp.program import Program

Codes = npt.NDArray[np.int64]

REACH = 3
"""How far to both sides of a position a tree sees tokens, beside those at fixed positions."""

MODULI = (2, 3, 4)
"""Periods of position of which there is a table."""

MOST_FEATURES = 2**26
"""Numbers that a tree is fitted to, and asked about at a time."""

MOST_ASKED = 1_000
"""Tokens of the largest vocabulary of which a tree may ask for each."""

FUNCTION_BITS = 8.0
"""To name one function of some 250."""


@dataclass(frozen=True)
class Baseline:
    """One predictor.

    Attributes:
        name: what it knows.
        share: whole inputs on which it gives the network's outputs, of those held out.
    """

    name: str
    share: Share


@dataclass(frozen=True, eq=False)
class Positions:
    """All positions of some inputs, one after the other.

    Attributes:
        row: [M], the input that each belongs to, from 0.
        place: [M], its position.
        length: [M], its input's tokens.
        tokens: [M, 2 * REACH + 1 + longest], tokens around it, then from the input's start;
            -1 where there is none.
        output: [M], what the network puts out, as codes.
        counted: [M], whether the output counts.
    """

    row: Codes
    place: Codes
    length: Codes
    tokens: Codes
    output: Codes
    counted: npt.NDArray[np.bool_]


def positions_of(groups: Sequence[tuple[Codes, Codes, npt.NDArray[np.bool_]]]) -> Positions:
    """All positions of inputs given by length.

    Args:
        groups: tokens, outputs and whether these count, each [N, T], of the inputs of each length.
    """
    longest = max(tokens.shape[1] for tokens, _, _ in groups)
    parts, first = [], 0
    for tokens, outputs, counted in groups:
        N, T = tokens.shape
        padded = np.full((N, longest + 2 * REACH), -1, dtype=np.int64)
        padded[:, REACH : REACH + T] = tokens
        around = np.stack([padded[:, t : t + 2 * REACH + 1] for t in range(T)], axis=1)
        whole = np.repeat(padded[:, None, REACH : REACH + longest], T, axis=1)
        place = np.tile(np.arange(T), N)
        parts.append(
            Positions(
                np.repeat(np.arange(first, first + N), T),
                place,
                np.full(N * T, T),
                np.concatenate([around, whole], axis=2).reshape(N * T, -1),
                outputs.reshape(-1),
                counted.reshape(-1),
            )
        )
        first += N
    names = ("row", "place", "length", "tokens", "output", "counted")
    return Positions(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def baselines(
    groups: Sequence[tuple[Codes, Codes, npt.NDArray[np.bool_]]],
    program: Program,
    rng: np.random.Generator,
) -> tuple[Baseline, ...]:
    """Every predictor, in the order of what it knows.

    Args:
        groups: see `positions_of`; of at least two inputs.
        program: the tree may be as long as its description (`description_bits`).
        rng: draws the half of the inputs that is fitted to.
    """
    data = positions_of(groups)
    inputs = int(data.row[-1]) + 1
    fitted = np.zeros(inputs, dtype=np.bool_)
    fitted[rng.permutation(inputs)[: max(inputs // 2, 1)]] = True
    fit = fitted[data.row] & data.counted
    predictions = [(name, _by_table(key, data.output, fit)) for name, key in _keys(data)]
    leaves = most_leaves(
        description_bits(program), data.tokens.shape[1] + 2, int(data.output.max()) + 1
    )
    predictions.append((f"decision tree of {leaves} leaves", _by_tree(data, fit, leaves)))
    return tuple(
        Baseline(name, _share_right((predicted == data.output) | ~data.counted, data.row, ~fitted))
        for name, predicted in predictions
    )


def _keys(data: Positions) -> Iterator[tuple[str, Codes]]:
    own, before = data.tokens[:, REACH], data.tokens[:, REACH - 1]
    yield "constant", np.zeros_like(own)
    yield "table of the token", own
    yield "table of the token and the one before", _joined(own, before)
    yield "table of the token and the position", _joined(own, data.place)
    for modulus in MODULI:
        name = f"table of the token and the position modulo {modulus}"
        yield name, _joined(own, data.place % modulus)


def _joined(first: Codes, second: Codes) -> Codes:
    return (first + 1) * (int(second.max()) + 2) + second + 1


def _by_table(key: Codes, output: Codes, fit: npt.NDArray[np.bool_]) -> Codes:
    """The most frequent output of each key among those fitted to; of all for a new key."""
    _, key = np.unique(key, return_inverse=True)
    outputs = int(output.max()) + 1
    of_all = np.bincount(output[fit], minlength=outputs)
    pairs, counts = np.unique(key[fit] * outputs + output[fit], return_counts=True)
    order = np.lexsort((-pairs, of_all[pairs % outputs], counts))  # the last of a key stays
    best = np.full(int(key.max()) + 1, of_all.argmax(), dtype=np.int64)
    best[pairs[order] // outputs] = pairs[order] % outputs
    return best[key]


def _by_tree(data: Positions, fit: npt.NDArray[np.bool_], leaves: int) -> Codes:
    from sklearn.tree import DecisionTreeClassifier  # 0.5 s, for tests of hypotheses only

    count = int(data.tokens.max()) + 1
    size = max(1, MOST_FEATURES // (data.tokens.shape[1] * (count + 1)))
    tree = DecisionTreeClassifier(max_leaf_nodes=leaves, random_state=0)
    fitted = np.flatnonzero(fit)
    fitted = fitted[:: -(-len(fitted) // size)]
    tree.fit(_told(data, fitted, count), data.output[fitted])
    rows = np.arange(len(data.output))
    parts = [tree.predict(_told(data, rows[i : i + size], count)) for i in rows[::size]]
    return np.concatenate(parts)


def _told(data: Positions, rows: Codes, count: int) -> npt.NDArray[np.float32]:
    """[R, F], what a tree sees of some positions: tokens, which ones, position, length."""
    tokens = data.tokens[rows]
    around = np.stack([data.place[rows], data.length[rows]], axis=1)
    each = (tokens == token for token in range(count if count <= MOST_ASKED else 0))
    return np.concatenate([tokens, around, *each], axis=1, dtype=np.float32)


def _share_right(right: npt.NDArray[np.bool_], row: Codes, counted: npt.NDArray[np.bool_]) -> Share:
    wrong = np.zeros(len(counted), dtype=np.bool_)
    wrong[row[~right]] = True
    return Share(int((~wrong & counted).sum()), int(counted.sum()))


def description_bits(program: Program) -> float:
    """How long a program is: for each operation its kind, its arguments and its function, in bits.

    A kind costs log2(7), an argument log2(number of earlier nodes), a function `FUNCTION_BITS`.
    """
    refs = [ref for ref in program.reachable if children(program.nodes[ref])]
    each = (
        math.log2(7) + FUNCTION_BITS + len(children(program.nodes[ref])) * math.log2(max(ref, 2))
        for ref in refs
    )
    return sum(each)


def most_leaves(bits: float, features: int, outputs: int) -> int:
    """The leaves of the largest tree that is no longer than so many bits, at least two.

    Each of L leaves costs log2(outputs) and each of L - 1 questions log2(features) + 3: which
    feature, and about which of eight values.
    """
    question = math.log2(max(features, 2)) + 3
    leaf = math.log2(max(outputs, 2))
    return max(2, int((bits + question) / (question + leaf)))
