"""How well a network wrote a batch, or the parts of one that several processes wrote."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Score:
    """Of one batch.

    Attributes:
        loss: a number, the mean cross-entropy a token; gradients flow from it.
        tally: [4] float32: tokens that count, those written rightly, programs, and
            programs written rightly as a whole. Exact up to 16 million tokens.
    """

    loss: Tensor
    tally: Tensor

    @staticmethod
    def of(loss: Tensor, hits: Tensor, counts: Tensor) -> Score:
        """Counts what was written rightly.

        Args:
            loss: the mean cross-entropy a token that counts.
            hits: [B, T] bools, tokens that are right; true where none counts.
            counts: [B, T] bools, which tokens count.
        """
        right = hits.all(dim=1)
        programs = torch.tensor(len(right), device=right.device)
        numbers = (counts.sum(), (hits & counts).sum(), programs, right.sum())
        return Score(loss, torch.stack(numbers).float())

    @property
    def exact(self) -> float:
        """The share of programs whose tokens are all right."""
        return (self.tally[3] / self.tally[2]).item()

    @property
    def tokens(self) -> float:
        """The share of tokens that are right."""
        return (self.tally[1] / self.tally[0]).item()
