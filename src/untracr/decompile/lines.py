"""The lines of a program that was read off a model, each with what carries it there."""

from __future__ import annotations

from dataclasses import dataclass

from untracr.ambiguity.open_results import Openness, OpenResult
from untracr.rasp.nodes import SELECTOR_TYPES
from untracr.rasp.program import Program
from untracr.shown_text import cut
from untracr.verify.attribution import Attribution

MOST_TEXT = 120
"""Characters of a line, and of its place, in its `repr`."""


@dataclass(frozen=True, repr=False)
class ProgramLine:
    """A line of a program, and where it is in the model.

    Attributes:
        text: the line as `untracr.print_program` prints it.
        known: whether the model's parts correspond to those that the program compiles to.
            If not, nothing of the following is known.
        heads: (layer, head) pairs, in the model's numbers.
        layer: the layer of its neurons.
        neurons: neurons of that layer.
        dims: residual dimensions that hold its value, in the order of the values; empty where
            the model's basis is not the compiled one, or for a selector.
        directions: how many residual directions hold its value; 0 for a selector.
        hooks: where to look at it, by TransformerLens' names: a selector's scores and patterns
            (``blocks.0.attn.hook_pattern``, axis 1 is the head), what heads or neurons add, and
            the first stream that holds the value.
        open: what the weights do not say about its results.
        place: the same in words.
    """

    text: str
    known: bool
    heads: tuple[tuple[int, int], ...]
    layer: int | None
    neurons: tuple[int, ...]
    dims: tuple[int, ...]
    directions: int
    hooks: tuple[str, ...]
    open: tuple[Openness, ...]
    place: str

    def __repr__(self) -> str:
        return f"<{cut(self.text, MOST_TEXT)}  # {cut(self.place, MOST_TEXT)}>"


def program_lines(
    program: Program, attributions: tuple[Attribution, ...], results: tuple[OpenResult, ...]
) -> tuple[ProgramLine, ...]:
    """The lines of a program.

    Args:
        program: it.
        attributions: of its lines, one each.
        results: what the weights do not say about results.
    """
    return tuple(_line(program, attribution, results) for attribution in attributions)


def _line(program: Program, carried: Attribution, results: tuple[OpenResult, ...]) -> ProgramLine:
    selects = isinstance(program.nodes[carried.ref], SELECTOR_TYPES)
    label = carried.text.partition(" = ")[0]
    return ProgramLine(
        carried.text,
        carried.known,
        carried.heads,
        carried.layer,
        carried.neurons,
        carried.dims,
        carried.directions,
        _hooks_of_selector(carried) if selects else _hooks_of_value(carried),
        tuple(result.what for result in results if result.label == label),
        carried.place,
    )


def _hooks_of_selector(carried: Attribution) -> tuple[str, ...]:
    """Where the heads that select by it compute how strongly, and what they attend to."""
    layers = sorted({layer for layer, _ in carried.heads})
    points = ("attn_scores", "pattern")
    return tuple(f"blocks.{layer}.attn.hook_{point}" for layer in layers for point in points)


def _hooks_of_value(carried: Attribution) -> tuple[str, ...]:
    """What computes it, from the first head to the stream that then holds it."""
    layers = sorted({layer for layer, _ in carried.heads})
    hooks = [f"blocks.{layer}.attn.hook_z" for layer in layers]
    if carried.layer is not None and carried.neurons:
        block = f"blocks.{carried.layer}"
        return (*hooks, f"{block}.mlp.hook_post", f"{block}.hook_resid_post")
    return (*hooks, *(f"blocks.{layer}.hook_resid_mid" for layer in layers[-1:]))


def plain_attribution(carried: Attribution) -> dict[str, object]:
    """An attribution as plain JSON values; ``layer`` is that of its first part."""
    layers = [layer for layer, _ in carried.heads]
    if carried.layer is not None:
        layers.append(carried.layer)
    return {
        "text": carried.text,
        "known": carried.known,
        "layer": layers[0] if layers else None,
        "heads": [list(pair) for pair in carried.heads],
        "neurons": list(carried.neurons),
        "dims": list(carried.dims),
        "directions": carried.directions,
    }
