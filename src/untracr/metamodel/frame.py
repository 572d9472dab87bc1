"""The frame: known variables of a model as directions in its residual stream.

Reading goes half-layer by half-layer. What has been decoded so far says which
variables the residual stream holds, which values they take and in which
direction each value is written. Every vector by which a later part reads is
then described by its products with these directions: "neuron 7 reads token 3
and index 2, minus the constant". Only products of readers with writers occur,
so a rotation of the residual basis changes nothing.

The embeddings give the first frame. A row of W_E holds its token's direction
and the constant direction; nothing reads PAD, so PAD's row stands for the
constant and the tokens are taken relative to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.rasp.functions import Value
from untracr.transformer.transformer import Transformer

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

TOKENS_SLOT, INDICES_SLOT = 0, 1


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
    directions: Floats
    available_from: int
    is_auxiliary: bool = False


@dataclass(frozen=True)
class Base:
    """The frame that the embeddings alone give.

    Attributes:
        one: stands for the constant direction (the row of PAD).
        bos: the direction of BOS.
        tokens, indices: the two input variables.
    """

    one: Floats
    bos: Floats
    tokens: Variable
    indices: Variable

    @classmethod
    def of(cls, model: Transformer, vocab: tuple[Value, ...]) -> Base:
        """Reads the embeddings.

        Args:
            model: the last two rows of W_E are BOS and PAD.
            vocab: the value of each other row.
        """
        rows = model.W_E.astype(np.float64)
        pad, bos = rows[-1], rows[-2]
        tokens = Variable(TOKENS_SLOT, True, vocab, rows[:-2] - pad, 0)
        places = model.W_pos[1:].astype(np.float64)
        indices = Variable(INDICES_SLOT, True, tuple(range(len(places))), places, 0)
        return cls(pad, bos - pad, tokens, indices)
