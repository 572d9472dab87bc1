"""Neurons in an order like Tracr's, whatever order they are given in.

Tracr lays the neurons of an operation next to each other and in a fixed order,
and that is how they are read (`neurons`). In exact weights each neuron reads known
directions with certain factors; these say which form it belongs to, and
what it writes says to which operation where several have the same form.

| run | how it is put together |
|---|---|
| grid | ``x_i + y_j - one`` of two variables; those that write one direction stay together |
| lookup | all values of a variable once; in the order of the first value that each reads |
| staircase | steps by falling constant; from one step to the next what is written follows on |
| linear | ``-x``, ``x``, ``-y``, ``y`` that write along one direction |

Neurons that are in such an order already stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from untracr.arrays import Annotated, Floats, Ints
from untracr.read.frame import Directions
from untracr.read.tolerances import STEEP, ZERO_SQUARE

FACTOR_OFF = 1e-3
"""Factors, and squares, are off by less than this, relative to the larger of 1 and themselves."""

MAX_TRIED = 2_000
"""Neurons tried for one run before it is given up."""

MAX_STARTS = 12
"""Neurons with which a run may begin, likewise."""


@dataclass(frozen=True)
class Profile:
    """How later parts read a direction.

    Attributes:
        counts: how often in which way, alike for the values of one variable.
        targets: what neurons that read it write: values of one variable share some.
        cells: neurons of grids that read it: values of one variable share none.
    """

    counts: Annotated[Floats, "ways"]
    targets: frozenset[bytes]
    cells: frozenset[tuple[int, int]]


ProfileOf = Callable[[Annotated[Floats, "D"]], Profile]


def order_like_tracr(
    read: Annotated[Floats, "D n"],
    write: Annotated[Floats, "n D"],
    known: Directions,
    profile: ProfileOf,
) -> Annotated[Ints, "n"]:
    """The order of a layer's neurons.

    Args:
        read: what they read [d_model, n]; exact weights, living neurons.
        write: what they write, [n, d_model].
        known: the variables, at right angles to each other.
        profile: of the directions they write.
    """
    sorter = _Sorter(read, write, known, profile)
    runs = sorter.runs()
    taken = {n for run in runs for n in run.neurons}
    runs += [_Run((n,)) for n in range(read.shape[1]) if n not in taken]
    runs.sort(key=lambda run: min(run.neurons))
    return np.array([n for run in runs for n in run.as_given()], dtype=np.int64)


@dataclass(frozen=True)
class _Run:
    """Neurons that belong together.

    Attributes:
        neurons: in order.
        is_free: whether any order would do.
    """

    neurons: tuple[int, ...]
    is_free: bool = False

    def as_given(self) -> tuple[int, ...]:
        """In the given order where that is free and they stand together."""
        given = tuple(sorted(self.neurons))
        return given if self.is_free and given[-1] - given[0] < len(given) else self.neurons


class _Sorter:
    def __init__(
        self,
        read: Annotated[Floats, "D n"],
        write: Annotated[Floats, "n D"],
        known: Directions,
        profile: ProfileOf,
    ) -> None:
        self.write, self.known, self.profile = write, known, profile
        factors = known.rows @ read  # [rows, n]
        self.one, self.bos = known.base.one @ read, known.base.bos @ read
        squares = np.square(read).sum(axis=0)
        # All directions are orthonormal: products are factors, and the squares of those of what is
        # known add up to |w|^2 where a neuron reads nothing else. All of [n] but `factors`.
        explained = np.square(factors).sum(axis=0) + self.one**2 + self.bos**2
        sizes = np.maximum(1.0, squares)
        self.is_explained = np.abs(squares - explained) < FACTOR_OFF * sizes
        self.factors = np.where(np.abs(factors) > FACTOR_OFF * np.sqrt(sizes), factors, 0.0)
        self.reads_bos = np.abs(self.bos) > FACTOR_OFF * np.sqrt(sizes)
        self.reads_one = np.abs(self.one) > FACTOR_OFF * np.sqrt(sizes)
        self.variables = known.variables
        some = [np.any(self.factors[known.slice(v)] != 0, axis=0) for v in self.variables]
        self.reads = np.stack(some) & self.is_explained & ~self.reads_bos  # [variables, n]
        self.writes_nothing = np.square(write).sum(axis=1) < ZERO_SQUARE

    def runs(self) -> list[_Run]:
        """All runs of more than one neuron that are found."""
        return [*self._grids(), *self._lookups(), *self._stairs(), *self._linear()]

    # Grids

    def _grids(self) -> Iterator[_Run]:
        categorical = [n for n, v in enumerate(self.variables) if v.is_categorical]
        for place, a in enumerate(categorical):
            for b in categorical[place + 1 :]:
                both = self.reads[a] & self.reads[b] & (self.reads.sum(axis=0) == 2)
                cells = self._cells(
                    np.flatnonzero(both & (np.abs(self.one + 1) < FACTOR_OFF)), a, b
                )
                size = len(self.variables[a].values) * len(self.variables[b].values)
                for cover in self._covers(cells, size):
                    yield self._grid(cover, a, b)

    def _cells(self, neurons: Annotated[Ints, "some"], a: int, b: int) -> dict[int, frozenset[int]]:
        """The cell that each neuron reads, if it reads one value of both variables."""
        cells = {}
        m = len(self.variables[b].values)
        for n in neurons.tolist():
            i, j = self._ones(n, a), self._ones(n, b)
            if i is not None and j is not None and len(i) == len(j) == 1:
                cells[n] = frozenset(x * m + y for x in i for y in j)
        return cells

    def _grid(self, cover: list[int], a: int, b: int) -> _Run:
        """First variable major; the second one where they are given so."""
        i, j = (self.factors[self.known.slice(self.variables[v])][:, cover] for v in (a, b))
        fst, snd = i.argmax(axis=0), j.argmax(axis=0)
        other = np.lexsort((fst, snd))
        if (np.diff(np.array(cover)[other]) == 1).all():
            return _Run(tuple(cover[n] for n in other))
        return _Run(tuple(cover[n] for n in np.lexsort((snd, fst))))

    def _ones(self, neuron: int, variable: int) -> frozenset[int] | None:
        """The values that a neuron reads with a factor of one, and no others."""
        own = self.factors[self.known.slice(self.variables[variable]), neuron]
        ones = np.flatnonzero(own)
        return (
            frozenset(ones.tolist()) if np.abs(own[ones] - 1).max(initial=0) < FACTOR_OFF else None
        )

    # Lookups

    def _lookups(self) -> Iterator[_Run]:
        alone = (self.reads.sum(axis=0) == 1) & ~self.reads_one
        for number, variable in enumerate(self.variables):
            if not variable.is_categorical:
                continue
            neurons = np.flatnonzero(self.reads[number] & alone)
            read = {n: self._ones(n, number) for n in neurons.tolist()}
            cells = {n: values for n, values in read.items() if values}
            for cover in self._covers(cells, len(variable.values)):
                if len(cover) > 1:
                    yield _Run(tuple(sorted(cover, key=lambda n: min(cells[n]))), is_free=True)

    def _covers(self, cells: dict[int, frozenset[int]], size: int) -> Iterator[list[int]]:
        """Sets of neurons that read all cells once, one after the other, until none is left.

        Neurons that write one direction belong to one of them.
        """
        left = dict(cells)
        while left and len(frozenset().union(*left.values())) == size:
            cover = self._cover(left, size)
            if cover is None:
                return
            yield cover
            for n in cover:
                del left[n]

    def _cover(self, cells: dict[int, frozenset[int]], size: int) -> list[int] | None:
        """Of the sets that begin with each neuron of the first cell, the one most alike."""
        parts = self._parts(cells)
        profiles = [self.profile(self.write[part.neurons[0]]) for part in parts]
        counts = np.stack([profile.counts for profile in profiles])
        best: tuple[float, list[int]] | None = None
        for start in [n for n, part in enumerate(parts) if 0 in part.cells][:MAX_STARTS]:
            # How differently later layers read what a part writes, and the first part: [parts].
            unlike = np.abs(counts - counts[start]).sum(axis=1)
            cover = _Cover(parts, unlike, profiles, size, MAX_TRIED).search(start)
            if cover is None:
                continue
            apart = float(unlike[cover].sum()) / max(1, len(cover) - 1)
            if best is None or apart < best[0]:
                best = apart, cover
        return None if best is None else [n for part in best[1] for n in parts[part].neurons]

    def _parts(self, cells: dict[int, frozenset[int]]) -> list[_Part]:
        """Neurons that write one direction and read different cells, with these cells."""
        parts: list[_Part] = []
        keys: dict[bytes, int] = {}
        for n, cell in cells.items():
            key = direction_key(self.write[n])
            part = None if self.writes_nothing[n] else keys.get(key)
            if part is None or parts[part].cells & cell:
                keys[key] = len(parts)
                parts.append(_Part([n], cell))
            else:
                parts[part] = _Part([*parts[part].neurons, n], parts[part].cells | cell)
        return parts

    # Staircases

    def _stairs(self) -> Iterator[_Run]:
        only_one = (self.reads.sum(axis=0) == 0) & self.is_explained & ~self.reads_bos
        starts = np.flatnonzero(only_one & (np.abs(self.one - 1) < FACTOR_OFF)).tolist()
        for number, variable in enumerate(self.variables):
            if variable.is_categorical:
                continue
            slopes = self.factors[self.known.slice(variable).start]
            alone = self.reads[number] & (self.reads.sum(axis=0) == 1)
            steps = self._steps(np.flatnonzero(alone & (np.abs(slopes) > STEEP)))
            while steps:
                chain = self._chain(steps, starts)
                if chain is None:
                    break
                yield _Run(tuple(chain))
                steps = [[pair for pair in step if pair[0] not in chain] for step in steps]
                steps = steps if all(steps) else []
                starts = [n for n in starts if n not in chain]

    def _steps(self, neurons: Annotated[Ints, "some"]) -> list[list[tuple[int, int]]]:
        """The two neurons of each step, of one staircase or several, by rising thresholds.

        The second reads one constant less and writes the opposite.
        """
        left = neurons[np.argsort(-self.one[neurons], kind="stable")].tolist()
        steps: list[list[tuple[int, int]]] = []
        at = np.inf
        while left:
            up = left.pop(0)
            # A step (blocks.staircase) reads e x + 1 - e t and e x - e t: constants one apart, but
            # for what single precision rounds off a large one.
            constant, size = float(self.one[up]), 1e-5 * abs(float(self.one[up])) + FACTOR_OFF
            down = next(
                (
                    n
                    for n in left
                    if abs(constant - 1 - self.one[n]) < size
                    and _same(self.write[n], -self.write[up])
                ),
                None,
            )
            if down is None:
                return []
            left.remove(down)
            if at - constant < size:
                steps[-1].append((up, down))
            else:
                steps.append([(up, down)])
                at = constant
        if len({len(step) for step in steps}) == 1:
            return steps
        return [[pair] for step in steps for pair in step]  # values that differ by rounding

    def _chain(self, steps: list[list[tuple[int, int]]], starts: Sequence[int]) -> list[int] | None:
        """One staircase: its steps, then the neuron that writes what holds before them.

        Of several the one most of whose steps write something.
        """
        best: tuple[int, list[int]] | None = None
        budget = _Budget(MAX_TRIED)
        for start in starts:
            for is_number in (False, True):
                if self.writes_nothing[start] and not is_number:
                    continue
                steps_down = self._climb(steps, start, is_number, budget)
                if steps_down is None:
                    continue
                writing = sum(not self.writes_nothing[n] for n in (*steps_down, start))
                if best is None or writing > best[0]:
                    best = writing, [*steps_down, start]
        return None if best is None else best[1]

    def _climb(
        self,
        steps: list[list[tuple[int, int]]],
        start: int,
        is_number: bool,
        budget: _Budget,
    ) -> list[int] | None:
        """Steps that follow what is written before them, those that write something first.

        Of those that write nothing the nearest ones are taken.

        Args:
            steps: to be taken.
            start: the neuron that writes the direction that holds before them; of a number,
                the one along which it is written.
            is_number: whether a number is written, else directions that change.
            budget: what is spent; a staircase of one choice at each step costs nothing.
        """
        chosen: list[int] = []
        now, last = self.write[start], start - 2 * len(steps)
        for step in steps:
            following = [(pair, self._after(now, self.write[pair[0]], is_number)) for pair in step]
            fitting = [(pair, then) for pair, then in following if then is not None]
            if not fitting:
                return None
            budget.left -= len(step) > 1
            pair, now = min(fitting, key=partial(self._distance, last))
            chosen, last = [*chosen, *pair], pair[1]
        return chosen if budget.left >= 0 else None

    def _distance(
        self, last: int, choice: tuple[tuple[int, int], Annotated[Floats, "D"]]
    ) -> tuple[bool, int]:
        (up, _), _ = choice
        return bool(self.writes_nothing[up]), abs(up - last)

    def _after(
        self, now: Annotated[Floats, "D"], step: Annotated[Floats, "D"], is_number: bool
    ) -> Annotated[Floats, "D"] | None:
        """What holds behind a step; None where the step does not follow."""
        size = float(step @ step)
        if size < ZERO_SQUARE:
            return now
        if is_number:
            before = float(now @ now)
            if before < ZERO_SQUARE:
                return step
            # |step|^2 sin^2 of the angle: a number stays in one direction.
            aside = size - float(now @ step) ** 2 / before
            return now if abs(aside) < FACTOR_OFF * size else None
        # A step from one direction u to another v is v - u: (u step) is -1, and u + step one long.
        after = now + step
        changed = (
            abs(float(now @ step) + 1) < FACTOR_OFF and abs(float(after @ after) - 1) < FACTOR_OFF
        )
        return after if changed else None

    # Linear sequence maps

    def _linear(self) -> Iterator[_Run]:
        halves: list[tuple[int, int, float]] = []
        alone = (self.reads.sum(axis=0) == 1) & ~self.reads_one
        for number, variable in enumerate(self.variables):
            if not variable.is_categorical:
                slopes = self.factors[self.known.slice(variable).start]
                fits = self.reads[number] & alone & (np.abs(np.abs(slopes) - 1) < FACTOR_OFF)
                halves += [(n, number, float(slopes[n])) for n in np.flatnonzero(fits).tolist()]
        pairs = [
            (low, high)
            for low, number, slope in halves
            for high, other, other_slope in halves
            if (number, slope < 0, other_slope > 0) == (other, True, True)
            and _same(self.write[low], -self.write[high])
        ]
        taken: set[int] = set()
        for number, fst in enumerate(pairs):
            for snd in pairs[number + 1 :]:
                four = {*fst, *snd}
                if len(four) == 4 and not four & taken and self._in_line(fst[1], snd[1]):
                    taken |= four
                    first, second = sorted((fst, snd), key=min)
                    yield _Run((*first, *second))

    def _in_line(self, a: int, b: int) -> bool:
        x, y = self.write[a], self.write[b]
        # |x|^2 |y|^2 sin^2 of the angle between what the two write.
        aside = float(x @ x) * float(y @ y) - float(x @ y) ** 2
        return aside < FACTOR_OFF * max(ZERO_SQUARE, float(x @ x) * float(y @ y))


@dataclass(frozen=True)
class _Part:
    """Neurons that stay together, and the cells that they read."""

    neurons: list[int]
    cells: frozenset[int]


@dataclass
class _Budget:
    left: int


@dataclass
class _Cover:
    """Looks for parts that hold each of ``size`` cells once.

    Attributes:
        parts: to choose from.
        unlike: how unlike each is in what later parts read; less unlike ones go first.
        profiles: of each; of equally unlike ones those go first that share targets.
        left: parts that may still be tried.
    """

    parts: list[_Part]
    unlike: Annotated[Floats, "parts"]
    profiles: list[Profile]
    size: int
    left: int

    def search(self, start: int) -> list[int] | None:
        """Parts that begin with one; None if there are none, or too many were tried."""
        chosen, following = [start], [self._following([start])]
        while following and sum(len(self.parts[part].cells) for part in chosen) < self.size:
            part = next(following[-1], None)
            if self.left < 0:
                return None
            if part is None:
                chosen.pop()
                following.pop()
            else:
                chosen.append(part)
                following.append(self._following([*chosen]))
        return chosen or None

    def _following(self, chosen: list[int]) -> Iterator[int]:
        """Parts with the first cell that is missing, the most alike first."""
        covered = frozenset(cell for part in chosen for cell in self.parts[part].cells)
        missing = next(cell for cell in range(self.size) if cell not in covered)
        fitting = [p for p, part in enumerate(self.parts) if missing in part.cells]
        targets = frozenset(target for part in chosen for target in self.profiles[part].targets)
        others = frozenset(cell for part in chosen for cell in self.profiles[part].cells)
        fitting.sort(key=lambda p: (self.unlike[p], -len(self.profiles[p].targets & targets), p))
        for part in fitting:
            self.left -= 1
            if not (self.parts[part].cells & covered or self.profiles[part].cells & others):
                yield part


def direction_key(direction: Annotated[Floats, "D"]) -> bytes:
    """The same for a direction that is off by rounding."""
    return (np.round(direction, 2) + 0.0).tobytes()


def _same(a: Annotated[Floats, "D"], b: Annotated[Floats, "D"]) -> bool:
    off = a - b
    return float(off @ off) < FACTOR_OFF * max(1.0, float(a @ a))
