"""Values of a configuration that a stranger wrote: looked up by name, checked by kind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from untracr.bounds import MAX_NETWORK_LAYERS
from untracr.errors import ModelFileError
from untracr.network.architecture import Activation
from untracr.shown_text import shown

ACTIVATIONS = {
    "relu": Activation.RELU,
    "gelu": Activation.GELU,
    "gelu_python": Activation.GELU,
    "gelu_new": Activation.GELU_TANH,
    "gelu_fast": Activation.GELU_TANH,
    "gelu_pytorch_tanh": Activation.GELU_TANH,
    "silu": Activation.SILU,
    "swish": Activation.SILU,
}
"""Activations by the names that TransformerLens and transformers give them."""

LARGEST_SIZE = 2**31
"""The largest size that a configuration may tell."""


@dataclass(frozen=True)
class ConfigValues:
    """A configuration.

    Attributes:
        values: by name.
        source: what errors call it.
    """

    values: Mapping[str, Any]
    source: str

    def get(self, name: str) -> Any:
        """A value as it is; None where there is none."""
        return self.values.get(name)

    def whole(self, name: str) -> int | None:
        """A whole number from 1; None where there is none, or None or -1 stands for that."""
        value = self.get(name)
        if value is None or (type(value) is int and value == -1):
            return None
        if type(value) is not int or not 0 < value <= LARGEST_SIZE:
            raise ModelFileError(
                f"{name} must be a whole number from 1, not {shown(value)} ({self.source})"
            )
        return value

    def layers(self, name: str) -> int | None:
        """A number of layers; None where there is none."""
        layers = self.whole(name)
        if layers is not None and layers > MAX_NETWORK_LAYERS:
            raise ModelFileError(
                f"{name} must be at most {MAX_NETWORK_LAYERS}, not {layers} ({self.source})"
            )
        return layers

    def number(self, name: str) -> float | None:
        """A number above 0; None where there is none."""
        value = self.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ModelFileError(f"{name} must be a number, not {shown(value)} ({self.source})")
        number = float(value)
        if not 0 < number < math.inf:
            raise ModelFileError(f"{name} must be above 0, not {shown(value)} ({self.source})")
        return number

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise ModelFileError(
                f"{name} must be true or false, not {shown(value)} ({self.source})"
            )
        return value

    def activation(self, name: str) -> Activation | None:
        """An activation by its name; None where there is none."""
        value = self.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or value.lower() not in ACTIVATIONS:
            raise ModelFileError(
                f"the activation must be one of {', '.join(ACTIVATIONS)}, not {shown(value)} "
                f"({name} of {self.source})"
            )
        return ACTIVATIONS[value.lower()]

    def refuse(self, unsupported: Mapping[str, tuple[tuple[object, ...], str]]) -> None:
        """Refuses what a configuration asks for and is not supported.

        Args:
            unsupported: by a value's name those values that ask for nothing, None besides;
                and what any other asks for, in words.

        Raises:
            ModelFileError: it asks for one of these.
        """
        for name, (neutral, what) in unsupported.items():
            value = self.get(name)
            if value is not None and not any(_same(value, one) for one in neutral):
                raise ModelFileError(
                    f"not supported: {what}; {self.source} has {name}={shown(value)}"
                )

    def sizes(self, named: Mapping[str, str]) -> dict[str, tuple[int, str]]:
        """Sizes of axes, with who says so.

        Args:
            named: axes by the names that their sizes have in the configuration.
        """
        found = {}
        for name, axis in named.items():
            size = self.whole(name)
            if size is not None:
                found[axis] = (size, f"{name} of {self.source}")
        return found


def _same(value: object, neutral: object) -> bool:
    return isinstance(value, bool) == isinstance(neutral, bool) and value == neutral
