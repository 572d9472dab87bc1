"""A decompiled program for people: its lines with what carries them, and what was checked."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from untracr.shown_text import count, printable

if TYPE_CHECKING:
    from untracr.ambiguity.open_results import Openness, OpenResult
    from untracr.decompile.result import Result
    from untracr.verify.attribution import Attribution

WIDEST = 76
"""Longer lines do not push the comments of the others to the right."""

MOST_PROGRAMS = 4
"""Other programs that are shown; the rest is counted."""

SAID_SOURCE = {
    "given": "as given",
    "file": "as the file says",
    "weights": "as the weights show",
    "read-out": "as the read-out's values",
    "assumed": "assumed",
}
"""On whose word rows are what."""

MOST_LINES = 6
"""Lines that are shown by which two programs differ."""

OPEN_WORDS: dict[Openness, str] = {
    "names": "names open",
    "kind": "number or value",
    "sign": "sign open",
    "between": "open between values",
}
"""What stands beside a line of whose results the weights do not say everything."""

OPEN_MEANS: dict[Openness, str] = {
    "names": "weights show which results are equal, and at most their order; every function "
    "that keeps the same ones apart has these weights, with later lines adjusted to its names",
    "kind": "1 and 0, or one value of any name and None, have these weights",
    "sign": "the negative number has these weights, with later lines adjusted to it",
    "between": "the weights hold the function where the compiler expects a value, and not for "
    "other means",
}


IF_TRAINED = (
    "if these weights were trained, not compiled: untracr run and untracr explain show what they "
    "do, untracr test whether they run a program that you think of"
)
"""What can be done instead with a network that no compiler made."""


def result_text(result: Result, lines: Sequence[Attribution]) -> str:
    """The program as valid Python with trailing comments, then what was checked.

    Args:
        result: a model's.
        lines: what carries each line; empty without a program.
    """
    shown = [f"# {printable(result.name)}"]
    if result.source:
        shown += program_text(result.source, lines, result.open_results)
    else:
        shown.append("# no program could be read")
    shown.append(f"# {result.headline}: {printable(result.detail)} ({result.seconds:.3f} s)")
    if result.source:
        shown += [f"# {printable(line)}" for line in _statements(result)]
    if result.verdict == "unverified" and result.evidence.weights in ("not compared", "different"):
        shown.append(f"# {IF_TRAINED}")
    return "\n".join(shown) + "\n"


def _statements(result: Result) -> list[str]:
    return [
        *_evidence(result),
        *_exactness(result),
        *_rows(result),
        *_search(result),
        *_others(result),
        *_open_results(result),
    ]


def _exactness(result: Result) -> list[str]:
    from untracr.compile.compiler import MLP_EXACTNESS

    slope = result.mlp_exactness
    if slope is None or slope == MLP_EXACTNESS:
        return []
    return [f"compiled with mlp_exactness={slope:.12g}, as the staircases show"]


def _rows(result: Result) -> list[str]:
    """What rows were taken for BOS and PAD, and how tokens are called, where nobody said so."""
    rows = result.token_rows
    if rows is None or {rows.names_from, rows.rows_from} <= {"given", "file"}:
        return []
    how = {"weights": "as the weights show", "assumed": "assumed"}
    shown = how.get(
        rows.rows_from, "as " + ("given" if rows.rows_from == "given" else "the file says")
    )
    text = f"rows of W_E: BOS {rows.bos}, PAD {rows.pad}, {shown}"
    if rows.names_from == "assumed":
        names = f"0 to {len(rows.tokens) - 1}" if len(rows.tokens) > 1 else "0"
        text += f"; the others are called {names} in their order"
    if rows.names_from == "read-out":
        text += "; the others are called as the read-out's values are"
    return [text]


def program_text(
    source: str, lines: Sequence[Attribution], open_: Sequence[OpenResult] = ()
) -> list[str]:
    """A program's lines, each with the place of its attribution as a comment, if any is known.

    What the weights do not say about a line's results stands behind it, in a few words.
    """
    sources = source.splitlines()
    if not any(line.known for line in lines):
        return sources
    column = max((len(line) for line in sources if len(line) <= WIDEST), default=0)
    shown = [
        f"{line.text:<{column}}  # {'; '.join((line.place, *_open_words(line.text, open_)))}"
        for line in lines
    ]
    return [*shown, *sources[len(lines) :]]


def _open_words(line: str, open_: Sequence[OpenResult]) -> list[str]:
    label = line.partition(" = ")[0]
    return [OPEN_WORDS[result.what] for result in open_ if result.label == label]


def _open_results(result: Result) -> list[str]:
    """What the words beside the lines mean, for those that are used."""
    used = {found.what for found in result.open_results}
    return [f"{OPEN_WORDS[what]}: {said}" for what, said in OPEN_MEANS.items() if what in used]


def _evidence(result: Result) -> list[str]:
    from untracr.rasp.domain import Domain

    evidence, domain = result.evidence, Domain(result.vocab, result.max_seq_len)
    tokens = f"{len(domain.vocab)} token{'s'[: len(domain.vocab) != 1]}"
    inputs = f"domain: {count(domain.size)} inputs, 1 to {domain.max_seq_len} of {tokens}"
    weights = f"weights {evidence.weights}"
    if evidence.weights == "noisy":
        weights = f"weights the same but for noise of {evidence.weights_off:.2g}"
    elif evidence.weights not in ("not compared", "different"):
        weights += f", off by {evidence.weights_off:.1g} at most"
    outputs = "outputs not compared"
    if evidence.read_out == "same":
        outputs = "the read-out is the program's own, so its outputs are on every input"
    elif evidence.inputs_checked:
        close = (
            f"to {evidence.output_tolerance:.2g}" if evidence.output_tolerance else "value by value"
        )
        agree, checked = f"{evidence.inputs_agree:,}", f"{evidence.inputs_checked:,}"
        outputs = f"outputs agree on {agree} of {checked} different inputs {close}"
    return [f"checked: {weights}; {outputs}; {inputs}"]


def _search(result: Result) -> list[str]:
    search = result.search
    if search is None or search.greedy_source in ("", result.source):
        return []
    tried = f"{search.candidates} candidate{'s'[: search.candidates != 1]}"
    if search.operations:
        tried += f", {search.operations:,} operations compared with the weights"
    if search.repairs:
        tried += f", {search.repairs} repair{'s'[: search.repairs != 1]}"
    title = f"searched: {tried}, {search.seconds:.1f} s; without it {search.greedy_verdict}:"
    return [title, *_difference(result.source, search.greedy_source)]


def _others(result: Result) -> list[str]:
    others = result.other_programs
    if not others:
        return []
    title = "1 other program has" if len(others) == 1 else f"{len(others)} other programs have"
    shown = [f"{title} these very weights:"]
    for number, other in enumerate(others[:MOST_PROGRAMS], start=1):
        lines = _difference(result.source, other)
        mark = f"{number}. " if len(others) > 1 else ""
        shown += [
            f"  {mark if place == 0 else ' ' * len(mark)}{line.strip()}"
            for place, line in enumerate(lines)
        ]
    if len(others) > MOST_PROGRAMS:
        shown.append(f"  and {len(others) - MOST_PROGRAMS} more (--json lists them)")
    return shown


def _difference(source: str, other: str) -> list[str]:
    """The lines of another program that the first does not have."""
    mine, theirs = source.splitlines(), other.splitlines()
    matcher = difflib.SequenceMatcher(None, mine, theirs, autojunk=False)
    new = [
        line
        for tag, _, _, start, stop in matcher.get_opcodes()
        if tag in ("replace", "insert")
        for line in theirs[start:stop]
    ]
    lines = [f"  {line}" for line in new[:MOST_LINES]]
    if len(new) > MOST_LINES:
        lines.append(f"  and {len(new) - MOST_LINES} more lines")
    return lines or [f"  the same without {len(mine) - len(theirs)} of its lines"]
