"""Where in a network each line of a program lives, tested by interchange, beside controls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from untracr.evaluate.share import Share
from untracr.hypothesis.interchange import (
    Pairs,
    Place,
    Recorded,
    draw_pairs,
    interchange_right,
    order_of,
)
from untracr.hypothesis.lines import is_function_of
from untracr.hypothesis.subject import Subject
from untracr.hypothesis.subspaces import (
    Floats,
    Subspace,
    decoded_share,
    one_hot,
    subspace_of,
    told_classes,
)
from untracr.rasp.equivalence import same_value
from untracr.rasp.interpreter import Column
from untracr.rasp.nodes import SOP_TYPES, Ref, children
from untracr.rasp.program import Program
from untracr.rasp.values import number_or
from untracr.short_repr import short_repr

Codes = npt.NDArray[np.int64]

LEAST_PAIRS = 10
"""With fewer exchanges that change the output, nothing is said about a line."""

GOOD = 0.9
"""Interchange accuracy below which lines that values do not part are exchanged together."""

AS_GOOD = 0.02
"""A difference between shares of a search that tells no place from another."""

MOST_LOOKED_FOR = 512
"""Values of a line that is looked for: each has its own mean."""

MOST_VALUES = 64
"""Of another line that is told apart from the one that is looked for."""


@dataclass(frozen=True)
class Effort:
    """How much is spent on one line.

    Attributes:
        search: exchanges by which places are compared, from the first half of the inputs.
        held_out: exchanges that are counted, from the other half.
        rank: the largest rank of a subspace.
    """

    search: int = 96
    held_out: int = 256
    rank: int = 32


@dataclass(frozen=True, eq=False)
class Found:
    """A subspace at a place, and how it did on the exchanges by which places are compared.

    Attributes:
        place: where.
        subspace: of the line.
        same: the share right of exchanges within one position.
        across: likewise between positions.
        decoded: the share of samples of which the subspace tells the line's value.
    """

    place: Place
    subspace: Subspace
    same: float
    across: float
    decoded: float

    @property
    def score(self) -> tuple[float, float, float]:
        """What is compared, first things first."""
        return self.same, self.across, self.decoded


@dataclass(frozen=True, eq=False)
class Support:
    """What exchanging a line showed.

    Attributes:
        line: the line.
        best: where it was found; None where no exchange changes the output, or nothing is there.
        places: the best subspace of each place that does as well (`AS_GOOD`), as the network runs.
        right, tried: held-out exchanges after which the network's output was the program's, within
            one position, or between positions where the former never change an output.
        everywhere_right, everywhere_tried: the same with all positions exchanged at once.
        together: other lines that were exchanged with it; neither is computed from the other, but
            one's value tells the other's, so that values alone do not part them.
        told: how far the best subspace tells the value on inputs that it was not fitted to; of
            numbers the share of their variance, else the share of positions.
        values: how many the line has, where they were too many to look for (`MOST_LOOKED_FOR`).
    """

    line: Ref
    best: Found | None
    places: tuple[Found, ...]
    right: int
    tried: int
    everywhere_right: int
    everywhere_tried: int
    together: tuple[Ref, ...] = ()
    told: float = 0.0
    values: int = 0

    __repr__ = short_repr

    @property
    def share(self) -> Share:
        """Interchange accuracy: of single positions, else of all at once."""
        if self.tried >= LEAST_PAIRS:
            return Share(self.right, self.tried)
        return Share(self.everywhere_right, self.everywhere_tried)

    @property
    def informative(self) -> bool:
        """Whether enough exchanges change the output."""
        return self.share.total >= LEAST_PAIRS


def support_of(
    subject: Subject,
    data: Recorded,
    line: Ref,
    rng: np.random.Generator,
    effort: Effort = Effort(),
    labels: Codes | None = None,
    after: Place | None = None,
    together: tuple[Ref, ...] = (),
) -> Support:
    """Looks for a line in a network, and tests it where it was found.

    Args:
        subject: the network.
        data: inputs of one length with what the program and the network make of them.
        line: the line.
        rng: of the draws of pairs.
        effort: how much is spent.
        labels: [N, T], a wrong variable of which it is claimed that it is the line: a control.
            It is looked for, and its values are put into the program.
        after: of places that do as well, one behind this is taken if there is any.
        together: other lines that are exchanged with it.
    """
    count = len(data.tokens)
    fit, held = np.arange(count // 2), np.arange(count // 2, count)
    draw = partial(draw_pairs, subject, data, line, rng=rng, labels=labels, together=together)
    same, across = (draw(fit, effort.search, across=between) for between in (False, True))
    within = len(same) >= LEAST_PAIRS or len(across) < LEAST_PAIRS
    final = draw(held, effort.held_out, across=not within)
    whole = draw(held, effort.held_out, everywhere=True)
    if max(len(final), len(whole)) < LEAST_PAIRS:
        return Support(line, None, (), 0, len(final), 0, len(whole))
    if not within:
        same = across
    elif len(same) < LEAST_PAIRS:
        same = draw(fit, effort.search, everywhere=True)
    column = data.lines.columns[line].codes if labels is None else labels
    if (values := len(np.unique(column))) > MOST_LOOKED_FOR:
        return Support(line, None, (), 0, len(final), 0, len(whole), values=values)
    sought = _values(data, line, labels, together)
    found = []
    for place in data.seen:
        tried = [
            Found(
                place,
                subspace,
                _share(subject, data, place, subspace, same),
                _share(subject, data, place, subspace, across),
                decoded,
            )
            for subspace, decoded in _candidates(
                subject, data, line, place, fit, effort.rank, sought
            )
        ]
        if tried:
            found.append(max(tried, key=lambda at: at.score))
    if not found:
        return Support(line, None, (), 0, len(final), 0, len(whole))
    places = as_good(found)
    best = next((at for at in places if after and order_of(at.place) > order_of(after)), places[0])
    right, everywhere = (
        int(interchange_right(subject, data, best.place, best.subspace, pairs).sum())
        for pairs in (final, whole)
    )
    told = _told(data, best, line, fit, held, sought)
    return Support(line, best, places, right, len(final), everywhere, len(whole), together, told)


def _told(
    data: Recorded, best: Found, line: Ref, fit: Codes, held: Codes, labels: Codes | None
) -> float:
    """See `Support.told`."""
    column = data.lines.columns[line]
    codes = column.codes if labels is None else labels
    own = slice(data.first, data.first + data.tokens.shape[1])
    width = len(best.subspace.write)
    seen, others = (
        data.seen[best.place][rows][:, own].reshape(-1, width).astype(np.float64)
        for rows in (fit, held)
    )
    own_code = np.zeros(int(codes.max()) + 1, dtype=np.int64)
    own_code[codes.ravel()] = column.codes.ravel()
    found = own_code[told_classes(best.subspace, seen, codes[fit].ravel(), others)]
    return _told_share(column, found, np.ascontiguousarray(column.codes[held]).ravel())


def _told_share(column: Column, found: Codes, right: Codes) -> float:
    """How far codes of a line are those that are right: equal values may have several codes."""
    if all(isinstance(column.values[code], (int, float)) for code in np.unique(right).tolist()):
        numbers = np.array([number_or(value, 0.0) for value in column.values])
        return _explained(numbers[found], numbers[right])
    pairs = zip(found.tolist(), right.tolist(), strict=True)
    same = [a == b or same_value(column.values[a], column.values[b]) for a, b in pairs]
    return float(np.mean(same))


def _explained(found: Floats, right: Floats) -> float:
    """The share of the variance of numbers that others explain; 0 where they explain none."""
    spread = float(((right - right.mean()) ** 2).mean())
    left = float(((right - found) ** 2).mean())
    return max(0.0, 1 - left / spread) if 0 < spread < np.inf else 0.0


def as_good(found: Sequence[Found]) -> tuple[Found, ...]:
    """Those that do as well as the best, within `AS_GOOD` in each of their scores."""
    best = found
    for measure in ("same", "across", "decoded"):
        most = max(getattr(at, measure) for at in best)
        best = [at for at in best if getattr(at, measure) >= most - AS_GOOD]
    return tuple(best)


def supports_of(
    subject: Subject, data: Recorded, seed: Sequence[int], effort: Effort = Effort()
) -> tuple[Support, ...]:
    """Looks for every line of a program, arguments first.

    Of places that do as well, a line is taken to be at the first behind its arguments'.
    """
    program = data.lines.program
    found: dict[Ref, Support] = {}
    for line in program.sops:
        rng = np.random.default_rng([*seed, line])
        above = [
            found[ref].best
            for ref in arguments(program, line)
            if ref in found and found[ref].best is not None
        ]
        after = max((at.place for at in above if at), key=order_of, default=None)
        found[line] = support_of(subject, data, line, rng, effort, after=after)
        if found[line].informative and found[line].share.fraction < GOOD:
            found[line] = _with_siblings(subject, data, found[line], seed, effort, after)
    return tuple(found.values())


def _with_siblings(
    subject: Subject,
    data: Recorded,
    alone: Support,
    seed: Sequence[int],
    effort: Effort,
    after: Place | None,
) -> Support:
    """A line exchanged together with those that it cannot be told from, where that does better."""
    related = tuple(siblings(data, alone.line))
    if not related:
        return alone
    rng = np.random.default_rng([*seed, alone.line])
    joint = support_of(subject, data, alone.line, rng, effort, after=after, together=related)
    return max(alone, joint, key=lambda support: support.share.fraction)


def siblings(data: Recorded, line: Ref) -> list[Ref]:
    """Lines of which neither is computed from the other, but one's value tells the other's."""
    program = data.lines.program
    above = _ancestors(program, line)
    codes = np.ascontiguousarray(data.lines.columns[line].codes)
    related = []
    for other, column in data.lines.columns.items():
        if other == line or other in above or line in _ancestors(program, other):
            continue
        values = np.ascontiguousarray(column.codes)
        if is_function_of(values, codes) or is_function_of(codes, values):
            related.append(other)
    return related


def _ancestors(program: Program, line: Ref) -> set[Ref]:
    """All nodes that a line is computed from."""
    found: set[Ref] = set()
    waiting = [line]
    while waiting:
        above = [ref for ref in children(program.nodes[waiting.pop()]) if ref not in found]
        found.update(above)
        waiting += above
    return found


def arguments(program: Program, line: Ref) -> Iterator[Ref]:
    """The lines that a line reads, through selectors as well."""
    for ref in children(program.nodes[line]):
        if isinstance(program.nodes[ref], SOP_TYPES):
            yield ref
        else:
            yield from arguments(program, ref)


def _values(
    data: Recorded, line: Ref, labels: Codes | None, together: tuple[Ref, ...]
) -> Codes | None:
    """The values that are looked for, if not the line's: labels, or those of all lines together."""
    if labels is not None or not together:
        return labels
    columns = [data.lines.columns[ref].codes.ravel() for ref in (line, *together)]
    _, joint = np.unique(np.stack(columns), axis=1, return_inverse=True)
    return np.asarray(joint, dtype=np.int64).reshape(data.tokens.shape)


def _share(
    subject: Subject, data: Recorded, place: Place, subspace: Subspace, pairs: Pairs
) -> float:
    if len(pairs) < LEAST_PAIRS:
        return 0.0
    return float(interchange_right(subject, data, place, subspace, pairs).mean())


def _candidates(
    subject: Subject,
    data: Recorded,
    line: Ref,
    place: Place,
    rows: Codes,
    most: int,
    labels: Codes | None,
) -> Sequence[tuple[Subspace, float]]:
    """Subspaces at a place, with other lines and positions told apart, positions only, nothing."""
    length = data.tokens.shape[1]
    seen = data.seen[place][rows][:, subject.first : subject.first + length]
    activations = seen.reshape(-1, seen.shape[-1]).astype(np.float64)
    if float(activations.std()) < 1e-6:
        return ()
    column = data.lines.columns[line]
    codes = (column.codes if labels is None else labels)[rows].ravel()
    positions = one_hot(np.tile(np.arange(length), len(rows)), length)
    told = [positions, *_unrelated(data, line, rows, codes)]
    found = []
    for others in (told, [positions], []):
        if (subspace := subspace_of(activations, codes, others, most)) is not None:
            found.append((subspace, round(decoded_share(subspace, activations, codes), 2)))
    return found


def _unrelated(data: Recorded, line: Ref, rows: Codes, codes: Codes) -> list[Floats]:
    """One-hot values of the lines of which neither tells the other."""
    others = []
    for other, column in data.lines.columns.items():
        values = np.ascontiguousarray(column.codes[rows]).ravel()
        if other == line or len(column.values) > MOST_VALUES:
            continue
        if not is_function_of(values, codes) and not is_function_of(codes, values):
            others.append(one_hot(values, len(column.values)))
    return others
