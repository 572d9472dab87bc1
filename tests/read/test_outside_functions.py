"""Functions outside the closed lists: read off weights as tables, named, written and compiled."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest

from compiled_models import bare
from untracr.ambiguity.checking import check
from untracr.ambiguity.read_out_names import named_by_outputs
from untracr.compile.canonical import canonicalise
from untracr.compile.compiler import Compiled, compile_program
from untracr.decompile.greedy import Decoded, decode_greedily
from untracr.errors import ProgramError
from untracr.metamodel.examples import ExampleSettings, example_of, training_program
from untracr.metamodel.features import Features
from untracr.metamodel.numpy_network import NumpyNetwork, TokenPlace
from untracr.metamodel.targets import answer
from untracr.metamodel.vocabulary import (
    CLASS_RANGES,
    EOL,
    ID,
    SIZE,
    TABLE,
    arguments_of,
    ids_of,
    kind_of,
)
from untracr.rasp.domain import PAPER_DOMAIN
from untracr.rasp.equivalence import decide_equivalence
from untracr.rasp.functions import Comparison, Formula, Function, Table, Value, formula, number_or
from untracr.rasp.interpreter import Batch, Column
from untracr.rasp.known_tables import call
from untracr.rasp.listed_functions import UNARY
from untracr.rasp.naming import function_of_results, is_listed
from untracr.rasp.nodes import (
    CATEGORICAL,
    INDICES,
    NUMERICAL,
    TOKENS,
    Aggregate,
    LinearSequenceMap,
    Map,
    Ref,
    Select,
    SequenceMap,
)
from untracr.rasp.program import Builder, Program, print_program
from untracr.read.components import (
    Component,
    Linear,
    Lookup,
    Mean,
    Pairs,
    StairToNumber,
    StairToValues,
    Sum,
    is_operation,
    number_of,
    size_of,
)
from untracr.read.frame import Base, Variable
from untracr.read.operations import (
    AggregateOperation,
    MapOperation,
    Operation,
    ReadOff,
    WidthOperation,
)
from untracr.read.reader import Reader
from untracr.read.scope import true_variables
from untracr.read.unlisted_functions import read_function, read_predicate
from untracr.read.value_order import ranks_read
from untracr.sample.sampler import sample_program
from untracr.sample.treatment_shares import treat_item
from untracr.syntax.parsing import parse
from untracr.transformer.named_treatments import Treated
from untracr.transformer.transformer import Array, Trace, Transformer
from untracr.verify.outputs import outputs_agree

VOCAB, LENGTH = PAPER_DOMAIN.vocab, PAPER_DOMAIN.max_seq_len

OUTSIDE = ExampleSettings(outside_functions=1.0)


def compiled_program(program: Program) -> Compiled:
    return compile_program(program, VOCAB, LENGTH)


@dataclass(frozen=True)
class Shown:
    """An operation, what is wanted of it, and the component that shows it.

    Attributes:
        ref: of the operation in the program.
        by_slot: the variables as decoding knows them.
    """

    program: Program
    compiled: Compiled
    ref: Ref
    operation: Operation
    component: Component
    reader: Reader
    by_slot: dict[int, Variable]


def shown(program: Program, treatment: str = "", seed: int = 0) -> Iterator[Shown]:
    """Each operation of a program with the component found for it in the true frame."""
    compiled = compiled_program(program)
    treated = Treated(compiled.transformer)
    if treatment:
        treated = treat_item(treatment, compiled.transformer, np.random.default_rng(seed))
    base = Base.of(treated.model, VOCAB)
    variables, order = true_variables(program, compiled, base, treated.basis)
    wanted = answer(program, compiled, order, variables)
    reader = Reader(treated.model, base)
    by_slot = {v.slot: v for v in wanted.variables if not v.is_auxiliary}
    for half_layer in reader.half_layers:
        here = [ref for ref in order if compiled.node_map[ref].half_layer == half_layer]
        found = [c for c in reader.components(half_layer, wanted.variables) if is_operation(c)]
        assert len(found) == len(here)
        for ref, component in zip(here, found, strict=True):
            operation = wanted.operations[ref]
            yield Shown(program, compiled, ref, operation, component, reader, by_slot)


def true_results(one: Shown) -> list[Value]:
    """What a Map or SequenceMap gives for each assignment, in the order of the true values."""
    node = one.program.nodes[one.ref]
    assert isinstance(node, (Map, SequenceMap))
    inner = (node.inner,) if isinstance(node, Map) else (node.fst, node.snd)
    values = [one.compiled.value_sets[ref].ordered for ref in inner]
    return [call(node.function, *arguments) for arguments in itertools.product(*values)]


def random_program(rng: Random) -> Program:
    """One program with a random table of every kind."""
    builder = Builder()

    def table(values: tuple[Value, ...], results: tuple[Value, ...]) -> Table:
        drawn = [*results, *(rng.choice(results) for _ in values)][: len(values)]
        rng.shuffle(drawn)
        return Table.from_mapping({(v,): r for v, r in zip(values, drawn, strict=True)}, 1)

    def pairs(fst: tuple[Value, ...], results: tuple[Value, ...]) -> Table:
        places = itertools.product(fst, range(LENGTH))
        return Table(tuple((pair, rng.choice(results)) for pair in places), 2)

    numbers = builder.add(Map(table(VOCAB, (-1, 0.5, 2, 3)), TOKENS, NUMERICAL))
    steps = builder.add(Map(table((-1, 0.5, 2, 3), (7, 5, 1)), numbers, CATEGORICAL))
    other = builder.add(Map(table((-1, 0.5, 2, 3), (0, 1.5, -2)), numbers, NUMERICAL))
    lookup = builder.add(Map(table(VOCAB, (4, 9, 6)), TOKENS, CATEGORICAL))
    grid = builder.add(SequenceMap(pairs((4, 6, 9), (3, 8, 2, 5)), lookup, INDICES))
    chosen = {(k, q): rng.random() < 0.4 for k in (2, 3, 5, 8) for q in (1, 5, 7)}
    chosen[3, 5], chosen[8, 7] = True, False
    select = builder.add(Select(grid, steps, Table(tuple(chosen.items()), 2)))
    truths = builder.add(Map(table(VOCAB, (False, True)), TOKENS, NUMERICAL))
    mean = builder.add(Aggregate(select, truths, 0, NUMERICAL))
    return canonicalise(builder.build(builder.add(LinearSequenceMap(mean, other, 1, -2))))


PROGRAMS = 25


@pytest.mark.parametrize("treatment", ["", "rotated", "rotated-compressed"])
def test_every_kind_of_table_is_read(treatment: str) -> None:
    """What is read off a component is the true function on all values, of every kind.

    A categorical result counts as right if it is told apart from the others
    everywhere. Compression drops some values; of these nothing can be read.
    """
    counts: Counter[type[Component]] = Counter()
    right: Counter[type[Component]] = Counter()
    for seed in range(PROGRAMS):
        program = random_program(Random(seed))
        for one in shown(program, treatment, seed):
            form = type(one.component)
            if form is Linear:
                continue
            counts[form] += 1
            is_right = predicate_is_right if form is Mean else function_is_right
            right[form] += is_right(one)
    assert min(counts.values()) >= PROGRAMS
    assert set(counts) == {Lookup, Sum, StairToValues, StairToNumber, Pairs, Mean}
    if treatment == "rotated-compressed":
        assert all(right[form] >= 0.8 * counts[form] for form in counts), (right, counts)
    else:
        assert right == counts


def predicate_is_right(one: Shown) -> bool:
    node = one.program.nodes[one.ref]
    assert isinstance(node, Aggregate)
    select = one.program.nodes[node.selector]
    assert isinstance(select, Select)
    read = read_predicate(one.component)
    assert read is not None
    keys, queries = (one.by_slot[slot].values for slot in one.operation.slots[:2])
    true_keys = one.compiled.value_sets[select.keys].ordered
    true_queries = one.compiled.value_sets[select.queries].ordered
    # The decoded names of the queries need not be in the order of the true values.
    found = sorted(tuple(bool(read(k, q)) for k in keys) for q in queries)
    wanted = sorted(tuple(bool(select.predicate(k, q)) for k in true_keys) for q in true_queries)
    return found == wanted


def function_is_right(one: Shown) -> bool:
    read = read_function(one.reader, one.component)
    assert read is not None
    node = one.program.nodes[one.ref]
    assert isinstance(node, (Map, SequenceMap))
    values = [one.by_slot[slot].values for slot in one.operation.slots]
    results = [call(read, *arguments) for arguments in itertools.product(*values)]
    wanted = true_results(one)
    if node.encoding is CATEGORICAL:
        names = set(zip(results, wanted, strict=True))
        return len(names) == len(set(results)) == len(set(wanted))
    numbers = np.array([number_or(r, np.nan) for r in results])
    truth = np.array([number_or(r, 0.0) for r in wanted])
    agrees = np.abs(numbers - truth).max() < 1e-6
    number = number_of(one.component)
    assert number is not None
    flipped = number.orientation == 0 and np.abs(numbers + truth).max() < 1e-6
    return bool(agrees or flipped)


def one_map(function: Function, encoding: object = CATEGORICAL) -> Program:
    builder = Builder()
    kind = CATEGORICAL if encoding is CATEGORICAL else NUMERICAL
    return builder.build(builder.add(Map(function, TOKENS, kind), "sop_00"))


@pytest.mark.parametrize("text", ["x % 3", "x // 2", "(x + 1) % 3", "min(x, 3)"])
def test_lookups_are_named(text: str) -> None:
    """A common function whose results have this order gives a lookup its name."""
    (one,) = shown(one_map(formula(text)))
    assert isinstance(one.component, Lookup)
    assert isinstance(one.operation, MapOperation)
    assert one.operation.choice == ReadOff(formula(text))
    assert read_function(one.reader, one.component) == formula(text)


@pytest.mark.parametrize("text", ["x * x", "3 - x", "x % 2", "x / 4", "abs(x - 2)", "x >= 2"])
def test_numbers_are_named(text: str) -> None:
    """A common function with these very numbers gives a numerical Map its name."""
    (one,) = shown(one_map(formula(text), NUMERICAL))
    read = read_function(one.reader, one.component)
    assert isinstance(read, Formula)
    assert [call(read, v) for v in VOCAB] == [call(formula(text), v) for v in VOCAB]
    assert isinstance(one.operation, MapOperation)
    assert one.operation.choice == ReadOff(read)


def test_numbers_without_a_name_are_simple() -> None:
    """Whole numbers are read as such, and simple fractions as fractions."""
    results: tuple[Value, ...] = (3, 1 / 3, -2.5, 0, 8)
    function = Table.from_mapping({(v,): r for v, r in zip(VOCAB, results, strict=True)}, 1)
    (one,) = shown(one_map(function, NUMERICAL))
    assert read_function(one.reader, one.component) == function


@pytest.mark.parametrize("treatment", ["", "rotated"])
@pytest.mark.parametrize("text", ["max(x, y)", "y - x", "(x + y) % 3", "abs(x - y)"])
def test_later_parts_name_pairs(text: str, treatment: str) -> None:
    """The order in which a later part reads the results tells ``y - x`` from ``x - y``."""
    builder = Builder()
    pairs = builder.add(SequenceMap(formula(text, 2), TOKENS, INDICES), "sop_00")
    select = builder.add(Select(pairs, TOKENS, Comparison.EQ))
    program = builder.build(builder.add(Aggregate(select, TOKENS), "sop_01"))
    one = next(shown(program, treatment))
    read = read_function(one.reader, one.component)
    assert read == formula(text, 2)
    values = one.compiled.value_sets[one.ref].ordered
    assert isinstance(one.component, Pairs)
    ranks = ranks_read(one.reader, one.component)
    assert ranks is not None
    assert ranks.tolist() == [values.index(result) for result in true_results(one)]


def test_a_grid_shows_the_order_of_its_arguments() -> None:
    """Also a SequenceMap reads its arguments in the order of their values."""
    rng = Random(3)
    builder = Builder()
    places = itertools.product(VOCAB, range(LENGTH))
    table = Table(tuple((pair, rng.choice((4, 1, 3, 2))) for pair in places), 2)
    pairs = builder.add(SequenceMap(table, TOKENS, INDICES), "sop_00")
    last = SequenceMap(formula("x * y", 2), INDICES, pairs)
    one = next(shown(builder.build(builder.add(last, "sop_01")), "rotated"))
    assert isinstance(one.component, Pairs)
    ranks = ranks_read(one.reader, one.component)
    assert ranks is not None
    assert ranks.tolist() == [int(number_or(r, 0)) - 1 for r in true_results(one)]


def test_nothing_shows_the_order_of_an_output() -> None:
    """Where nothing reads the results they are numbered as they come."""
    builder = Builder()
    places = itertools.product(range(5), range(LENGTH))
    table = Table(tuple(((t, i), (5, 2, 7)[(t * i + i) % 3]) for t, i in places), 2)
    program = builder.build(builder.add(SequenceMap(table, TOKENS, INDICES), "sop_00"))
    (one,) = shown(program)
    assert isinstance(one.component, Pairs)
    assert ranks_read(one.reader, one.component) is None
    read = read_function(one.reader, one.component)
    assert isinstance(read, Table)
    assert list(dict.fromkeys(result for _, result in read.entries)) == [0, 1, 2]


@pytest.mark.parametrize("text", ["x == y + 1", "x + y == 4", "x % 2 == y % 2", "y > 1", "x != 1"])
def test_predicates_are_named(text: str) -> None:
    """A common predicate with this table gives it its name."""
    builder = Builder()
    select = builder.add(Select(INDICES, TOKENS, formula(text, 2)))
    truth = builder.add(Map(formula("x == 0"), TOKENS, NUMERICAL), "sop_00")
    program = builder.build(builder.add(Aggregate(select, truth, 0, NUMERICAL), "sop_01"))
    one = list(shown(program))[-1]
    assert read_predicate(one.component) == formula(text, 2)
    assert isinstance(one.operation, AggregateOperation)
    assert isinstance(one.operation.choice, ReadOff)


def test_listed_functions_stay_listed() -> None:
    """Programs over the closed lists are wanted as they are, in their own names."""
    for index in range(40):
        program = sample_program(81, index)
        compiled = compiled_program(program)
        base = Base.of(compiled.transformer, VOCAB)
        variables, order = true_variables(program, compiled, base)
        wanted = answer(program, compiled, order, variables)
        assert is_listed(program)
        assert wanted.variables is variables
        for operation in wanted.operations.values():
            pairs = zip(kind_of(operation).arguments, arguments_of(operation), strict=True)
            assert all(TABLE.get(name) != index for name, index in pairs)


def test_a_listed_function_is_preferred() -> None:
    """A function that a listed one equals on all values is written as that one."""
    for text, listed in (("x >= 3", "x > 2"), ("2 * x", "x * 2"), ("x < 1", "x == 0")):
        (one,) = shown(one_map(formula(text), NUMERICAL))
        assert isinstance(one.operation, MapOperation)
        assert isinstance(one.operation.choice, int)
        assert str(UNARY[one.operation.choice]) == f"lambda x: {listed}"


def lookup_program(results: tuple[Value, ...]) -> Program:
    return one_map(Table.from_mapping({(v,): r for v, r in zip(VOCAB, results, strict=True)}, 1))


@pytest.mark.parametrize(
    "results", [(4, 4, 1, 1, 1), (1, 0, 1, 0, 1), (3, 1, 3, 2, 2), (9, 9, 9, 9, 2), (2, 3, 5, 4, 4)]
)
@pytest.mark.parametrize("treatment", ["", "rotated"])
def test_lookups_of_several_values_are_found(results: tuple[int, ...], treatment: str) -> None:
    """Neurons that read several values each are one lookup, results in their order."""
    (one,) = shown(lookup_program(results), treatment)
    assert isinstance(one.component, Lookup)
    ordered = sorted(set(results))
    assert one.component.groups.tolist() == [ordered.index(result) for result in results]


def test_two_truth_values_are_not_a_lookup() -> None:
    """``x > 2`` and ``x < 3`` side by side stay two Maps, as they do in sampled programs."""
    builder = Builder()
    high = builder.add(Map(formula("x > 2"), TOKENS, NUMERICAL), "sop_00")
    low = builder.add(Map(formula("x < 3"), TOKENS, NUMERICAL), "sop_01")
    program = builder.build(builder.add(LinearSequenceMap(high, low, 1, 2), "sop_02"))
    assert [type(one.component) for one in shown(program)] == [Sum, Sum, Linear]


def test_a_truth_value_before_a_lookup_is_not_part_of_it() -> None:
    """``x > 2`` and the first neurons of ``x + 1`` cover all values, and are no lookup."""
    builder = Builder()
    high = builder.add(Map(formula("x > 2"), TOKENS, NUMERICAL), "sop_00")
    more = builder.add(Map(formula("x + 1"), TOKENS, CATEGORICAL), "sop_01")
    select = builder.add(Select(more, TOKENS, Comparison.EQ))
    program = builder.build(builder.add(Aggregate(select, high, 0, NUMERICAL), "sop_02"))
    assert [type(one.component) for one in shown(program)] == [Sum, Lookup, Mean]


def test_lookups_beside_each_other_are_told_apart() -> None:
    """The end of ``max(x, 2)`` and the beginning of ``x - 1`` would make a lookup as well."""
    builder = Builder()
    most = builder.add(Map(formula("max(x, 2)"), TOKENS, CATEGORICAL), "sop_00")
    less = builder.add(Map(formula("x - 1"), TOKENS, CATEGORICAL), "sop_01")
    program = builder.build(builder.add(SequenceMap(formula("x * y", 2), most, less), "sop_02"))
    assert [size_of(one.component) for one in shown(program)] == [3, 5, 15]


class Scripted:
    """Stands in for the network: writes given tokens, or what is likeliest of the others."""

    def __init__(self, tokens: list[int]) -> None:
        self.tokens = tokens
        self.number = 0

    def start(self) -> Scripted:
        return self

    def see(self, features: Features) -> None:
        assert np.isfinite(features.numbers).all()

    def feed(self, token: int, place: TokenPlace) -> Array:
        logits = np.full(SIZE, -50.0, dtype=np.float32)
        logits[self.tokens[self.number]] = 50.0
        self.number += 1
        return logits


def decode_as_tables(program: Program, treatment: str = "", seed: int = 0) -> Decoded:
    """Decodes a model with every function and predicate forced to be a table."""
    compiled = compiled_program(program)
    treated = Treated(compiled.transformer)
    if treatment:
        treated = treat_item(treatment, compiled.transformer, np.random.default_rng(seed))
    base = Base.of(compiled.transformer, VOCAB)
    variables, order = true_variables(program, compiled, base)
    operations = answer(program, compiled, order, variables).operations
    tokens: list[int] = []
    layers = [compiled.node_map[ref].half_layer for ref in order]
    for half_layer in dict.fromkeys(layers):
        for ref in (r for r, layer in zip(order, layers, strict=True) if layer == half_layer):
            ids = ids_of(operations[ref])
            for field, name in enumerate(kind_of(operations[ref]).arguments, start=1):
                if name in TABLE:
                    ids[field] = CLASS_RANGES[name][0] + TABLE[name]
            tokens += ids
        tokens.append(ID[EOL])
    network = cast(NumpyNetwork, Scripted(tokens))
    return decode_greedily(network, treated.model, VOCAB)


def same_but_for_names(fst: Program, snd: Program) -> bool:
    """Whether two programs have the same outputs on every input, up to names of values."""
    batch = Batch.of_domain(PAPER_DOMAIN, 0, PAPER_DOMAIN.size)
    columns: list[Column] = [batch.evaluate(program) for program in (fst, snd)]
    codes = [column.codes[batch.valid] for column in columns]
    pairs = set(zip(codes[0].tolist(), codes[1].tolist(), strict=True))
    if fst.encoding(fst.output) is CATEGORICAL:
        return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    numbers = [
        (number_or(columns[0].values[a], 0.0), number_or(columns[1].values[b], 0.0))
        for a, b in pairs
    ]
    return all(abs(a - b) < 1e-6 for a, b in numbers)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_programs_of_tables_behave_as_the_weights(share: float) -> None:
    """With every function forced to be a table, programs compile to the weights they are read off.

    This holds for listed functions too, and for programs with random ones.
    """
    settings = ExampleSettings(outside_functions=share)
    for index in range(40):
        program, domain = training_program(82, index, settings)
        found = decode_as_tables(program).program
        assert parse(print_program(found)) == found
        # Without the read-out: the results' names are made up.
        model = bare(compiled_program(program).transformer)
        assert check(model, found, domain, settle=False).verdict == "identical"
        assert same_but_for_names(found, program), print_program(found)


@pytest.mark.slow
def test_rotated_weights_are_read_as_tables() -> None:
    """The same of rotated weights, where no axis tells anything."""
    for index in range(25):
        program, domain = training_program(83, index, OUTSIDE)
        found = decode_as_tables(program, "rotated", index).program
        model = bare(compiled_program(program).transformer)
        assert check(model, found, domain).detail.startswith("the program recompiles to these")


def test_a_table_is_not_written_where_none_is_shown() -> None:
    """Over other variables than those a component reads its table says nothing: it is ruled out."""
    program = one_map(formula("x % 3"))
    kind, variable, function = ID["map categorical"], ID["slot 1"], ID["table of one"]
    network = cast(NumpyNetwork, Scripted([kind, variable, function, ID[EOL]]))
    found = decode_greedily(network, compiled_program(program).transformer, VOCAB).program
    node = found.nodes[found.output]
    assert isinstance(node, Map)
    assert node.inner == INDICES
    assert node.function in UNARY


def test_an_unread_table_is_an_error() -> None:
    """An operation that says table and has none cannot be built."""
    with pytest.raises(ProgramError, match="none can be read"):
        _ = MapOperation(0, ReadOff(), CATEGORICAL).function
    with pytest.raises(ProgramError, match="none can be read"):
        _ = WidthOperation(0, 0, ReadOff()).predicate


@pytest.mark.slow
def test_the_read_out_names_the_results() -> None:
    """Where the read-out says what results are called, the decoded program has the very outputs.

    Some programs' weights do not compute what they say (Tracr cuts off negative
    numbers, and infers too few averages); they are left out.
    """
    renamed = 0
    for index in range(80):
        program, domain = training_program(84, index, OUTSIDE)
        if program.encoding(program.output) is not CATEGORICAL:
            continue
        model = compiled_program(program).transformer
        found = decode_as_tables(program).program
        if is_listed(found) or not outputs_agree(model, program, domain).everywhere:
            continue
        if not isinstance(program.nodes[program.output], (Map, SequenceMap)):
            continue
        named = named_by_outputs(model, found, domain)
        assert decide_equivalence(named, program, domain).equal
        renamed += named != found
    assert renamed >= 10


def test_names_are_read_in_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model runs on as many inputs at a time as fit, and the names stay the same."""
    program = one_map(Table(tuple(((v,), number_or(v, 0) % 3) for v in VOCAB), 1))
    model = compiled_program(one_map(formula("(x % 3) + 5"))).transformer
    named = named_by_outputs(model, program, PAPER_DOMAIN)
    assert named != program
    sizes = []
    forward = Transformer.forward

    def counted(self: Transformer, ids: npt.NDArray[np.int64]) -> Trace:
        sizes.append(len(ids))
        return forward(self, ids)

    monkeypatch.setattr(Transformer, "forward", counted)
    monkeypatch.setattr("untracr.verify.outputs.NUMBERS_AT_ONCE", 1)
    assert named_by_outputs(model, program, PAPER_DOMAIN) == named
    assert max(sizes) <= 16


def test_a_read_out_without_columns_names_nothing() -> None:
    """A W_U of no columns is no read-out: the program stays as it is."""
    program = one_map(formula("x % 3"))
    model = compiled_program(program).transformer
    assert model.W_U is not None
    empty = model.replace(W_U=model.W_U[:, :0], output_values=())
    assert named_by_outputs(empty, program, PAPER_DOMAIN) == program


def test_examples_of_programs_with_tables() -> None:
    """In the true frame an example has one component an operation, and tables among its tokens."""
    tables = 0
    for index in range(30):
        program, domain = training_program(85, index, OUTSIDE)
        compiled = compile_program(program, domain.vocab, domain.max_seq_len)
        example = example_of(program, compiled)
        for step in set(example.component_step.tolist()):
            operations = int(example.ordinal[example.step == step].max())
            assert (example.component_step == step).sum() == operations
        tables += sum("table" in name for name in map(_text, example.targets.tolist()))
    assert tables >= 20


def _text(token: int) -> str:
    return next(text for text, number in ID.items() if number == token)


def test_a_program_is_outside_if_one_function_is() -> None:
    """A single predicate or function outside the lists counts."""
    program = sample_program(86, 0)
    assert is_listed(program)
    for ref in program.reachable:
        node = program.nodes[ref]
        nodes = list(program.nodes)
        if isinstance(node, Map):
            nodes[ref] = replace(node, function=formula("x * 7"))
        elif isinstance(node, Select):
            nodes[ref] = replace(node, predicate=formula("x == 7", 2))
        else:
            continue
        assert not is_listed(replace(program, nodes=tuple(nodes)))


def test_long_texts_are_compared() -> None:
    """Only a formula may make a longer text, and is not tried where it might be endless."""
    text = "a" * 40
    assert call(Comparison.EQ, text, text) is True
    assert call(Table((((text, text), 3),), 2), text, text) == 3
    assert call(formula("x * y", 2), text, 10**9) is None
    assert call(Table((((0,), 1),), 1), 7) is None


@pytest.mark.parametrize("other", [None, "a"])
def test_steps_are_for_numbers_only(other: Value) -> None:
    """Between fractions and what is no number there are no steps: a table says it."""
    values: tuple[Value, ...] = (0.5, 1.5, other)
    function = function_of_results([values], [7, 3, 8])
    assert [call(function, value) for value in values] == [7, 3, 8]
