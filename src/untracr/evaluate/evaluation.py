"""How well models are decompiled: token-exact, same behaviour, and the verdicts.

Token-exact compares with the reference's canonical tokens, names included.
Same behaviour compares outputs on every input of the domain. Intervals are
Wilson's, 95%.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from untracr.decompile.decompiler import Decompiler
from untracr.errors import UsageError
from untracr.evaluate.cases import CaseSet, folder_cases, library_cases, sampled_cases
from untracr.evaluate.outcome import Counts, Outcome, judge
from untracr.evaluate.share import Share
from untracr.markdown_table import markdown_table
from untracr.sample.sampler import PAPER, SamplerSettings
from untracr.short_repr import short_repr
from untracr.transformer.named_treatments import Treatment, parse_treatments
from untracr.transformer.token_rows import tokens_first
from untracr.transformer.transformer import Transformer


@dataclass(frozen=True)
class Report:
    """The outcomes of one evaluation.

    Attributes:
        outcomes: in order.
        treatment: what was done to the weights, as it is typed.
    """

    outcomes: tuple[Outcome, ...]
    treatment: str

    __repr__ = short_repr

    @property
    def lengths(self) -> list[int]:
        """The program lengths that occur, ascending."""
        return sorted({o.length for o in self.outcomes})

    def share(self, count: Callable[[Outcome], bool], length: int | None = None) -> Share:
        """How often something held, of all or of one program length."""
        return Share.of(count(o) for o in self.outcomes if length is None or o.length == length)

    def as_dict(self) -> dict[str, object]:
        """The report as plain JSON values."""
        seconds = [o.result.seconds for o in self.outcomes]
        checked = [o for o in self.outcomes if o.result.verdict != "unverified"]
        return {
            "models": len(self.outcomes),
            "treatment": self.treatment,
            "exact": self.share(is_exact).as_dict(),
            "same_behaviour": self.share(behaves).as_dict(),
            "by_length": {
                str(n): {
                    "exact": self.share(is_exact, n).as_dict(),
                    "same_behaviour": self.share(behaves, n).as_dict(),
                }
                for n in self.lengths
            },
            "verdicts": dict(Counter(o.result.verdict for o in self.outcomes)),
            "checked_but_other_behaviour": [o.name for o in checked if not o.same_behaviour],
            "operations": {k: s.as_dict() for k, s in self.operations().items()},
            "median_seconds": statistics.median(seconds) if seconds else None,
        }

    def operations(self) -> dict[str, Share]:
        """Per kind of operation in the references, how often it was written word for word."""
        return _summed(o.operations for o in self.outcomes)

    def token_kinds(self) -> dict[str, Share]:
        """Per kind of token in the references, how often it stands at its place."""
        return _summed(o.token_kinds for o in self.outcomes)

    def to_markdown(self) -> str:
        """The report as tables."""
        verdicts = Counter(o.result.verdict for o in self.outcomes)
        rows = [("all", self.share(is_exact), self.share(behaves))]
        for n in self.lengths:
            rows.append((f"length {n}", self.share(is_exact, n), self.share(behaves, n)))
        return "\n\n".join(
            [
                f"{len(self.outcomes)} models, weights {self.treatment}",
                markdown_table(["programs", "token-exact", "same behaviour"], rows),
                markdown_table(
                    ["operation of the reference", "written exactly"], self.operations().items()
                ),
                "Verdicts: " + ", ".join(f"{v} {n}" for v, n in verdicts.most_common()),
            ]
        )


def is_exact(outcome: Outcome) -> bool:
    """Whether every token is right."""
    return outcome.exact


def behaves(outcome: Outcome) -> bool:
    """Whether the outputs are right on every input."""
    return outcome.same_behaviour


def has_the_weights(outcome: Outcome) -> bool:
    """Whether the answer compiles to the model's weights before any treatment."""
    return outcome.same_weights


def _summed(parts: Iterable[Counts]) -> dict[str, Share]:
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for counts in parts:
        for kind, (good, count) in counts.items():
            right[kind] += good
            total[kind] += count
    return {kind: Share(right[kind], total[kind]) for kind in sorted(total)}


def evaluate_folder(
    decompiler: Decompiler, folder: Path, *, treatment: str = "compiled", seed: int = 0
) -> Report:
    """Decompiles a folder of models whose programs are known.

    Args:
        decompiler: with the meta-model to judge.
        folder: ``programs.jsonl`` with ``name`` and ``tokens`` (the reference's
            token list) a line, and the weights ``NAME.npz``.
        treatment: as `parse_treatments` reads it, one.
        seed: of the treatment.

    Raises:
        ModelFileError: a file is missing or damaged.
        UsageError: the treatment is unknown.
    """
    return evaluate(decompiler, folder_cases(folder), _one(treatment), seed)


def evaluate_samples(
    decompiler: Decompiler,
    seed: int,
    count: int,
    *,
    treatment: str = "compiled",
    settings: SamplerSettings = PAPER,
) -> Report:
    """Decompiles fresh programs of our own sampler, compiled by us, without a read-out.

    Raises:
        UsageError: the treatment is unknown.
    """
    return evaluate(decompiler, sampled_cases(seed, count, settings), _one(treatment), seed)


def evaluate_library(
    decompiler: Decompiler, *, treatment: str = "compiled", seed: int = 0
) -> Report:
    """Decompiles the package's named programs, those outside the language too.

    Raises:
        UsageError: the treatment is unknown.
    """
    return evaluate(decompiler, library_cases(), _one(treatment), seed)


def _one(treatment: str) -> Treatment:
    found = parse_treatments(treatment)
    if len(found) != 1:
        raise UsageError(f"one treatment is evaluated at a time, not {treatment}")
    return found[0]


def evaluate(decompiler: Decompiler, cases: CaseSet, treatment: Treatment, seed: int) -> Report:
    """Decompiles models, greedily, after a treatment.

    Args:
        decompiler: with the meta-model to judge.
        cases: the models.
        treatment: of their weights; a model's is drawn from the seed and its number.
        seed: not negative.
    """
    bar = tqdm(cases.cases, desc=treatment.label, unit="model", disable=None)
    outcomes = []
    for number, case in enumerate(bar):
        model = case.load()
        result = decompiler.decompile(
            treated(model, treatment, seed, number),
            name=case.name,
            naming=tokens_first(case.domain.vocab),
            greedy=True,
        )
        outcomes.append(judge(case, result, model))
    return Report(tuple(outcomes), treatment.label)


def treated(model: Transformer, treatment: Treatment, seed: int, number: int) -> Transformer:
    """The weights of model ``number`` of a set after a treatment."""
    return treatment.apply(model, np.random.default_rng([seed, number])).model
