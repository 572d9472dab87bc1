"""Which sampled programs count: the paper's final checks, and what Tracr can compile."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from random import Random

import numpy as np

from untracr.compile.blocks import key_size
from untracr.compile.canonical import count_paper_tokens
from untracr.compile.compiler import uses_one
from untracr.compile.layers import count_layers, half_layers
from untracr.compile.values import ValueSet, value_sets
from untracr.errors import EvaluationError, ProgramError
from untracr.rasp.domain import Domain
from untracr.rasp.interpreter import Batch, Column, Mask, numeric_values
from untracr.rasp.nodes import (
    CATEGORICAL,
    NUMERICAL,
    TOKENS,
    Aggregate,
    LinearSequenceMap,
    Map,
    Node,
    Ref,
    Select,
    SelectorWidth,
    SequenceMap,
)
from untracr.rasp.program import Program
from untracr.transformer.half_layer import HalfLayer

MIN_SPREAD = 0.5
"""Least sum over positions of the output's standard deviation over full-length inputs."""

SAMPLING_INPUTS = 18
FINAL_INPUTS = 118
_TEST_INPUT_SEED = "untracr test inputs"

_NEW, _NONE = -1, -2
"""Codes of outputs that are no value of the input, and of None."""


@functools.lru_cache(maxsize=256)
def fixed_inputs(domain: Domain, count: int) -> Batch:
    """A fixed batch of random inputs: half of them of full length, the others of any."""
    rng = Random(_TEST_INPUT_SEED)
    inputs = []
    for number in range(count):
        length = domain.max_seq_len
        if number % 2:
            length = 1 + int(rng.random() * domain.max_seq_len)
        inputs.append([domain.vocab[int(rng.random() * len(domain.vocab))] for _ in range(length)])
    return Batch(inputs)


def acceptable(
    program: Program,
    domain: Domain,
    *,
    max_tokens: int | None = None,
    max_weights: int | None = None,
) -> bool:
    """Whether a sampled program passes every final check.

    It must run without error; give None for at most half of any output;
    average only 0 and 1 numerically and move, not average, values
    categorically; not be nearly constant; not be the identity; read `tokens`;
    and compile with Tracr within the size limits.
    """
    if TOKENS not in program.reachable:
        return False
    batch = fixed_inputs(domain, FINAL_INPUTS)
    try:
        states = evaluate_all(program, batch)
    except EvaluationError:
        return False
    output = states[program.output]
    assert isinstance(output, Column)
    return (
        all(
            _aggregates_well(node, states, ref, batch)
            for ref, node in enumerate(program.nodes)
            if isinstance(node, Aggregate)
        )
        and not mostly_none(output, batch)
        and varies(output, batch)
        and not _is_identity(output, batch)
        and _fits(program, domain, max_tokens, max_weights)
    )


def evaluate_all(program: Program, batch: Batch) -> dict[Ref, Column | Mask]:
    """The state of every node on a batch."""
    states: dict[Ref, Column | Mask] = {}
    for ref, node in enumerate(program.nodes):
        states[ref] = batch.step(node, states)
    return states


def none_positions(column: Column, batch: Batch) -> Mask | None:
    """Where a column holds None, [batch, position]; None if no value is None."""
    none = [value is None for value in column.values]
    if not any(none):
        return None
    return np.array(none, dtype=np.bool_)[column.codes] & batch.valid


def mostly_none(column: Column, batch: Batch) -> bool:
    """Whether on some input more than half of the values are None."""
    missing = none_positions(column, batch)
    if missing is None:
        return False
    return bool((2 * np.count_nonzero(missing, axis=1) > batch.lengths).any())


def moves_values(output: Column, values: Column, batch: Batch) -> bool:
    """Whether every output is one of the same input's values, or None.

    A categorical Aggregate that averages cannot be compiled.
    """
    ids: dict[object, int] = {}
    inputs = np.array([ids.setdefault(value, len(ids)) for value in values.values])
    outputs = np.array([_NONE if v is None else ids.get(v, _NEW) for v in output.values])
    wanted = outputs[output.codes][:, :, None]
    found = (wanted == inputs[values.codes][:, None, :]) & batch.valid[:, None, :]
    fine = found.any(axis=2) | (wanted[:, :, 0] == _NONE) | ~batch.valid
    return bool(fine.all())


def _aggregates_well(
    node: Aggregate, states: dict[Ref, Column | Mask], ref: Ref, batch: Batch
) -> bool:
    values, output = states[node.sop], states[ref]
    assert isinstance(values, Column)
    assert isinstance(output, Column)
    if node.encoding is CATEGORICAL:
        return moves_values(output, values, batch)
    used = {values.values[code] for code in np.unique(values.codes[batch.valid])}
    return used <= {0, 1}


def varies(column: Column, batch: Batch) -> bool:
    """Whether outputs on full-length inputs spread enough; None counts as 0."""
    numbers, _ = numeric_values(column.values)
    full = batch.lengths == batch.valid.shape[1]
    return float(numbers[column.codes[full]].std(axis=0).sum()) >= MIN_SPREAD


def _is_identity(column: Column, batch: Batch) -> bool:
    same = np.array([[a == b for b in batch.tokens.values] for a in column.values], dtype=np.bool_)
    return bool((same[column.codes, batch.tokens.codes] | ~batch.valid).all())


def _fits(
    program: Program, domain: Domain, max_tokens: int | None, max_weights: int | None
) -> bool:
    layers = half_layers(program)
    if max_tokens is not None and count_paper_tokens(program, layers) > max_tokens:
        return False
    try:
        sets = value_sets(program, domain.vocab, domain.max_seq_len)
    except ProgramError:
        return False
    sizes = model_sizes(program, layers, sets, len(domain.vocab), domain.max_seq_len)
    return sizes.values_fit and (max_weights is None or sizes.n_weights <= max_weights)


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """Sizes of a compiled model, without compiling it.

    Attributes:
        values_fit: whether each head's values fit its key size; Tracr fails otherwise.
        n_weights: how many numbers the model would hold.
    """

    values_fit: bool
    n_weights: int


def model_sizes(
    program: Program,
    layers: dict[Ref, HalfLayer],
    sets: dict[Ref, ValueSet],
    n_vocab: int,
    max_seq_len: int,
) -> ModelSizes:
    """Counts residual dimensions, heads and neurons as Tracr allocates them."""

    def dims(ref: Ref) -> int:
        return len(sets[ref].ordered) if program.encoding(ref) is CATEGORICAL else 1

    n_layers = count_layers(layers)
    width = n_vocab + 2 + max_seq_len + sum(dims(ref) for ref in layers)
    heads, neurons = [0] * n_layers, [0] * n_layers
    d_head, d_value = 1, 1
    for ref, half_layer in layers.items():
        node, layer = program.nodes[ref], half_layer.layer
        if isinstance(node, (Aggregate, SelectorWidth)):
            select = program.nodes[node.selector]
            assert isinstance(select, Select)
            heads[layer] += 1
            d_head = max(d_head, key_size(dims(select.keys), dims(select.queries)))
            d_value = max(d_value, dims(ref) if isinstance(node, Aggregate) else 1)
        if isinstance(node, SelectorWidth):
            width += 1
            neurons[layer] += 2 * max_seq_len + 2
        elif not isinstance(node, Aggregate):
            neurons[layer] += _neurons(ref, node, program, sets)
    width += any(uses_one(program, ref) for ref in layers)
    n_heads, d_mlp = max(1, *heads), max(1, *neurons)
    embeddings = (n_vocab + 2 + max_seq_len + 1) * width
    attention = 4 * width * n_heads * d_head + 3 * n_heads * d_head + width
    mlp = 2 * width * d_mlp + d_mlp + width
    return ModelSizes(d_value <= d_head, embeddings + n_layers * (attention + mlp))


def _neurons(ref: Ref, node: Node, program: Program, sets: dict[Ref, ValueSet]) -> int:
    """Neurons of one MLP operation."""
    match node:
        case LinearSequenceMap():
            return 4
        case SequenceMap(_, fst, snd) if fst != snd:
            return len(sets[fst].ordered) * len(sets[snd].ordered)
        case Map(_, inner) if program.encoding(inner) is NUMERICAL:
            return max(1, 2 * len(sets[inner].ordered) - 1)
        case _:
            is_categorical = program.encoding(ref) is CATEGORICAL
            return len(sets[ref].ordered) if is_categorical else 1
