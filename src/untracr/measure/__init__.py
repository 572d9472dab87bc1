"""Two things that weights show without any program: the slope of staircases, and the one
direction that every token's embedding shares, with the noise around it.

What is found here is a hint, never a claim: a wrong slope or direction makes weights differ
from a program's, and so can only lose a proof.
"""

from __future__ import annotations

from untracr.measure.exactness import Exactness, find_exactness
from untracr.measure.one_direction import OneDirection, find_one_direction

__all__ = ["Exactness", "OneDirection", "find_exactness", "find_one_direction"]
