"""Small networks that nobody trained, whose outputs are known exactly."""

from __future__ import annotations

import numpy as np

from untracr.network.architecture import Architecture
from untracr.network.network import Attention, Layer, Network


def network_of_table(
    table: np.ndarray, positions: int = 12, causal: bool = True, masked: int | None = None
) -> Network:
    """A network whose logits at a position are a row of a table, by the token there.

    Args:
        table: [V, O].
        positions: the longest input.
        causal: as of `Architecture`.
        masked: as of `Architecture`.
    """
    tokens = len(table)
    return Network(
        Architecture(causal=causal, masked_token=masked),
        np.eye(tokens, dtype=np.float32),
        np.zeros((positions, tokens), dtype=np.float32),
        (Layer(heads_that_do_nothing(tokens)),),
        W_U=np.asarray(table, dtype=np.float32),
    ).validate()


def heads_that_do_nothing(width: int) -> Attention:
    """One head that adds nothing."""
    inner = np.zeros((1, width, 1), dtype=np.float32)
    bias, stream = np.zeros((1, 1), dtype=np.float32), np.zeros(width, dtype=np.float32)
    return Attention(
        *(inner, bias, inner.copy(), bias, inner.copy(), bias),
        inner.transpose(0, 2, 1).copy(),
        stream,
        divisor=1.0,
    )


def successor(names: int, steps: int = 1, positions: int = 12) -> Network:
    """A next-token network that gives each token's successor in a circle."""
    return network_of_table(np.roll(np.eye(names), steps, axis=1), positions)


def averaging(readings: np.ndarray, positions: int = 12, **which: object) -> Network:
    """A network whose one logit at each position is the average of what the tokens it sees read.

    Args:
        readings: [V], what each token adds.
        positions: the longest input.
        which: fields of `Architecture`.
    """
    tokens = len(readings)
    heads = heads_that_do_nothing(tokens + 1)
    heads.W_V[0, :tokens, 0] = readings
    heads.W_O[0, 0, tokens] = 1
    read_out = np.zeros((tokens + 1, 1), dtype=np.float32)
    read_out[tokens] = 1
    return Network(
        Architecture(**which),  # type: ignore[arg-type]
        np.eye(tokens, tokens + 1, dtype=np.float32),
        np.zeros((positions, tokens + 1), dtype=np.float32),
        (Layer(heads),),
        W_U=read_out,
    ).validate()
