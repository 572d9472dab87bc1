"""Models of known programs, as most tests want them."""

from __future__ import annotations

from untracr.audit.claims import compiled_rows
from untracr.compile.canonical import canonicalise
from untracr.compile.compiler import MLP_EXACTNESS
from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.rasp.program import Program
from untracr.syntax.parsing import parse
from untracr.transformer.transformer import Transformer


def program_of(source: str) -> Program:
    """A text's program in canonical form."""
    return canonicalise(parse(source))


def model_of(
    program: Program | str,
    domain: Domain = PAPER_DOMAIN,
    *,
    causal: bool = False,
    mlp_exactness: float = MLP_EXACTNESS,
) -> Transformer:
    """Its weights with the read-out, token rows in the domain's order, then BOS and PAD.

    Args:
        program: as it is, or a text of which the canonical form is taken.
        domain: its inputs.
        causal, mlp_exactness: as the compiler takes them.
    """
    program = program_of(program) if isinstance(program, str) else program
    return compiled_rows(program, domain, causal=causal, mlp_exactness=mlp_exactness)


def bare(model: Transformer) -> Transformer:
    """The same weights without their read-out."""
    return model.replace(W_U=None, output_values=None)
