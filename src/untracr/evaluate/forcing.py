"""Top-k accuracy with teacher forcing on the reference's own tokens.

The network is given the true frame and the true tokens so far, and asked for
the next one. Ruled out are only tokens of another class than the one wanted
(kind or end, variable, function of one, ...), which the tokens so far decide.
The tokens are the meta-model's own (`untracr.metamodel.vocabulary`): they hold
no names, encodings or brackets, which the paper's tokens do, so that the share
right is not to be compared with a share of the paper's tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.compile.compiler import Compiled, compile_program
from untracr.errors import ProgramError
from untracr.evaluate.cases import Case
from untracr.evaluate.share import Share
from untracr.metamodel.examples import Example, example_of
from untracr.metamodel.features import Features
from untracr.metamodel.numpy_network import NumpyNetwork, TokenPlace
from untracr.metamodel.vocabulary import CLASS_RANGES
from untracr.rasp.program import Program
from untracr.syntax.parsing import parse
from untracr.transformer.named_treatments import Treated
from untracr.transformer.residual_vectors import residual_vectors
from untracr.transformer.transformer import Transformer

KS = (1, 3, 5)
"""A token counts as found where it is among the k likeliest of its class."""

KIND_NAMES = {
    "kind": "operation or end",
    "unary": "function of one",
    "binary": "function of two",
    "predicate": "predicate",
    "factor": "factor",
    "variable": "variable",
}

Maker = Callable[[Program, Compiled, Transformer], Example]
"""``(program, its weights as compiled, the treated weights) -> example``."""


def _of_weights(program: Program, compiled: Compiled, treated: Transformer) -> Example:
    return example_of(program, compiled, Treated(treated))


def _of_other_basis(program: Program, compiled: Compiled, treated: Transformer) -> Example:
    basis = change_of_basis(compiled.transformer, treated)
    return example_of(program, compiled, Treated(treated, basis))


MAKERS: dict[str, Maker] = {
    "compiled": _of_weights,
    "rotated": _of_other_basis,
    "compressed": _of_other_basis,
    "compressed-bos": _of_other_basis,
    "rotated-compressed": _of_other_basis,
    "rotated-compressed-bos": _of_other_basis,
    "noisy": _of_weights,
}
"""How examples are made of treated weights, by the treatment's name; none for the controls.
Noise leaves the axes where they are, so the true frame stays the compiled model's."""


def change_of_basis(model: Transformer, changed: Transformer) -> npt.NDArray[np.float64]:
    """The matrix [D, R] that takes a model's residual stream to that of a changed one.

    Everything that writes to the stream or reads from it is multiplied by it, so
    least squares over all of these give it.
    """
    before, after = _at_stream(model), _at_stream(changed)
    return np.asarray(np.linalg.lstsq(before, after, rcond=None)[0], dtype=np.float64)


def _at_stream(model: Transformer) -> npt.NDArray[np.float64]:
    """All that is written to or read from the stream, [vectors, D]."""
    d_model = model.d_model
    names = ("W_E", "W_pos", "W_O", "W_out", "W_Q", "W_K", "W_V", "W_in")
    vectors = (residual_vectors(name, getattr(model, name)) for name in names)
    return np.concatenate([rows.reshape(-1, d_model) for rows in vectors]).astype(np.float64)


@dataclass(frozen=True)
class ForcedTokens:
    """The tokens of one program, as the network was asked for them. T tokens.

    Attributes:
        length: of the program, in SOps.
        ranks: [T], how many tokens of the right one's class are likelier, or as likely.
        kinds: of each token, a value of `KIND_NAMES`.
    """

    length: int
    ranks: npt.NDArray[np.int64]
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class TopK:
    """How often the right token is among the k likeliest.

    Tokens of one program depend on each other, so the intervals of shares of
    tokens are narrower than they should be; that of ``programs`` is right.

    Attributes:
        tokens: per k, of all tokens.
        by_kind, by_length: the same per kind of token and per program length.
        programs: those all of whose tokens are the likeliest.
        left_out: programs that no example could be made of, not counted above.
    """

    tokens: dict[int, Share]
    by_kind: dict[str, dict[int, Share]]
    by_length: dict[int, dict[int, Share]]
    programs: Share
    left_out: int

    @classmethod
    def of(cls, programs: Iterable[ForcedTokens | None]) -> TopK:
        """Sums up programs; None stands for one that no example could be made of."""
        every = list(programs)
        fitting = [p for p in every if p is not None]
        kinds = sorted({kind for p in fitting for kind in p.kinds})
        return cls(
            tokens=_shares(rank for p in fitting for rank in p.ranks),
            by_kind={
                kind: _shares(
                    rank
                    for p in fitting
                    for rank, its in zip(p.ranks, p.kinds, strict=True)
                    if its == kind
                )
                for kind in kinds
            },
            by_length={
                length: _shares(rank for p in fitting if p.length == length for rank in p.ranks)
                for length in sorted({p.length for p in fitting})
            },
            programs=Share.of(bool((p.ranks == 0).all()) for p in fitting),
            left_out=len(every) - len(fitting),
        )

    def as_dict(self) -> dict[str, object]:
        """As plain JSON values."""
        return {
            "tokens": _plain(self.tokens),
            "by_kind": {kind: _plain(shares) for kind, shares in self.by_kind.items()},
            "by_length": {str(n): _plain(shares) for n, shares in self.by_length.items()},
            "programs": self.programs.as_dict(),
            "left_out": self.left_out,
        }


def _shares(ranks: Iterable[int]) -> dict[int, Share]:
    every = [int(rank) for rank in ranks]
    return {k: Share.of(rank < k for rank in every) for k in KS}


def _plain(shares: dict[int, Share]) -> dict[str, object]:
    return {str(k): share.as_dict() for k, share in shares.items()}


def force(
    network: NumpyNetwork, case: Case, model: Transformer, treated: Transformer, treatment: str
) -> ForcedTokens | None:
    """Asks the network for each token of a reference in turn.

    Args:
        network: the meta-model.
        case: the reference.
        model: its weights before the treatment; must be as we compile them.
        treated: its weights.
        treatment: a key of `MAKERS`.

    Returns:
        None where no example can be made: the program has an operation of another kind,
        or its weights are not those that we compile it to.
    """
    as_compiled = _as_compiled(case, model)
    if as_compiled is None:
        return None
    try:
        example = MAKERS[treatment](*as_compiled, treated)
    except ProgramError:
        return None
    kinds = tuple(KIND_NAMES[_class(int(target))] for target in example.targets)
    return ForcedTokens(case.program.length, ranks(network, example), kinds)


def _as_compiled(case: Case, model: Transformer) -> tuple[Program, Compiled] | None:
    """The reference, with the names that give these weights, and what the compiler knows of it."""
    for program in _programs(case):
        try:
            compiled = compile_program(
                program, case.domain.vocab, case.domain.max_seq_len, causal=model.causal
            )
        except ProgramError:
            continue
        if compiled.token_values[:-2] == case.domain.vocab and _equal(compiled.transformer, model):
            return program, compiled
    return None


def _programs(case: Case) -> Iterator[Program]:
    if case.source:
        with suppress(ProgramError):  # then the names are not known
            yield parse(case.source)
    yield case.program


def _equal(fst: Transformer, snd: Transformer) -> bool:
    theirs = snd.arrays()
    return all(
        array.shape == theirs[name].shape and np.allclose(array, theirs[name], atol=1e-5)
        for name, array in fst.arrays().items()
    )


def ranks(network: NumpyNetwork, example: Example) -> npt.NDArray[np.int64]:
    """For each token of an example, how many of its class are at least as likely: [T]."""
    decoding = network.start()
    seen = -1
    ranked = []
    with np.errstate(all="ignore"):
        for position, target in enumerate(example.targets.tolist()):
            if example.step[position] != seen:
                seen = int(example.step[position])
                here = example.component_step == seen
                decoding.see(Features(example.integers[here], example.numbers[here]))
            at = TokenPlace(int(example.ordinal[position]), int(example.field[position]))
            logits = decoding.feed(int(example.inputs[position]), at)
            first, last = CLASS_RANGES[_class(target)]
            ranked.append(int((~(logits[first:last] < logits[target])).sum()) - 1)  # NaN: last
    return np.array(ranked, dtype=np.int64)


def _class(token: int) -> str:
    return next(name for name, (first, last) in CLASS_RANGES.items() if first <= token < last)
