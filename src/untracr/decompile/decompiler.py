"""Decompiling models: greedy decoding, a search where that fails, and the verdict."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import numpy as np

from untracr.ambiguity.checking import Check, check, is_settled, rank
from untracr.compile.canonical import canonicalise
from untracr.decompile.greedy import decode_greedily
from untracr.decompile.proposers import Proposals, proposer
from untracr.decompile.result import NO_SEARCH, Result, Search
from untracr.decompile.search import Deadline, ProgramSearch
from untracr.errors import ProgramError, UsageError
from untracr.loading.loading import load_model
from untracr.loading.model import LoadedModel
from untracr.loading.readable import require_readable
from untracr.measure.exactness import at_usual_slope, find_exactness
from untracr.metamodel.numpy_network import NumpyNetwork
from untracr.rasp.domain import Domain
from untracr.rasp.functions import Value
from untracr.rasp.program import print_program
from untracr.shown_text import cut
from untracr.transformer.token_rows import NOTHING_SAID, Naming, TokenRows, rows_of, token_rows
from untracr.transformer.transformer import Transformer

BUNDLED = "checkpoints/metamodel.safetensors"

BUDGET = 10.0
"""Seconds that a search may take; few models need more than hundredths of one."""


class Decompiler:
    """Reads programs off weights with one loaded meta-model.

    Args:
        checkpoint: a meta-model's file; the one in the package if not given.

    Raises:
        ModelFileError: the checkpoint cannot be read.
    """

    def __init__(self, checkpoint: Path | None = None) -> None:
        self.checkpoint = checkpoint or Path(str(files("untracr") / BUNDLED))
        self._network = NumpyNetwork.load(self.checkpoint)

    def __repr__(self) -> str:
        return f"<Decompiler with {cut(str(self.checkpoint), 100)!r}>"

    def decompile(
        self,
        model: Transformer,
        *,
        name: str = "",
        vocab: Iterable[Value] | None = None,
        naming: Naming = NOTHING_SAID,
        greedy: bool = False,
        budget: float = BUDGET,
        proposals: Proposals = "network",
    ) -> Result:
        """Reads one model.

        Args:
            model: the weights.
            name: carried into the result.
            vocab: the values of the tokens' rows, in the order of these rows; 0, 1, 2, ...
                if not given.
            naming: which rows are which; as the weights show, and else as `Result.token_rows`
                says, if nothing is said.
            greedy: keep the program as first written: nothing is searched for, even
                where the model's read-out shows that another one is meant.
            budget: seconds after which the search for a better program ends; what is
                being checked then is checked to the end.
            proposals: what the search tries: the network's proposals first, or
                ``uniform``: all operations in a fixed order, without the network.

        Raises:
            ModelFileError: the model is outside what can be read.
            UsageError: ``budget`` is no number of seconds.
        """
        begun = time.perf_counter()
        require_readable(model)
        rows = rows_of(model, _with_vocab(naming, vocab))
        return self._read(model, rows, name, greedy, budget, proposals, begun)

    def _read(
        self,
        model: Transformer,
        rows: TokenRows,
        name: str,
        greedy: bool,
        budget: float,
        proposals: Proposals,
        begun: float,
    ) -> Result:
        if not isinstance(budget, (int, float)) or not budget >= 0:
            raise UsageError(f"budget must be a number of seconds, 0 or more, not {budget!r:.60}")
        domain = Domain(rows.values, len(model.W_pos) - 1)
        task = _Task(rows.applied(model), rows, domain, self._network, begun)
        if greedy:
            return task.result(name, task.greedily(settle=False))
        if proposals == "network":
            return task.result(name, task.searched(task.greedily(), budget, proposals))
        return task.result(name, task.searched(None, budget, proposals))

    def decompile_files(self, paths: Iterable[Path]) -> Iterator[Result]:
        """Reads many files, one result each, in order.

        Raises:
            ModelFileError: a file is no model, or outside what can be read.
        """
        return (self.decompile_loaded(load_model(path)) for path in paths)

    def decompile_loaded(
        self,
        loaded: LoadedModel,
        *,
        name: str = "",
        vocab: Iterable[Value] | None = None,
        naming: Naming = NOTHING_SAID,
        greedy: bool = False,
        budget: float = BUDGET,
        proposals: Proposals = "network",
    ) -> Result:
        """Reads a model from a file that may name its token rows.

        Args:
            loaded: the file's contents.
            name: carried into the result; the file's path if not given.
            vocab, naming: as for `decompile`; they go before what the file says.
            greedy, budget, proposals: as for `decompile`.

        Raises:
            ModelFileError: the model is outside what can be read.
            UsageError: ``budget`` is no number of seconds.
        """
        begun = time.perf_counter()
        model, name = loaded.transformer, name or str(loaded.path)
        require_readable(model)
        rows = token_rows(loaded, _with_vocab(naming, vocab))
        return self._read(model, rows, name, greedy, budget, proposals, begun)


@dataclass(frozen=True)
class _Answer:
    """A program with the verdict on it, and what it cost.

    Attributes:
        log_probability: under the network, if that wrote it; else 0.
    """

    check: Check
    log_probability: float = 0.0
    search: Search = NO_SEARCH


@dataclass(frozen=True)
class _Task:
    """One model to be read, its token rows in order."""

    model: Transformer
    rows: TokenRows
    domain: Domain
    network: NumpyNetwork
    begun: float

    @functools.cached_property
    def usual(self) -> Transformer:
        """The model with staircases of the usual slope, for all that reads programs."""
        return at_usual_slope(self.model)

    def greedily(self, *, settle: bool = True) -> _Answer:
        """The program that the network writes, checked."""
        try:
            decoded = decode_greedily(self.network, self.usual, self.domain.vocab)
        except ProgramError as error:
            return _Answer(Check("unverified", 0, f"no program could be read: {error}"))
        checked = check(self.model, decoded.program, self.domain, settle=settle)
        as_written = checked
        if checked.program != decoded.program:  # the read-out shows that another one is meant
            as_written = check(self.model, decoded.program, self.domain, settle=False)
        search = Search(
            print_program(decoded.program),
            as_written.verdict,
            candidates=1,
            repairs=checked.repairs,
        )
        return _Answer(checked, decoded.log_probability, search)

    def searched(self, first: _Answer | None, budget: float, proposals: Proposals) -> _Answer:
        """The best program found before the budget is spent."""
        nothing = Check("unverified", 0, "no program was found whose operations the weights hold")
        best = first or _Answer(nothing)
        if is_settled(best.check, self.model):
            return best
        programs = ProgramSearch(self.usual, self.domain.vocab, proposer(proposals, self.network))
        tried = {best.check.program}
        candidates, repairs = best.search.candidates, best.search.repairs
        with np.errstate(all="ignore"):
            for written in programs.programs(Deadline(self.begun + budget)):
                program = canonicalise(written)
                if program in tried:
                    continue
                tried.add(program)
                candidates += 1
                checked = check(self.model, program, self.domain)
                repairs += checked.repairs
                if rank(checked) > rank(best.check):
                    best = replace(best, check=checked, log_probability=0.0)
                if is_settled(best.check, self.model):
                    break
        search = replace(
            best.search,
            candidates=candidates,
            operations=programs.cost.operations,
            repairs=repairs,
            seconds=time.perf_counter() - self.begun,
        )
        return replace(best, search=search)

    def result(self, name: str, answer: _Answer) -> Result:
        """The answer as it is given back."""
        checked = answer.check
        return Result(
            name=name,
            program=checked.program,
            source=print_program(checked.program) if checked.program is not None else "",
            verdict=checked.verdict,
            inputs_checked=checked.inputs_checked,
            detail=self._detail(checked),
            seconds=time.perf_counter() - self.begun,
            vocab=self.domain.vocab,
            max_seq_len=self.domain.max_seq_len,
            log_probability=answer.log_probability,
            other_programs=tuple(print_program(other) for other in checked.others),
            open_results=checked.open_results,
            departures=checked.departures,
            evidence=checked.evidence,
            search=answer.search,
            token_rows=self.rows,
            mlp_exactness=find_exactness(self.model).value,
            beside=checked.beside,
        )

    def _detail(self, found: Check) -> str:
        """What was found, with what was assumed for it."""
        steps = find_exactness(self.model)
        slopes = ", ".join(f"{slope:.6g}" for slope in (steps.value or 0, *steps.others)[:4])
        uneven = f"staircases have several slopes ({slopes}), a program's have one"
        said = (found.detail, uneven if steps.others else "", self.rows.assumed)
        return "; ".join(part for part in said if part)


def _with_vocab(naming: Naming, vocab: Iterable[Value] | None) -> Naming:
    return naming if vocab is None else replace(naming, vocab=vocab)
