"""Components: the parts of a half-layer, described in the frame of known variables.

An attention head is a component. Neurons are grouped into components by what
they read and write, in their order: the grid of a SequenceMap, the staircase
of a function of a number, the neurons of a lookup. Each is then *observed*:
which variables it reads, and the table of what it writes for each of their
values, up to the names of the results. Everything here is a product of what a
part reads with what earlier parts write (`frame`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from untracr.metamodel.frame import Base, Bools, Floats, Ints, Variable
from untracr.rasp.functions import number_or
from untracr.transformer.transformer import Transformer

READS = 0.05
"""A product this large, against units of one, means that a variable is read."""

NOTHING = 1e-3
"""Weights and lengths up to this are rounding errors around zero."""

SAME = 0.7
"""Cosine from which two written vectors are the same direction."""

CONNECTED = 0.1
"""Cosine from which two written vectors overlap."""

# Limits for models that nobody compiled, far above what a compiled model of the
# size that can be read reaches: time and memory stay bounded.

MAX_COMPONENTS = 64
"""Components of one half-layer that are looked at."""

MAX_TABLE = 50_000
"""Entries of a table over two variables; a part with a larger one is not observed."""

MAX_OBSERVED = 4_000_000
"""Numbers held to observe one group of neurons."""

MAX_CONNECTED = 4_000
"""Neurons that are split by what they write."""

MAX_GROUPS = 1_000
"""Directions that are told apart."""

MAX_BOS_LOGIT = 8.0
"""BOS's logit relative to the largest is cut off here; compiled models have 1/2 or 1."""

KINDS: tuple[str, ...] = (
    "lookup",  # categorical to categorical Map
    "sum",  # categorical to numerical Map: a single neuron
    "pairs",  # SequenceMap
    "stair to number",
    "stair to values",
    "linear",
    "width stair",  # second half of a SelectorWidth
    "clean",  # takes back what a SelectorWidth wrote at BOS
    "move",  # Aggregate, categorical
    "mean",  # Aggregate, numerical
    "width",  # first half of a SelectorWidth
    "unknown",
)


@dataclass(frozen=True)
class Component:
    """One part of a half-layer.

    Attributes:
        half_layer: where it is.
        kind: one of `KINDS`, judged from its form.
        reads: the variables it reads, in order of argument (a head: key, query,
            value); None where none was found.
        size: neurons, or key columns of a head.
        head: the head's number, -1 for neurons.
        neurons: the neurons' numbers.
        outputs: what it writes for each assignment of the variables read,
            [assignments, d_model]; a pair's first argument is major. For
            ``linear`` the two rows are its effect per unit of each input.
        groups: outputs numbered by first appearance; for ``lookup`` the
            position of the neuron instead, which is the output's rank.
        numbers: for numerical output, its size along ``direction``.
        direction: unit vector of a numerical output, oriented if it could be.
        orientation: how the sign of ``direction`` was found: 0 not at all, 1 by
            later readers, 2 by the axes of an unrotated model.
        table: a head's selections, [keys, queries].
        bos_logit: a head's logit on BOS relative to its largest.
    """

    half_layer: int
    kind: str
    reads: tuple[Variable | None, ...]
    size: int
    head: int = -1
    neurons: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    outputs: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    groups: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    numbers: Floats = field(default_factory=lambda: np.zeros(0))
    direction: Floats | None = None
    orientation: int = 0
    table: Bools | None = None
    bos_logit: float = 0.0

    @property
    def is_operation(self) -> bool:
        """Whether it stands for an operation of its own."""
        return self.kind not in ("clean", "width stair")


class Reader:
    """Reads the half-layers of one model.

    Args:
        model: the weights.
        base: its embedding frame.
        axis_signs: whether a numerical output that no later part reads may take
            its sign from the axis it lies on. Rotated weights have no such axis.
    """

    def __init__(self, model: Transformer, base: Base, *, axis_signs: bool = True) -> None:
        self.model = model
        self.base = base
        self.axis_signs = axis_signs
        self.W_in = model.W_in.astype(np.float64)
        self.W_out = model.W_out.astype(np.float64)
        self.W_Q = model.W_Q.astype(np.float64)
        self.W_K = model.W_K.astype(np.float64)
        self.W_V = model.W_V.astype(np.float64)
        self.W_O = model.W_O.astype(np.float64)
        self.one_in = base.one @ self.W_in  # [L, M]
        self.bos_in = base.bos @ self.W_in
        self.write_norm = np.sqrt(np.einsum("lmd,lmd->lm", self.W_out, self.W_out))
        self.alive_heads = np.abs(self.W_O).max(axis=(2, 3)) > NOTHING

    @property
    def n_half_layers(self) -> int:
        """Two a layer."""
        return 2 * self.model.n_layers

    def components(self, half_layer: int, variables: Sequence[Variable]) -> list[Component]:
        """The components of a half-layer, in the order of their heads or neurons.

        Args:
            half_layer: which one.
            variables: the known variables; those not yet available are left out.
        """
        frame = _Rows([v for v in variables if v.available_from <= half_layer])
        layer = half_layer // 2
        if half_layer % 2 == 0:
            heads = np.flatnonzero(self.alive_heads[layer])
            return [self.head(half_layer, int(h), frame) for h in heads[:MAX_COMPONENTS]]
        alive = np.flatnonzero(self.write_norm[layer] > NOTHING)
        return self._neurons(half_layer, alive, frame)

    def _neurons(self, half_layer: int, alive: Ints, frame: _Rows) -> list[Component]:
        if not len(alive):
            return []
        found = itertools.islice(self._mlp(half_layer, alive, frame), MAX_COMPONENTS)
        return sorted(found, key=lambda component: int(component.neurons[0]))

    def readable(self, half_layer: int, variables: Sequence[Variable]) -> list[Component]:
        """The components that read nothing outside the frame; a head's value may be outside."""
        frame = _Rows([v for v in variables if v.available_from <= half_layer])
        layer = half_layer // 2
        if half_layer % 2 == 0:
            return [
                self.head(half_layer, int(h), frame)
                for h in np.flatnonzero(self.alive_heads[layer])
                if self._is_covered(self.W_Q[layer, h], frame)
                and self._is_covered(self.W_K[layer, h], frame)
            ]
        alive = np.flatnonzero(self.write_norm[layer] > NOTHING)
        covered = self._covered_columns(self.W_in[layer][:, alive], frame)
        return self._neurons(half_layer, alive[covered], frame)

    def _is_covered(self, matrix: Floats, frame: _Rows) -> bool:
        return bool(self._covered_columns(matrix, frame).all())

    def _covered_columns(self, matrix: Floats, frame: _Rows) -> Bools:
        """Which columns lie in the span of the frame, the constant and BOS.

        The known directions are orthonormal in a compiled model, so a column
        is covered when its products with them hold all of its length.
        """
        inside = (
            np.square(frame.rows @ matrix).sum(axis=0)
            + np.square(self.base.one @ matrix)
            + np.square(self.base.bos @ matrix)
        )
        total = np.square(matrix).sum(axis=0)
        return np.asarray(inside >= 0.999 * total, dtype=np.bool_)

    def head(self, half_layer: int, head: int, frame: _Rows) -> Component:
        """Observes one attention head."""
        layer = half_layer // 2
        W_Q, W_K = self.W_Q[layer, head], self.W_K[layer, head]
        W_V, W_O = self.W_V[layer, head], self.W_O[layer, head]
        R_Q, R_K, R_V = frame.rows @ W_Q, frame.rows @ W_K, frame.rows @ W_V
        key = frame.most(np.abs(R_K).sum(axis=1))
        query = frame.most(np.abs(R_Q).sum(axis=1))
        value = frame.most(np.abs(R_V).sum(axis=1))
        bos = float((self.base.one @ W_Q) @ (self.base.bos @ W_K))
        table, largest = None, 0.0
        if key is not None and query is not None and _is_table(key, query):
            logits = R_K[frame.slice(key)] @ R_Q[frame.slice(query)].T
            largest = float(logits.max(initial=0.0))
            table = logits > max(0.5 * largest, READS)
        bos_value = (self.base.bos @ W_V) @ W_O
        if float(np.abs(bos_value).max()) > READS and value is None:
            kind, outputs = "width", bos_value[None]
        elif value is None:
            kind, outputs = "unknown", bos_value[None]
        else:
            kind = "move" if value.is_categorical else "mean"
            outputs = R_V[frame.slice(value)] @ W_O
        return Component(
            half_layer,
            kind,
            (key, query, value),
            int((np.abs(W_K).max(axis=0) > NOTHING).sum()),
            head=head,
            outputs=outputs,
            table=table,
            bos_logit=_bounded(bos / largest, MAX_BOS_LOGIT) if largest > READS else 0.0,
        )

    def _mlp(self, half_layer: int, alive: Ints, frame: _Rows) -> Iterator[Component]:
        """Groups a layer's neurons by what they read and observes each group."""
        layer = half_layer // 2
        read = frame.rows @ self.W_in[layer][:, alive]  # [rows, neurons]
        one, bos = self.one_in[layer, alive], self.bos_in[layer, alive]
        which = frame.read_by(read)  # [variables, neurons]
        categorical = frame.categorical
        n_categorical = which[categorical].sum(axis=0)
        n_numerical = which[~categorical].sum(axis=0)
        nothing = (n_categorical + n_numerical) == 0
        clean = nothing & (np.abs(bos) > READS)
        numeric = ~clean & ((n_numerical > 0) | nothing)
        single = ~numeric & ~clean & (n_categorical == 1) & (np.abs(one) <= READS)
        pair = ~numeric & ~clean & (n_categorical == 2)
        unknown = ~(clean | numeric | single | pair)
        signature = which.T.astype(np.int64) @ (1 << np.arange(len(frame.variables)))
        context = _Layer(half_layer, alive, read, one, which, self.W_out[layer][alive])
        if clean.any():
            yield Component(half_layer, "clean", (), 1, neurons=alive[clean])
        for members in _runs(np.flatnonzero(pair), signature):
            yield from self._pairs(context, members, frame)
        for members in _runs(np.flatnonzero(single), signature):
            yield from self._singles(context, members, frame)
        if numeric.sum() > MAX_CONNECTED:
            yield _unknown(half_layer, alive[numeric])
        elif numeric.any():
            for members in _connected_runs(np.flatnonzero(numeric), context.write):
                yield self._numeric(context, members, frame)
        if unknown.any():
            yield _unknown(half_layer, alive[unknown])

    def _pairs(self, at: _Layer, members: Ints, frame: _Rows) -> Iterator[Component]:
        """SequenceMaps on the same two variables: one grid of neurons after the other."""
        a, b = (frame.variables[i] for i in np.flatnonzero(at.which[:, members[0]]))
        if not _is_table(a, b) or len(a.values) * len(b.values) * at.write.shape[1] > MAX_OBSERVED:
            yield _unknown(at.half_layer, at.alive[members])
            return
        place_a = at.read[frame.slice(a)][:, members].argmax(axis=0)
        place_b = at.read[frame.slice(b)][:, members].argmax(axis=0)
        place = place_a * len(b.values) + place_b
        for start, stop in _without_repeats(place):
            piece = members[start:stop]
            i, j, fst, snd = place_a[start:stop], place_b[start:stop], a, b
            if len(piece) > 1 and i[0] != i[1]:  # the second argument runs faster
                i, j, fst, snd = j, i, b, a
            outputs = np.zeros((len(fst.values) * len(snd.values), at.write.shape[1]))
            outputs[i * len(snd.values) + j] = at.write[piece]
            yield Component(
                at.half_layer,
                "pairs",
                (fst, snd),
                len(piece),
                neurons=at.alive[piece],
                outputs=outputs,
                groups=direction_groups(outputs),
            )

    def _singles(self, at: _Layer, members: Ints, frame: _Rows) -> Iterator[Component]:
        """Maps of one categorical variable: lookups, or single summing neurons."""
        variable = frame.variables[int(np.flatnonzero(at.which[:, members[0]])[0])]
        read = at.read[frame.slice(variable)][:, members]  # [values, neurons]
        n_values = len(variable.values)
        hot = np.abs(read) > READS
        is_one_hot = (hot.sum(axis=0) == 1) & (np.abs(read.max(axis=0) - 1) < READS)
        value = hot.argmax(axis=0)
        start = 0
        while start < len(members):
            stop = start + n_values
            in_order = (
                n_values > 1
                and stop <= len(members)
                and bool(is_one_hot[start:stop].all())
                and len(set(value[start:stop].tolist())) == n_values
            )
            if not in_order:
                yield self._sum(at, members[start], variable, read[:, start])
                start += 1
                continue
            piece = members[start:stop]
            position = np.empty(n_values, dtype=np.int64)
            position[value[start:stop]] = np.arange(n_values)
            yield Component(
                at.half_layer,
                "lookup",
                (variable,),
                len(piece),
                neurons=at.alive[piece],
                outputs=at.write[piece][position],
                groups=position,
            )
            start = stop

    def _sum(self, at: _Layer, neuron: int, variable: Variable, factors: Floats) -> Component:
        write = at.write[neuron]
        size = float(np.sqrt(write @ write))
        direction, orientation = self.orient(write / size, at.half_layer)
        sign = float(np.sign(direction @ write))
        if orientation == 0:  # a lone neuron writes along, not against, its variable
            direction, sign = write / size, 1.0
        return Component(
            at.half_layer,
            "sum",
            (variable,),
            1,
            neurons=at.alive[[neuron]],
            outputs=factors[:, None] * write,
            numbers=factors * size * sign,
            direction=direction,
            orientation=max(orientation, 1),
        )

    def _numeric(self, at: _Layer, members: Ints, frame: _Rows) -> Component:
        """A function of numbers: a staircase, or a LinearSequenceMap."""
        read_by = np.flatnonzero(at.which[:, members].any(axis=1))
        variables = tuple(frame.variables[i] for i in read_by)
        write, one = at.write[members], at.one[members]
        largest = int(np.argmax(np.einsum("nd,nd->n", write, write)))
        size = float(np.sqrt(write[largest] @ write[largest]))
        along = write @ (write[largest] / size)
        is_line = bool((np.abs(along) > 0.99 * np.sqrt(np.einsum("nd,nd->n", write, write))).all())
        neurons = at.alive[members]
        is_plain = not any(v.is_categorical for v in variables)
        n_points = max((len(v.values) for v in variables), default=0)
        if not is_plain or n_points * len(members) > MAX_OBSERVED:
            return _unknown(at.half_layer, neurons)
        if variables and variables[0].is_auxiliary:
            outputs = self._staircase(at, members, variables[0], frame)
            return Component(
                at.half_layer,
                "width stair",
                variables,
                len(members),
                neurons=neurons,
                outputs=outputs,
            )
        if is_line and variables and not bool((np.abs(one) > READS).any()):
            return self._linear(at, members, variables, frame, write[largest] / size)
        if len(variables) != 1:
            return _unknown(at.half_layer, neurons)
        outputs = self._staircase(at, members, variables[0], frame)
        if not is_line:
            return Component(
                at.half_layer,
                "stair to values",
                variables,
                len(members),
                neurons=neurons,
                outputs=outputs,
                groups=direction_groups(outputs),
            )
        direction, orientation = self.orient(write[largest] / size, at.half_layer)
        return Component(
            at.half_layer,
            "stair to number",
            variables,
            len(members),
            neurons=neurons,
            outputs=outputs,
            numbers=outputs @ direction,
            direction=direction,
            orientation=orientation,
        )

    def _staircase(self, at: _Layer, members: Ints, variable: Variable, frame: _Rows) -> Floats:
        """What neurons write at each value of a number."""
        slope = at.read[frame.slice(variable)][0, members]
        points = np.array([number_or(v, 0.0) for v in variable.values])
        hidden = np.maximum(points[:, None] * slope + at.one[members], 0.0)
        outputs: Floats = hidden @ at.write[members]
        return outputs

    def _linear(
        self,
        at: _Layer,
        members: Ints,
        variables: tuple[Variable, ...],
        frame: _Rows,
        unit: Floats,
    ) -> Component:
        slopes = np.stack([at.read[frame.slice(v)][0, members] for v in variables])
        first = [int(np.flatnonzero(np.abs(row) > READS)[0]) for row in slopes]
        order = np.argsort(first, kind="stable")
        effects = np.maximum(slopes, 0.0) @ at.write[members]  # at one unit of each input
        direction, orientation = self.orient(unit, at.half_layer)
        return Component(
            at.half_layer,
            "linear",
            tuple(variables[i] for i in order),
            len(members),
            neurons=at.alive[members],
            outputs=effects[order],
            numbers=effects[order] @ direction,
            direction=direction,
            orientation=orientation,
        )

    def orient(self, unit: Floats, half_layer: int) -> tuple[Floats, int]:
        """Gives a numerical direction its sign, if anything shows it.

        Staircases rise along their input, attention carries numbers over
        unchanged, and of the two neurons by which a LinearSequenceMap reads an
        input the first reads its negative. In an unrotated model the axis
        shows it.

        Returns:
            The direction, turned if need be, and how its sign was found.
        """
        for layer in range((half_layer + 1) // 2, self.model.n_layers):
            if layer > half_layer // 2 or half_layer % 2 == 0:
                sign = self._sign_in_mlp(unit, layer)
                if sign:
                    return sign * unit, 1
            if layer > half_layer // 2:
                carried = (unit @ self.W_V[layer]).sum()
                if abs(carried) > READS:
                    return float(np.sign(carried)) * unit, 1
        axis = np.flatnonzero(np.abs(unit) > NOTHING)
        if self.axis_signs and len(axis) == 1:
            return float(np.sign(unit[axis[0]])) * unit, 2
        return unit, 0

    def _sign_in_mlp(self, unit: Floats, layer: int) -> float:
        read = unit @ self.W_in[layer]
        readers = np.abs(read) > READS
        if not readers.any():
            return 0.0
        rising = readers & (np.abs(self.one_in[layer]) > READS)
        if rising.any():
            return float(np.sign(read[rising][0]))
        return -float(np.sign(read[readers][0]))


class _Rows:
    """The directions of several variables, stacked."""

    def __init__(self, variables: Sequence[Variable]) -> None:
        self.variables = [v for v in variables if len(v.directions)]
        self.rows = np.concatenate([v.directions for v in self.variables])
        sizes = [len(v.directions) for v in self.variables]
        ends = np.cumsum(sizes).tolist()
        self.starts = [end - size for end, size in zip(ends, sizes, strict=True)]
        self._slices = {
            id(v): slice(start, end)
            for v, start, end in zip(self.variables, self.starts, ends, strict=True)
        }
        self.categorical = np.array([v.is_categorical for v in self.variables])

    def slice(self, variable: Variable) -> slice:
        """The rows of a variable."""
        return self._slices[id(variable)]

    def read_by(self, products: Floats) -> Bools:
        """Which variables each column reads, [variables, columns]."""
        return np.maximum.reduceat(np.abs(products), self.starts, axis=0) > READS

    def most(self, mass: Floats) -> Variable | None:
        """The variable whose rows hold most of ``mass``, if any."""
        sums = np.add.reduceat(mass, self.starts)
        best = int(sums.argmax())
        return self.variables[best] if sums[best] > READS else None


@dataclass(frozen=True)
class _Layer:
    """The living neurons of an MLP: what they read in the frame, and what they write."""

    half_layer: int
    alive: Ints
    read: Floats
    one: Floats
    which: Bools
    write: Floats


def _runs(members: Ints, signature: Ints) -> Iterator[Ints]:
    """Splits members where the signature changes."""
    if len(members):
        yield from np.split(members, np.flatnonzero(np.diff(signature[members])) + 1)


def _connected_runs(members: Ints, write: Floats) -> Iterator[Ints]:
    """Splits members where one writes into none of the directions of its run so far."""
    vectors = write[members]
    unit = vectors / np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]
    overlap = np.abs(unit @ unit.T) > CONNECTED
    start = 0
    for i in range(1, len(members)):
        if not overlap[i, start:i].any():
            yield members[start:i]
            start = i
    yield members[start:]


def _without_repeats(places: Ints) -> Iterator[tuple[int, int]]:
    """Splits a sequence wherever a place comes again."""
    seen: set[int] = set()
    start = 0
    for i, place in enumerate(places.tolist()):
        if place in seen:
            yield start, i
            start = i
            seen = set()
        seen.add(place)
    yield start, len(places)


def direction_groups(vectors: Floats) -> Ints:
    """Numbers vectors by direction, in order of first appearance; zero vectors are one group."""
    sizes = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    unit = vectors / np.where(sizes > NOTHING, sizes, 1.0)[:, None]
    unit[sizes <= NOTHING] = 0.0
    groups = np.full(len(vectors), -1, dtype=np.int64)
    number = 0
    while (open_ := np.flatnonzero(groups < 0)).size:
        if number == MAX_GROUPS:
            groups[open_] = number
            break
        leader = unit[open_[0]]
        same = unit[open_] @ leader > SAME
        same[0] = True  # also where numbers are not finite
        if not leader.any():
            same = ~unit[open_].any(axis=1)
        groups[open_[same]] = number
        number += 1
    return groups


def _unknown(half_layer: int, neurons: Ints) -> Component:
    return Component(half_layer, "unknown", (), len(neurons), neurons=neurons)


def _is_table(fst: Variable, snd: Variable) -> bool:
    return len(fst.values) * len(snd.values) <= MAX_TABLE


def _bounded(number: float, limit: float) -> float:
    return min(max(number, -limit), limit) if number == number else 0.0
