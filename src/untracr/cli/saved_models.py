"""Running a saved model on values instead of token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from untracr.cli.values import Value
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
        from untracr.rasp.domain import Domain

        self._model = loaded.transformer
        self._path = loaded.path
        if self._model.W_U is None:
            raise ModelFileError(
                f"{loaded.path}: the model has no read-out (unembed), so its outputs have no "
                "values; models written by untracr compile have one"
            )
        rows, self._bos = self._token_rows(loaded, vocab)
        self._ids = {value: row for row, value in rows.items()}
        if len(self._model.W_pos) < 2 or not self._ids:
            raise ModelFileError(f"{loaded.path}: the model has no room for a token after BOS")
        self.domain: Domain = Domain(tuple(self._ids), len(self._model.W_pos) - 1)

    def _token_rows(
        self, loaded: LoadedModel, vocab: Sequence[Value] | None
    ) -> tuple[dict[int, Value], int]:
        """The value of each token row, and the row of BOS."""
        count = len(loaded.transformer.W_E)
        stated = loaded.metadata.get("token_values")
        special = (loaded.metadata.get("bos"), loaded.metadata.get("pad"))
        if vocab is None and isinstance(stated, list):
            if len(stated) != count or not all(name in stated for name in special):
                raise ModelFileError(
                    f"{loaded.path}: the file names {len(stated)} tokens, BOS {special[0]!r} and "
                    f"PAD {special[1]!r} among them; W_E has {count} rows"
                )
            rows = {i: v for i, v in enumerate(stated) if v not in special}
            return rows, stated.index(special[0])
        values = tuple(vocab) if vocab is not None else tuple(range(count - 2))
        if len(values) != count - 2:
            raise ModelFileError(
                f"{loaded.path}: a vocabulary must name all but the last two of {count} token "
                f"rows (BOS and PAD), not {len(values)}"
            )
        return dict(enumerate(values)), count - 2

    def run(self, tokens: Sequence[Value]) -> list[Value]:
        """Runs the model on one input, without BOS.

        Raises:
            InputError: the input is too long or holds an unknown token.
        """
        self.domain.require(tokens)
        ids = [[self._bos, *(self._ids[token] for token in tokens)]]
        assert self._model.W_U is not None
        out = self._model.forward(ids).output[0, 1:] @ self._model.W_U
        values = self._model.output_values
        if values is None:
            numbers: list[Value] = out[:, 0].tolist()
            return numbers
        return [values[place] for place in out.argmax(axis=1).tolist()]
