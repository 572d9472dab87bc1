"""What a model's read-out seems to say of a program's output: names of values, and a sign.

A column need not be the program's to tell the name of a value: it is enough that it reads
about the direction in which the program writes that value.
"""

from __future__ import annotations

import numpy as np

from untracr.rasp.functions import Value
from untracr.transformer.transformer import Transformer
from untracr.verify.alignment import Alignment
from untracr.verify.read_out import Sides
from untracr.verify.weight_equivalence import ROTATED_SHARE_OF_LENGTH

ALIKE_COSINE = 0.9
"""From this cosine on a column reads the direction of a value, whatever its scale and noise."""


def values_read(
    model: Transformer, compiled: Transformer, alignment: Alignment
) -> tuple[tuple[Value, ...], ...]:
    """For each of a program's output values the names of the columns that read its direction.

    Args:
        model: with a categorical read-out that has values.
        compiled: the program's weights, with its own categorical read-out.
        alignment: how the two are to each other; with the change of basis.
    """
    assert model.output_values is not None
    sides = Sides.of(model, compiled, alignment)
    mine, theirs = sides.mine, sides.theirs
    # Cosines of the columns over all that is written: [the model's columns, the program's].
    scale = np.linalg.norm(theirs, axis=0)[:, None] * np.linalg.norm(mine, axis=0)[None, :]
    alike = theirs.T @ mine / np.maximum(scale, ROTATED_SHARE_OF_LENGTH)
    return tuple(
        tuple(
            model.output_values[c] for c in np.flatnonzero(alike[:, place] > ALIKE_COSINE).tolist()
        )
        for place in range(mine.shape[1])
    )


def reads_negative(model: Transformer, compiled: Transformer, alignment: Alignment) -> bool:
    """Whether a numerical read-out gives the negative of the program's number."""
    sides = Sides.of(model, compiled, alignment)
    return float((sides.mine * sides.theirs).sum()) < 0
