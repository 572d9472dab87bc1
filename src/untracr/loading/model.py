"""A model that was loaded: its weights, what is known of them, and what was assumed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from untracr.errors import ModelFileError
from untracr.network.compiled_form import compiled_form, network_of_compiled
from untracr.network.network import Network
from untracr.shown_text import printable
from untracr.transformer.transformer import Transformer


@dataclass(frozen=True, eq=False, repr=False)
class LoadedModel:
    """A model of any supported architecture, and what is said of it.

    Attributes:
        weights: as they were read: a `Transformer` where they were in the form that a compiler
            writes, else a `Network`.
        metadata: what came beside the weights, such as what was given to `untracr.save`.
        path: where it was read; of a model in memory what it was.
        said: what was inferred or assumed because nothing told it, in sentences.
    """

    weights: Transformer | Network
    metadata: dict[str, object]
    path: Path
    said: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<LoadedModel: {str(self.path)!r}, {self.weights!r}>"

    @cached_property
    def network(self) -> Network:
        """The weights as a network; of compiled ones its arrays are views."""
        if isinstance(self.weights, Network):
            return self.weights
        return network_of_compiled(self.weights)

    @cached_property
    def transformer(self) -> Transformer:
        """The weights in the form that a compiler writes, all layers in one array.

        Raises:
            ModelFileError: the model has a part that no compiled model has.
        """
        if isinstance(self.weights, Transformer):
            return self.weights
        try:
            return compiled_form(self.weights)
        except ModelFileError as error:
            raise ModelFileError(f"{printable(self.path)}: {error}") from None

    def with_mask(self, causal: bool | None) -> LoadedModel:
        """The same model with attention masked to later positions or not; itself for None."""
        if causal is None:
            return self
        return dataclasses.replace(self, weights=_masked(self.weights, causal))


def _masked(weights: Transformer | Network, causal: bool) -> Transformer | Network:
    match weights:
        case Transformer():
            return weights.replace(causal=causal)
        case Network(architecture):
            return weights.replace(architecture=dataclasses.replace(architecture, causal=causal))
