"""MLP layers: neurons grouped into the components that they make up.

The neurons of an operation stand together and in a fixed order (Tracr's
`craft/chamber`), so a layer is read from the first neuron to the last: at each
place the largest component that explains the next neurons is taken.

| component | its neurons read |
|---|---|
| pairs | ``x_i + y_j - one`` for all values of two variables, the first one major |
| lookup | the values of one variable that share a result, in the order of the results |
| sum | ``f(x_i)`` times each value of one variable: a single neuron |
| stairs | a number, steeply, with falling multiples of the constant; then the constant |
| linear | ``-x``, ``x``, ``-y``, ``y`` of two numbers |
| clean | BOS |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from untracr.arrays import Annotated, Bools, Floats, Ints
from untracr.rasp.functions import number_or
from untracr.rasp.known_tables import unary_tables
from untracr.rasp.listed_functions import FACTORS, MAP_POOL, UNARY
from untracr.read.components import (
    Clean,
    Linear,
    Lookup,
    Neurons,
    Number,
    Pairs,
    StairToNumber,
    StairToValues,
    Sum,
    UnknownNeurons,
    WidthStair,
)
from untracr.read.frame import Directions, Variable, two_coefficients
from untracr.read.result_groups import direction_groups, groups_of_pairs
from untracr.read.roles import Role, Roles
from untracr.read.tolerances import (
    MAX_OBSERVED,
    MAX_TABLE,
    NOISE_LIMIT,
    STEEP,
    ZERO_LENGTH,
    ZERO_SQUARE,
    Tolerance,
)
from untracr.transformer.half_layer import HalfLayer

ROUND_SLOPE = 0.1
"""How far slopes of plus or minus one, and ones of a lookup, may be off."""

NOISE_OF_TOKEN = 1.5
"""The noise of a token's direction, against that of an embedding's entry: a row of W_E less PAD's,
both noisy, so the square root of 2, rounded up. A position's has less."""

LARGEST_FACTOR = max(FACTORS)
"""Of a LinearSequenceMap whose direction nothing else shows."""

TRUTHS: tuple[int, ...] = tuple(
    n for n, f in enumerate(UNARY) if f in MAP_POOL["categorical", "bool"]
)
"""Functions that give truth values of a category: a single neuron each, like one of a lookup."""

Orient = Callable[[Annotated[Floats, "D"], HalfLayer], tuple[Annotated[Floats, "D"], int]]
"""From a direction and its half-layer to it with sign and length, and how these were found."""


@dataclass(frozen=True)
class LayerWeights:
    """What the living neurons of an MLP read [d_model, n] and write [n, d_model].

    Attributes:
        noise: standard deviation of the noise in what they write.
        is_last: whether nothing lives behind them.
    """

    half_layer: HalfLayer
    neurons: Annotated[Ints, "n"]
    read: Annotated[Floats, "D n"]
    write: Annotated[Floats, "n D"]
    noise: float = 0.0
    is_last: bool = False


def read_neurons(
    layer: LayerWeights, known: Directions, tolerance: Tolerance, orient: Orient, roles: Roles
) -> Iterator[Neurons]:
    """The components of an MLP, in the order of their neurons; what nothing explains is unknown.

    Raises:
        ProgramError: what is known takes too many values.
    """
    return _Parser(layer, known, tolerance, orient, roles).components()


@dataclass(frozen=True)
class _Number:
    """How well neurons are explained by a number and the constant.

    Attributes:
        slopes, constants: [neurons], the coefficients.
        fits: [neurons].
    """

    variable: Variable
    slopes: Annotated[Floats, "neurons"]
    constants: Annotated[Floats, "neurons"]
    fits: Annotated[Bools, "neurons"]


class _Parser:
    """One pass over the neurons of a layer."""

    def __init__(
        self,
        layer: LayerWeights,
        known: Directions,
        tolerance: Tolerance,
        orient: Orient,
        roles: Roles,
    ) -> None:
        self.layer, self.known, self.orient, self.roles = layer, known, orient, roles
        W = layer.read
        self.count: int = W.shape[1]
        # Rows P with readers W; the constant and BOS with each reader w, and |w|^2, [neurons].
        self.products = known.products_with(W)  # [rows, neurons]
        self.one, self.bos = known.base.one @ W, known.base.bos @ W
        self.squares = np.square(W).sum(axis=0)
        self.allowed = tolerance.squared(W)
        self.noise, self.known_noise = tolerance.noise, tolerance.known
        self.is_whole = known.base.is_exact
        # |w - one|^2: the neuron behind the steps of blocks.staircase reads the constant alone.
        self.is_one = self.squares - 2 * self.one + known.one_one <= self.allowed
        self.numbers = [self._number(v) for v in known.numerical]
        self.grids = self._grids()
        self._single: dict[
            int, tuple[Annotated[Floats, "values neurons"], Annotated[Bools, "neurons"]]
        ] = {}
        self._closest: dict[
            int, tuple[Annotated[Ints, "neurons"], Annotated[Bools, "neurons"]]
        ] = {}
        self._roles: dict[int, Role] = {}

    def components(self) -> Iterator[Neurons]:
        """From the first neuron to the last."""
        start, unexplained = 0, 0
        while start < self.count:
            neurons = (
                self._pairs(start)
                or self._lookup(start)
                or self._stairs(start)
                or self._linear(start)
                or self._clean(start)
                or self._sum(start)
            )
            if neurons is None:
                unexplained += 1
                start += 1
                continue
            if unexplained:
                yield self._unknown(start - unexplained, start)
                unexplained = 0
            yield neurons
            start += len(neurons.neurons)
        if unexplained:
            yield self._unknown(start - unexplained, start)

    def _unknown(self, start: int, stop: int) -> UnknownNeurons:
        return UnknownNeurons(*self._at(np.arange(start, stop)))

    def _at(self, places: Annotated[Ints, "n"]) -> tuple[HalfLayer, Annotated[Ints, "n"]]:
        """The half-layer, and the numbers of neurons."""
        return self.layer.half_layer, self.layer.neurons[places]

    # Grids of two categorical variables

    def _grids(self) -> list[tuple[Variable, Variable, Annotated[Ints, "_"]]]:
        """Pairs of variables with the neurons that could begin their grid."""
        known = self.known
        grids = []
        for a in known.categorical:
            for b in known.categorical:
                size = len(a.values) * len(b.values)
                if a is b or size > min(self.count, MAX_TABLE):
                    continue
                if size * self.layer.write.shape[1] > MAX_OBSERVED:
                    continue
                i, j = known.slice(a).start, known.slice(b).start
                neurons = np.arange(self.count - size + 1)
                starts = neurons[self._is_pair(neurons, i, j)]
                if len(starts):
                    grids.append((a, b, starts))
        return sorted(grids, key=lambda grid: -len(grid[0].values) * len(grid[1].values))

    def _is_pair(
        self,
        neurons: Annotated[Ints, "n"],
        i: Annotated[Ints, "n"] | int,
        j: Annotated[Ints, "n"] | int,
    ) -> Annotated[Bools, "n"]:
        """Whether neurons read row i and row j minus the constant."""
        known = self.known
        # |w - u|^2 = |w|^2 - 2 w u + |u|^2 for u = x_i + y_j - one, which blocks.pairwise_and
        # reads; `own` is |u|^2, for each pair of rows.
        own = known.squares[i] + known.squares[j] + known.one_one + 2 * known.products(i, j)
        own = own - 2 * known.with_one[i] - 2 * known.with_one[j]
        products = self.products[i, neurons] + self.products[j, neurons] - self.one[neurons]
        distance = self.squares[neurons] - 2 * products + own
        return np.asarray(distance <= self.allowed[neurons], dtype=np.bool_)

    def _pairs(self, start: int) -> Pairs | None:
        for a, b, starts in self.grids:
            n, m = len(a.values), len(b.values)
            neurons = np.arange(start, start + n * m)
            if start not in starts:
                continue
            # Rows of both values of each neuron, [n m], the first variable major.
            i = self.known.slice(a).start + np.repeat(np.arange(n), m)
            j = self.known.slice(b).start + np.tile(np.arange(m), n)
            if self._is_pair(neurons, i, j).all():
                outputs = self.layer.write[neurons]
                groups = direction_groups(outputs, self.layer.noise)
                return Pairs(*self._at(neurons), a, b, outputs, groups, self.is_whole)
        return None

    # One categorical variable

    def _coefficients(
        self, variable: Variable
    ) -> tuple[Annotated[Floats, "values neurons"], Annotated[Bools, "neurons"]]:
        """Of all neurons on a variable's values [values, neurons], and where they explain them."""
        if variable.slot not in self._single:
            part = self.products[self.known.slice(variable)]
            coefficients = self.known.solve(variable, part)
            # Least squares leaves |w - c P|^2 = |w|^2 - c (P w), for coefficients c, [values, n].
            left = self.squares - np.einsum("vn,vn->n", part, coefficients)
            self._single[variable.slot] = (
                coefficients,
                np.asarray(left <= self.allowed, dtype=np.bool_),
            )
        return self._single[variable.slot]

    def _nearest(
        self, variable: Variable
    ) -> tuple[Annotated[Ints, "neurons"], Annotated[Bools, "neurons"]]:
        """For each neuron the value that is closest to what it reads, and whether it is that."""
        if variable.slot not in self._closest:
            part = self.known.slice(variable)
            own = self.known.squares[part, None]
            # |w - x_v|^2 of each value v and each neuron, [values, neurons].
            distance = self.squares - 2 * self.products[part] + own
            value = distance.argmin(axis=0)
            fits = distance[value, np.arange(self.count)] <= self.allowed
            self._closest[variable.slot] = value, np.asarray(fits, dtype=np.bool_)
        return self._closest[variable.slot]

    def _lookup(self, start: int) -> Lookup | Pairs | None:
        return (
            self._lookup_of_each(start)
            or self._lookup_of_groups(start)
            or self._lookup_with_gaps(start)
        )

    def _role(self, place: int) -> Role:
        """What the direction that a neuron writes is for."""
        if place not in self._roles:
            found = self.roles.role(self.layer.write[place], self.layer.half_layer)
            self._roles[place] = found
        return self._roles[place]

    def _are_numbers(self, places: Annotated[Ints, "n"]) -> bool:
        """Whether later parts read one of several results as a number of its own."""
        return any(self._role(place) in ("number", "alone") for place in places.tolist())

    def _lookup_of_each(self, start: int) -> Lookup | None:
        """A lookup of which each neuron reads one value."""
        for variable in self.known.categorical:
            n = len(variable.values)
            if n < 2 or start + n > self.count:
                continue
            neurons = np.arange(start, start + n)
            value, fits = (found[start : start + n] for found in self._nearest(variable))
            if not fits.all():
                continue
            if len(set(value.tolist())) != n:  # compression may have made values one
                off = np.square(variable.directions[value] - variable.directions).sum(axis=1)
                if not (off <= self.allowed[neurons]).all():
                    continue
                value = np.arange(n)
            if self._are_numbers(neurons):
                continue
            position = np.empty(n, dtype=np.int64)
            position[value] = np.arange(n)
            outputs = self.layer.write[neurons][position]
            return Lookup(*self._at(neurons), variable, outputs, position, self.is_whole)
        return None

    def _lookup_of_groups(self, start: int) -> Lookup | None:
        """A lookup whose neurons read several values each, all of them together once."""
        for variable in self.known.categorical:
            groups = self._groups(variable, start)
            if groups is None:
                continue
            count = int(groups.max()) + 1
            if not self._is_one_variable(start, count, variable, groups):
                continue
            neurons = np.arange(start, start + count)
            outputs = self.layer.write[neurons][groups]
            return Lookup(*self._at(neurons), variable, outputs, groups, self.is_whole)
        return None

    def _is_one_variable(
        self, start: int, count: int, variable: Variable, groups: Annotated[Ints, "values"]
    ) -> bool:
        """Whether neurons that read all values once are one lookup, and not sums."""
        if self._role(start) == "value":
            return self.roles.family(self.layer.write[start], self.layer.half_layer) in (0, count)
        if count == 1 or self._are_numbers(np.arange(start, start + count)):
            return False
        if self._is_broken_up(start, count):
            return False
        return not (count == 2 and _are_truths(variable, groups)) or self._is_output(start, count)

    def _is_output(self, start: int, count: int) -> bool:
        """Whether neurons are all that is left of a program, whose last operation is one."""
        return self.layer.is_last and self.roles.is_told and (start, count) == (0, self.count)

    def _lookup_with_gaps(self, start: int) -> Lookup | Pairs | None:
        """A lookup that reads some values only: its function gives None for the others.

        Neurons that read nothing are of a SequenceMap of a variable with itself, and for
        results of two different values.
        """
        for variable in self.known.categorical:
            if self._reads_of(variable, start, 1) is None:
                continue
            count = self._gap_lookup_size(start)
            if start + count > self.count:
                return None
            values_read = self._reads_of(variable, start, count)
            if values_read is None or (values_read < 0).all():
                continue
            neurons = np.arange(start, start + count)
            is_of_one = len(set(values_read[values_read >= 0].tolist())) < count
            groups = groups_of_pairs(values_read, count) if is_of_one else values_read
            if groups is None:
                continue
            outputs = np.where(groups[:, None] < 0, 0.0, self.layer.write[neurons][groups])
            at = self._at(neurons)
            if is_of_one:
                return Pairs(*at, variable, variable, outputs, groups, self.is_whole)
            return Lookup(*at, variable, outputs, groups, self.is_whole)
        return None

    def _gap_lookup_size(self, start: int) -> int:
        """How many values a variable has of which a neuron may write the first; or too many."""
        if self.count > 1 and self._is_output(start, self.count):
            return self.count
        if self._role(start) != "value":
            return self.count + 1
        first, half_layer = self.layer.write[start], self.layer.half_layer
        family = self.roles.family(first, half_layer)
        if family:
            return family
        end = start + 1
        while end < self.count and (
            self._role(end) == "open"
            or self.roles.share_a_reader(first, self.layer.write[end], half_layer)
        ):
            end += 1
        return end - start

    def _is_broken_up(self, start: int, count: int) -> bool:
        """Whether neurons rather belong to another lookup, one that begins among them.

        One in the order of the values goes first. Another order may as well come
        from the end of these neurons and the beginning of a lookup behind them.
        """
        inside = [self._lookup_of_each(place) for place in range(start + 1, start + count)]
        lookups = [lookup for lookup in inside if lookup is not None]
        if not lookups:
            return False
        in_order = any(bool((np.diff(lookup.groups) > 0).all()) for lookup in lookups)
        return in_order or self._lookup_of_each(start + count) is None

    def _groups(self, variable: Variable, start: int) -> Annotated[Ints, "values"] | None:
        """For each value the neuron from ``start`` on that reads it, if these read each once."""
        position = np.full(len(variable.values), -1, dtype=np.int64)
        for group in range(min(len(position), self.count - start)):
            if not self._marks(position, variable, start, group) or group not in position:
                return None
            if bool((position >= 0).all()):
                return position
        return None

    def _reads_of(
        self, variable: Variable, start: int, count: int
    ) -> Annotated[Ints, "values"] | None:
        """For each value which of ``count`` neurons reads it, -1 for none, if at most one does.

        Neurons may read none at all.
        """
        position = np.full(len(variable.values), -1, dtype=np.int64)
        marked = all(self._marks(position, variable, start, place) for place in range(count))
        return position if marked else None

    def _marks(
        self, position: Annotated[Ints, "values"], variable: Variable, start: int, group: int
    ) -> bool:
        """Marks the values that a neuron reads; False if it reads else, or what another reads."""
        coefficients, fits = self._coefficients(variable)
        # A neuron of blocks.lookup reads the sum of its values: factors [values] of 0 and 1.
        factors = coefficients[:, start + group]
        reads = factors > 0.5
        clear = bool((np.abs(factors - reads) < ROUND_SLOPE).all())
        if not fits[start + group] or not clear:
            return False
        if bool((position[reads] >= 0).any()):
            return False
        position[reads] = group
        return True

    def _sum(self, start: int) -> Sum | None:
        fitting = [v for v in self.known.categorical if self._coefficients(v)[1][start]]
        if not fitting:
            return None
        variable = min(fitting, key=lambda v: len(v.values))
        factors, write = self._coefficients(variable)[0][:, start], self.layer.write[start]
        # A factor is p^T w: the noise of w, and that of p, which grows with the length |w| read.
        length = np.sqrt(self.squares[start])
        spread = float(np.hypot(self.noise, NOISE_OF_TOKEN * self.known_noise * length))
        orientation = max(self.orient(write, self.layer.half_layer)[1], 1)
        number = Number(factors, write, orientation, spread)
        outputs = factors[:, None] * write
        return Sum(*self._at(np.array([start])), variable, outputs, number, self.is_whole)

    # Numbers

    def _number(self, variable: Variable) -> _Number:
        known = self.known
        row = known.slice(variable).start
        # Least squares w = slope x + constant one, for a number's direction x: products of x
        # and one with each other, [2, 2], and with all neurons, [2, n]; `left` remains of |w|^2.
        gram = np.array(
            [
                [known.squares[row], known.with_one[row]],
                [known.with_one[row], known.one_one],
            ]
        )
        products = np.stack([self.products[row], self.one])
        if gram[0, 0] <= ZERO_SQUARE:  # nothing is written there
            nothing = np.zeros(self.count)
            return _Number(variable, nothing, nothing, np.zeros(self.count, dtype=np.bool_))
        solved = two_coefficients(gram, products)
        left = self.squares - np.einsum("cn,cn->n", products, solved)
        return _Number(variable, solved[0], solved[1], left <= self.allowed)

    def _stairs(self, start: int) -> StairToNumber | StairToValues | WidthStair | None:
        for number in self.numbers:
            slope = float(number.slopes[start])
            if not number.fits[start] or abs(slope) < STEEP:
                continue
            # Steps (blocks.staircase) are all neurons of one slope that follow; one more is behind.
            alike = number.fits & (np.abs(number.slopes - slope) < ROUND_SLOPE * abs(slope))
            stop = start + int(np.argmin([*alike[start:], False]))
            stop += stop < self.count and bool(self.is_one[stop])
            if len(number.variable.values) * (stop - start) > MAX_OBSERVED:
                return None
            return self._staircase(number, start, stop)
        return None

    def _staircase(
        self, number: _Number, start: int, stop: int
    ) -> StairToNumber | StairToValues | WidthStair:
        """What a staircase writes at each value of its number.

        The two neurons of a step rise by one between two values; the neuron
        behind the steps writes what holds before the first.
        """
        variable, neurons = number.variable, np.arange(start, stop)
        write = self.layer.write[neurons]
        points = np.array([number_or(v, 0.0) for v in variable.values])
        steps = (stop - start) // 2
        up, down = write[0 : 2 * steps : 2], write[1 : 2 * steps : 2]
        falls = neurons[1 : 2 * steps : 2]
        # A falling neuron reads e x - e t, and so is zero at the threshold t: [steps].
        places = -number.constants[falls] / number.slopes[falls]
        # The heights of all steps below each value add up, [values, d_model]; the rising neuron
        # writes a height, the falling one its negative.
        outputs: Annotated[Floats, "values D"] = (points[:, None] > places) @ ((up - down) / 2)
        if len(neurons) % 2:
            outputs = outputs + write[-1]
        if variable.is_auxiliary:
            return WidthStair(*self._at(neurons), variable, outputs)
        squares = np.einsum("nd,nd->n", write, write)
        longest = write[np.argmax(squares)]
        # A number is written along one direction: what is left of |w|^2 beside the longest.
        along = write @ longest / max(float(np.sqrt(longest @ longest)), ZERO_LENGTH)
        aside = NOISE_LIMIT**2 * self.layer.noise**2 * write.shape[1]
        if not bool((squares - along**2 <= 0.02 * squares + aside).all()):
            groups = direction_groups(outputs, self._noise(outputs))
            return StairToValues(*self._at(neurons), variable, outputs, groups, self.is_whole)
        direction, orientation = self.orient(longest, self.layer.half_layer)
        sizes = _along(outputs, direction)
        written = Number(sizes, direction, orientation, self._noise(outputs))
        return StairToNumber(*self._at(neurons), variable, outputs, written, self.is_whole)

    def _noise(self, outputs: Annotated[Floats, "values D"]) -> float:
        """Of sums of what neurons write: one more for each step on the way."""
        return self.layer.noise * float(np.sqrt(1 + len(outputs) / 4)) if len(outputs) else 0.0

    def _linear(self, start: int) -> Linear | None:
        if start + 4 > self.count:
            return None
        fst, snd = self._signs(start), self._signs(start + 2)
        if fst is None or snd is None:
            return None
        neurons = np.arange(start, start + 4)
        effects = self.layer.write[[start + 1, start + 3]]  # at one unit of each input
        longest = effects[np.argmax(np.einsum("nd,nd->n", effects, effects))]
        direction, orientation = self.orient(longest, self.layer.half_layer)
        factors = self._factors(_along(effects, direction), orientation)
        number = Number(factors, direction, orientation)
        return Linear(*self._at(neurons), fst, snd, effects, number, self.is_whole)

    def _factors(self, effects: Annotated[Floats, "n"], orientation: int) -> Annotated[Floats, "n"]:
        """A LinearSequenceMap's effects: whole numbers where the length of its direction is open.

        In exact weights that are not compressed it is one.
        """
        if orientation or (self.known.base.is_orthonormal and not self.known.base.noise):
            return effects
        for divisor in range(1, LARGEST_FACTOR + 1):  # the longest direction comes first
            # If the largest effect is `divisor` units long, all are whole multiples of the unit.
            unit = np.abs(effects).max(initial=0.0) / divisor
            factors = effects / max(unit, ZERO_LENGTH)
            if unit <= 1 + ROUND_SLOPE and bool(
                (np.abs(factors - np.round(factors)) < ROUND_SLOPE / 2).all()
            ):
                return np.asarray(factors)
        return effects

    def _signs(self, start: int) -> Variable | None:
        """The number that a neuron reads negatively and the next one positively."""
        for number in self.numbers:
            slopes = number.slopes[start : start + 2]
            plain = (np.abs(number.constants[start : start + 2]) < ROUND_SLOPE).all()
            signs = abs(slopes[0] + 1) < ROUND_SLOPE and abs(slopes[1] - 1) < ROUND_SLOPE
            if number.fits[start : start + 2].all() and plain and signs:
                return number.variable
        return None

    def _clean(self, start: int) -> Clean | None:
        """A neuron that reads BOS; nothing at all where compression dropped BOS."""
        bos_bos = self.known.bos_bos
        # w = along bos, by least squares; `left` is what remains of |w|^2.
        along = float(self.bos[start]) / bos_bos if bos_bos > ZERO_SQUARE else 0.0
        left = self.squares[start] - along**2 * bos_bos
        if left > self.allowed[start] or (bos_bos > ZERO_SQUARE and along < 0.5):
            return None
        return Clean(*self._at(np.array([start])))


def _are_truths(variable: Variable, groups: Annotated[Ints, "values"]) -> bool:
    """Whether two groups of values may as well be the values where two listed functions hold."""
    tables = unary_tables(variable.values)
    truths = [tables.numbers[n] for n in TRUTHS if None not in tables.results[n]]
    return all(any(np.array_equal(groups == n, truth) for truth in truths) for n in (0, 1))


def _along(
    vectors: Annotated[Floats, "n D"], direction: Annotated[Floats, "D"]
) -> Annotated[Floats, "n"]:
    """Sizes of vectors in units of a direction."""
    return np.asarray(vectors @ direction / max(float(direction @ direction), ZERO_LENGTH**2))
