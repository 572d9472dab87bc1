"""Which heads, neurons and residual directions of a model carry each line of its program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from untracr.arrays import Basis
from untracr.compile.compiler import Compiled
from untracr.diagnose.program_run import shown
from untracr.errors import ProgramError
from untracr.number_ranges import numbered
from untracr.rasp.domain import Domain
from untracr.rasp.nodes import SELECTOR_TYPES, Aggregate, Ref, SelectorWidth
from untracr.rasp.program import Program
from untracr.short_repr import short_repr
from untracr.transformer.transformer import Transformer
from untracr.verify.alignment import Alignment
from untracr.verify.correspondence import parts_of
from untracr.verify.verdict import Beside, lay_beside

AXES_ENTRY = 1e-3
"""Entries by which a change of basis may differ from a mere reordering of axes."""


@dataclass(frozen=True)
class Attribution:
    """What carries one line of a program in a model.

    Attributes:
        ref: the line's node.
        text: the line as `print_program` prints it.
        known: whether the model's parts correspond to those that the program compiles
            to. If not, nothing below is.
        heads: (layer, head) pairs, in the model's numbers. A selector is carried by the
            queries and keys of the heads that select by it, an Aggregate by values and output.
        layer: the layer of its neurons.
        neurons: neurons of that layer, in the model's numbers.
        dims: the model's residual dimensions that hold its value, in the order of the
            values; empty where the basis is not the compiled one, or for a selector.
        directions: how many residual directions hold its value; 0 for a selector.
    """

    ref: Ref
    text: str
    known: bool = False
    heads: tuple[tuple[int, int], ...] = ()
    layer: int | None = None
    neurons: tuple[int, ...] = ()
    dims: tuple[int, ...] = ()
    directions: int = 0

    __repr__ = short_repr

    @property
    def place(self) -> str:
        """In words, such as ``layer 1 head 0, neurons 4-28 -> dims 7-11``."""
        if not self.known:
            return "unknown"
        return " -> ".join(part for part in (self._parts(), self._held()) if part) or "nothing"

    def _parts(self) -> str:
        places = []
        own = () if self.layer is None else (self.layer,)
        for layer in sorted({*own, *(layer for layer, _ in self.heads)}):
            heads = [head for at, head in self.heads if at == layer]
            words = [numbered("head", heads)] if heads else []
            if layer == self.layer and self.neurons:
                words.append(numbered("neuron", self.neurons))
            places.append(f"layer {layer} {', '.join(words)}")
        return "; ".join(places)

    def _held(self) -> str:
        if self.dims:
            return numbered("dim", self.dims)
        return f"{self.directions} direction{'s'[: self.directions != 1]}" * bool(self.directions)


def attributions(model: Transformer, program: Program, domain: Domain) -> tuple[Attribution, ...]:
    """What carries each line of a program in a model.

    Args:
        model: the weights; the last two rows of W_E are BOS and PAD.
        program: read off the model, or any other.
        domain: values of the token rows, and the longest input.

    Returns:
        One a line, in their order. All are unknown where the model's weights are not the
        program's, up to their order, a change of basis, a projection or noise.
    """
    try:
        return attributions_beside(lay_beside(model, program, domain))
    except ProgramError:
        return unknown_attributions(program)


def attributions_beside(laid: Beside) -> tuple[Attribution, ...]:
    """As `attributions`, of a program that is laid beside the model."""
    if laid.parts is None or laid.alignment.change is None:
        return unknown_attributions(laid.program)
    return attributions_of(laid.program, laid.parts, laid.alignment)


def unknown_attributions(program: Program) -> tuple[Attribution, ...]:
    """The lines of a program whose parts are not known in a model."""
    return tuple(Attribution(ref, shown(program, ref)) for ref in range(2, len(program.nodes)))


def attributions_of(
    program: Program, compiled: Compiled, alignment: Alignment
) -> tuple[Attribution, ...]:
    """What carries each line, given the program's own weights laid beside the model's.

    Args:
        program: the program.
        compiled: its weights, and where each node lives in them.
        alignment: with a change of basis.
    """
    assert alignment.change is not None
    heads, neurons = _numbers(compiled.transformer, alignment)
    owned = {(p.layer, neuron) for p in compiled.node_map.values() for neuron in p.neurons}
    carried = []
    for unknown in unknown_attributions(program):
        node, parts = program.nodes[unknown.ref], compiled.node_map.get(unknown.ref)
        if isinstance(node, SELECTOR_TYPES):
            readers = (compiled.node_map[reader] for reader in _readers(program, unknown.ref))
            mine = [pair for reader in readers for pair in reader.heads]
            theirs = tuple(sorted(heads[pair] for pair in mine if pair in heads))
            carried.append(replace(unknown, known=bool(theirs), heads=theirs))
        elif parts is None:
            carried.append(unknown)
        else:
            own = [(parts.layer, neuron) for neuron in parts.neurons]
            if isinstance(node, SelectorWidth):  # the neuron that corrects BOS for all of a layer
                own += [at for at in neurons if at[0] == parts.layer and at not in owned]
            carried.append(
                replace(
                    unknown,
                    known=True,
                    heads=tuple(sorted(heads[pair] for pair in parts.heads if pair in heads)),
                    layer=parts.layer,
                    neurons=tuple(sorted(neurons[at] for at in own if at in neurons)),
                    dims=_dims(alignment.change, parts.dims),
                    directions=len(parts.dims),
                )
            )
    return tuple(carried)


def _numbers(
    compiled: Transformer, alignment: Alignment
) -> tuple[dict[tuple[int, int], tuple[int, int]], dict[tuple[int | None, int], int]]:
    """The model's number of each living head and neuron that the program's weights have."""
    living = parts_of(compiled, compiled.n_layers)
    heads: dict[tuple[int, int], tuple[int, int]] = {}
    neurons: dict[tuple[int | None, int], int] = {}
    for layer in range(compiled.n_layers):
        for mine, theirs in zip(living.head_places[layer], alignment.heads[layer], strict=True):
            heads[layer, int(mine)] = (layer, int(theirs))
        for mine, theirs in zip(living.neuron_places[layer], alignment.neurons[layer], strict=True):
            neurons[layer, int(mine)] = int(theirs)
    return heads, neurons


def _readers(program: Program, selector: Ref) -> Iterator[Ref]:
    """The operations that select by a selector."""
    for ref in program.reachable:
        node = program.nodes[ref]
        if isinstance(node, (Aggregate, SelectorWidth)) and node.selector == selector:
            yield ref


def _dims(change: Basis, dims: Iterable[int]) -> tuple[int, ...]:
    """The model's axes that some of the program's became; empty if they are no axes."""
    rows = change[list(dims)]
    places = np.abs(rows).argmax(axis=1)
    exact = np.zeros_like(rows)
    exact[np.arange(len(rows)), places] = 1.0
    if np.abs(rows - exact).max(initial=0.0) > AXES_ENTRY:
        return ()
    return tuple(int(place) for place in places)
