"""A fingerprint of a model's weights, the same however they are stored."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from untracr.transformer.transformer import Transformer

SCHEME = b"untracr weights 1\n"


def weights_digest(model: Transformer) -> str:
    """The SHA-256 of a model, as 64 hexadecimal digits.

    Over these bytes: the line ``untracr weights 1``; for each array, in the order
    of `untracr.transformer.transformer.ARRAY_NAMES` and then W_U where there is a
    read-out, a line such as ``W_E float32 [7, 21]`` and its numbers in C order,
    little-endian; last a line of JSON with ``causal`` and ``output_values``. So
    a file saved again in another format has the digest it had, and any other
    number, shape, or meaning of the read-out has another.

    Args:
        model: with its token rows in the order in which they are used: those of the
            vocabulary, then BOS and PAD (`untracr.transformer.token_rows.in_standard_order`).
    """
    digest = hashlib.sha256(SCHEME)
    arrays = model.arrays()
    if model.W_U is not None:
        arrays["W_U"] = model.W_U
    for name, array in arrays.items():
        digest.update(f"{name} float32 {list(array.shape)}\n".encode())
        digest.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
    values = None if model.output_values is None else list(model.output_values)
    rest = {"causal": model.causal, "output_values": values}
    digest.update(json.dumps(rest, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()
