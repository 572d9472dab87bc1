"""A model's read-out laid beside a program's, column by column, without running either.

What the final stream holds is a sum of what embeddings, heads and neurons write. So a
column of the read-out says the same as another one, on every input there is, if its
products with all that is written are the same. Where a model's weights are a program's
and its columns are the program's too, its outputs are those of the compiled program.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from untracr.arrays import Annotated, Bools, Floats, Ints, Vectors
from untracr.compile.compiler import Compiled
from untracr.rasp.equivalence import same_value
from untracr.rasp.functions import Value
from untracr.rasp.program import Program
from untracr.transformer.transformer import Transformer
from untracr.verify.alignment import Alignment
from untracr.verify.outputs import CLEAR_LEAD
from untracr.verify.rounding import largest_numbers
from untracr.verify.weight_equivalence import EXACT_SHARE_OF_WEIGHT, ROTATED_SHARE_OF_LENGTH

READS_NOTHING, READS_OTHER = -1, -2
"""What a column reads that is none of the program's: nothing, or something else."""

TIMES_LARGEST_VALUE = 4.0
"""Coordinates of the stream are at most this many times the largest value they stand for, also
on inputs on which Tracr's steps are not exact."""


def read_out_differs(model: Transformer, compiled: Transformer, alignment: Alignment) -> str:
    """Why a model's read-out is not that of a program with its weights; empty if it is.

    It is where each column reads what the program's column of that value does, or
    nothing at all; where none is missing; and where they are in the same order, which
    matters for an input that gives two columns equal numbers.

    Args:
        model: with a read-out that has values.
        compiled: the program's weights, with its own read-out.
        alignment: how the two are to each other: the same up to a rotation at most.
    """
    assert compiled.W_U is not None
    if (model.output_values is None) != (compiled.output_values is None):
        ways = ("numbers", "values")
        mine, theirs = (ways[m.output_values is not None] for m in (compiled, model))
        return f"the read-out gives {theirs}, the program {mine}"
    sides = Sides.of(model, compiled, alignment)
    read = _columns_read(model, compiled, sides)
    for column, place in enumerate(read.tolist()):
        if place == READS_OTHER:
            return f"column {column} of the read-out{_named(model, column)} reads something else"
    missing = np.setdiff1d(np.flatnonzero(~sides.zero(sides.mine)), read)
    if len(missing):
        name = _named(compiled, int(missing[0])) or " of the number"
        return f"the read-out has no column{name}"
    if (np.diff(read[read >= 0]) < 0).any():
        return "the read-out's columns are in another order"
    return ""


def rounding_shows(
    model: Transformer, program: Program, compiled: Compiled, alignment: Alignment
) -> str:
    """Where columns that say the same but for rounding may differ on some input; empty if nowhere.

    A column is off by a small vector d. On an input it gives x d more, for the final stream
    x, and of each coordinate of x in the program's basis it is known how large it may be.

    Args:
        model: with a read-out for which `read_out_differs` finds nothing.
        program: whose weights it has.
        compiled: these weights.
        alignment: how the two are to each other.
    """
    weights = compiled.transformer
    assert model.W_U is not None
    assert weights.W_U is not None
    read = _columns_read(model, weights, Sides.of(model, weights, alignment))
    wanted = np.where(read >= 0, weights.W_U[:, np.maximum(read, 0)], 0.0)
    off = np.abs(alignment.basis @ model.W_U.astype(np.float64) - wanted)
    reach = _reach(program, compiled)
    if weights.output_values is None:  # a number may be off in proportion to itself
        reach = np.where(weights.W_U.any(axis=1), 1.0, reach)
    shown = np.flatnonzero(reach @ off > CLEAR_LEAD / 2)
    if not len(shown):
        return ""
    column = int(shown[0])
    return f"column {column} of the read-out{_named(model, column)} reads large numbers besides"


def _reach(program: Program, compiled: Compiled) -> Annotated[Floats, "D"]:
    """How large each coordinate of the final stream may be at most; 0 where nothing writes."""
    reach: Floats = np.where(_written(compiled.transformer).any(axis=0), 1.0, 0.0)
    for dims, largest in largest_numbers(program, compiled):
        reach[dims] *= largest
    return TIMES_LARGEST_VALUE * reach


def is_unnamed(model: Transformer, compiled: Transformer, alignment: Alignment) -> bool:
    """Whether a read-out that seems to be a number is the column of a program's only value.

    Where a file does not say what its columns mean, one column may be either.
    """
    if model.output_values is not None or len(compiled.output_values or ()) != 1:
        return False
    named = model.replace(output_values=compiled.output_values)
    return bool((_columns_read(named, compiled, Sides.of(named, compiled, alignment)) == 0).all())


@dataclass(frozen=True)
class Sides:
    """Products of all that a model writes with columns of a read-out.

    Attributes:
        mine: with the program's columns.
        theirs: with the model's columns.
        allowed: how far a product may be off.
    """

    mine: Annotated[Floats, "vectors columns"]
    theirs: Annotated[Floats, "vectors wide"]
    allowed: Annotated[Floats, "vectors 1"]

    @classmethod
    def of(cls, model: Transformer, compiled: Transformer, alignment: Alignment) -> Sides:
        assert model.W_U is not None
        assert compiled.W_U is not None
        written, reordered = _written(model), alignment.relation == "reordered"
        sizes = np.maximum(1.0, np.linalg.norm(written, axis=1))[:, None]
        return cls(
            written @ (alignment.basis.T @ compiled.W_U.astype(np.float64)),
            written @ model.W_U.astype(np.float64),
            sizes * (EXACT_SHARE_OF_WEIGHT if reordered else ROTATED_SHARE_OF_LENGTH),
        )

    def zero(self, products: Annotated[Floats, "vectors n"]) -> Annotated[Bools, "n"]:
        """Which columns read nothing of what is written."""
        return np.asarray((np.abs(products) <= self.allowed).all(axis=0))


def _columns_read(model: Transformer, compiled: Transformer, sides: Sides) -> Annotated[Ints, "n"]:
    """For each column of the model's the number of the program's that it equals in all products.

    `READS_NOTHING` where all its products are zero, `READS_OTHER` where it equals none of its name.
    """
    read = np.where(sides.zero(sides.theirs), READS_NOTHING, READS_OTHER).astype(np.int64)
    places = _places(model, compiled)
    for column in np.flatnonzero(read == READS_OTHER).tolist():
        named = places[column]
        if named is not None:
            off = sides.theirs[:, [column]] - sides.mine[:, [named]]
            if sides.zero(off).all():
                read[column] = named
    return read


def _places(model: Transformer, compiled: Transformer) -> list[int | None]:
    """For each column of the model's the program's column of the same value."""
    assert model.W_U is not None
    if model.output_values is None or compiled.output_values is None:
        return list(range(model.W_U.shape[1]))
    exact = {value: place for place, value in enumerate(compiled.output_values)}
    pairs = [(n, v) for n, v in enumerate(compiled.output_values) if isinstance(v, float)]
    numbers = sorted(pairs, key=lambda pair: pair[1])
    return [_place(value, exact, numbers) for value in model.output_values]


def _place(
    value: Value, exact: Mapping[Value, int], numbers: Sequence[tuple[int, float]]
) -> int | None:
    if value in exact or not isinstance(value, float):
        return exact.get(value)
    above = bisect_left(numbers, value, key=lambda pair: pair[1])
    near = numbers[max(0, above - 1) : above + 1]
    return next((place for place, other in near if same_value(value, other)), None)


def _written(model: Transformer) -> Vectors:
    """All vectors that sum up to the final stream; biases are zero.

    A head writes the rows of its product W_V W_O, whatever the basis within it: its factors
    may be as small or as large as they like, so that only what is zero is left out.
    """
    width = model.d_model
    alive = model.W_V.any(axis=(2, 3)) & model.W_O.any(axis=(2, 3))  # of L H heads
    heads = model.W_V[alive].astype(np.float64) @ model.W_O[alive].astype(np.float64)
    neurons = model.W_out.reshape(-1, width)
    neurons = neurons[neurons.any(axis=1)]
    rows: list[Annotated[Floats, "_ D"]] = [
        part.astype(np.float64)
        for part in (model.W_E, model.W_pos, heads.reshape(-1, width), neurons)
    ]
    return np.concatenate(rows)


def _named(model: Transformer, column: int) -> str:
    return "" if model.output_values is None else f" for {model.output_values[column]!r}"
