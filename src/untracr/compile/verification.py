"""Runs weights against the program they were compiled from.

Every SOp is compared with its residual dimensions, and the first expression on
the way whose weights say something else is named. Programs in which nothing can
go wrong need no run (`untracr.compile.suspicion.is_suspicious`), and only some
inputs of the others (`verify` with ``only_suspicious``).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from untracr.compile.blocks import key_size
from untracr.compile.compiler import Compiled
from untracr.compile.culprits import culprits
from untracr.compile.program_run import ProgramRun, shown
from untracr.compile.suspicious_inputs import suspicious_rows
from untracr.errors import Problem
from untracr.rasp.domain import Domain
from untracr.rasp.functions import Value, types_of
from untracr.rasp.interpreter import CELLS_AT_A_TIME, MAX_BATCH, Batch
from untracr.rasp.program import Aggregate, Program, Select, SelectorWidth

MAX_INPUTS = 5_000
"""Inputs the behavioural check runs: all of a smaller domain, else a fixed sample."""

MAX_PRODUCTS = 20_000_000_000
"""Products of numbers for which weights are run: some seconds."""

_SAMPLE_SEED = 20_260_101

_FEWEST = 64
"""Inputs checked however long they are."""


@dataclass(frozen=True)
class Verification:
    """The outcome of running weights against the program.

    Attributes:
        problems: errors where an output differs, warnings where only a value
            on the way does.
        inputs_checked: how many inputs were looked at.
        domain_size: how many there are.
    """

    problems: tuple[Problem, ...]
    inputs_checked: int
    domain_size: int

    @property
    def exhaustive(self) -> bool:
        """Whether every input of the domain was looked at."""
        return self.inputs_checked == self.domain_size

    @property
    def ok(self) -> bool:
        """Whether every output was right."""
        return not any(problem.severity == "error" for problem in self.problems)


def verify(
    program: Program,
    compiled: Compiled,
    domain: Domain,
    *,
    max_inputs: int = MAX_INPUTS,
    only_suspicious: bool = False,
) -> Verification:
    """Runs the weights against the program.

    Args:
        program: the program that was compiled, composite selectors lowered.
        compiled: its weights.
        domain: the inputs; all of them, or a fixed sample of ``max_inputs`` (fewer
            where inputs are very long).
        only_suspicious: run weights on at most
            `untracr.compile.suspicious_inputs.MAX_SUSPECTS` of the inputs on which
            something can go wrong by what the program computes.
    """
    most = _most_inputs(compiled, domain.max_seq_len, max_inputs)
    batch = _batch(domain, types_of(domain.vocab), compiled.transformer.causal, most)
    run = ProgramRun(program, compiled, batch, len(batch) < domain.size)
    failure = run.evaluate()
    if failure is not None:
        return Verification((failure,), len(batch), domain.size)
    problems: list[Problem] = []
    if only_suspicious:
        rows = suspicious_rows(run)
    else:
        rows = np.arange(len(batch))
        problems += _widened_heads(program, compiled)
    if len(rows):
        problems += culprits(run, rows)
    return Verification(tuple(problems), len(batch), domain.size)


def _most_inputs(compiled: Compiled, length: int, wanted: int) -> int:
    """On how many inputs the weights may be run, by what a run of the longest costs."""
    products = compiled.transformer.n_parameters * (length + 1)
    most = min(wanted, CELLS_AT_A_TIME // length**2, MAX_PRODUCTS // products)
    return max(1, most, min(_FEWEST, MAX_BATCH // length**2, 10 * MAX_PRODUCTS // products))


@functools.lru_cache(maxsize=4)
def _batch(domain: Domain, types: tuple[type, ...], causal: bool, max_inputs: int) -> Batch:
    """The inputs; ``types`` tells vocabularies of 1 and True apart in the cache."""
    if domain.size <= max_inputs:
        return Batch.of_domain(domain, causal=causal)
    return Batch(list(_sample(domain, max_inputs)), causal=causal)


def _sample(domain: Domain, count: int) -> Iterator[Sequence[Value]]:
    """The shortest inputs, half of ``count``, then random ones, every other of full length."""
    yield from itertools.islice(domain, count // 2)
    random = Random(_SAMPLE_SEED)
    for number in range(count - count // 2):
        length = domain.max_seq_len if number % 2 else random.randint(1, domain.max_seq_len)
        yield [random.choice(domain.vocab) for _ in range(length)]


def _widened_heads(program: Program, compiled: Compiled) -> list[Problem]:
    """Warns of heads that need more value columns than Tracr gives them."""
    size = _tracr_key_size(program, compiled)
    return [
        Problem(
            shown(program, ref),
            f"an Aggregate moves {len(parts.dims)} values, more than the {size} columns that the "
            "keys and queries of the model's Selects need; Tracr crashes on it, we make all heads "
            "wider",
            "nothing; or use fewer values if Tracr is to compile it",
            "warning",
            ref,
        )
        for ref, parts in compiled.node_map.items()
        if isinstance(program.nodes[ref], Aggregate) and len(parts.dims) > size
    ]


def _tracr_key_size(program: Program, compiled: Compiled) -> int:
    """The key_size that Tracr would choose: it counts keys and queries only."""
    size = 1
    for ref in compiled.node_map:
        node = program.nodes[ref]
        if isinstance(node, (Aggregate, SelectorWidth)):
            select = program.nodes[node.selector]
            assert isinstance(select, Select)
            keys, queries = (compiled.value_sets[r].ordered for r in (select.keys, select.queries))
            size = max(size, key_size(len(keys), len(queries)))
    return size
