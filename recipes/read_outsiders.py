"""How the programs that strangers would write (tests/outsiders.py) are read, one by one.

    python recipes/read_outsiders.py

Needs nothing but the package; run it in the repository's root.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from outsiders import OUTSIDERS
from untracr.audit.claims import Claim, judge_claim
from untracr.audit.kinds import of_names, treated_subject
from untracr.decompile.decompiler import Decompiler
from untracr.markdown_table import markdown_table
from untracr.transformer.named_treatments import Treatment

WEIGHTS = (
    (Treatment("compiled"), True),
    (Treatment("compiled"), False),
    (Treatment("rotated"), True),
    (Treatment("rotated"), False),
    (Treatment("rotated-compressed-bos", 0.9), True),
    (Treatment("noisy", 0.01), True),
)
"""What is done to the weights, and whether the read-out is there."""

SEED = 1


def behaviour(claim: Claim) -> str:
    """How an answer behaves, in a word or two."""
    if claim.false:
        return f"FALSE: {claim.false}"
    if claim.still_computes is False:
        return "the weights no longer compute it"
    if claim.behaves:
        return "same outputs"
    if claim.listed:
        return "same outputs listed"
    return "same outputs but for names" if claim.renamed else "other outputs"


def main() -> None:
    """Prints a table a kind of weights."""
    decompiler = Decompiler()
    draw = partial(of_names, OUTSIDERS)
    for treatment, read_out in WEIGHTS:
        rows, proved = [], 0
        for number, named in enumerate(OUTSIDERS):
            subject = treated_subject(draw, treatment, SEED, number, read_out=read_out)
            result = decompiler.decompile(subject.model, vocab=subject.domain.vocab)
            claim = judge_claim(subject, result)
            proved += result.is_proved
            search = result.search
            rows.append(
                [
                    named.name,
                    subject.reference.length if subject.reference is not None else 0,
                    result.verdict,
                    search.greedy_verdict if search is not None else "",
                    behaviour(claim),
                    f"{result.seconds:.2f}",
                ]
            )
        what = f"{treatment.label}, {'with' if read_out else 'without'} read-out"
        print(f"## {what}: {proved} of {len(rows)} proved\n")
        head = ("program", "length", "verdict", "of the first answer", "behaviour", "seconds")
        print(f"{markdown_table(head, rows)}\n")


if __name__ == "__main__":
    main()
