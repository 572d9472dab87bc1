"""RASP programs as immutable values.

A `Program` is a tuple of nodes in which every node refers to earlier ones by
index. Node 0 is always `tokens` and node 1 always `indices`, used or not, so
that programs have one form. Two programs are equal when their nodes and output
are; labels are only names and do not count.

Sharing matters: one Select read by two Aggregates and two equal Selects are
different programs, since Tracr compiles the second to other weights.
"""

from __future__ import annotations

import functools
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from untracr.errors import ProgramError
from untracr.notebook_html import code
from untracr.rasp.nodes import (
    DEFAULT_NAMES,
    INDICES,
    SELECTOR_TYPES,
    SOP_TYPES,
    TOKENS,
    Aggregate,
    Encoding,
    Indices,
    Node,
    Ref,
    SelectorAnd,
    SelectorNot,
    SelectorOr,
    SelectorWidth,
    Tokens,
    children,
    renumber,
)
from untracr.rasp.printing import source_text
from untracr.shown_text import cut

MOST_OF_A_LABEL = 60
"""Characters of the output's label in a program's `repr`."""


@dataclass(frozen=True, repr=False)
class Program:
    """An immutable RASP program.

    Attributes:
        nodes: every node after those it reads; ``nodes[0]`` is `Tokens`,
            ``nodes[1]`` is `Indices`.
        output: index of the SOp that the program computes.
        labels: one unique label a node, as Tracr would print it in
            ``residual_labels``. They fix the order of residual dimensions and
            are not part of equality.

    Raises:
        ValueError: the nodes are not in order, an argument is of the wrong
            kind (a selector where a SOp belongs), or labels are missing.
    """

    nodes: tuple[Node, ...]
    output: Ref
    labels: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        _check_shape(self)
        if not self.labels:
            names = (None,) * len(self.nodes)
            object.__setattr__(self, "labels", tracr_labels(self.nodes, self.output, names))
        if len(self.labels) != len(self.nodes):
            raise ValueError(f"{len(self.nodes)} nodes need as many labels, not {self.labels}")

    def __repr__(self) -> str:
        operations = len(self.nodes) - 2
        name = cut(self.labels[self.output], MOST_OF_A_LABEL)
        return f"<Program {name}: {operations} operation{'s'[: operations != 1]}>"

    def _repr_html_(self) -> str:
        return code(str(self))

    @functools.cached_property
    def reachable(self) -> tuple[Ref, ...]:
        """The nodes that the output depends on, itself included, in breadth-first order.

        This is the order in which Tracr discovers expressions; it decides the
        order of heads within a layer.
        """
        return _breadth_first(self.nodes, self.output)

    @property
    def sops(self) -> tuple[Ref, ...]:
        """The SOps that the output depends on, in node order."""
        return tuple(
            ref for ref in sorted(self.reachable) if isinstance(self.nodes[ref], SOP_TYPES)
        )

    @property
    def length(self) -> int:
        """The paper's program length: SOps, inputs included when used, Selects not counted."""
        return len(self.sops)

    def encoding(self, ref: Ref) -> Encoding:
        """The encoding of a SOp.

        Raises:
            TypeError: the node is a selector.
        """
        node = self.nodes[ref]
        if not isinstance(node, SOP_TYPES):
            raise TypeError(f"a selector has no encoding: {node}")
        return node.encoding

    def __str__(self) -> str:
        return source_text(self.nodes, self.output, self.labels)


def _check_shape(program: Program) -> None:
    nodes = program.nodes
    if len(nodes) < 2 or not isinstance(nodes[0], Tokens) or not isinstance(nodes[1], Indices):
        raise ValueError("a program's nodes begin with Tokens() and Indices()")
    for ref, node in enumerate(nodes):
        for argument, child in enumerate(children(node)):
            if not 0 <= child < ref:
                raise ValueError(f"node {ref} ({node}) must read earlier nodes, not {child}")
            wants_selector = isinstance(node, (SelectorAnd, SelectorOr, SelectorNot)) or (
                isinstance(node, (SelectorWidth, Aggregate)) and argument == 0
            )
            if wants_selector != isinstance(nodes[child], SELECTOR_TYPES):
                wanted = "a selector" if wants_selector else "a SOp"
                raise ValueError(f"node {ref} ({node}) needs {wanted} as argument {argument + 1}")
    if not 0 <= program.output < len(nodes):
        raise ValueError(f"the output must be one of {len(nodes)} nodes, not {program.output}")
    if not isinstance(nodes[program.output], SOP_TYPES):
        raise ValueError(f"a program's output must be a SOp, not {nodes[program.output]}")


def _breadth_first(nodes: tuple[Node, ...], output: Ref) -> tuple[Ref, ...]:
    reached = {output: None}
    queue = deque([output])
    while queue:
        for child in children(nodes[queue.popleft()]):
            if child not in reached:
                reached[child] = None
                queue.append(child)
    return tuple(reached)


class HoldsProgram(Protocol):
    """Something that holds a program, as a named program of the library does."""

    @property
    def program(self) -> Program:
        """The program."""


def program_of(given: Program | HoldsProgram) -> Program:
    """A program as it is, or the one that is held.

    Raises:
        ProgramError: it is neither.
    """
    held = given if isinstance(given, Program) else getattr(given, "program", None)
    if isinstance(held, Program):
        return held
    raise ProgramError(
        "a Program or a named program is wanted here, "
        f"not {type(given).__name__}; untracr.parse makes one of text or of a Tracr SOp"
    )


def print_program(program: Program | HoldsProgram) -> str:
    """Returns the program as Python source that runs under Tracr, one operation a line.

    See `untracr.rasp.printing`.

    Raises:
        ProgramError: tokens or indices stand elsewhere than first and second
            or are numerical, which source text cannot say.
    """
    return str(program_of(program))


def tracr_labels(
    nodes: tuple[Node, ...], output: Ref, names: tuple[str | None, ...]
) -> tuple[str, ...]:
    """Labels as Tracr gives them in a fresh process.

    An expression's label is its name (given by ``.named``, else its class's
    default) and a number counted in breadth-first order from the output.
    Nodes the output does not depend on are numbered last.
    """
    labels = ["tokens", "indices", *[""] * (len(nodes) - 2)]
    order = _breadth_first(nodes, output)
    unreached = sorted(set(range(len(nodes))) - set(order))
    number = 0
    for ref in (*order, *unreached):
        if ref in (TOKENS, INDICES):
            continue
        number += 1
        labels[ref] = f"{names[ref] or DEFAULT_NAMES[type(nodes[ref])]}_{number}"
    return tuple(labels)


class Builder:
    """Builds a `Program` node by node.

    Every method returns the new node's index; `TOKENS` and `INDICES` are there
    from the start.

    How often each token occurs, for example::

        b = Builder()
        same = b.add(Select(TOKENS, TOKENS, Comparison.EQ))
        hist = b.add(SelectorWidth(same), label="hist")
        program = b.build(hist)
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = [Tokens(), Indices()]
        self._labels: list[str | None] = ["tokens", "indices"]

    def __repr__(self) -> str:
        return f"<Builder: {len(self.nodes) - 2} operations>"

    def add(self, node: Node, label: str | None = None) -> Ref:
        """Appends ``node``; ``label``, if given, is its exact label."""
        self.nodes.append(node)
        self._labels.append(label)
        return len(self.nodes) - 1

    def build(self, output: Ref) -> Program:
        """Returns the program; nodes that the output does not need are left out."""
        nodes, renumbered, needed = pruned(tuple(self.nodes), output)
        default = tracr_labels(nodes, renumbered, (None,) * len(nodes))
        labels = tuple(
            self._labels[old] or default[position] for position, old in enumerate(needed)
        )
        return Program(nodes, renumbered, labels)


def pruned(nodes: tuple[Node, ...], output: Ref) -> tuple[tuple[Node, ...], Ref, tuple[Ref, ...]]:
    """Leaves out the nodes that the output does not need; tokens and indices stay.

    Returns:
        The nodes left, renumbered; the output among them; and the old index of each.
    """
    needed = tuple(sorted({TOKENS, INDICES, *_breadth_first(nodes, output)}))
    new = {old: position for position, old in enumerate(needed)}
    return tuple(renumber(nodes[old], new) for old in needed), new[output], needed
