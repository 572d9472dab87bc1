"""Prints programs as Python that runs under Tracr.

The text runs unchanged after ``from tracr.rasp import rasp``, computes the
program's output in its last line, and reads back as the same program:
``parse(print_program(p)) == p`` for every program all of whose nodes the
output depends on (`tokens` and `indices` aside).
"""

from __future__ import annotations

import keyword
import re
import unicodedata

from untracr.errors import ProgramError
from untracr.rasp.functions import Comparison, Predicate
from untracr.rasp.nodes import (
    CATEGORICAL,
    DEFAULT_NAMES,
    INDICES,
    NUMERICAL,
    SELECTOR_TYPES,
    TOKENS,
    Aggregate,
    Indices,
    LinearSequenceMap,
    Map,
    Node,
    Ref,
    Select,
    SelectorAnd,
    SelectorNot,
    SelectorOr,
    SelectorWidth,
    SequenceMap,
    Tokens,
)

_RESERVED = frozenset({"rasp", "tokens", "indices", "__debug__"})


def source_text(nodes: tuple[Node, ...], output: Ref, labels: tuple[str, ...]) -> str:
    """Returns a program's nodes as Python source, one operation a line.

    Variables are the nodes' labels where those are valid, distinct
    identifiers, and close to them elsewhere. ``rasp.categorical`` is Tracr's
    default and left out. The text ends with a newline.

    Raises:
        ProgramError: tokens or indices stand elsewhere than first and second
            or are numerical, which source text cannot say.
    """
    _require_sources(nodes)
    names = _variable_names(nodes, labels)
    lines = [f"{names[ref]} = {_operation(nodes, ref, names)}" for ref in range(2, len(nodes))]
    if output in (TOKENS, INDICES) or output != len(nodes) - 1:
        lines.append(names[output])
    return "\n".join(lines) + "\n"


def print_predicate(predicate: Predicate) -> str:
    """A predicate as Tracr's Python, such as ``rasp.Comparison.EQ`` or a lambda."""
    if isinstance(predicate, Comparison):
        return f"rasp.Comparison.{predicate.name}"
    return str(predicate)


def _require_sources(nodes: tuple[Node, ...]) -> None:
    for ref, node in enumerate(nodes):
        if isinstance(node, (Tokens, Indices)) and (ref > 1 or node.encoding is not CATEGORICAL):
            raise ProgramError(
                f"tokens and indices must be categorical and stand once each, not as {node} at "
                f"{ref}; read them through numerical(Map(lambda x: x, tokens))"
            )


def _variable_names(nodes: tuple[Node, ...], labels: tuple[str, ...]) -> list[str]:
    names: list[str | None] = ["rasp.tokens", "rasp.indices", *[None] * (len(nodes) - 2)]
    taken = set(_RESERVED)
    for ref in range(2, len(nodes)):
        label = labels[ref]
        if _is_variable(label) and label not in taken:
            names[ref] = label
            taken.add(label)
    for ref, name in enumerate(names):
        if name is None:
            label = labels[ref] or DEFAULT_NAMES[type(nodes[ref])]
            names[ref] = free = _free_name(label, taken)
            taken.add(free)
    return [name for name in names if name is not None]


def _is_variable(label: str) -> bool:
    """Whether Python takes ``label`` as a variable and keeps its spelling."""
    return (
        label.isidentifier()
        and not keyword.iskeyword(label)
        and (label.isascii() or unicodedata.normalize("NFKC", label) == label)
    )


def _free_name(label: str, taken: set[str]) -> str:
    stem = re.sub(r"[^A-Za-z0-9_]", "_", label)
    if not stem or stem[0].isdigit():
        stem = f"_{stem}"
    if keyword.iskeyword(stem):
        stem += "_"
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}_{number}", number + 1
    return name


def _operation(nodes: tuple[Node, ...], ref: Ref, names: list[str]) -> str:
    node = nodes[ref]
    text = _constructor(nodes, node, names)
    if not isinstance(node, SELECTOR_TYPES) and node.encoding is NUMERICAL:
        return f"rasp.numerical({text})"
    return text


def _constructor(nodes: tuple[Node, ...], node: Node, names: list[str]) -> str:
    match node:
        case Tokens() | Indices():
            raise AssertionError(node)
        case Map(function, inner):
            apart = ", simplify=False" if isinstance(nodes[inner], Map) else ""
            return f"rasp.Map({function}, {names[inner]}{apart})"
        case SequenceMap(function, fst, snd):
            return f"rasp.SequenceMap({function}, {names[fst]}, {names[snd]})"
        case LinearSequenceMap(fst, snd, fst_factor, snd_factor):
            factors = f"{fst_factor!r}, {snd_factor!r}"
            return f"rasp.LinearSequenceMap({names[fst]}, {names[snd]}, {factors})"
        case Select(keys, queries, predicate):
            return f"rasp.Select({names[keys]}, {names[queries]}, {print_predicate(predicate)})"
        case SelectorAnd(fst, snd):
            return f"rasp.SelectorAnd({names[fst]}, {names[snd]})"
        case SelectorOr(fst, snd):
            return f"rasp.SelectorOr({names[fst]}, {names[snd]})"
        case SelectorNot(inner):
            return f"rasp.SelectorNot({names[inner]})"
        case SelectorWidth(selector):
            return f"rasp.SelectorWidth({names[selector]})"
        case Aggregate():
            return _aggregate(node, names)


def _aggregate(node: Aggregate, names: list[str]) -> str:
    # A numerical Aggregate without a default reads back with the default 0.
    shown = node.default is not None or node.encoding is NUMERICAL
    default = f", default={node.default!r}" if shown else ""
    return f"rasp.Aggregate({names[node.selector]}, {names[node.sop]}{default})"
