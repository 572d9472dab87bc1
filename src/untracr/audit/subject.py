"""A model to be decompiled, with all that is known about it besides."""

from __future__ import annotations

from dataclasses import dataclass

from untracr.compile.compiler import MLP_EXACTNESS
from untracr.rasp.domain import Domain
from untracr.rasp.functions import Value
from untracr.rasp.program import Program
from untracr.short_repr import short_repr
from untracr.transformer.token_rows import NOTHING_SAID, Naming, tokens_first
from untracr.transformer.transformer import Transformer


@dataclass(frozen=True)
class Subject:
    """A model to be decompiled.

    Attributes:
        name: what it is, in a few words; unique within its kind.
        model: what the decompiler gets.
        domain: its tokens and longest input.
        reference: the program it was compiled from; None where it computes no known one.
        before: the same weights before they were rotated, bit for bit those that a
            program must compile to; None where nothing has such weights any more
            (they were projected, or got noise).
        read_out: ``model`` with its read-out, also where the decompiler gets none;
            None where there is none.
        row_names: the names of the model's rows, where these stand in Tracr's order and the
            decompiler is told nothing of them; None where they are the domain's tokens,
            then BOS and PAD, and it is told that.
        mlp_exactness: with which the program was compiled.
    """

    name: str
    model: Transformer
    domain: Domain
    reference: Program | None = None
    before: Transformer | None = None
    read_out: Transformer | None = None
    row_names: tuple[Value, ...] | None = None
    mlp_exactness: float = MLP_EXACTNESS

    __repr__ = short_repr

    @property
    def naming(self) -> Naming:
        """What the decompiler is told of the token rows."""
        return tokens_first(self.domain.vocab) if self.row_names is None else NOTHING_SAID
