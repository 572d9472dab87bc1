"""Which models are read: time and memory are bounded before they are spent.

A model may also be made in memory, by whoever has arrays; what a file's are checked for is
checked here too. (What is not finite may keep linear algebra from coming to an end.)
"""

from __future__ import annotations

from untracr.bounds import MAX_EMBEDDING_ROWS, MAX_LAYERS, MAX_MODEL_WEIGHTS
from untracr.errors import ModelFileError
from untracr.loading.model_document import output_values
from untracr.rasp.values import Value
from untracr.transformer.transformer import Transformer


def require_readable(model: Transformer) -> None:
    """Checks that a model is of finite numbers, and of a size that can be read.

    Raises:
        ModelFileError: its weights or the names of its read-out's columns are none, it is
            too large, or has no tokens or positions.
    """
    model.validate()
    if model.output_values is not None:
        _require_values(model.output_values)
    if model.n_parameters > MAX_MODEL_WEIGHTS:
        raise ModelFileError(
            f"a model may hold at most {MAX_MODEL_WEIGHTS:,} weights to be read, "
            f"not {model.n_parameters:,}"
        )
    if model.n_layers > MAX_LAYERS:
        raise ModelFileError(f"a model may have at most {MAX_LAYERS} layers, not {model.n_layers}")
    if max(len(model.W_E), len(model.W_pos)) > MAX_EMBEDDING_ROWS:
        raise ModelFileError(
            f"W_E and W_pos may have at most {MAX_EMBEDDING_ROWS:,} rows to be read, "
            f"not {len(model.W_E):,} and {len(model.W_pos):,}"
        )
    if min(model.d_model, model.d_head, model.n_heads) < 1:
        raise ModelFileError(
            "d_model, d_head and the number of heads must be at least 1, "
            f"not {model.d_model}, {model.d_head} and {model.n_heads}"
        )
    if len(model.W_E) < 3 or len(model.W_pos) < 2:
        raise ModelFileError(
            "a compiled model has rows for at least one token, BOS and PAD in W_E, and for BOS "
            f"and one position in W_pos, not {len(model.W_E)} and {len(model.W_pos)}"
        )


def _require_values(values: tuple[Value, ...]) -> None:
    """Checks that columns of a read-out are named by values as a file gives them."""
    plain = output_values(list(values))
    for place, (given, value) in enumerate(zip(values, plain, strict=True)):
        if type(given) is not type(value):
            raise ModelFileError(
                "output_values must be numbers, strings, booleans, None or tuples of these; "
                f"output_values[{place}] is {type(given).__name__}"
            )
