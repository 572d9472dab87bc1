"""Whether given weights hold an operation: the check at every step of a search.

An operation's block says which rows of the frame each head or neuron reads, and
which directions it writes (`untracr.compile.blocks`). What it reads is compared
with the weights; the directions that it writes are found from them by least
squares, and what these do not explain is compared too. For noisy weights the
comparison is statistical: squared distances against what noise gives.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from untracr.arrays import Bools, Floats, Ints
from untracr.compile import blocks
from untracr.compile.compiler import MLP_EXACTNESS
from untracr.compile.values import ValueSet
from untracr.decompile.expected_neurons import Entries, joined, neurons_of
from untracr.decompile.layer_frame import BOS_ROW, ONE_ROW, Frame, LayerView
from untracr.errors import ProgramError
from untracr.metamodel.vocabulary import Kind, kind_of
from untracr.rasp.functions import Predicate, Value, formula, types_of
from untracr.rasp.known_tables import call
from untracr.read.frame import Base, Directions, Variable
from untracr.read.heads import HeadWeights
from untracr.read.operations import (
    AggregateOperation,
    HeadOperation,
    LinearOperation,
    MapOperation,
    NeuronOperation,
    Operation,
    SequenceMapOperation,
    WidthOperation,
)
from untracr.read.reader import Reader
from untracr.read.scope import result_variable
from untracr.transformer.half_layer import HalfLayer
from untracr.transformer.transformer import Transformer

FITTED_SHARE_OF_LENGTH = 2e-3
"""Exact vectors are off by less than this share of their length, or of 1."""

FITTED_DEVIATIONS = 7.0
"""Standard deviations by which noise may exceed what is expected, for one vector and for all."""

UNIT_SQUARE_OFF = 0.03
"""How far the squared length of a direction may be from 1."""

FITTED_UNIT_OFF = 0.1
"""How far factors of zero or one may be off, besides what noise gives."""

WIDTH_FUNCTION = formula("round(1 / x - 1)")
"""From the mean of BOS over what is selected back to how much that is."""


@dataclass(frozen=True)
class Fit:
    """An operation that the weights hold.

    Attributes:
        variable: its result.
        variance: of the noise in each entry of its directions.
        size: how many neurons it takes, or 1 head.
    """

    variable: Variable
    variance: float
    size: int


class Fitter:
    """Compares operations with one model's weights.

    Args:
        model: the weights.
        base: its embedding frame.
        reader: of the same model; it says in which form its layers are taken.
    """

    def __init__(self, model: Transformer, base: Base, reader: Reader) -> None:
        self.model, self.base, self.reader = model, base, reader
        self.max_seq_len = len(model.W_pos) - 1
        self.noise = {
            name: [_noise(matrix) if base.noise else 0.0 for matrix in getattr(model, name)]
            for name in ("W_Q", "W_K", "W_V", "W_O", "W_in", "W_out")
        }

    def frame(
        self, half_layer: HalfLayer, variables: Sequence[Variable], variances: dict[int, float]
    ) -> Frame:
        """The frame of a half-layer.

        Args:
            half_layer: which one.
            variables: those known; later ones are left out.
            variances: of the noise in their directions, by slot.
        """
        base = self.base
        known = tuple(v for v in variables if v.available_from <= half_layer)
        embedding = base.noise**2
        rows, pad = [base.one[None], base.bos[None]], [[1.0], [-1.0]]
        noise, starts, at = [[embedding], [2 * embedding]], {}, 2
        for v in known:
            size = len(v.directions)
            starts[-1 - v.slot if v.is_auxiliary else v.slot] = at
            rows.append(v.directions)
            pad.append([-1.0 if v.slot == base.tokens.slot else 0.0] * size)
            own = 2 * embedding if v.slot == base.tokens.slot else embedding
            noise.append([variances.get(v.slot, own)] * size)
            at += size
        pads = np.concatenate(pad) if base.is_orthonormal else np.zeros(at)
        return Frame(
            half_layer,
            self._view(half_layer, known),
            known,
            np.concatenate(rows),
            starts,
            pads,
            np.concatenate(noise),
        )

    def _view(self, half_layer: HalfLayer, known: tuple[Variable, ...]) -> LayerView:
        """A half-layer in Tracr's form, where the variables show it."""
        layer = half_layer.layer
        if layer >= self.model.n_layers:
            return LayerView(np.zeros((0, 0)), np.zeros((0, 0)), np.zeros(0, dtype=np.int64))
        try:
            shown = Directions(known, self.base) if self.reader.any_form else None
        except ProgramError:  # too many to be told apart
            shown = None
        W_in, W_out = self.model.W_in[layer], self.model.W_out[layer]
        every = np.arange(self.model.d_mlp if half_layer.is_mlp else self.model.n_heads)
        if half_layer.is_mlp:
            if shown is None:
                return LayerView(W_in, W_out, every)
            living = self.reader.neurons(layer, shown)
            order = np.concatenate([living, np.setdiff1d(every, living)])
            return LayerView(W_in[:, order], W_out[order], order)
        if shown is None:
            read = self.reader
            arrays = [W[layer] for W in (read.W_Q, read.W_K, read.W_V, read.W_O)]
            given = tuple(HeadWeights(*(array[head] for array in arrays)) for head in every)
            return LayerView(W_in, W_out, every, given)
        order = np.argsort(~self.reader.alive_heads[layer], kind="stable")
        heads = tuple(self.reader.head(layer, head, shown) for head in order.tolist())
        return LayerView(W_in, W_out, order, heads)

    # Neurons

    def is_dead(self, frame: Frame, start: int) -> bool:
        """Whether no head or neuron from this one on holds anything."""
        layer = frame.half_layer.layer
        if frame.half_layer.is_mlp:
            reads, writes = frame.view.W_in[:, start:].T, frame.view.W_out[start:]
            return self._is_nothing("W_in", layer, reads) and self._is_nothing(
                "W_out", layer, writes
            )
        return all(
            self._is_nothing(name, layer, _columns(getattr(head, name), name))
            for head in frame.view.heads[start:]
            for name in ("W_O", "W_Q")
        )

    def _is_nothing(self, name: str, layer: int, vectors: npt.NDArray[np.floating]) -> bool:
        squares = np.square(vectors.astype(np.float64)).sum(axis=1)
        return self._small(squares, self.noise[name][layer] ** 2, vectors.shape[1], squares)

    def _small(
        self,
        squares: Floats,
        variance: Floats | float,
        count: int,
        sizes: Floats,
        pad: Floats | float = 0.0,
        shared: Floats | float = 0.0,
    ) -> bool:
        """Whether squared lengths [n] are those of nothing but noise.

        Args:
            squares: what is left.
            variance: of each of ``count`` entries.
            count: entries of a vector.
            sizes: squared lengths of the vectors themselves.
            pad: the squared length that PAD's direction adds.
            shared: variance besides, of errors that the vectors may have in common.
        """
        if not squares.size:
            return True
        if not np.isfinite(squares).all():
            return False
        limit = FITTED_SHARE_OF_LENGTH**2 * np.maximum(1.0, sizes)
        own = np.broadcast_to(np.asarray(variance, dtype=np.float64), squares.shape)
        noise = own + shared
        spread = 2 * count * noise**2 + 4 * pad * noise
        excess = squares - pad - count * noise
        if (excess > limit + FITTED_DEVIATIONS * np.sqrt(spread) + 30 * noise).any():
            return False
        together = float(np.sqrt(spread - 2 * count * own**2).sum())
        total = float(np.sqrt((2 * count * own**2).sum())) + together
        allowed = float(limit.sum()) + FITTED_DEVIATIONS * total + 30 * float(noise.max())
        return bool(float(excess.sum()) <= allowed)

    def _reads(
        self, frame: Frame, name: str, vectors: npt.NDArray[np.floating], read: Entries
    ) -> bool:
        """Whether vectors [n, D] read what they should."""
        layer = frame.half_layer.layer
        used = np.unique(read.rows)
        wanted = np.zeros((read.count, len(used)))
        np.add.at(wanted, (read.columns, np.searchsorted(used, read.rows)), read.values)
        exact = vectors.astype(np.float64)
        squares = np.square(exact - wanted @ frame.rows[used]).sum(axis=1)
        variance, shared = self.noise[name][layer] ** 2, np.square(wanted) @ frame.variances[used]
        pad = np.square(wanted @ frame.pad[used])
        sizes = np.square(exact).sum(axis=1)
        return self._small(squares, variance, exact.shape[1], sizes, pad, shared)

    def _written(
        self, frame: Frame, name: str, vectors: npt.NDArray[np.floating], write: Floats
    ) -> tuple[Floats, float] | None:
        """The directions of which vectors [n, D] are these combinations [n, k], if they are."""
        exact = vectors.astype(np.float64)
        noise = self.noise[name][frame.half_layer.layer]
        gram = write.T @ write
        inverse = np.linalg.pinv(gram, rcond=1e-9, hermitian=True)
        directions = inverse @ (write.T @ exact)
        left = exact - write @ directions
        sizes = np.square(exact).sum(axis=1)
        free = len(exact) - int(np.linalg.matrix_rank(gram, hermitian=True))
        squares = np.square(left).sum(axis=1)
        if not np.isfinite(squares).all():
            return None
        if noise:
            share = free / max(1, len(exact))
            if not self._small(squares, noise**2 * share, exact.shape[1], 0 * sizes):
                return None
        elif not self._small(squares, 0.0, exact.shape[1], sizes):
            return None
        variance = noise**2 * float(np.diagonal(inverse).max(initial=0.0))
        written = np.diagonal(gram) > 0
        lengths = np.square(directions[written]).sum(axis=1)
        allowed = (
            UNIT_SQUARE_OFF
            + FITTED_DEVIATIONS * np.sqrt(4 * variance)
            + 2 * exact.shape[1] * variance
        )
        if (lengths > 1 + allowed).any():
            return None
        if self.base.is_orthonormal and (lengths < 1 - allowed).any():
            return None
        return directions, variance

    def fit(self, frame: Frame, start: int, operation: Operation, slot: int) -> Fit | None:
        """Fits an operation to the heads or neurons from ``start`` on; None if they hold another.

        Raises:
            ProgramError: the operation fails on a value of its arguments, or has a table that
                was not read.
        """
        match operation:
            case AggregateOperation() | WidthOperation():
                is_here = frame.half_layer.is_attention
                return self.head(frame, start, operation, slot) if is_here else None
            case MapOperation() | SequenceMapOperation() | LinearOperation():
                is_here = frame.half_layer.is_mlp
                return self.neurons(frame, start, operation, slot) if is_here else None

    def neurons(
        self, frame: Frame, start: int, operation: NeuronOperation, slot: int
    ) -> Fit | None:
        """Fits an operation to the neurons from ``start`` on; None if they are not its own.

        Raises:
            ProgramError: the operation fails on a value of its arguments.
        """
        kind, slots = kind_of(operation), operation.slots
        first = slots[:1] if kind is Kind.LINEAR else slots
        if not self.may_hold(frame, start, kind, first):
            return None
        variable = result_variable(
            operation, frame.half_layer, None, slot, frame.by_slot, self.max_seq_len
        )
        return self._runs(frame, start, neurons_of(frame, operation, variable), variable)

    def summed(self, frame: Frame, start: int, variable: Variable) -> tuple[Floats, float]:
        """What one neuron would sum for each value of a categorical variable.

        Returns:
            The numbers [values], and the standard deviation of the noise in them.
        """
        layer = frame.half_layer.layer
        read = frame.view.W_in[:, start].astype(np.float64)
        rows = variable.directions
        if self.base.is_orthonormal:
            return rows @ read, self.noise["W_in"][layer] * 2
        return np.asarray(np.linalg.lstsq(rows.T, read, rcond=1e-6)[0], dtype=np.float64), 0.0

    def values_read(self, frame: Frame, neuron: int, variable: Variable) -> Bools | None:
        """Which values of a categorical variable a neuron reads once each; None if it reads else.

        A neuron that reads nothing at all but writes something reads none of them.
        """
        if neuron >= self.model.d_mlp or self.is_dead(frame, neuron):
            return None
        factors, noise = self.summed(frame, neuron, variable)
        reads = np.asarray(factors > 1 / 2, dtype=np.bool_)
        if (
            not np.isfinite(factors).all()
            or (np.abs(factors - reads) > FITTED_UNIT_OFF + 3 * noise).any()
        ):
            return None
        rows = frame.dims(variable)[reads]
        read = Entries(rows, np.zeros_like(rows), np.ones(len(rows)), 1)
        vectors = frame.view.W_in[:, neuron : neuron + 1].T
        return reads if self._reads(frame, "W_in", vectors, read) else None

    def may_hold(self, frame: Frame, start: int, kind: Kind, slots: tuple[int, ...]) -> bool:
        """Whether a head or neuron may begin an operation, whatever its function is.

        Args:
            frame: of the half-layer.
            start: the head or neuron.
            kind: of the operation.
            slots: its first arguments, or all but its function.
        """
        key = ("may hold", start, kind, slots)
        if key not in frame.seen:
            variables = [frame.by_slot[slot] for slot in slots]
            if frame.half_layer.is_mlp:
                frame.seen[key] = self._neuron_may_hold(frame, start, kind, variables)
            else:
                frame.seen[key] = self._head_may_hold(frame, start, kind, variables)
        return frame.seen[key]

    def _head_may_hold(
        self, frame: Frame, head: int, kind: Kind, variables: list[Variable]
    ) -> bool:
        """Whether the keys and, if told, the queries and the values are those of a head."""
        if self._bos_column(frame, head, variables[0]) is None:
            return False
        value = variables[2] if len(variables) > 2 else None
        if (value is not None or kind is Kind.WIDTH) and not self._moves(frame, head, value):
            return False
        if len(variables) < 2:
            return True
        vectors = frame.view.heads[head].W_Q.T
        return self._are_within(frame, vectors, variables[1])

    def _neuron_may_hold(
        self, frame: Frame, start: int, kind: Kind, variables: list[Variable]
    ) -> bool:
        vectors = frame.view.W_in[:, start : start + 1].T
        if kind is Kind.LINEAR:
            row = frame.dims(variables[0])[:1]
            read = Entries(row, np.zeros_like(row), np.array([-1.0]), 1)
            return self._reads(frame, "W_in", vectors, read)
        if kind is Kind.SEQUENCE_MAP and len(variables) < 2:
            return True
        if kind is Kind.SEQUENCE_MAP and variables[0] is not variables[1]:
            fst, snd = variables
            rows = np.array([frame.dims(fst)[0], frame.dims(snd)[0], ONE_ROW])
            read = Entries(rows, np.zeros_like(rows), np.array([1.0, 1.0, -1.0]), 1)
            return self._reads(frame, "W_in", vectors, read)
        return self._are_within(frame, vectors, variables[0])

    def _are_within(
        self, frame: Frame, vectors: npt.NDArray[np.floating], variable: Variable
    ) -> bool:
        """Whether vectors [n, D] may be combinations of a variable's directions and the constant.

        Of noisy weights nothing is said.
        """
        if self.base.noise:
            return True
        exact = vectors.astype(np.float64)
        squares = np.square(exact).sum(axis=1)
        rows = frame.rows[[ONE_ROW, *frame.dims(variable)]]
        if self.base.is_orthonormal:  # but for PAD, which nothing reads
            left = squares - np.square(exact @ rows.T).sum(axis=1)
        else:
            found = np.linalg.lstsq(rows.T, exact.T, rcond=1e-9)[0]
            left = np.square(exact - found.T @ rows).sum(axis=1)
        limit = (2 * FITTED_SHARE_OF_LENGTH) ** 2 * np.maximum(1.0, squares)
        return bool((left <= limit * len(exact)).all())

    def _runs(
        self, frame: Frame, start: int, runs: list[blocks.Neurons], variable: Variable
    ) -> Fit | None:
        read, write, size = joined(runs, len(variable.directions))
        if start + size > self.model.d_mlp:
            return None
        vectors = frame.view.W_in[:, start : start + size].T
        if not self._reads(frame, "W_in", vectors, read):
            return None
        fitted = self._written(frame, "W_out", frame.view.W_out[start : start + size], write)
        if fitted is None:
            return None
        return Fit(replace(variable, directions=fitted[0]), fitted[1], size)

    def width_stair(self, frame: Frame, start: int, auxiliary: Variable) -> Fit | None:
        """Fits the second half of a SelectorWidth."""
        widths = tuple(range(self.max_seq_len + 1))
        points = ValueSet.of({1 / (width + 1) for width in widths})
        runs = blocks.staircase(
            WIDTH_FUNCTION,
            "",
            points,
            int(frame.dims(auxiliary)[0]),
            ONE_ROW,
            exactness=MLP_EXACTNESS,
            out_dims={width: width for width in widths},
        )
        empty = np.zeros((len(widths), self.model.d_model))
        variable = Variable(auxiliary.slot, True, widths, empty, frame.half_layer.next)
        return self._runs(frame, start, runs, variable)

    def cleans(self, frame: Frame, start: int, widths: int) -> bool:
        """Whether a neuron takes back what so many SelectorWidths wrote at BOS."""
        vectors = frame.view.W_in[:, start : start + 1].T
        zero = np.zeros(1, dtype=np.int64)
        read = Entries(zero + BOS_ROW, zero, np.array([float(widths)]), 1)
        return len(vectors) == 1 and self._reads(frame, "W_in", vectors, read)

    # Heads

    def head(self, frame: Frame, head: int, operation: HeadOperation, slot: int) -> Fit | None:
        """Fits an Aggregate or the first half of a SelectorWidth to a head.

        Raises:
            ProgramError: the predicate is a table that was not read.
        """
        keys, queries, *moved = (frame.by_slot[slot] for slot in operation.slots)
        value = moved[0] if moved else None
        bos = self._bos_column(frame, head, keys)
        if bos is None or not self._moves(frame, head, value):
            return None
        logit = blocks.COLDNESS * (1.0 if value is None else 0.5)
        if not self._selects(frame, head, keys, queries, operation.predicate, bos, logit):
            return None
        count = 1 if value is None else len(value.directions)
        W_O = frame.view.heads[head].W_O
        fitted = self._written(frame, "W_O", W_O[:count], np.eye(count))
        if fitted is None:
            return None
        variable = result_variable(
            operation, frame.half_layer, None, slot, frame.by_slot, self.max_seq_len
        )
        return Fit(replace(variable, directions=fitted[0]), fitted[1], 1)

    def _bos_column(self, frame: Frame, head: int, keys: Variable) -> int | None:
        """The column of W_K that reads BOS, if the others read the keys in order."""
        count = len(keys.directions)
        vectors = frame.view.heads[head].W_K.T
        if count + 1 > len(vectors):
            return None
        to_bos = np.square(vectors[: count + 1] - frame.rows[BOS_ROW]).sum(axis=1)
        bos = int(to_bos.argmin())
        key = ("keys", head, keys.slot)
        if key not in frame.seen:
            rows = np.insert(frame.dims(keys), bos, BOS_ROW)
            read = Entries(rows, np.arange(count + 1), np.ones(count + 1), len(vectors))
            frame.seen[key] = self._reads(frame, "W_K", vectors, read)
        return bos if frame.seen[key] else None

    def _moves(self, frame: Frame, head: int, value: Variable | None) -> bool:
        key = ("value", head, None if value is None else value.slot)
        if key not in frame.seen:
            vectors = frame.view.heads[head].W_V.T
            rows = np.array([BOS_ROW]) if value is None else frame.dims(value)
            fits = len(rows) <= len(vectors)
            read = Entries(rows, np.arange(len(rows)), np.ones(len(rows)), len(vectors))
            frame.seen[key] = fits and self._reads(frame, "W_V", vectors, read)
        return frame.seen[key]

    def _selects(
        self,
        frame: Frame,
        head: int,
        keys: Variable,
        queries: Variable,
        predicate: Predicate,
        bos: int,
        logit: float,
    ) -> bool:
        key = ("selects", head, keys.slot, queries.slot, predicate, logit)
        if key not in frame.seen:
            vectors = frame.view.heads[head].W_Q.T
            k, q = _selected(
                predicate,
                keys.values,
                queries.values,
                types_of(keys.values),
                types_of(queries.values),
            )
            rows = np.append(frame.dims(queries)[q], ONE_ROW)
            columns = np.append(k + (k >= bos), bos)
            values = np.append(np.full(len(k), blocks.COLDNESS), logit)
            read = Entries(rows, columns, values, len(vectors))
            frame.seen[key] = self._reads(frame, "W_Q", vectors, read)
        return frame.seen[key]


def _noise(matrix: npt.NDArray[np.floating]) -> float:
    """Standard deviation of the noise in a matrix most of whose entries hold nothing else."""
    return float(np.median(np.abs(matrix))) / 0.6745


def _columns(matrix: npt.NDArray[np.floating], name: str) -> npt.NDArray[np.floating]:
    return matrix if name == "W_O" else matrix.T


@functools.lru_cache(maxsize=4096)
def _selected(
    predicate: Predicate,
    keys: tuple[Value, ...],
    queries: tuple[Value, ...],
    key_types: tuple[type, ...],
    query_types: tuple[type, ...],
) -> tuple[Ints, Ints]:
    table = [[bool(call(predicate, key, query)) for query in queries] for key in keys]
    k, q = np.nonzero(np.array(table, dtype=np.bool_).reshape(len(keys), len(queries)))
    return k, q
