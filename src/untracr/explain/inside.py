"""What any model computes on inputs: attention of every head, the stream, and its outputs.

No program is needed: this shows weights that nothing was read off too. Axes: T positions,
H heads of a layer, O outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from untracr.bounds import MAX_SHOWN_NUMBERS
from untracr.errors import InputError, ModelFileError
from untracr.network.forward import Heads, Neurons, ReadOut, Step, steps
from untracr.network.network import Array, Network
from untracr.network.tracing import Trace, trace
from untracr.rasp.values import Value
from untracr.short_repr import short_repr
from untracr.task.inputs import given_inputs
from untracr.task.outputs import Output, outputs_of, require_finite
from untracr.task.positions import counted_positions
from untracr.task.running import filled_up
from untracr.task.task import Label, Number, Task


@dataclass(frozen=True, eq=False)
class Added:
    """What one half-layer adds to the residual stream, or the embedding.

    Attributes:
        name: such as ``layer 0 heads``.
        hook: TransformerLens' name of where it stands.
        norms: [T], the length of what is added at each position.
        after: [T], the length of the stream with it.
    """

    name: str
    hook: str
    norms: Array
    after: Array

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class Seen:
    """What a model computes on one input.

    Attributes:
        tokens: [T], the whole input, special tokens included.
        patterns: of each layer [H, T, T], from each position to each it attends to.
        added: the embedding, then each half-layer.
        logits: [T, O]; None of a model without a read-out.
        columns: [O], what each output is called.
        counted: positions at which outputs count.
        outputs: one for each of them; none where nothing says what outputs mean.
    """

    tokens: tuple[Value, ...]
    patterns: tuple[Array, ...]
    added: tuple[Added, ...]
    logits: Array | None
    columns: tuple[Value, ...]
    counted: tuple[int, ...]
    outputs: tuple[Output, ...]

    __repr__ = short_repr

    @property
    def heads(self) -> Iterator[tuple[int, int, Array]]:
        """Layer, head and pattern [T, T] of every head."""
        for layer, patterns in enumerate(self.patterns):
            for head, pattern in enumerate(patterns):
                yield layer, head, pattern

    def as_dict(self) -> dict[str, object]:
        """All of it as plain JSON values, numbers to six digits."""
        return {
            "input": list(self.tokens),
            "heads": [
                {"layer": layer, "head": head, "attention": _rounded(pattern)}
                for layer, head, pattern in self.heads
            ],
            "stream": [
                {
                    "name": part.name,
                    "hook": part.hook,
                    "norms": _rounded(part.norms),
                    "after": _rounded(part.after),
                }
                for part in self.added
            ],
            "columns": list(self.columns),
            "logits": None if self.logits is None else _rounded(self.logits),
            "counted": list(self.counted),
            "outputs": [list(out) if isinstance(out, tuple) else out for out in self.outputs],
        }


def _rounded(array: Array) -> object:
    return np.round(array.astype(np.float64), 6).tolist()


def seen_inside(
    network: Network, task: Task, inputs: Iterable[str | Sequence[Value]]
) -> tuple[Seen, ...]:
    """Runs a network on inputs in its task's words, and keeps what is worth a look.

    Raises:
        InputError: an input is none of the task's, or so much would be shown that nobody
            could look at it (`MAX_SHOWN_NUMBERS`).
        ModelFileError: something that is computed is no finite number.
    """
    given = [one.ids for one in given_inputs(task, inputs)]
    rows = [filled_up(task, np.array([ids], dtype=np.int64)) for ids in given]
    _require_few(network, [row.shape[1] for row in rows])
    return tuple(_seen(network, task, row) for row in rows)


def _require_few(network: Network, lengths: Sequence[int]) -> None:
    heads = sum(layer.attention.W_Q.shape[0] for layer in network.layers)
    columns = 0 if network.W_U is None else network.W_U.shape[1]
    numbers = sum(length * (heads * length + columns) for length in lengths)
    if numbers > MAX_SHOWN_NUMBERS:
        raise InputError(
            f"attention of {heads:,} heads and {columns:,} logits a position, on {len(lengths):,} "
            f"inputs of up to {max(lengths):,} tokens, are {numbers:,} numbers; at most "
            f"{MAX_SHOWN_NUMBERS:,} are shown. Give fewer or shorter inputs"
        )


def _seen(network: Network, task: Task, ids: np.ndarray) -> Seen:
    traced = trace(network, ids)
    places = counted_positions(task, ids)[0]
    logits = None if network.W_U is None else require_finite(traced.logits)[0]
    means = logits is not None and task.meaning is not None
    return Seen(
        tuple(task.tokens[token] for token in ids[0].tolist()),
        tuple(_patterns(traced, layer) for layer in range(network.n_layers)),
        tuple(_added(network, traced)),
        logits,
        _columns(task, 0 if logits is None else logits.shape[1]),
        tuple(np.flatnonzero(places).tolist()),
        tuple(outputs_of(task, logits[places])) if means and logits is not None else (),
    )


def _patterns(traced: Trace, layer: int) -> Array:
    patterns: Array = traced[f"blocks.{layer}.attn.hook_pattern"][0]
    return patterns


def _added(network: Network, traced: Trace) -> Iterator[Added]:
    """Each part from one stream to the next: what it adds is their difference."""
    before = traced.stream(0)[0]
    yield Added("embedding", "blocks.0.hook_resid_pre", _norms(before), _norms(before))
    for number, step in enumerate(steps(network)[:-1]):
        name, hook = _named(step)
        after = _norms(traced.stream(number + 1)[0])
        yield Added(name, hook, _norms(traced[hook][0]), after)


def _named(step: Step) -> tuple[str, str]:
    """What a half-layer is called, and the hook point of what it adds."""
    match step:
        case Heads(layer):
            return f"layer {layer} heads", f"blocks.{layer}.hook_attn_out"
        case Neurons(layer):
            return f"layer {layer} neurons", f"blocks.{layer}.hook_mlp_out"
        case ReadOut():
            raise AssertionError("the read-out adds nothing to the stream")


def _norms(vectors: Array) -> Array:
    """[T], lengths of vectors [T, D], in double precision."""
    norms: Array = np.linalg.norm(vectors.astype(np.float64), axis=1)
    if not np.isfinite(norms).all():
        raise ModelFileError("the stream must hold finite numbers; the weights overflow")
    return norms


def _columns(task: Task, outputs: int) -> tuple[Value, ...]:
    match task.meaning:
        case Label(names):
            return names
        case Number():
            return ("number",)
        case None:
            return tuple(range(outputs))
        case _:
            return task.tokens
