"""Which value each row of a saved model's token embedding stands for.

Tracr sorts tokens and special tokens together, so BOS may be any row of W_E.
Decompiling wants BOS and PAD last; a file that names its rows can be brought
into that order.
"""

from __future__ import annotations

from collections.abc import Sequence

from untracr.errors import ModelFileError
from untracr.rasp.functions import Value
from untracr.transformer.files import LoadedModel
from untracr.transformer.transformer import Transformer


def in_standard_order(
    loaded: LoadedModel, vocab: Sequence[Value] | None = None
) -> tuple[Transformer, tuple[Value, ...] | None]:
    """The model with its token rows first, then BOS and PAD, and the tokens' values.

    Args:
        loaded: a weights file.
        vocab: values of the token rows, to be used instead of the file's own.

    Returns:
        Weights and values; None where neither the file nor ``vocab`` names them.

    Raises:
        ModelFileError: the file names other rows than it has.
    """
    model = loaded.transformer
    named = loaded.metadata.get("token_values")
    if not isinstance(named, list):
        return model, tuple(vocab) if vocab is not None else known_vocab(loaded)
    special = [loaded.metadata.get("bos"), loaded.metadata.get("pad")]
    tokens = [row for row, value in enumerate(named) if value not in special]
    if len(named) != len(model.W_E) or len(tokens) != len(named) - 2:
        raise ModelFileError(
            f"{loaded.path}: the file must name each of the {len(model.W_E)} rows of W_E, BOS and "
            f"PAD among them once; it names {len(named)}, BOS {special[0]!r} and PAD {special[1]!r}"
        )
    rows = [*tokens, *map(named.index, special)]
    values = tuple(vocab) if vocab is not None else tuple(named[row] for row in tokens)
    return model.replace(W_E=model.W_E[rows]), values


def known_vocab(loaded: LoadedModel) -> tuple[Value, ...] | None:
    """The vocabulary that a file states, if it does."""
    vocab = loaded.metadata.get("vocab")
    if not isinstance(vocab, list) or not all(
        v is None or isinstance(v, (bool, int, float, str)) for v in vocab
    ):
        return None
    return tuple(vocab)


def vocabulary(model: Transformer) -> tuple[Value, ...]:
    """The tokens' values when nothing is said of them: 0, 1, 2, ..."""
    return tuple(range(len(model.W_E) - 2))
