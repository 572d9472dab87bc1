"""The search: operations compared with the weights one by one, proposals, budgets, verdicts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from compiled_models import bare, model_of
from steps import at_most
from untracr.ambiguity.checking import check
from untracr.compile.canonical import canonicalise
from untracr.compile.compiler import compile_program, half_layer_order
from untracr.decompile.bundled import bundled_decompiler
from untracr.decompile.decompiler import Decompiler
from untracr.decompile.fitting import Fitter
from untracr.decompile.proposals import Proposal
from untracr.decompile.proposers import Proposals, Uniform, proposer
from untracr.decompile.search import Deadline, ProgramSearch
from untracr.decompile.state import State
from untracr.metamodel.numpy_network import NumpyNetwork
from untracr.rasp.batches import SAMPLED
from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.rasp.equivalence import decide_equivalence
from untracr.rasp.functions import formula
from untracr.rasp.listed_functions import BINARY
from untracr.rasp.nodes import CATEGORICAL, INDICES, NUMERICAL, TOKENS, Map, SequenceMap
from untracr.rasp.program import Builder, Program
from untracr.read.operations import (
    AggregateOperation,
    MapOperation,
    Operation,
    SequenceMapOperation,
    operation_of,
)
from untracr.sample.sampler import sample_program
from untracr.syntax.library import named_program
from untracr.syntax.parsing import parse
from untracr.transformer import treatments
from untracr.transformer.transformer import Transformer
from untracr.verify.alignment import align
from untracr.verify.recompiling import recompile

VOCAB = PAPER_DOMAIN.vocab
MINUS = BINARY.index(formula("x - y", 2))

Treat = Callable[[Transformer, np.random.Generator], Transformer]

TREATMENTS: dict[str, Treat] = {
    "none": lambda m, rng: m,
    "rotated": treatments.rotate,
    "compressed": lambda m, rng: treatments.rotate_and_compress(m, rng, include_bos=True).model,
    "noise": lambda m, rng: treatments.add_noise(m, rng, 0.03),
}


@pytest.fixture(scope="module")
def network(untrained: Path) -> NumpyNetwork:
    """A network that was never trained."""
    return NumpyNetwork.load(untrained)


def true_operations(program: Program) -> list[Operation]:
    """What is to be written for a program, in the order of its heads and neurons."""
    order = half_layer_order(compile_program(program, VOCAB, PAPER_DOMAIN.max_seq_len))
    slots = {TOKENS: 0, INDICES: 1, **{ref: 2 + n for n, ref in enumerate(order)}}
    return [operation_of(program, ref, slots) for ref in order]


NEVER, OVER = Deadline(math.inf), Deadline(-math.inf)


def recompiles(program: Program, model: Transformer) -> str:
    """How a program's weights stand to a model's."""
    again = recompile(canonicalise(program), PAPER_DOMAIN, model)
    return "too large" if again is None else align(model, again).relation


@dataclass(frozen=True)
class Only:
    """Proposes nothing but these operations, one after the other."""

    operations: list[Operation]
    max_dead_ends: int = 1

    def writing(self) -> None:
        """There is no network."""

    def proposals(self, fitter: Fitter, state: State) -> Iterator[Proposal]:
        """The next one."""
        for operation in self.operations[len(state.operations) :][:1]:
            yield Proposal(operation, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", TREATMENTS)
def test_true_operations_are_held_by_the_weights(name: str) -> None:
    """Each operation of a program is accepted in its place, and all together leave nothing over."""
    rng = np.random.default_rng(1)
    lost = 0
    for index in range(20):
        program = sample_program(601, index)
        model = model_of(program)
        treated = TREATMENTS[name](bare(model), rng)
        task = ProgramSearch(treated, VOCAB, Only(true_operations(program)))
        written = next(task.programs(NEVER), None)
        if written is None:
            lost += 1
            continue
        assert decide_equivalence(written, program, PAPER_DOMAIN).equal
    assert lost <= (name == "compressed")  # too little is left of the smallest models


@pytest.mark.parametrize("name", TREATMENTS)
def test_wrong_operations_are_refuted(name: str) -> None:
    """Another table, arguments, kind or order, or an operation too few, does not fit."""
    rng = np.random.default_rng(2)
    builder = Builder()
    one = builder.add(Map(formula("x + 1"), TOKENS, CATEGORICAL), "sop_00")
    program = builder.build(
        builder.add(SequenceMap(formula("x * y", 2), one, INDICES, CATEGORICAL), "sop_01")
    )
    model = model_of(program)
    treated = TREATMENTS[name](bare(model), rng)
    first, second = true_operations(program)
    assert isinstance(first, MapOperation)
    assert isinstance(second, SequenceMapOperation)
    wrong: dict[str, list[Operation]] = {
        "table": [first, replace(second, choice=MINUS)],
        "arguments": [first, replace(second, fst=1, snd=2)],
        "kind": [replace(first, encoding=NUMERICAL), second],
        "a head's": [first, AggregateOperation(2, 1, 0, 2, CATEGORICAL)],
        "too few": [first],
        "order": [second, first],
    }
    for what, operations in wrong.items():
        task = ProgramSearch(treated, VOCAB, Only(operations))
        assert not list(task.programs(NEVER)), what
    assert list(ProgramSearch(treated, VOCAB, Only([first, second])).programs(NEVER))


def test_a_liar_only_costs_time() -> None:
    """What is proposed as certain and is wrong is refuted: no program is written of it."""
    honest, lies = [], []
    for index in range(12):
        program = sample_program(606, index)
        model = model_of(program)
        honest.append((program, bare(model), true_operations(program)))
    for (program, model, _), (_, _, others) in itertools.permutations(honest, 2):
        for written in ProgramSearch(model, VOCAB, Only(others)).programs(NEVER):
            lies.append(written)
            assert recompiles(written, model) == "identical", program
    assert len(lies) < 12


@pytest.mark.parametrize("proposals", ["network", "uniform"])
def test_the_search_needs_no_trained_network(network: NumpyNetwork, proposals: Proposals) -> None:
    """Whatever is proposed first, the programs found compile to the model's weights."""
    rng = np.random.default_rng(3)
    for index in range(6):
        program = sample_program(602, index)
        model = treatments.rotate(bare(model_of(program)), rng)
        written = next(ProgramSearch(model, VOCAB, proposer(proposals, network)).programs(NEVER))
        assert recompiles(written, model) == "rotated"


@pytest.mark.slow
def test_greedy_mistakes_are_mended(untrained: Path) -> None:
    """With a network that knows nothing the greedy answer is wrong, and the result is right."""
    decompiler = Decompiler(untrained)
    mended = 0
    for index in range(8):
        program = sample_program(603, index)
        model = bare(model_of(program))
        greedy = decompiler.decompile(model, greedy=True)
        result = decompiler.decompile(model, budget=20)
        assert result.verdict == "identical"
        assert result.search is not None
        mended += greedy.verdict != "identical"
        if greedy.verdict != "identical":
            assert result.search.operations > 0
            assert result.search.candidates >= 1
            assert result.search.greedy_source != result.source
    assert mended >= 6


@pytest.mark.slow
def test_other_programs_of_the_same_weights_hold_the_truth() -> None:
    """What is shown as identical is the program that was compiled, or that is listed beside it."""
    rng = np.random.default_rng(5)
    decompiler, listed = bundled_decompiler(), 0
    for index in range(60):
        program = sample_program(604, index)
        model = treatments.rotate(bare(model_of(program)), rng)
        result = decompiler.decompile(model)
        assert result.verdict == "identical"
        assert result.program is not None
        others = check(model, result.program, PAPER_DOMAIN, settle=False).others
        same = [
            decide_equivalence(p, program, PAPER_DOMAIN).equal for p in (result.program, *others)
        ]
        assert any(same)
        listed += not same[0]
    assert listed > 0  # else this test shows nothing


@pytest.mark.slow
def test_compressed_models_are_settled_by_their_read_out() -> None:
    """x - 1 is told from x + 1, and the sign of an output from the other one."""
    rng = np.random.default_rng(6)
    decompiler, equivalent = bundled_decompiler(), 0
    for index in range(30):
        program = sample_program(605, index)
        model = treatments.rotate_and_compress(model_of(program), rng, include_bos=True).model
        result = decompiler.decompile(model)
        if result.verdict == "equivalent":
            equivalent += 1
            assert result.program is not None
            assert result.inputs_checked == PAPER_DOMAIN.size
            assert decide_equivalence(result.program, program, PAPER_DOMAIN).equal
    assert equivalent >= 20


def test_a_changed_function_is_told_with_its_share_of_inputs() -> None:
    """Compression without BOS leaves the weights recognisable and the outputs wrong."""
    program = named_program("sort").program
    raw = model_of(program)
    model = treatments.compress(raw, np.random.default_rng(7)).model
    found = check(model, program, PAPER_DOMAIN)
    assert found.verdict == "unverified"
    assert found.evidence.weights == "projected"
    assert found.evidence.inputs_checked == PAPER_DOMAIN.size
    assert 0 <= found.evidence.inputs_agree < PAPER_DOMAIN.size
    share = 100 * found.evidence.inputs_agree / PAPER_DOMAIN.size
    assert f"({share:.1f}%)" in found.detail


@pytest.mark.slow
def test_large_domains_are_tested_not_proved() -> None:
    """Of more inputs than can be run some are drawn, and the verdict says so."""
    builder = Builder()
    domain = Domain(tuple(range(10)), 8)
    one = builder.add(Map(formula("x % 3"), TOKENS, CATEGORICAL), "sop_00")
    program = builder.build(
        builder.add(SequenceMap(formula("x + y", 2), one, INDICES, CATEGORICAL), "sop_01")
    )
    raw = model_of(program, domain)
    model = treatments.rotate_and_compress(raw, np.random.default_rng(8), include_bos=True).model
    found = check(model, program, domain)
    assert found.verdict == "tested"
    assert 0.9 * SAMPLED < found.inputs_checked <= SAMPLED < domain.size
    assert f"tested on {found.inputs_checked:,} different inputs" in found.detail
    result = bundled_decompiler().decompile(model)
    assert (result.verdict, result.is_proved) == ("tested", False)


def test_a_budget_bounds_the_search() -> None:
    """Weights that hold a program of another kind than is written: the search ends."""
    rng = np.random.default_rng(9)
    model = model_of(named_program("sort").program)
    weights = model.W_out + rng.normal(0, 0.2, model.W_out.shape).astype(np.float32)
    changed = bare(model.replace(W_out=weights))
    with at_most(20_000_000):
        result = bundled_decompiler().decompile(changed, budget=0.5)
    assert result.verdict == "unverified"
    assert not list(ProgramSearch(changed, VOCAB, Uniform()).programs(OVER))


def test_departures_of_the_weights_are_counted() -> None:
    """A ReLU cuts negative sums, so these weights do not do what the program says; others do."""
    text = (
        "a = numerical(Map(lambda x: x - 3, tokens))\nb = numerical(LinearSequenceMap(a, a, 1, 1))"
    )
    program = canonicalise(parse(text))
    found = check(bare(model_of(program)), program, PAPER_DOMAIN)
    inputs = [[token for token in tokens if isinstance(token, int)] for tokens in PAPER_DOMAIN]
    assert found.verdict == "identical"
    assert found.departures == sum(min(tokens) < 3 for tokens in inputs)
    assert f"on {found.departures:,} of 3,905 inputs" in found.detail
    result = bundled_decompiler().decompile(bare(model_of(program)))
    assert (result.verdict, result.is_proved) == ("identical", False)
    assert result.headline == (
        f"identical weights, but not what the program says on {result.departures:,} inputs"
    )
    honest = canonicalise(named_program("hist").program)
    assert check(bare(model_of(honest)), honest, PAPER_DOMAIN).departures == 0


def test_inputs_on_which_the_program_fails_are_departures() -> None:
    """RASP compares no None: the weights give something where the program gives nothing."""
    text = (
        "before = Aggregate(Select(indices, indices, lambda k, q: k == q - 1), tokens)\n"
        "same = SelectorWidth(Select(before, tokens, Comparison.EQ))"
    )
    program = canonicalise(parse(text))
    found = check(bare(model_of(program)), program, PAPER_DOMAIN)
    assert (found.verdict, found.departures) == ("identical", PAPER_DOMAIN.size)
    assert "the program fails" in found.detail


def test_made_up_names_are_told() -> None:
    """Weights do not hold what the results of a table are called; a read-out does."""
    program = canonicalise(parse("Map(lambda x: {0: 7, 1: 4, 2: 0, 3: 4, 4: 2}[x], tokens)"))
    model = model_of(program)
    alone = bundled_decompiler().decompile(bare(model))
    assert (alone.verdict, alone.names_are_open) == ("identical", True)
    read = bundled_decompiler().decompile(model)
    assert (read.verdict, read.names_are_open) == ("identical", False)
    assert read.program is not None
    assert decide_equivalence(read.program, program, PAPER_DOMAIN).equal


def test_a_read_out_is_compared_at_all_positions() -> None:
    """One that differs only on inputs of full length refutes the program."""
    program = canonicalise(named_program("hist").program)
    found = compile_program(program, VOCAB, PAPER_DOMAIN.max_seq_len)
    model = model_of(program)
    assert model.W_U is not None
    W_U = model.W_U.copy()
    last = found.residual.dims("indices")[-1]
    W_U[last, 0] = 10.0  # the last position reads out the first value
    assert check(model, program, PAPER_DOMAIN).verdict == "identical"
    changed = check(model.replace(W_U=W_U), program, PAPER_DOMAIN)
    assert changed.verdict == "unverified"
    assert "read-out" in changed.detail
