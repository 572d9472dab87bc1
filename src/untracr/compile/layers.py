"""Which half-layer each operation goes to, as Tracr allocates them.

An operation's depth is the longest path from the inputs; a depth that holds
only attention, followed by one that holds only MLPs, is merged with it. A
SelectorWidth takes an attention half-layer and the MLP behind it. Source:
Tracr, `compiler/craft_graph_to_model.py`.
"""

from __future__ import annotations

from untracr.rasp.nodes import (
    SELECTOR_TYPES,
    Aggregate,
    Indices,
    Ref,
    SelectorWidth,
    Tokens,
    children,
)
from untracr.rasp.program import Program
from untracr.transformer.half_layer import HalfLayer


def depths(program: Program) -> list[int]:
    """The longest path, in SOps, from the inputs to each node; 0 for inputs."""
    longest: list[int] = []
    for node in program.nodes:
        below = max((longest[child] for child in children(node)), default=0)
        is_step = not isinstance(node, (Tokens, Indices, *SELECTOR_TYPES))
        longest.append(below + is_step)
    return longest


def half_layers(program: Program) -> dict[Ref, HalfLayer]:
    """The half-layer of every operation the output depends on.

    Returns:
        ``{ref: half-layer}`` in Tracr's order: by depth, then breadth-first from
        the output. A SelectorWidth maps to its attention half-layer.
    """
    depth = depths(program)
    operations = [
        ref
        for ref in program.reachable
        if not isinstance(program.nodes[ref], (Tokens, Indices, *SELECTOR_TYPES))
    ]
    at_depth: dict[int, list[Ref]] = {}
    for ref in operations:
        at_depth.setdefault(depth[ref], []).append(ref)
    level_of: dict[Ref, int] = {}
    level = -1
    previous: list[Ref] = []
    for current in sorted(at_depth):
        refs = at_depth[current]
        merges = (
            bool(previous)
            and all(isinstance(program.nodes[ref], Aggregate) for ref in previous)
            and all(not _uses_attention(program, ref) for ref in refs)
        )
        if merges:
            previous = previous + refs
        else:
            level += 1
            previous = refs
        for ref in refs:
            level_of[ref] = level
    ordered = sorted(operations, key=lambda ref: level_of[ref])
    return {ref: HalfLayer(level_of[ref], not _uses_attention(program, ref)) for ref in ordered}


def count_layers(layers: dict[Ref, HalfLayer]) -> int:
    """How many layers a program takes whose operations go to these half-layers."""
    return 1 + max((half_layer.layer for half_layer in layers.values()), default=-1)


def _uses_attention(program: Program, ref: Ref) -> bool:
    return isinstance(program.nodes[ref], (Aggregate, SelectorWidth))
