"""Weights that are a program's under a read-out that is not.

Weights do not hold the names of results, so a program may compile to a model's
very weights and yet give other values than the model's read-out says.
"""

from __future__ import annotations

from untracr.decompile.checking import Check
from untracr.decompile.outputs import cannot_compare, inputs_read_out_alike, outputs_agree
from untracr.decompile.recompiling import recompile
from untracr.rasp.domain import Domain
from untracr.rasp.program import Program
from untracr.transformer.transformer import Transformer


def read_out_contradicts(
    model: Transformer, program: Program, domain: Domain, found: Check
) -> bool:
    """Whether a model's read-out shows that it computes something else than a program.

    Args:
        model: of a read-out or none.
        program: has the verdict ``found``.
        domain: the inputs.
        found: what the weights, or the outputs, show; where outputs were compared, they
            have been asked.
    """
    if found.verdict != "identical" or found.inputs_checked or cannot_compare(model):
        return False
    weights = recompile(program, domain, model)
    if weights is not None and inputs_read_out_alike(model, weights, domain):
        return False
    # What is None, or 0, everywhere shows nothing to the comparison above.
    return not outputs_agree(model, program, domain, to_the_end=False).everywhere
