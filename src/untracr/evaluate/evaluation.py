"""How well models are decompiled: token-exact, same behaviour, and the verdicts.

Token-exact compares with the reference's canonical tokens, names included.
Same behaviour compares outputs on every input of the domain. Intervals are
Wilson's, 95%.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from untracr.compile.canonical import paper_tokens, program_from_paper_tokens
from untracr.compile.compiler import compile_program
from untracr.decompile.decompiler import Decompiler
from untracr.decompile.result import Result
from untracr.errors import EvaluationError, ModelFileError, UsageError
from untracr.evaluate.reference import Reference, read_references
from untracr.rasp.domain import Domain
from untracr.rasp.equivalence import decide_equivalence
from untracr.rasp.program import Program
from untracr.sample.sampler import PAPER, sample_program
from untracr.transformer.files import load_model
from untracr.transformer.transformer import Transformer
from untracr.transformer.treatments import add_noise, compress, rotate, rotate_and_compress

Treatment = Callable[[Transformer, np.random.Generator], Transformer]

TREATMENTS: dict[str, Treatment] = {
    "compiled": lambda model, rng: model,
    "rotated": rotate,
    "compressed": lambda model, rng: compress(model, rng).model,
    "rotated-compressed": lambda model, rng: rotate_and_compress(model, rng).model,
    "noisy": lambda model, rng: add_noise(model, rng, 0.01),
}
"""What may be done to weights before they are read: a random rotation of the residual stream;
compression to 0.9 of its width as the paper's code does it; noise of 1% of each matrix's scale."""


@dataclass(frozen=True)
class Outcome:
    """One model decompiled.

    Attributes:
        name: of the model.
        length: SOps of the reference program.
        exact: every canonical token is right.
        same_behaviour: same outputs on every input.
        result: what the decompiler gave.
        operations: per kind of operation in the reference, (right, total).
    """

    name: str
    length: int
    exact: bool
    same_behaviour: bool
    result: Result
    operations: dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Report:
    """The outcomes of one evaluation.

    Attributes:
        outcomes: in order.
        treatment: what was done to the weights, a key of `TREATMENTS`.
    """

    outcomes: tuple[Outcome, ...]
    treatment: str

    def share(self, count: Callable[[Outcome], bool], length: int | None = None) -> Share:
        """How often something held, of all or of one program length."""
        chosen = [o for o in self.outcomes if length is None or o.length == length]
        return Share(sum(map(count, chosen)), len(chosen))

    def as_dict(self) -> dict[str, object]:
        """The report as plain JSON values."""
        seconds = [o.result.seconds for o in self.outcomes]
        checked = [o for o in self.outcomes if o.result.verdict != "unverified"]
        return {
            "models": len(self.outcomes),
            "treatment": self.treatment,
            "exact": self.share(_is_exact).as_dict(),
            "same_behaviour": self.share(_behaves).as_dict(),
            "by_length": {
                str(n): {
                    "exact": self.share(_is_exact, n).as_dict(),
                    "same_behaviour": self.share(_behaves, n).as_dict(),
                }
                for n in sorted({o.length for o in self.outcomes})
            },
            "verdicts": dict(Counter(o.result.verdict for o in self.outcomes)),
            "checked_but_other_behaviour": [o.name for o in checked if not o.same_behaviour],
            "operations": {k: s.as_dict() for k, s in self._operations().items()},
            "median_seconds": statistics.median(seconds) if seconds else None,
        }

    def _operations(self) -> dict[str, Share]:
        right: Counter[str] = Counter()
        total: Counter[str] = Counter()
        for outcome in self.outcomes:
            for kind, (good, count) in outcome.operations.items():
                right[kind] += good
                total[kind] += count
        return {kind: Share(right[kind], total[kind]) for kind in sorted(total)}

    def to_markdown(self) -> str:
        """The report as tables."""
        verdicts = Counter(o.result.verdict for o in self.outcomes)
        lines = [
            f"{len(self.outcomes)} models, weights {self.treatment}",
            "",
            "| programs | token-exact | same behaviour |",
            "|---|---|---|",
            f"| all | {self.share(_is_exact)} | {self.share(_behaves)} |",
        ]
        for n in sorted({o.length for o in self.outcomes}):
            exact, same = self.share(_is_exact, n), self.share(_behaves, n)
            lines.append(f"| length {n} | {exact} | {same} |")
        lines += ["", "| operation of the reference | written exactly |", "|---|---|"]
        lines += [f"| {kind} | {share} |" for kind, share in self._operations().items()]
        lines += ["", "Verdicts: " + ", ".join(f"{v} {n}" for v, n in verdicts.most_common())]
        return "\n".join(lines)


@dataclass(frozen=True)
class Share:
    """A count of a total, with its 95% interval (Wilson 1927)."""

    count: int
    total: int

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper bound of the share."""
        if self.total == 0:
            return 0.0, 1.0
        z, n, p = 1.96, self.total, self.count / self.total
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)

    def as_dict(self) -> dict[str, object]:
        """As plain JSON values."""
        low, high = self.interval
        share = self.count / self.total if self.total else None
        return {"count": self.count, "total": self.total, "share": share, "low": low, "high": high}

    def __str__(self) -> str:
        if not self.total:
            return "none"
        low, high = self.interval
        return f"{100 * self.count / self.total:.1f}% ({100 * low:.1f} to {100 * high:.1f})"


def _is_exact(outcome: Outcome) -> bool:
    return outcome.exact


def _behaves(outcome: Outcome) -> bool:
    return outcome.same_behaviour


def evaluate_folder(
    decompiler: Decompiler, folder: Path, *, treatment: str = "compiled", seed: int = 0
) -> Report:
    """Decompiles a folder of models whose programs are known.

    Args:
        decompiler: with the meta-model to judge.
        folder: ``programs.jsonl`` with ``name`` and ``tokens`` (the reference's
            token list) a line, and the weights ``NAME.npz``.
        treatment: a key of `TREATMENTS`.
        seed: of the treatment.

    Raises:
        ModelFileError: a file is missing or damaged.
        UsageError: the treatment is unknown.
    """
    references = read_references(folder)
    return _evaluate(decompiler, references, _folder_models(folder, references), treatment, seed)


def _folder_models(folder: Path, references: list[Reference]) -> Iterator[Transformer]:
    for reference in references:
        path = folder / f"{reference.name}.npz"
        if not path.exists():
            raise ModelFileError(f"{path} is missing, though programs.jsonl lists it")
        yield load_model(path).transformer


def evaluate_samples(
    decompiler: Decompiler, seed: int, count: int, *, treatment: str = "compiled"
) -> Report:
    """Decompiles fresh programs of our own sampler, compiled by us, without a read-out.

    Raises:
        UsageError: the treatment is unknown.
    """
    programs = [sample_program(seed, index) for index in range(count)]
    references = [
        Reference(f"{seed}/{index}", tuple(paper_tokens(program)), PAPER.domain)
        for index, program in enumerate(programs)
    ]
    domain = PAPER.domain
    models = (
        compile_program(program, domain.vocab, domain.max_seq_len).transformer.replace(
            W_U=None, output_values=None
        )
        for program in programs
    )
    return _evaluate(decompiler, references, models, treatment, seed)


def _evaluate(
    decompiler: Decompiler,
    references: list[Reference],
    models: Iterable[Transformer],
    treatment: str,
    seed: int,
) -> Report:
    if treatment not in TREATMENTS:
        raise UsageError(f"a treatment is one of {', '.join(TREATMENTS)}, not {treatment!r}")
    pairs = zip(references, models, strict=True)
    bar = tqdm(pairs, total=len(references), unit="model", disable=None)
    outcomes = []
    for index, (reference, model) in enumerate(bar):
        treated = TREATMENTS[treatment](model, np.random.default_rng([seed, index]))
        result = decompiler.decompile(
            treated, name=reference.name, vocab=reference.domain.vocab, greedy=True
        )
        outcomes.append(_outcome(reference, result))
    return Report(tuple(outcomes), treatment)


def _outcome(reference: Reference, result: Result) -> Outcome:
    truth = program_from_paper_tokens(reference.tokens)
    tokens = paper_tokens(result.program) if result.program is not None else []
    return Outcome(
        name=reference.name,
        length=truth.length,
        exact=tokens == list(reference.tokens),
        same_behaviour=_same_behaviour(result, truth, reference.domain),
        result=result,
        operations=_operations_right(tokens, reference.tokens),
    )


def _same_behaviour(result: Result, truth: Program, domain: Domain) -> bool:
    if result.program is None:
        return False
    try:
        return decide_equivalence(result.program, truth, domain).equal
    except EvaluationError:
        return False


def _operations_right(
    tokens: Iterable[str], reference: Iterable[str]
) -> dict[str, tuple[int, int]]:
    """Per kind of operation, how many of the reference's stand in the answer word for word."""
    found = Counter(_operations(tokens))
    counts: dict[str, tuple[int, int]] = {}
    for words in _operations(reference):
        kind = f"{words[1]} {words[2]}"
        right, total = counts.get(kind, (0, 0))
        hit = found[words] > 0
        found[words] -= hit
        counts[kind] = (right + hit, total + 1)
    return counts


def _operations(tokens: Iterable[str]) -> Iterator[tuple[str, ...]]:
    words: list[str] = []
    for token in tokens:
        if token == "EOO":
            yield tuple(words)
            words = []
        elif token not in ("BOS", "EOL", "EOS"):
            words.append(token)
