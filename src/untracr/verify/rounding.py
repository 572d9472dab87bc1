"""What the small differences between a model's weights and a program's may do.

Weights count as the same where they differ by rounding. Whether that matters rests on
what they are multiplied with: beside a number of 1e9 in the stream the rounding of a
one is 60. So differences are measured as they are, with the largest stream that the
program's values allow, and the judge follows them through the program.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from untracr.arrays import Annotated, Floats, Places, Reals
from untracr.compile.blocks import COLDNESS
from untracr.compile.compiler import Compiled
from untracr.diagnose.blur import AS_COMPILED, UNIT, UNITS_OF_LOGIT, Blur
from untracr.diagnose.rounded import Rounded
from untracr.rasp.functions import number_or
from untracr.rasp.nodes import NUMERICAL
from untracr.rasp.program import Program
from untracr.transformer.transformer import Transformer
from untracr.verify.alignment import Alignment
from untracr.verify.head_products import Head, heads_of

TIMES_LARGEST_OF_VARIABLE = 2.0
"""Numbers in the stream are at most this many times the largest of their variable, also at BOS."""


def rounded(
    model: Transformer, program: Program, compiled: Compiled, alignment: Alignment
) -> Rounded | None:
    """A model as it differs from a program's weights; None where it does not at all.

    Args:
        model: its rows of W_E in the order of the program's.
        program: whose weights it has.
        compiled: these weights.
        alignment: how the two are to each other: the same up to a rotation at most.
    """
    beside = _Beside(model, compiled.transformer, alignment, _Stream.of(program, compiled))
    blur = beside.blur()
    return None if blur == AS_COMPILED else Rounded(model, alignment.basis, blur)


def largest_numbers(program: Program, compiled: Compiled) -> Iterator[tuple[list[int], float]]:
    """The dimensions of each variable, and the largest number that one holds, at least 1."""
    for ref, node in compiled.node_map.items():
        is_number = program.encoding(ref) is NUMERICAL
        values = compiled.value_sets[ref].ordered if is_number else ()
        largest = max((abs(number_or(value, 1.0)) for value in values), default=1.0)
        yield list(node.dims), max(1.0, largest)


@dataclass(frozen=True)
class _Stream:
    """What the stream may hold where a program's values are held, in the program's basis.

    Attributes:
        parts: of each variable its dimensions and the largest number in one of them; of a
            categorical one only one dimension at a time holds anything.
    """

    parts: tuple[tuple[list[int], float], ...]

    @classmethod
    def of(cls, program: Program, compiled: Compiled) -> _Stream:
        parts: list[tuple[list[int], float]] = []
        known: set[int] = set()
        for dims, largest in largest_numbers(program, compiled):
            parts.append((dims, largest))
            known |= {*dims}
        rest = [d for d in range(compiled.transformer.d_model) if d not in known]
        return cls((*parts, *(([d], 1.0) for d in rest)))

    def largest(self, readers: Annotated[Floats, "n D"]) -> Annotated[Floats, "n"]:
        """The largest products that vectors may have with it, without signs."""
        sizes = np.abs(readers)
        sums = np.zeros(len(readers))
        for dims, largest in self.parts:
            sums += TIMES_LARGEST_OF_VARIABLE * largest * sizes[:, dims].max(axis=1)
        return sums


@dataclass(frozen=True)
class _Beside:
    """A model beside a program's weights, and the stream that the program knows."""

    model: Transformer
    compiled: Transformer
    alignment: Alignment
    stream: _Stream

    def blur(self) -> Blur:
        """What all differences may do; what is not finite may do anything."""
        scores, slip = 0.0, 0.0
        crosstalk = np.zeros(self.compiled.d_model)
        for name in ("W_E", "W_pos"):
            off = self._back(getattr(self.model, name)) - getattr(self.compiled, name)
            crosstalk += np.abs(off).max(axis=0)
        for layer in range(self.model.n_layers):
            for mine, other in self._head_pairs(layer):
                score, moved = self._head_off(mine, other)
                scores, crosstalk = max(scores, score), crosstalk + moved
            read, written = self._neurons_off(layer)
            slip, crosstalk = max(slip, read), crosstalk + written
        return Blur(UNIT + scores, slip, float(crosstalk.max()))

    def _back(self, vectors: Annotated[Reals, "n R"]) -> Annotated[Floats, "n D"]:
        """Vectors of the model in the program's basis."""
        return np.asarray(vectors.astype(np.float64) @ self.alignment.basis.T)

    def _head_pairs(self, layer: int) -> list[tuple[Head | None, Head]]:
        """Each of the model's heads with the program's, None where it should do nothing."""
        scale = float(np.sqrt(self.compiled.d_head / self.model.d_head))
        theirs = heads_of(self.model, layer, scale)
        ours = heads_of(self.compiled, layer) if layer < self.compiled.n_layers else []
        living = [head for head in ours if head.size > 0]
        mine = dict(zip(_numbers(self.alignment.heads, layer), living, strict=True))
        return [(mine.get(number), head) for number, head in enumerate(theirs)]

    def _head_off(self, mine: Head | None, other: Head) -> tuple[float, Annotated[Floats, "D"]]:
        """How far scores are off, as a share of a sharp one, and what is moved."""
        width, basis = self.compiled.d_model, self.alignment.basis
        move = basis @ other.moves @ basis.T
        score = np.zeros((width, width))
        if mine is not None:  # else it moves next to nothing, whatever it scores
            move = move - mine.moves
            score = basis @ other.selects @ basis.T - mine.selects
        largest = float(self.stream.largest(self.stream.largest(score)[None])[0])
        return largest / (UNITS_OF_LOGIT * COLDNESS), self.stream.largest(move.T)

    def _neurons_off(self, layer: int) -> tuple[float, Annotated[Floats, "D"]]:
        """How far a layer's neurons are off in what they read, and what they write besides."""
        reads = self._back(self.model.W_in[layer].T)
        writes = self._back(self.model.W_out[layer])
        mine_reads, mine_writes = np.zeros_like(reads), np.zeros_like(writes)
        numbers = _numbers(self.alignment.neurons, layer)
        if numbers:
            ours = self.compiled.W_in[layer].T, self.compiled.W_out[layer]
            living = np.flatnonzero(ours[0].any(axis=1) | ours[1].any(axis=1))
            mine_reads[numbers], mine_writes[numbers] = (w[living] for w in ours)
        slips = self.stream.largest(reads - mine_reads)
        slips /= np.maximum(1.0, np.linalg.norm(mine_reads, axis=1))
        # Each neuron is at most as large as the largest product with what it reads, [neurons].
        written = np.abs(writes - mine_writes).T @ self.stream.largest(reads)
        return float(slips[numbers].max(initial=0.0)), written


def _numbers(numbers: Places, layer: int) -> list[int]:
    return numbers[layer].tolist() if layer < len(numbers) else []
