"""Running a saved model on values instead of token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from untracr.cli.values import Value, show_values
from untracr.errors import ModelFileError

if TYPE_CHECKING:
    from untracr.rasp.domain import Domain
    from untracr.transformer.files import LoadedModel


class SavedModel:
    """A weights file with the values of its token rows.

    Args:
        loaded: the file.
        vocab: the tokens; what the file says, or else 0, 1, 2, ..., if not
            given. Without the file's word the last two rows are BOS and PAD.

    Raises:
        ModelFileError: there is no read-out, or the rows have no values.
    """

    def __init__(self, loaded: LoadedModel, vocab: Sequence[Value] | None = None) -> None:
        from untracr.decompile.token_rows import in_standard_order
        from untracr.rasp.domain import Domain

        if loaded.transformer.W_U is None:
            raise ModelFileError(
                f"{loaded.path}: the model has no read-out (unembed), so its outputs have no "
                "values; models written by untracr compile have one"
            )
        self._model, values = in_standard_order(loaded, vocab)
        count, positions = len(self._model.W_E), len(self._model.W_pos)
        if count < 3 or positions < 2:
            raise ModelFileError(f"{loaded.path}: the model has no room for a token after BOS")
        values = tuple(range(count - 2)) if values is None else values
        if len(values) != count - 2:
            raise ModelFileError(
                f"{loaded.path}: a vocabulary must name all but the last two of {count} token "
                f"rows (BOS and PAD), not {len(values)}"
            )
        self._path = loaded.path
        self._bos = count - 2
        self.domain: Domain = Domain(values, positions - 1)
        self._ids = {value: row for row, value in enumerate(values)}

    def run(self, tokens: Sequence[Value]) -> list[Value]:
        """Runs the model on one input, without BOS.

        Raises:
            InputError: the input is too long or holds an unknown token.
            ModelFileError: the weights are so large that the outputs overflow.
        """
        import numpy as np

        self.domain.require(tokens)
        ids = [[self._bos, *(self._ids[token] for token in tokens)]]
        assert self._model.W_U is not None
        with np.errstate(over="ignore", invalid="ignore"):
            out = self._model.forward(ids).output[0, 1:] @ self._model.W_U
        if not np.isfinite(out).all():
            raise ModelFileError(
                f"{self._path}: outputs must be finite numbers; the weights are so large that "
                f"those of {show_values(tokens)} overflow float32"
            )
        values = self._model.output_values
        if values is None:
            numbers: list[Value] = out[:, 0].tolist()
            return numbers
        return [values[place] for place in out.argmax(axis=1).tolist()]
