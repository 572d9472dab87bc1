"""How far weights are off those that the compiler makes, as far as it may matter."""

from __future__ import annotations

from dataclasses import dataclass

UNIT = 2.0**-24
"""Half the distance from 1 to the next number in single precision."""

UNITS_OF_LOGIT = 8
"""Units by which rounding may put a logit off, relative to a sharp one. `bounds` allows for that
many, so what is measured of a logit is divided by them to be a `Blur.unit`."""


@dataclass(frozen=True)
class Blur:
    """How far what a part reads and writes may be off, where the program's values are held.

    Attributes:
        unit: numbers, relative to their size.
        slip: what a neuron reads besides, relative to its length or to 1.
        crosstalk: what all parts together write besides into any one dimension.
    """

    unit: float = UNIT
    slip: float = 0.0
    crosstalk: float = 0.0


AS_COMPILED = Blur()
"""The weights are the compiler's own; what remains is single precision."""
