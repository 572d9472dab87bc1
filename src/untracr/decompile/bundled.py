"""Decompiling with the meta-model that comes with the package, loaded once."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from untracr.decompile.decompiler import BUDGET, Decompiler
from untracr.decompile.result import Result
from untracr.loading.loading import load_model
from untracr.rasp.functions import Value
from untracr.transformer.token_rows import Naming
from untracr.transformer.transformer import Transformer

EXAMPLE = "examples/real-101-0000.npz"


@functools.cache
def bundled_decompiler() -> Decompiler:
    """The decompiler with the package's own meta-model.

    Raises:
        ModelFileError: its file is missing or damaged.
    """
    return Decompiler()


def decompile_model(
    model: object,
    *,
    vocab: Iterable[Value] | None = None,
    token_values: Sequence[Value] | Mapping[Value, int] | None = None,
    bos: Value = None,
    pad: Value = None,
    budget: float = BUDGET,
    num_heads: int | None = None,
    causal: bool | None = None,
) -> Result:
    """Reads the program of one model.

    Args:
        model: a weights file, a `Transformer`, a compiled or loaded model, a model of
            Tracr's or its ``params``, or a state dict with TransformerLens' names.
        vocab: the values of the tokens' rows of W_E, in the order of these rows (of a set
            in Tracr's), BOS's and PAD's left out; what the file says, or else 0, 1, 2, ...,
            if not given.
        token_values: the values of all rows, BOS's and PAD's names among them, or the row
            of each value, as ``input_encoder.encoding_map`` of a model of Tracr has it.
        bos, pad: names among ``token_values``, if they are not Tracr's; or, where rows have
            no names, the numbers of the two rows. As the weights show if not given; where
            they leave it open, `Result.token_rows` and `Result.detail` say what was assumed.
        budget: seconds after which the search for a better program ends.
        num_heads: heads a layer, which ``params`` do not tell.
        causal: whether attention is masked to earlier positions, which ``params`` and a
            state dict do not tell; what the model says, else not, if not given.

    Raises:
        ModelFileError: it is no model, or outside what can be read.
        UsageError: ``num_heads`` is given beside a model that tells them.
    """
    reader, naming = bundled_decompiler(), Naming(vocab, token_values, bos, pad)
    if isinstance(model, Transformer) and num_heads is None:
        masked = model if causal is None else model.replace(causal=causal)
        return reader.decompile(masked, naming=naming, budget=budget)
    loaded = load_model(model, num_heads=num_heads, causal=causal)
    return reader.decompile_loaded(loaded, naming=naming, budget=budget)


def decompile_models(models: Iterable[object]) -> Iterator[Result]:
    """Reads many models, one result each, in order.

    Raises:
        ModelFileError: one of them is no model, or outside what can be read.
    """
    return map(decompile_model, models)


def example_file() -> Path:
    """A model that comes with the package: a random program, compiled by Tracr itself."""
    return Path(str(files("untracr") / EXAMPLE))
