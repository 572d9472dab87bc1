"""What the meta-model contributes to the search, and what a larger budget finds.

    python recipes/search.py --programs 200

Decompiles the same models with the network's proposals and with uniform ones
(all operations of the grammar in a fixed order), under several budgets, and
prints a table: how many answers are proved (`identical` or `equivalent`), how
many are token-exact or behave as the reference, what the search cost.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass
from typing import get_args

import numpy as np

from untracr.decompile import bundled_decompiler
from untracr.decompile.proposers import Proposals
from untracr.evaluate.cases import CaseSet, library_cases, sampled_cases
from untracr.evaluate.outcome import Outcome, judge
from untracr.evaluate.share import Share
from untracr.transformer.named_treatments import Treatment, parse_treatments

HEADER = (
    "| weights | proposals | budget | proved | token-exact | same behaviour "
    "| operations compared, median | seconds, median | seconds, 95% |"
)


@dataclass(frozen=True)
class Row:
    """One set of models under one budget."""

    treatment: Treatment
    proposals: Proposals
    budget: float
    outcomes: tuple[Outcome, ...]

    def __str__(self) -> str:
        results = [outcome.result for outcome in self.outcomes]
        seconds = [result.seconds for result in results]
        operations = [result.search.operations for result in results if result.search is not None]
        cells = (
            self.treatment.label,
            self.proposals,
            f"{self.budget:g} s",
            Share.of(result.is_proved for result in results),
            Share.of(outcome.exact for outcome in self.outcomes),
            Share.of(outcome.same_behaviour for outcome in self.outcomes),
            f"{statistics.median(operations):.0f}",
            f"{statistics.median(seconds):.3f}",
            f"{np.quantile(seconds, 0.95):.3f}",
        )
        return f"| {' | '.join(map(str, cells))} |"


def measure(cases: CaseSet, treatment: Treatment, proposals: Proposals, budget: float) -> Row:
    """Decompiles all models of a set."""
    decompiler = bundled_decompiler()
    outcomes = []
    for number, case in enumerate(cases.cases):
        model = case.load()
        treated = treatment.apply(model, np.random.default_rng([0, number])).model
        result = decompiler.decompile(
            treated,
            name=case.name,
            vocab=case.domain.vocab,
            budget=budget,
            proposals=proposals,
        )
        outcomes.append(judge(case, result, model))
    return Row(treatment, proposals, budget, tuple(outcomes))


def main() -> None:
    """Prints the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--programs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=777)
    parser.add_argument("--treatments", type=parse_treatments, default="compiled,rotated")
    parser.add_argument("--budgets", default="0.03,0.1,1,10")
    parser.add_argument("--library", action="store_true", help="the named programs instead")
    args = parser.parse_args()
    cases = library_cases() if args.library else sampled_cases(args.seed, args.programs)
    print(f"{cases.title}\n\n{HEADER}\n|{'---|' * HEADER.count(' | ')}---|")
    for treatment in args.treatments:
        for budget in map(float, args.budgets.split(",")):
            for proposals in get_args(Proposals):
                print(measure(cases, treatment, proposals, budget), flush=True)


if __name__ == "__main__":
    main()
