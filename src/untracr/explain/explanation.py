"""What a model and a program do on one input, line by line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.arrays import Floats
from untracr.decompile.lines import plain_attribution
from untracr.rasp.functions import Value
from untracr.short_repr import short_repr
from untracr.shown_text import cut, shown
from untracr.verify.attribution import Attribution

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Held:
    """What the residual stream holds for one variable at one position.

    Attributes:
        value: of a categorical variable the value with the largest coefficient, None
            where there is none to speak of; of a numerical one the number.
        clear: by how much the largest coefficient is above the next one, 1 at best;
            1 for a number.
        agrees: whether the program has the same value there.
    """

    value: Value
    clear: float
    agrees: bool

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class Pattern:
    """What one head attends to, beside the selector that it implements.

    T positions; BOS comes before them in the model, and is no input of the program.

    Attributes:
        layer, head: of the model.
        attention: [T + 1, T + 1], from each query to each key.
        wanted: [T, T + 1], what attention should be at each query but BOS's.
        agrees: [T], whether it is.
    """

    layer: int
    head: int
    attention: Floats
    wanted: Floats
    agrees: Mask

    __repr__ = short_repr

    @property
    def selected(self) -> Mask:
        """[T, T]: which keys the head attends to, at least half as much as to the first."""
        rows = self.attention[1:]
        return np.asarray(rows[:, 1:] >= 0.5 * rows.max(axis=1, keepdims=True))

    @property
    def off(self) -> float:
        """The largest difference of attention."""
        return float(np.abs(self.attention[1:] - self.wanted).max())


@dataclass(frozen=True, eq=False)
class Line:
    """One line of the program, or one of its inputs, on one input.

    Attributes:
        attribution: the line's text, and what carries it in the model.
        name: of the variable.
        program: the value at each position; empty for a selector.
        matrix: [query, key] of a selector, else None.
        held: what the model's stream holds at each position, once the line was computed;
            empty where this is unknown, or for a selector.
        values: of a categorical variable, those that have a direction.
        coefficients: [T, values] of these directions in the stream; None where unknown.
        patterns: of the heads that implement a selector.
        keys, queries: the program's values that a selector compares.
        as_compiled: whether the program's own weights do on this input as the model does.
    """

    attribution: Attribution
    name: str
    program: tuple[Value, ...] = ()
    matrix: Mask | None = None
    held: tuple[Held, ...] = ()
    values: tuple[Value, ...] = ()
    coefficients: Floats | None = None
    patterns: tuple[Pattern, ...] = ()
    as_compiled: bool = False
    keys: tuple[Value, ...] = ()
    queries: tuple[Value, ...] = ()

    __repr__ = short_repr

    @property
    def is_known(self) -> bool:
        """Whether the model was looked into."""
        return bool(self.held or self.patterns)

    @property
    def differing(self) -> tuple[int, ...]:
        """Positions at which the model has something else; a selector's are queries."""
        wrong = {place for place, held in enumerate(self.held) if not held.agrees}
        for pattern in self.patterns:
            wrong |= set(np.flatnonzero(~pattern.agrees).tolist())
        return tuple(sorted(wrong))

    def as_dict(self) -> dict[str, object]:
        """The line as plain JSON values."""
        shown: dict[str, object] = {**plain_attribution(self.attribution), "name": self.name}
        if self.matrix is not None:
            shown["program"] = self.matrix.tolist()
            shown["model"] = [
                {
                    "layer": pattern.layer,
                    "head": pattern.head,
                    "attention": np.round(pattern.attention, 6).tolist(),
                }
                for pattern in self.patterns
            ]
        else:
            shown["program"] = list(self.program)
            shown["model"] = [held.value for held in self.held] if self.is_known else None
            shown["clear"] = [round(held.clear, 6) for held in self.held]
        shown["differing"] = list(self.differing)
        shown["as_compiled"] = self.as_compiled
        return shown


@dataclass(frozen=True)
class Output:
    """What is read out of the last residual stream.

    Attributes:
        program: the program's output.
        model: the read-out at each position.
        differing: positions at which they differ.
    """

    program: tuple[Value, ...]
    model: tuple[Value, ...]
    differing: tuple[int, ...]

    __repr__ = short_repr


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """A model and a program side by side on one input.

    Attributes:
        tokens: the input.
        lines: the inputs that the program reads, then its lines.
        output: None where the model has no read-out whose values are known.
        unknown: why the model's stream cannot be read, else an empty string.
        changed: parts of the model that are not the program's.
        departures: why the program's own weights, as Tracr constructs them, do not do on
            this input what it says; empty where they do.
    """

    tokens: tuple[Value, ...]
    lines: tuple[Line, ...]
    output: Output | None
    unknown: str = ""
    changed: tuple[str, ...] = ()
    departures: tuple[str, ...] = ()

    def __repr__(self) -> str:
        differs = self.first_difference
        said = "agree" if self.agrees else f"differ in {differs}" if differs else "unknown"
        return f"<Explanation of {shown(self.tokens)}: {len(self.lines)} lines, {cut(said, 60)}>"

    @property
    def agrees(self) -> bool:
        """Whether all that is shown of the model is the program's, and something is shown."""
        shown = any(line.is_known for line in self.lines) or self.output is not None
        return shown and not self.first_difference

    @property
    def first_difference(self) -> str:
        """The first line that differs, or ``the output``; empty if none does."""
        for line in self.lines:
            if line.differing:
                return line.name
        return "the output" if self.output is not None and self.output.differing else ""

    @property
    def as_compiled(self) -> bool:
        """Whether the program's own weights differ from it just as the model does.

        Tracr's construction is not faithful to every program on every input.
        """
        wrong = [line for line in self.lines if line.differing]
        return bool(wrong) and all(line.as_compiled for line in wrong)

    def as_dict(self) -> dict[str, object]:
        """All of it as plain JSON values."""
        return {
            "input": list(self.tokens),
            "agrees": self.agrees,
            "first_difference": self.first_difference,
            "as_compiled": self.as_compiled,
            "unknown": self.unknown,
            "changed": list(self.changed),
            "departures": list(self.departures),
            "lines": [line.as_dict() for line in self.lines],
            "output": None
            if self.output is None
            else {
                "program": list(self.output.program),
                "model": list(self.output.model),
                "differing": list(self.output.differing),
            },
        }
