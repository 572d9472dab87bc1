"""The frame: known variables of a model as directions in its residual stream.

Reading goes half-layer by half-layer. What has been decoded so far says which
variables the residual stream holds, which values they take and in which
direction each value is written. Every vector by which a later part reads is
then written as a combination of these directions: "neuron 7 reads token 3 and
index 2, minus the constant". Only products of readers and writers with each
other occur, so a rotation of the residual basis changes nothing.

The directions need not be at right angles. A compressed model holds every
vector v as V^T v, with V the kept basis; its directions depend on each other,
and products no longer tell what is read. But a reader is still the same
combination of the directions, so a combination is recognised by its distance
from the vector, which products give (`Directions`): |w - c P|^2 = |w|^2 -
2 c (P w) + c (P P^T) c.

The embeddings give the first frame. A row of W_E is its token's direction plus
the one direction (`one_direction`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from untracr.arrays import Annotated, Floats, Ints
from untracr.errors import ProgramError
from untracr.measure.one_direction import OneDirection, find_one_direction, other_one_directions
from untracr.rasp.functions import Value
from untracr.short_repr import short_repr
from untracr.transformer.half_layer import FIRST_HALF_LAYER, HalfLayer
from untracr.transformer.transformer import Transformer

TOKENS_SLOT, INDICES_SLOT = 0, 1

PARALLEL_SQUARED_SINE = 1e-6
"""Two directions are parallel where the squared sine between them is below this."""

DEPENDENT_SHARE = 1e-3
"""Directions depend on each other where an eigenvalue of their products is below this share of
the largest."""

MAX_SOLVED = 1_000
"""Values of a variable whose directions may depend on each other; those of a larger one, which
would take minutes to tell, count as being at right angles, as compiled ones are."""

MAX_PRODUCTS_HELD = 50_000_000
"""Numbers held for the products of all known directions with what reads them. A compiled model
has no more directions than residual dimensions (before compression): these products, as its
weights, are fewer."""


@dataclass(frozen=True)
class Variable:
    """A variable held in the residual stream.

    Attributes:
        slot: 0 tokens, 1 indices, 2 + n the n-th operation.
        is_categorical: one direction a value, else one direction scaled by it.
        values: the values it can take, in Tracr's order.
        directions: [len(values) or 1, d_model].
        available_from: the first half-layer that can read it.
        is_auxiliary: the direction between the two halves of a SelectorWidth.
    """

    slot: int
    is_categorical: bool
    values: tuple[Value, ...]
    directions: Annotated[Floats, "n D"]
    available_from: HalfLayer
    is_auxiliary: bool = False

    __repr__ = short_repr

    @cached_property
    def products(self) -> Annotated[Floats, "n n"]:
        """Of the directions with each other."""
        return self.directions @ self.directions.T

    @cached_property
    def is_independent(self) -> bool:
        """Whether what is read of each value can be told apart."""
        if not 0 < len(self.directions) <= MAX_SOLVED:
            return True
        sizes = np.linalg.eigvalsh(_finite(self.products))
        return bool(sizes[0] > DEPENDENT_SHARE * sizes[-1])

    @cached_property
    def solver(self) -> Annotated[Floats, "n n"]:
        """Turns products with the directions into coefficients (least squares), [n, n]."""
        inverse = np.linalg.pinv(_finite(self.products), rcond=DEPENDENT_SHARE, hermitian=True)
        return np.asarray(inverse, dtype=np.float64)


@dataclass(frozen=True)
class Base:
    """The frame that the embeddings alone give.

    Attributes:
        one: the one direction; in a model whose embedding is orthonormal
            the row of PAD, which has the same products with whatever reads.
        bos: the direction of BOS.
        tokens, indices: the two input variables.
        is_orthonormal: whether the rows of the embeddings are orthonormal but
            for the constant that they share.
        noise: standard deviation of the noise in the embeddings.
    """

    one: Annotated[Floats, "D"]
    bos: Annotated[Floats, "D"]
    tokens: Variable
    indices: Variable
    is_orthonormal: bool = True
    noise: float = 0.0

    __repr__ = short_repr

    @property
    def is_exact(self) -> bool:
        """Whether directions are neither noisy nor lost by a compression."""
        return self.is_orthonormal and not self.noise

    @classmethod
    def of(cls, model: Transformer, vocab: tuple[Value, ...]) -> Base:
        """Reads the embeddings.

        Args:
            model: the last two rows of W_E are BOS and PAD.
            vocab: the value of each other row.
        """
        return cls.with_one_direction(model, vocab, find_one_direction(model))

    @classmethod
    def others_of(cls, model: Transformer, vocab: tuple[Value, ...]) -> Iterator[Base]:
        """Reads the embeddings in the other ways that they allow, most likely first."""
        for one_direction in other_one_directions(model, find_one_direction(model)):
            yield cls.with_one_direction(model, vocab, one_direction)

    @classmethod
    def with_one_direction(
        cls, model: Transformer, vocab: tuple[Value, ...], one_direction: OneDirection
    ) -> Base:
        """Reads the embeddings with a given one direction; arguments as for `of`."""
        rows = model.W_E.astype(np.float64)
        places = model.W_pos[1:].astype(np.float64)
        one = one_direction.direction
        tokens = Variable(TOKENS_SLOT, True, vocab, rows[:-2] - one, FIRST_HALF_LAYER)
        indices = Variable(INDICES_SLOT, True, tuple(range(len(places))), places, FIRST_HALF_LAYER)
        return cls(
            one, rows[-2] - one, tokens, indices, one_direction.is_orthonormal, one_direction.noise
        )


class Directions:
    """The directions of several variables, stacked, with their products.

    Args:
        variables: those without values are left out.
        base: has the constant and BOS.

    Attributes:
        rows: [n, d_model].
        squares: [n], squared lengths of the rows.
        with_one: [n], their products with the constant.
        one_one, bos_bos: their squared lengths.

    Raises:
        ProgramError: there are too many rows.
    """

    def __init__(self, variables: Sequence[Variable], base: Base) -> None:
        self.base = base
        self.variables = [v for v in variables if len(v.directions)]
        sizes = [len(v.directions) for v in self.variables]
        _require_few(sum(sizes), len(base.one))
        self.rows = np.concatenate([v.directions for v in self.variables])
        ends = np.cumsum(sizes).tolist()
        self.starts = [end - size for end, size in zip(ends, sizes, strict=True)]
        self._slices = {
            id(v): slice(start, end)
            for v, start, end in zip(self.variables, self.starts, ends, strict=True)
        }
        self.categorical = [v for v in self.variables if v.is_categorical]
        self.numerical = [v for v in self.variables if not v.is_categorical]
        self.squares = np.einsum("nd,nd->n", self.rows, self.rows)
        self.with_one = self.rows @ base.one
        self.one_one, self.bos_bos = float(base.one @ base.one), float(base.bos @ base.bos)
        if base.is_orthonormal:
            self._take_out_pad()

    def _take_out_pad(self) -> None:
        """PAD's row stands for the constant: what it adds to products of writers is taken out."""
        self.one_one, self.bos_bos = 1.0, 1.0
        for v in self.variables:
            if v is self.base.tokens:
                part = self._slices[id(v)]
                self.squares[part] = 1.0
                self.with_one[part] = 0.0

    def slice(self, variable: Variable) -> slice:
        """The rows of a variable."""
        return self._slices[id(variable)]

    def products_with(self, vectors: Annotated[Floats, "D n"]) -> Annotated[Floats, "rows n"]:
        """Products of the rows with vectors [d_model, n]: [rows, n].

        Raises:
            ProgramError: there are too many.
        """
        _require_few(len(self.rows), vectors.shape[1])
        return self.rows @ vectors

    def products(
        self, i: Annotated[Ints, "*n"] | int, j: Annotated[Ints, "*n"] | int
    ) -> Annotated[Floats, "*n"]:
        """Products of rows i with rows j of other variables."""
        return np.asarray(np.einsum("...d,...d->...", self.rows[i], self.rows[j]))

    def solve(
        self, variable: Variable, products: Annotated[Floats, "values vectors"]
    ) -> Annotated[Floats, "values vectors"]:
        """Coefficients of vectors on one variable's directions by least squares.

        Args:
            variable: one of these.
            products: of its directions with the vectors, [values, vectors].
        """
        if self.base.is_orthonormal and variable is self.base.tokens:
            return products
        if len(variable.directions) > MAX_SOLVED:
            squares = self.squares[self.slice(variable)]
            return products / np.where(squares > DEPENDENT_SHARE, squares, np.inf)[:, None]
        return variable.solver @ products


def _require_few(rows: int, columns: int) -> None:
    if rows * columns > MAX_PRODUCTS_HELD:
        raise ProgramError(
            f"the decoded variables would take {rows:,} values, more than the "
            f"{MAX_PRODUCTS_HELD // columns:,} that are followed in a model of this size"
        )


def two_coefficients(
    gram: Annotated[Floats, "2 2"], products: Annotated[Floats, "2 vectors"]
) -> Annotated[Floats, "2 vectors"]:
    """Coefficients of vectors on two directions by least squares.

    Args:
        gram: [2, 2], products of the directions with each other, the first of
            them not zero.
        products: [2, vectors], of the directions with the vectors.

    Returns:
        [2, vectors]; the second row is zero where the directions are parallel.
    """
    (a, b), (_, c) = gram.tolist()
    determinant = a * c - b * b
    if determinant <= PARALLEL_SQUARED_SINE * a * c:
        return np.stack([products[0] / a, np.zeros_like(products[0])])
    inverse = np.array([[c, -b], [-b, a]]) / determinant
    return np.asarray(inverse @ products, dtype=np.float64)


def _finite(matrix: Annotated[Floats, "n n"]) -> Annotated[Floats, "n n"]:
    return np.nan_to_num(matrix, nan=0.0, posinf=0.0, neginf=0.0)
