"""What decompiling a model gives."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import cached_property

from untracr.ambiguity.open_results import OpenResult
from untracr.decompile.lines import ProgramLine, program_lines
from untracr.notebook_html import block, heading, remark, table
from untracr.rasp.functions import Value
from untracr.rasp.program import Program
from untracr.short_repr import short_repr
from untracr.shown_text import cut, printable
from untracr.transformer.token_rows import TokenRows
from untracr.verify.attribution import Attribution, attributions_beside, unknown_attributions
from untracr.verify.evidence import NOTHING_COMPARED, PROVED, Evidence, Verdict, headline
from untracr.verify.verdict import Beside

MOST_OF_A_NAME = 100
"""Characters of a model's name, and of why there is no program, in a result's `repr`."""


@dataclass(frozen=True)
class Search:
    """What finding a program cost, and what it found first.

    Attributes:
        greedy_source: the program that the network writes without a search.
        greedy_verdict: the verdict on it.
        candidates: programs that were checked to the end.
        operations: operations that were compared with the weights on the way.
        repairs: candidates that were made from inputs on which others were wrong.
        seconds: of all this.
    """

    greedy_source: str = ""
    greedy_verdict: Verdict = "unverified"
    candidates: int = 1
    operations: int = 0
    repairs: int = 0
    seconds: float = 0.0

    __repr__ = short_repr


NO_SEARCH = Search(candidates=0)


@dataclass(frozen=True, repr=False)
class Result:
    """A program read off a model's weights, and what was checked about it.

    Attributes:
        name: what the model was called by, such as its file.
        program: the program, or None when none could be written. For ``identical`` the
            shortest that was found with these weights (`description_length`), of equally
            short ones the one that the network wrote.
        source: the program as Python for Tracr, empty without a program.
        verdict: ``identical``: the program recompiles to these very weights, up
            to rotation of the residual stream and the order of axes, heads and
            neurons, and so to its read-out, if it has one of values. ``equivalent``: the
            model's outputs equal the program's on every input of the domain. ``tested``:
            they are equal on the different inputs that were tried, of a domain too large
            to try all, whatever the weights are. ``unverified``: none of this
            was shown.
        inputs_checked: inputs on which outputs were compared.
        detail: one sentence on the verdict.
        seconds: reading and checking this model.
        vocab: the tokens' values as assumed or given.
        max_seq_len: the model's longest input.
        log_probability: of the program under the meta-model.
        other_programs: for ``identical``, the other programs that were found to have
            these very weights too and yet other outputs (``x + 1`` and ``x - 1``
            differ in the names of their results alone; a rotation hides the sign of a
            number that nothing reads). None where a read-out shows which one it is.
        open_results: for ``identical``, what the weights do not say about results, operation
            by operation, the output's included: mostly what they are called. Other
            functions there, listed or not, have the same weights.
        departures: for ``identical``, on how many inputs of the domain (or of the different
            ones that are tried of a larger one; the detail says so) these weights, read out as
            the program's, give something else than RASP says, or the program fails: Tracr's
            construction is not exact for every program.
        evidence: what was compared, and how closely.
        search: what it cost; None where nothing was searched for.
        mlp_exactness: the slope of the model's staircases, with which programs were compiled to
            be compared with it; None where there is none, and any gives these weights.
        token_rows: which rows of W_E the tokens, BOS and PAD were taken to be, and on whose word.
        beside: the program laid beside the model; None where it does not compile.
    """

    name: str
    program: Program | None
    source: str
    verdict: Verdict
    inputs_checked: int
    detail: str
    seconds: float
    vocab: tuple[Value, ...]
    max_seq_len: int
    log_probability: float
    other_programs: tuple[str, ...] = ()
    open_results: tuple[OpenResult, ...] = ()
    departures: int = 0
    evidence: Evidence = NOTHING_COMPARED
    search: Search | None = None
    token_rows: TokenRows | None = None
    mlp_exactness: float | None = None
    beside: Beside | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"<Result: {cut(printable(self.name), MOST_OF_A_NAME)}, {self._said}>"

    def _repr_html_(self) -> str:
        """The verdict, then each line with what carries it."""
        rows = [
            (line.text, line.place, ", ".join(line.hooks), ", ".join(line.open))
            for line in self.lines
        ]
        header = ("line", "carried by", "hook points", "open")
        said = (heading(repr(self)), remark(self.detail))
        return block(*said, table(header, rows)) if rows else block(*said)

    @property
    def _said(self) -> str:
        if self.program is None:
            return f"no program, {cut(self.detail, MOST_OF_A_NAME)}"
        return f"{self.program!r}, {self.headline}"

    @cached_property
    def lines(self) -> tuple[ProgramLine, ...]:
        """The program's lines with the heads, neurons, dimensions and hook points of each."""
        if self.program is None:
            return ()
        return program_lines(self.program, self.attributions, self.open_results)

    @property
    def attributions(self) -> tuple[Attribution, ...]:
        """What carries each line of the program in the model; nothing without a program."""
        if self.beside is not None:
            return attributions_beside(self.beside)
        return () if self.program is None else unknown_attributions(self.program)

    @property
    def is_proved(self) -> bool:
        """Whether the verdict holds on every input of the domain, and no input is known on which
        the weights do not do what the program says."""
        return self.verdict in PROVED and not self.departures

    @property
    def headline(self) -> str:
        """The verdict in a few words, with what takes from it."""
        return headline(self.verdict, self.departures)

    @property
    def names_are_open(self) -> bool:
        """Whether other functions, in any place, give the same weights and other results."""
        return bool(self.open_results)

    @property
    def alternatives(self) -> int:
        """How many other programs have these very weights and other outputs."""
        return len(self.other_programs)

    def as_dict(self) -> dict[str, object]:
        """The result as plain JSON values."""
        return {
            "file": self.name,
            "program": self.source,
            "verdict": self.verdict,
            "inputs_checked": self.inputs_checked,
            "detail": self.detail,
            "seconds": round(self.seconds, 6),
            "vocab": list(self.vocab),
            "max_seq_len": self.max_seq_len,
            "log_probability": round(self.log_probability, 6),
            "alternatives": self.alternatives,
            "other_programs": list(self.other_programs),
            "names_are_open": self.names_are_open,
            "open_results": [asdict(result) for result in self.open_results],
            "departures": self.departures,
            "evidence": asdict(self.evidence),
            "search": None if self.search is None else asdict(self.search),
            "mlp_exactness": self.mlp_exactness,
            "token_rows": None if self.token_rows is None else self.token_rows.as_dict(),
        }

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.as_dict())
