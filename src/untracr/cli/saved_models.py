"""Saved models on the command line: run on values instead of token ids."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from untracr.cli.programs import CausalOption, DomainOptions
from untracr.cli.reading_options import RowsOptions, naming_of
from untracr.cli.values import Value, show_values
from untracr.errors import ModelFileError
from untracr.shown_text import printable
from untracr.strangers_files import beginning_of

if TYPE_CHECKING:
    from untracr.loading.model import LoadedModel
    from untracr.rasp.domain import Domain
    from untracr.transformer.token_rows import Naming
    from untracr.transformer.transformer import Transformer


@dataclass(frozen=True, kw_only=True)
class SavedModelOptions(DomainOptions, CausalOption, RowsOptions):
    """What says how saved models are read, where programs may stand as well."""


class SavedModel:
    """A weights file with the values of its token rows.

    Args:
        loaded: the file.
        naming: which rows are which; what the file says, or else the weights show, if not
            given. `rows` tells what was taken.

    Attributes:
        path: the file.
        model: the weights, rows of BOS and PAD last.
        domain: the inputs.
        rows: which rows of W_E were taken for what.
        source: the program that the file says it was compiled from; empty if it says none.

    Raises:
        ModelFileError: outputs have no values, or the rows have none.
    """

    def __init__(self, loaded: LoadedModel, naming: Naming | None = None) -> None:
        from untracr.rasp.domain import Domain
        from untracr.transformer.token_rows import NOTHING_SAID, token_rows

        _require_read_out(loaded)
        count, positions = len(loaded.transformer.W_E), len(loaded.transformer.W_pos)
        if count < 3 or positions < 2:
            raise ModelFileError(f"{loaded.path}: the model has no room for a token after BOS")
        self.rows = token_rows(loaded, naming or NOTHING_SAID)
        self.model: Transformer = self.rows.applied(loaded.transformer)
        self.path: Path = loaded.path
        source = loaded.metadata.get("source")
        self.source = source if isinstance(source, str) else ""
        values = self.rows.values
        self._bos = count - 2
        self.domain: Domain = Domain(values, positions - 1)
        self._ids = {value: row for row, value in enumerate(values)}

    def with_vocab(self, vocab: Sequence[Value]) -> Transformer:
        """The weights with the tokens' rows in the order of ``vocab``, BOS and PAD last."""
        rows = [*(self._ids[value] for value in vocab), self._bos, self._bos + 1]
        return self.model.replace(W_E=self.model.W_E[rows])

    def run(self, tokens: Sequence[Value]) -> list[Value]:
        """Runs the model on one input, without BOS.

        Raises:
            InputError: the input is too long or holds an unknown token.
            ModelFileError: the weights are so large that the outputs overflow.
        """
        import numpy as np

        self.domain.require(tokens)
        ids = [[self._bos, *(self._ids[token] for token in tokens)]]
        assert self.model.W_U is not None
        with np.errstate(over="ignore", invalid="ignore"):
            out = self.model.forward(ids).output[0, 1:] @ self.model.W_U
        if not np.isfinite(out).all():
            raise ModelFileError(
                f"{self.path}: outputs must be finite numbers; the weights are so large that "
                f"those of {show_values(tokens)} overflow float32"
            )
        values = self.model.output_values
        if values is None:
            numbers: list[Value] = out[:, 0].tolist()
            return numbers
        return [values[place] for place in out.argmax(axis=1).tolist()]


def read_saved(file: str, options: SavedModelOptions) -> SavedModel:
    """Loads a model under the options of `add_rows_options`, and under --causal.

    Raises:
        UntracrError: it cannot be read or run, or the options do not fit it.
    """
    from untracr.loading.loading import load_model

    return SavedModel(load_model(file, causal=options.causal), naming_of(options.vocab, options))


def tell_assumed(*models: SavedModel) -> None:
    """Says on standard error what was assumed of models' rows, once there is an answer."""
    for model in models:
        if model.rows.assumed:
            print(f"untracr: {printable(f'{model.path}: {model.rows.assumed}')}", file=sys.stderr)


MODEL_SUFFIXES = (".safetensors", ".npz", ".pt", ".pth", ".bin")


def is_model(argument: str) -> bool:
    """Whether an argument names a weights file, by its suffix or by how it begins."""
    if Path(argument).suffix.lower() in MODEL_SUFFIXES:
        return True
    if not (beginning := beginning_of(Path(argument), 16)):
        return False
    from untracr.loading.files import begins_as_weights

    return begins_as_weights(beginning)


def is_model_or_folder(argument: str) -> bool:
    """Whether an argument names a weights file or a folder, which is none of the library's."""
    if is_model(argument) or not Path(argument).is_dir():
        return is_model(argument)
    from untracr.syntax.library import LIBRARY

    return argument not in {named.name for named in LIBRARY}


def _require_read_out(loaded: LoadedModel) -> None:
    """Checks that a file says what the model's outputs mean.

    Raises:
        ModelFileError: it does not.
    """
    from untracr.verify.outputs import has_no_values

    model = loaded.transformer
    if model.W_U is None:
        raise ModelFileError(
            f"{loaded.path}: the model has no read-out (unembed), so its outputs have no "
            "values; models written by untracr compile have one. What it computes inside is shown "
            "by untracr explain"
        )
    if has_no_values(model):
        raise ModelFileError(
            f"{loaded.path}: the file does not say what the {model.W_U.shape[1]} columns of the "
            "read-out mean (output_values), so outputs have no values; give them to "
            "untracr.save, or read the program by untracr decompile. Of a trained model a task "
            'file says it, or of untracr run an option (--outputs "next token")'
        )
