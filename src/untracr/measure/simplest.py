"""The simplest number near a measured one: how a program's own numbers are read off weights."""

from __future__ import annotations

import math

DENOMINATORS = 12
"""Fractions up to this denominator are simple."""

DIGITS = 12
"""Digits after which a number is what it is."""


def simplest_number(number: float, allowed: float) -> float:
    """A whole number if one is near enough, else a fraction, else the fewest digits.

    Args:
        number: as measured.
        allowed: how far it may be off.

    Returns:
        An int where it is a whole number.
    """
    if not math.isfinite(number):
        return number
    for denominator in range(1, DENOMINATORS + 1):
        numerator = round(number * denominator)
        if abs(numerator / denominator - number) <= allowed:
            return numerator if denominator == 1 else numerator / denominator
    for digits in range(1, DIGITS):
        shorter = float(f"{number:.{digits}g}")
        if abs(shorter - number) <= allowed:
            return shorter
    return number
