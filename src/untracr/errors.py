"""Every error untracr raises for a user's mistake, drawn as a tree.

UntracrError                 the base: one clear line, never a traceback on the command line
├── ProgramError             a RASP program that cannot be read, checked or run
│   ├── RaspSyntaxError      source text: carries file, line, column and the line itself
│   ├── CheckFailed          static or behavioural rules broken: carries every `Problem`
│   └── EvaluationError      a program that fails on one input (type error, mean of strings)
├── InputError               a value outside the vocabulary, a sequence too long
├── PatchError               a place that a network does not have, values that do not fit it
│   └── HookPointError       a hook point that a network does not have; a KeyError, too
├── ModelFileError           a weights file that is damaged, unsafe or inconsistent
├── TaskError                a task that is damaged, or that does not fit the model
├── CertificateError         a certificate that is damaged, or that there is nothing to write in
├── DatasetError             a data set that is damaged, in use, or begun with other settings
└── UsageError               a wrong option or combination of options

Messages state the rule, then the value, then the place, then what to do.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from untracr.short_repr import short_repr
from untracr.shown_text import cut, printable

MOST_CHARACTERS = 4_000
"""Of a message; what is longer is cut, whatever a file or a program had in it."""

MOST_OF_A_PART = 1_000
"""Characters of one sentence of a problem."""

LINE_SHOWN = 160
"""Characters of a line of source text."""

MOST_NAMES = 1_000
"""Names that are gone through for one that was meant."""

LONGEST_NAME = 80
"""Characters of a name that is compared with others."""


class UntracrError(Exception):
    """Base of every error caused by what the user gave us."""

    def __str__(self) -> str:
        return cut(super().__str__(), MOST_CHARACTERS)


class ProgramError(UntracrError):
    """A RASP program that cannot be read, checked or run."""


class RaspSyntaxError(ProgramError):
    """RASP source that cannot be read.

    Attributes:
        line: 1-based line, or None when the place is not known.
        column: 1-based column, or None.
        filename: the file's name as shown to the user.
    """

    def __init__(
        self,
        message: str,
        *,
        line: int | None = None,
        column: int | None = None,
        text: str | None = None,
        filename: str = "<program>",
    ) -> None:
        self.message = message
        self.line = line
        self.column = column
        self.filename = filename
        place = printable(filename)
        if line is not None:
            place += f":{line}"
            if column is not None:
                place += f":{column}"
        shown = f"{place}: {cut(message, MOST_OF_A_PART)}"
        if text:
            shown += _marked(text.rstrip(), column)
        super().__init__(shown)


def _marked(text: str, column: int | None) -> str:
    """A line of source text with a mark below; of a long one what is around the mark."""
    first = 0 if column is None or column <= LINE_SHOWN else column - LINE_SHOWN // 2
    line = f"\n    {text[first : first + LINE_SHOWN]}"
    return line if column is None else line + "\n    " + " " * (column - 1 - first) + "^"


Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """One rule that a program breaks.

    Attributes:
        expression: the expression at fault, as printed source.
        rule: the rule, and what breaks it.
        fix: what to do.
        severity: "error" when the weights do not mean what the program says, or
            cannot be made; "warning" when they do, but differ from what Tracr
            does or from what one may expect.
        ref: the expression's node, None when the problem is elsewhere.
    """

    expression: str
    rule: str
    fix: str
    severity: Severity = "error"
    ref: int | None = None

    __repr__ = short_repr

    def __post_init__(self) -> None:
        for name in ("expression", "rule", "fix"):
            object.__setattr__(self, name, cut(getattr(self, name), MOST_OF_A_PART))

    def __str__(self) -> str:
        return f"{self.severity}: {self.expression}\n    {self.rule}\n    fix: {self.fix}"


class CheckFailed(ProgramError):
    """A program that breaks the compiler's rules.

    Attributes:
        problems: all that was found, warnings included.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        errors = sum(problem.severity == "error" for problem in self.problems)
        count = "1 problem" if errors == 1 else f"{errors} problems"
        blocks = "\n".join(str(problem) for problem in self.problems)
        super().__init__(f"the program cannot be compiled faithfully: {count}\n{blocks}")


class EvaluationError(ProgramError):
    """A program that is well formed but fails on an input."""


class InputError(UntracrError):
    """A token outside the vocabulary or a sequence of a wrong length."""


class PatchError(UntracrError):
    """A place that a network does not have, or values that do not fit there."""


class HookPointError(PatchError, KeyError):
    """A hook point that a network does not have."""

    def __str__(self) -> str:
        return cut(str(self.args[0]), MOST_CHARACTERS)  # a KeyError would quote it


class ModelFileError(UntracrError):
    """A weights file that is damaged, unsafe to load or inconsistent."""


class TaskError(UntracrError):
    """A task, or a file of one, that is damaged or does not fit the model."""


class CertificateError(UntracrError):
    """A certificate that is damaged or of another kind, or a result that shows nothing."""


class DatasetError(UntracrError):
    """A data set's folder that is damaged, in use, full, or begun with other settings."""


class UsageError(UntracrError):
    """A wrong option, or options that do not go together."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns ``' Did you mean 'x'?'`` for a close match, else an empty string.

    Of very long names, and of more than `MOST_NAMES`, none is compared: it takes long.
    """
    known = [other for other in itertools.islice(known, MOST_NAMES) if len(other) <= LONGEST_NAME]
    if len(name) > LONGEST_NAME:
        return ""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""
