"""What is done to weights before they are read, as it is named on the command line.

``NAME`` or ``NAME:SIZE``; several are separated by commas, and
``NAME:SIZE:SIZE:...`` stands for one of each size: ``compiled,noisy:0.003:0.01``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from untracr.errors import UsageError, did_you_mean
from untracr.transformer.transformer import Array, Transformer
from untracr.transformer.treatments import add_noise, compress, rotate, rotate_and_compress

Apply = Callable[[Transformer, np.random.Generator, float], Transformer]

LAYER_MATRICES = ("W_Q", "W_K", "W_V", "W_O", "W_in", "W_out")
EMBEDDINGS = ("W_E", "W_pos")


@dataclass(frozen=True)
class _Kind:
    """A treatment without its size.

    Attributes:
        what: one sentence.
        apply: ``(model, rng, size) -> model``; the size is 0 where there is none.
        default: the size if none is given; None where it takes none.
        sizes: which sizes make sense, in words, for errors.
        largest: the largest of them; the smallest is 0.
        open_end: whether 0 itself makes no sense.
        is_control: whether nothing of the program is left in the weights.
    """

    what: str
    apply: Apply
    default: float | None = None
    sizes: str = ""
    largest: float = float("inf")
    open_end: bool = False
    is_control: bool = False

    def allows(self, size: float) -> bool:
        """Whether the size makes sense; NaN and infinity never do."""
        return (
            0 <= size <= self.largest and size < float("inf") and not (self.open_end and not size)
        )


def _compression(what: str, apply: Apply) -> _Kind:
    return _Kind(what, apply, 0.9, "above 0 and at most 1", 1.0, open_end=True)


def shuffle_weights(model: Transformer, rng: np.random.Generator) -> Transformer:
    """Permutes the entries of each weight matrix of each layer; embeddings stay.

    All heads of a layer together count as one matrix, as for `add_noise`. With
    the embeddings kept, tokens and positions are found as ever, but nothing that
    a layer reads or writes means anything.
    """
    return _layers_replaced(model, lambda a: rng.permutation(a.ravel()).reshape(a.shape))


def gaussian_weights(model: Transformer, rng: np.random.Generator) -> Transformer:
    """Draws every weight anew, from a normal distribution of its matrix's mean and deviation.

    Embeddings too; all entries of a matrix count, zeros included.
    """

    def drawn(array: Array) -> Array:
        return rng.normal(array.mean(), array.std(), array.shape).astype(np.float32)

    embeddings = {name: drawn(getattr(model, name)) for name in EMBEDDINGS}
    return _layers_replaced(model.replace(**embeddings), drawn)


def _layers_replaced(model: Transformer, change: Callable[[Array], Array]) -> Transformer:
    changed = {}
    for name in LAYER_MATRICES:
        layers = getattr(model, name)
        changed[name] = np.stack([change(layer) for layer in layers]) if len(layers) else layers
    return model.replace(**changed)


TREATMENTS: dict[str, _Kind] = {
    "compiled": _Kind("nothing is done", lambda model, rng, size: model),
    "rotated": _Kind(
        "a random rotation of the residual stream", lambda model, rng, size: rotate(model, rng)
    ),
    "compressed": _compression(
        "main directions of the residual stream kept, fitted without BOS as the paper's code does",
        lambda model, rng, size: compress(model, rng, size).model,
    ),
    "rotated-compressed": _compression(
        "compressed, then rotated",
        lambda model, rng, size: rotate_and_compress(model, rng, size).model,
    ),
    "compressed-bos": _compression(
        "main directions kept, fitted on inputs behind BOS as in use",
        lambda model, rng, size: compress(model, rng, size, include_bos=True).model,
    ),
    "rotated-compressed-bos": _compression(
        "compressed-bos, then rotated",
        lambda model, rng, size: rotate_and_compress(model, rng, size, include_bos=True).model,
    ),
    "noisy": _Kind(
        "Gaussian noise of that share of each matrix's scale",
        add_noise,
        0.01,
        "from 0 up",
    ),
    "shuffled": _Kind(
        "the entries of each layer's matrices permuted, embeddings kept",
        lambda model, rng, size: shuffle_weights(model, rng),
        is_control=True,
    ),
    "gaussian": _Kind(
        "every weight drawn anew with its matrix's mean and deviation",
        lambda model, rng, size: gaussian_weights(model, rng),
        is_control=True,
    ),
}
"""What may be done to weights before they are read. A compression's size is the share of the
width that is kept; that of noise, its share of each matrix's root mean square."""


@dataclass(frozen=True)
class Treatment:
    """One treatment with its size.

    Attributes:
        name: a key of `TREATMENTS`.
        size: its size, None where it takes none.
    """

    name: str
    size: float | None = None

    @property
    def label(self) -> str:
        """As typed: the size is left out where it is the default."""
        default = TREATMENTS[self.name].default
        return self.name if self.size in (None, default) else f"{self.name}:{self.size:g}"

    @property
    def what(self) -> str:
        """One sentence on it."""
        return TREATMENTS[self.name].what

    @property
    def is_control(self) -> bool:
        """Whether nothing of the program is left in the weights."""
        return TREATMENTS[self.name].is_control

    def apply(self, model: Transformer, rng: np.random.Generator) -> Transformer:
        """The treated weights."""
        return TREATMENTS[self.name].apply(model, rng, self.size or 0.0)


CONTROLS = (Treatment("shuffled"), Treatment("gaussian"))


def parse_treatments(text: str) -> tuple[Treatment, ...]:
    """Reads a list of treatments.

    Raises:
        UsageError: there is none of that name, a size is no number or makes no
            sense, or one of them comes twice.
    """
    found: list[Treatment] = []
    for word in text.split(","):
        found += _parse(word.strip())
    repeated = [t for number, t in enumerate(found) if t in found[:number]]
    if repeated:
        raise UsageError(f"a treatment may be asked for once, {repeated[0].label} comes twice")
    return tuple(found)


def _parse(word: str) -> Sequence[Treatment]:
    name, *sizes = word.split(":")
    if name not in TREATMENTS:
        known = ", ".join(TREATMENTS)
        hint = did_you_mean(name, TREATMENTS)
        raise UsageError(f"a treatment is one of {known}, not {name!r}{hint and '.'}{hint}")
    kind = TREATMENTS[name]
    if kind.default is None:
        if sizes:
            raise UsageError(f"the treatment {name} takes no size, not {sizes[0]!r}")
        return [Treatment(name)]
    return [Treatment(name, _size(kind, name, text)) for text in sizes or [str(kind.default)]]


def _size(kind: _Kind, name: str, text: str) -> float:
    try:
        size = float(text)
    except ValueError:
        size = float("nan")
    if not kind.allows(size):
        raise UsageError(f"the size of {name} must be a number {kind.sizes}, not {text!r}")
    return size
