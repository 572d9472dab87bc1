"""RASP to transformer weights: the same weights as Tracr, in Tracr's order.

The stages read top to bottom in `compile_program`: value sets, half-layers,
the residual basis, the weights of each operation, and their assembly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from untracr.bounds import MAX_MODEL_WEIGHTS
from untracr.compile import blocks
from untracr.compile.layers import half_layers
from untracr.compile.residual import ONE, Dims, Residual
from untracr.compile.values import ValueSet, value_sets
from untracr.errors import ProgramError, UsageError
from untracr.rasp.domain import BOS, PAD
from untracr.rasp.functions import Value
from untracr.rasp.nodes import (
    CATEGORICAL,
    INDICES,
    TOKENS,
    Aggregate,
    LinearSequenceMap,
    Map,
    Ref,
    Select,
    SelectorWidth,
    SequenceMap,
)
from untracr.rasp.program import Program
from untracr.rasp.spent import TooCostly
from untracr.rasp.values import tracr_sorted
from untracr.short_repr import short_repr
from untracr.transformer.half_layer import HalfLayer
from untracr.transformer.transformer import Array, Transformer

MLP_EXACTNESS = 100
"""Tracr's slope of the steps by which MLPs compute functions of numbers."""

SLOPE_BOUND = 1e30
"""Slopes from here on have no place in single precision."""

CLEAN_BOS = "_hidden_clean_bos_"
"""Tracr's hidden name, by which it is sorted, of the neuron that corrects BOS."""


def slope_of(mlp_exactness: object) -> float:
    """The slope that an mlp_exactness asks for; of ``"auto"`` the one to begin with.

    Raises:
        UsageError: it is not a number above 0, nor ``"auto"``.
    """
    if mlp_exactness == "auto":
        return MLP_EXACTNESS
    if isinstance(mlp_exactness, (int, float)) and 0 < mlp_exactness < SLOPE_BOUND:
        return mlp_exactness
    raise UsageError(
        f"mlp_exactness must be a number above 0 and below {SLOPE_BOUND:g}, or 'auto', "
        f"not {mlp_exactness!r:.60}"
    )


@dataclass(frozen=True)
class NodeParts:
    """Where one operation lives in the weights.

    Attributes:
        half_layer: the first that it takes. None for inputs.
        dims: residual dimensions that hold its value, in the order of ``values``.
        values: the value of each dimension; (None,) for a numerical SOp.
        heads: (layer, head) pairs.
        layer: the layer of its neurons, None without neurons.
        neurons: hidden neurons of that layer.
        auxiliary_dims: residual dimensions used on the way (SelectorWidth).
    """

    half_layer: HalfLayer | None
    dims: tuple[int, ...]
    values: tuple[Value, ...]
    heads: tuple[tuple[int, int], ...] = ()
    layer: int | None = None
    neurons: tuple[int, ...] = ()
    auxiliary_dims: tuple[int, ...] = ()

    __repr__ = short_repr


@dataclass(frozen=True)
class Compiled:
    """A compiled program.

    Attributes:
        transformer: the weights, with the read-out.
        node_map: where each SOp lives.
        residual: the residual basis.
        token_values: the value of each row of W_E, BOS and PAD included.
        value_sets: the values each SOp can take.
        bos_id: the row of W_E that stands for BOS.
        mlp_exactness: the slope of its steps.
    """

    transformer: Transformer
    node_map: dict[Ref, NodeParts]
    residual: Residual
    token_values: tuple[Value, ...]
    value_sets: dict[Ref, ValueSet]
    bos_id: int
    mlp_exactness: float = MLP_EXACTNESS

    __repr__ = short_repr

    def with_rows(self, token_values: tuple[Value, ...]) -> Compiled:
        """The same with the rows of W_E in another order of their values."""
        rows = [self.token_values.index(value) for value in token_values]
        return replace(
            self,
            transformer=self.transformer.replace(W_E=self.transformer.W_E[rows]),
            token_values=token_values,
            bos_id=rows.index(self.bos_id),
        )


def compile_program(
    program: Program,
    vocab: Iterable[Value],
    max_seq_len: int,
    *,
    causal: bool = False,
    bos: str = BOS,
    pad: str = PAD,
    mlp_exactness: float = MLP_EXACTNESS,
) -> Compiled:
    """Compiles a program to weights.

    Args:
        program: the program; composite selectors must have been lowered
            (`untracr.compile.lowering`).
        vocab: the tokens.
        max_seq_len: the longest input, BOS not counted.
        causal: mask attention to later positions.
        bos, pad: names of the two special tokens.
        mlp_exactness: slope of the steps by which MLPs compute functions of numbers.

    Raises:
        ProgramError: the program has no operation, or cannot be compiled.
    """
    program = _with_free_labels(program)
    layers = half_layers(program)
    if not layers:
        raise ProgramError("a program needs at least one operation; this one returns its input")
    sets = value_sets(program, vocab, max_seq_len)
    token_values = tracr_sorted((*_in_set_order(vocab), bos, pad))
    residual = _residual(program, sets, token_values, max_seq_len)
    bos_id = token_values.index(bos)
    bos_dim = residual.dim("tokens") + bos_id
    assembly = _Assembly(program, sets, residual, float(mlp_exactness), bos_dim)
    for ref, half_layer in layers.items():
        assembly.place(ref, half_layer)
    transformer, node_map = assembly.finish(layers, token_values, max_seq_len, causal)
    return Compiled(
        transformer, node_map, residual, token_values, sets, bos_id, float(mlp_exactness)
    )


def _with_free_labels(program: Program) -> Program:
    """The program without labels that the compiler's own directions have, as ``one`` has."""
    widths = [ref for ref, node in enumerate(program.nodes) if isinstance(node, SelectorWidth)]
    own = {ONE, *(attention_output_label(program.labels[ref]) for ref in widths)}
    if own.isdisjoint(program.labels):
        return program
    taken = own | set(program.labels)
    labels = list(program.labels)
    for ref, label in enumerate(labels):
        if label in own:
            while labels[ref] in taken:
                labels[ref] += "_"
            taken.add(labels[ref])
    return replace(program, labels=tuple(labels))


def _in_set_order(vocab: Iterable[Value]) -> tuple[Value, ...]:
    """The vocabulary as Tracr's set iterates it."""
    return tuple(vocab) if isinstance(vocab, (set, frozenset)) else tuple(set(vocab))


def _residual(
    program: Program,
    sets: dict[Ref, ValueSet],
    token_values: tuple[Value, ...],
    max_seq_len: int,
) -> Residual:
    spaces: dict[str, tuple[Value, ...]] = {
        "tokens": token_values,
        "indices": tuple(range(max_seq_len)),
    }
    for ref, values in sets.items():
        if ref in (TOKENS, INDICES):
            continue
        node, label = program.nodes[ref], program.labels[ref]
        is_categorical = program.encoding(ref) is CATEGORICAL
        spaces[label] = values.ordered if is_categorical else (None,)
        if isinstance(node, SelectorWidth):
            spaces[attention_output_label(label)] = (None,)
        if uses_one(program, ref):
            spaces[ONE] = (None,)
    return Residual.build(spaces)


def attention_output_label(label: str) -> str:
    """Tracr's name of the direction between a SelectorWidth's head and its MLP."""
    return f"{label}_selector_width_attn_output"


def uses_one(program: Program, ref: Ref) -> bool:
    """Whether an operation reads the constant direction."""
    node = program.nodes[ref]
    match node:
        case Aggregate() | SelectorWidth():
            return True
        case SequenceMap(fst=fst, snd=snd):
            return fst != snd
        case Map(inner=inner):
            return program.encoding(inner) is not CATEGORICAL
        case _:
            return False


@dataclass
class _Assembly:
    """Collects blocks half-layer by half-layer, then writes the arrays."""

    program: Program
    sets: dict[Ref, ValueSet]
    residual: Residual
    exactness: float
    bos_dim: int
    heads: dict[int, list[tuple[Ref, blocks.Head]]] = field(default_factory=dict)
    neurons: dict[int, list[tuple[Ref, blocks.Neurons]]] = field(default_factory=dict)
    clean_bos: dict[int, list[Ref]] = field(default_factory=dict)

    def dims(self, ref: Ref) -> Dims:
        """The residual dimensions of a SOp's values; BOS and PAD not among the tokens'."""
        dims = self.residual.dims(self.program.labels[ref])
        if ref == TOKENS:
            values = self.residual.values["tokens"]
            known = set(self.sets[TOKENS].ordered) if TOKENS in self.sets else set()
            dims = dims[[i for i, value in enumerate(values) if value in known]]
        return dims

    def place(self, ref: Ref, half_layer: HalfLayer) -> None:
        """Builds the blocks of one operation."""
        node, layer = self.program.nodes[ref], half_layer.layer
        match node:
            case Map() | SequenceMap() | LinearSequenceMap():
                runs = self._mlp(ref, node)
                self.neurons.setdefault(layer, []).extend((ref, run) for run in runs)
            case Aggregate(selector=selector, sop=sop):
                head = self._head(selector, 0.5, self.dims(sop), self.dims(ref))
                self.heads.setdefault(layer, []).append((ref, head))
            case SelectorWidth(selector=selector):
                self._selector_width(ref, selector, layer)
            case _:
                raise TypeError(f"not an operation: {node}")

    def _head(
        self, selector: Ref, bos_weight: float, value_dims: Dims, out_dims: Dims
    ) -> blocks.Head:
        select = self.program.nodes[selector]
        if not isinstance(select, Select):
            raise ProgramError(f"composite selectors must be lowered before compiling: {select}")
        return blocks.attention_head(
            select.predicate,
            self.sets[select.keys].ordered,
            self.dims(select.keys),
            self.sets[select.queries].ordered,
            self.dims(select.queries),
            bos_dim=self.bos_dim,
            one_dim=self.residual.dim(ONE),
            bos_logit=bos_weight * blocks.COLDNESS,
            value_dims=value_dims,
            out_dims=out_dims,
        )

    def _selector_width(self, ref: Ref, selector: Ref, layer: int) -> None:
        label = self.program.labels[ref]
        auxiliary = self.residual.dim(attention_output_label(label))
        head = self._head(selector, 1.0, np.array([self.bos_dim]), np.array([auxiliary]))
        self.heads.setdefault(layer, []).append((ref, head))
        counts = [width for width in self.sets[ref].unordered if isinstance(width, int)]
        widths = ValueSet.of({1 / (width + 1) for width in counts})
        runs = blocks.staircase(
            _WIDTH, label, widths, auxiliary, self.residual.dim(ONE), **self._target(ref)
        )
        self.neurons.setdefault(layer, []).extend((ref, run) for run in runs)
        self.clean_bos.setdefault(layer, []).append(ref)

    def _target(self, ref: Ref) -> blocks.StaircaseTarget:
        if self.program.encoding(ref) is CATEGORICAL:
            return {"exactness": self.exactness, "out_dims": self._dim_by_value(ref)}
        return {"exactness": self.exactness, "out_dim": int(self.dims(ref)[0])}

    def _dim_by_value(self, ref: Ref) -> dict[Value, int]:
        return dict(zip(self.sets[ref].ordered, self.dims(ref).tolist(), strict=True))

    def _mlp(self, ref: Ref, node: Map | SequenceMap | LinearSequenceMap) -> list[blocks.Neurons]:
        label, dims = self.program.labels[ref], self.dims(ref)
        match node:
            case LinearSequenceMap(fst, snd, fst_factor, snd_factor):
                fst_dim, snd_dim = int(self.dims(fst)[0]), int(self.dims(snd)[0])
                return blocks.linear(label, fst_dim, snd_dim, fst_factor, snd_factor, int(dims[0]))
            case SequenceMap(function, fst, snd) if fst != snd:
                return [
                    blocks.pairwise_and(
                        function,
                        label,
                        self.sets[fst],
                        self.dims(fst),
                        self.sets[snd],
                        self.dims(snd),
                        self.residual.dim(ONE),
                        self._dim_by_value(ref),
                    )
                ]
            case SequenceMap(function, inner) | Map(function, inner):
                values, inner_dims = self.sets[inner], self.dims(inner)
                if self.program.encoding(inner) is not CATEGORICAL:
                    return blocks.staircase(
                        function,
                        label,
                        values,
                        int(inner_dims[0]),
                        self.residual.dim(ONE),
                        **self._target(ref),
                    )
                if self.program.encoding(ref) is CATEGORICAL:
                    return [
                        blocks.lookup(function, label, values, inner_dims, self.sets[ref], dims)
                    ]
                return [blocks.weighted_sum(function, label, values, inner_dims, int(dims[0]))]

    def finish(
        self,
        layers: dict[Ref, HalfLayer],
        token_values: tuple[Value, ...],
        max_seq_len: int,
        causal: bool,
    ) -> tuple[Transformer, dict[Ref, NodeParts]]:
        """Writes all blocks into arrays."""
        runs = {layer: self._sorted_runs(layer) for layer in self.neurons}
        arrays = self._zeros(runs)
        where: dict[Ref, dict[str, object]] = {ref: {} for ref in layers}
        self._write_heads(arrays, where)
        for layer, ordered in runs.items():
            self._write_neurons(
                layer, ordered, arrays["W_in"][layer], arrays["W_out"][layer], where
            )
        W_E, W_pos = self._embeddings(token_values, max_seq_len)
        W_U, output_values = self._read_out()
        transformer = Transformer(
            W_E=W_E,
            W_pos=W_pos,
            **arrays,
            causal=causal,
            W_U=W_U,
            output_values=output_values,
        )
        return transformer, self._node_map(layers, where)

    def _zeros(self, runs: dict[int, list[tuple[Ref | None, blocks.Neurons]]]) -> dict[str, Array]:
        """All arrays of the layers, still empty."""
        n_layers = 1 + max(max(self.heads, default=0), max(self.neurons, default=0))
        n_heads = max((len(heads) for heads in self.heads.values()), default=1)
        all_heads = [head for heads in self.heads.values() for _, head in heads]
        # Tracr sizes heads by queries and keys alone, and fails where values need more.
        d_head = max((max(head.d_head, head.d_value) for head in all_heads), default=1)
        d_mlp = max((sum(run.count for _, run in rs) for rs in runs.values()), default=1)
        width = self.residual.width
        shapes: dict[str, tuple[int, ...]] = {
            "W_Q": (n_heads, width, d_head),
            "b_Q": (n_heads, d_head),
            "W_K": (n_heads, width, d_head),
            "b_K": (n_heads, d_head),
            "W_V": (n_heads, width, d_head),
            "b_V": (n_heads, d_head),
            "W_O": (n_heads, d_head, width),
            "b_O": (width,),
            "W_in": (width, d_mlp),
            "b_in": (d_mlp,),
            "W_out": (d_mlp, width),
            "b_out": (width,),
        }
        numbers = n_layers * sum(math.prod(shape) for shape in shapes.values())
        ends = (self.residual.values["tokens"], self.residual.values["indices"])
        numbers += width * (sum(map(len, ends)) + len(self.dims(self.program.output)))
        if numbers > MAX_MODEL_WEIGHTS:
            raise TooCostly(
                f"a model may have at most {MAX_MODEL_WEIGHTS:,} weights; this program takes "
                f"{numbers:,}: {n_layers} layers of {width:,} dimensions and {d_mlp:,} neurons"
            )
        return {
            name: np.zeros((n_layers, *shape), dtype=np.float32) for name, shape in shapes.items()
        }

    def _write_heads(self, arrays: dict[str, Array], where: dict[Ref, dict[str, object]]) -> None:
        for layer, placed in self.heads.items():
            for h, (ref, head) in enumerate(placed):
                for name, (rows, columns, values) in (
                    ("W_Q", head.query),
                    ("W_K", head.key),
                    ("W_V", head.value),
                    ("W_O", head.out),
                ):
                    arrays[name][layer, h][rows, columns] = values
                where[ref]["heads"] = ((layer, h),)

    def _sorted_runs(self, layer: int) -> list[tuple[Ref | None, blocks.Neurons]]:
        """A layer's neurons in Tracr's order: runs by hidden name."""
        runs: list[tuple[Ref | None, blocks.Neurons]] = list(self.neurons[layer])
        if layer in self.clean_bos:
            runs.append((None, self._clean_bos(self.clean_bos[layer])))
        return sorted(runs, key=lambda run: run[1].name)

    def _clean_bos(self, widths: list[Ref]) -> blocks.Neurons:
        """The neuron that takes back what SelectorWidths wrote at BOS.

        Tracr shares one neuron between the SelectorWidths of a layer and adds
        up its input once for each: with two of them BOS is corrected twice
        over. We write the same weights; `untracr.diagnose.checks` reports it.
        """
        rows: list[int] = []
        for ref in widths:
            rows.append(self.residual.dim(attention_output_label(self.program.labels[ref])))
            if self.program.encoding(ref) is CATEGORICAL:
                rows.append(self._dim_by_value(ref)[0])
        zero = np.zeros(1, dtype=np.int64)
        return blocks.Neurons(
            CLEAN_BOS,
            1,
            (np.array([self.bos_dim]), zero, np.array([float(len(widths))])),
            (np.zeros(len(rows), dtype=np.int64), np.array(rows), -np.ones(len(rows))),
        )

    def _write_neurons(
        self,
        layer: int,
        ordered: list[tuple[Ref | None, blocks.Neurons]],
        W_in: Array,
        W_out: Array,
        where: dict[Ref, dict[str, object]],
    ) -> None:
        start = 0
        for ref, run in ordered:
            rows, columns, values = run.read
            W_in[rows, columns + start] = values
            rows, columns, values = run.write
            W_out[rows + start, columns] = values
            if ref is not None:
                so_far = where[ref].get("neurons", ())
                assert isinstance(so_far, tuple)
                where[ref]["neurons"] = (*so_far, *range(start, start + run.count))
                where[ref]["layer"] = layer
            start += run.count

    def _embeddings(self, token_values: tuple[Value, ...], max_seq_len: int) -> tuple[Array, Array]:
        W_E = np.zeros((len(token_values), self.residual.width), dtype=np.float32)
        each = np.arange(len(token_values))
        W_E[each, self.residual.dims("tokens")] = 1.0
        if ONE in self.residual.starts:
            W_E[:, self.residual.dim(ONE)] = 1.0
        W_pos = np.zeros((max_seq_len + 1, self.residual.width), dtype=np.float32)
        W_pos[1 + np.arange(max_seq_len), self.residual.dims("indices")] = 1.0
        return W_E, W_pos

    def _read_out(self) -> tuple[Array, tuple[Value, ...] | None]:
        dims = self.dims(self.program.output)
        W_U = np.zeros((self.residual.width, len(dims)), dtype=np.float32)
        W_U[dims, np.arange(len(dims))] = 1.0
        if self.program.encoding(self.program.output) is CATEGORICAL:
            return W_U, self.sets[self.program.output].ordered
        return W_U, None

    def _node_map(
        self, layers: dict[Ref, HalfLayer], where: dict[Ref, dict[str, object]]
    ) -> dict[Ref, NodeParts]:
        node_map: dict[Ref, NodeParts] = {}
        for ref in self.program.sops:
            is_categorical = self.program.encoding(ref) is CATEGORICAL
            values = self.sets[ref].ordered if is_categorical else (None,)
            label = attention_output_label(self.program.labels[ref])
            auxiliary = (self.residual.dim(label),) if label in self.residual.starts else ()
            node_map[ref] = NodeParts(
                half_layer=layers.get(ref),
                dims=tuple(self.dims(ref).tolist()),
                values=values,
                auxiliary_dims=auxiliary,
                **where.get(ref, {}),  # type: ignore[arg-type]
            )
        return node_map


@dataclass(frozen=True)
class _SelectorWidthFunction:
    """``round(1 / x - 1)``: from the mean of BOS over the selected back to their number."""

    arity: int = 1

    def __call__(self, x: Value) -> Value:
        assert isinstance(x, float)
        return round(1 / x - 1)


_WIDTH = _SelectorWidthFunction()


def half_layer_order(compiled: Compiled) -> Sequence[Ref]:
    """Operations by half-layer, then by their first head or neuron."""
    parts = compiled.node_map

    def key(ref: Ref) -> tuple[HalfLayer, int]:
        part = parts[ref]
        assert part.half_layer is not None
        first = part.heads[0][1] if part.heads else min(part.neurons, default=0)
        return part.half_layer, first

    return sorted((ref for ref in parts if parts[ref].half_layer is not None), key=key)
