"""Everything wrong with a program at once.

There are two kinds of checks.

* Static rules look at the program and the values its SOps can take. An error
  among them means that there are no weights for the program at all.
* The behavioural check (`untracr.diagnose.judging`) runs program and
  weights on the inputs of the domain. An error means that an output is wrong on
  some input; a value that is wrong on the way but shows in no output is a
  warning.

`check` does both.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from untracr.bounds import MAX_PROGRAM_NODES
from untracr.compile.blocks import key_size
from untracr.compile.compiler import MLP_EXACTNESS, Compiled, compile_program, slope_of
from untracr.compile.layers import half_layers
from untracr.compile.lowering import lower_selectors
from untracr.compile.values import ValueSet, node_values
from untracr.diagnose.causal_mask import mask_problem
from untracr.diagnose.judging import Verification, verify
from untracr.diagnose.program_run import shown
from untracr.diagnose.selector_pairs import SelectorPairs
from untracr.errors import InputError, Problem, ProgramError, Severity
from untracr.rasp.domain import BOS, PAD, Domain, plain_length, plain_tokens
from untracr.rasp.functions import Function, Predicate, Value, brief
from untracr.rasp.nodes import (
    CATEGORICAL,
    INDICES,
    NUMERICAL,
    SELECTOR_TYPES,
    TOKENS,
    Aggregate,
    Indices,
    LinearSequenceMap,
    Map,
    Ref,
    Select,
    SelectorWidth,
    SequenceMap,
    Tokens,
    children,
)
from untracr.rasp.program import Program
from untracr.rasp.spent import Spent, TooCostly
from untracr.rasp.tabulating import FAILURES, PYTHON_FAILURES
from untracr.rasp.values import number_or, token_fault, value_fault
from untracr.shown_text import shown as shown_value
from untracr.syntax.parsing import parse
from untracr.transformer.half_layer import HalfLayer

MAX_FLOAT32 = 3.4e38
"""The largest number of which weights can be made."""


def check(
    program: object,
    vocab: Iterable[Value],
    max_seq_len: int,
    *,
    strict: bool = True,
    causal: bool = False,
    mlp_exactness: float | Literal["auto"] = MLP_EXACTNESS,
) -> tuple[Problem, ...]:
    """Lists all that is wrong with a program (`check_weights` tells more).

    Args:
        program: whatever `untracr.syntax.parsing.parse` reads; composite selectors are welcome.
        vocab: the tokens.
        max_seq_len: the longest input.
        strict: also run program and weights against each other, if the static
            rules leave something to run.
        causal: whether a selector only selects keys up to the query's position; where
            that changes what the program gives, it is a warning.
        mlp_exactness: as for `untracr.compile_rasp_to_model`.

    Returns:
        Errors first, each kind in node order; empty when all is well.
    """
    tokens, max_seq_len = tuple(plain_tokens(vocab)), plain_length(max_seq_len)
    program = parse(program, vocab=tokens, max_seq_len=max_seq_len)
    if not strict:
        return _ordered(static_problems(program, tokens, max_seq_len))
    return check_weights(
        program, tokens, max_seq_len, causal=causal, mlp_exactness=mlp_exactness
    ).problems


@dataclass(frozen=True)
class Checked:
    """What was found about a program.

    Attributes:
        problems: errors first, each kind in node order.
        verification: of its weights; None where there are none.
        mlp_exactness: of these weights.
    """

    problems: tuple[Problem, ...]
    verification: Verification | None = None
    mlp_exactness: float = MLP_EXACTNESS


def check_weights(
    program: object,
    vocab: Iterable[Value],
    max_seq_len: int,
    *,
    causal: bool = False,
    mlp_exactness: float | Literal["auto"] = MLP_EXACTNESS,
) -> Checked:
    """All that is wrong with a program and its weights, and what was shown of these."""
    tokens, max_seq_len = tuple(plain_tokens(vocab)), plain_length(max_seq_len)
    program = parse(program, vocab=tokens, max_seq_len=max_seq_len)
    problems = static_problems(program, tokens, max_seq_len)
    if any(problem.severity == "error" for problem in problems):
        return Checked(_ordered(problems))
    try:
        lowered = lower_selectors(program, tokens, max_seq_len)
        slope = slope_of(mlp_exactness)
        compiled = compile_program(lowered, tokens, max_seq_len, causal=causal, mlp_exactness=slope)
    except ProgramError as error:
        fix = "change the expression it names"
        problems.append(Problem(shown(program, program.output), str(error), fix))
        return Checked(_ordered(problems))
    verification = verify(lowered, compiled, Domain(tokens, max_seq_len), as_compiled=True)
    if mlp_exactness == "auto" and verification.mended is not None:
        slope, verification = float(verification.exactness or slope), verification.mended
    wide = widened_heads(lowered, compiled)
    domain, output = Domain(tokens, max_seq_len), shown(program, program.output)
    masked = mask_problem(program, domain, output) if causal else None
    problems += [*verification.problems, *wide, *([masked] if masked is not None else [])]
    return Checked(_ordered(problems), verification, slope)


def _ordered(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda problem: problem.severity))


def widened_heads(program: Program, compiled: Compiled) -> list[Problem]:
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


# Static rules

MAX_PROBLEMS = 100
"""Problems that are told of one program."""


def static_problems(
    program: Program,
    vocab: Iterable[Value],
    max_seq_len: int,
    *,
    bos: Value = BOS,
    pad: Value = PAD,
) -> list[Problem]:
    """Lists the static rules that a program breaks, node by node."""
    tokens = tuple(vocab)
    static = _Static(program)
    if len(program.nodes) > MAX_PROGRAM_NODES:
        static.add(
            None,
            f"a program may have at most {MAX_PROGRAM_NODES:,} operations and selectors, "
            f"not {len(program.nodes):,}",
            "compile a part of it",
        )
        return static.problems
    _check_domain(static, tokens, max_seq_len, bos, pad)
    if static.problems:
        return static.problems
    _check_whole(static)
    unordered = vocab if isinstance(vocab, (set, frozenset)) else set(tokens)
    for ref in sorted(program.reachable):
        _check_encodings(static, ref)
    _check_values(static, set(unordered), max_seq_len)
    _check_layers(static)
    return static.problems


@dataclass
class _Static:
    program: Program
    problems: list[Problem] = field(default_factory=list)

    def add(self, ref: Ref | None, rule: str, fix: str, severity: Severity = "error") -> None:
        if len(self.problems) >= MAX_PROBLEMS:
            return
        expression = "the domain" if ref is None else shown(self.program, ref)
        self.problems.append(Problem(expression, rule, fix, severity, ref))


def _check_domain(
    static: _Static, tokens: tuple[Value, ...], max_seq_len: int, bos: Value, pad: Value
) -> None:
    for name, what in ((bos, "BOS"), (pad, "PAD")):
        if name in tokens:
            static.add(
                None,
                f"the vocabulary must not hold the compiler's {what} token {name!r}",
                f"rename the token, or pass another compiler_{what.lower()}",
            )
    if bos == pad:
        static.add(None, f"BOS and PAD must differ, both are {bos!r}", "rename one of them")
    try:
        Domain(tokens, max_seq_len)
    except InputError as error:
        static.add(None, str(error), "change vocab or max_seq_len")
    for fault in dict.fromkeys(filter(None, map(token_fault, (*tokens, bos, pad)))):
        static.add(None, fault, "leave it out of the vocabulary, or rename it")


def _check_whole(static: _Static) -> None:
    program = static.program
    if program.output in (TOKENS, INDICES):
        static.add(
            program.output,
            "a program needs at least one operation; this one returns its input",
            "wrap it, Map(lambda x: x, ...)",
        )
    elif TOKENS not in program.reachable:
        static.add(
            program.output,
            "the output does not depend on tokens; Tracr refuses such programs (we compile them)",
            "read tokens somewhere if Tracr is to compile it",
            "warning",
        )


def _check_encodings(static: _Static, ref: Ref) -> None:
    program = static.program
    node = program.nodes[ref]
    match node:
        case Tokens() | Indices():
            if node.encoding is not CATEGORICAL:
                static.add(
                    ref,
                    "tokens and indices must be categorical",
                    "numerical(Map(lambda x: x, ...))",
                )
        case Select(keys, queries):
            for role, sop in (("keys", keys), ("queries", queries)):
                if program.encoding(sop) is not CATEGORICAL:
                    static.add(
                        ref,
                        f"a Select's {role} must be categorical; not {program.labels[sop]}",
                        f"categorical(Map(lambda x: x, {program.labels[sop]})) is categorical",
                    )
        case Aggregate():
            _check_aggregate(static, ref, node)
        case SequenceMap(fst=fst, snd=snd):
            if any(
                e is not CATEGORICAL for e in (node.encoding, *map(program.encoding, (fst, snd)))
            ):
                static.add(
                    ref,
                    "a SequenceMap's inputs and output must be categorical",
                    "make them categorical, or use LinearSequenceMap for numbers",
                )
        case LinearSequenceMap(fst=fst, snd=snd):
            if any(e is not NUMERICAL for e in (node.encoding, *map(program.encoding, (fst, snd)))):
                static.add(
                    ref,
                    "a LinearSequenceMap's inputs and output must be numerical",
                    _linear_fix(program, node),
                )
            if not all(abs(f) <= MAX_FLOAT32 for f in (node.fst_factor, node.snd_factor)):
                static.add(
                    ref,
                    "a LinearSequenceMap's factors must be finite and fit float32",
                    f"use numbers up to {MAX_FLOAT32:.1e}",
                )
        case _:
            pass


def _check_aggregate(static: _Static, ref: Ref, node: Aggregate) -> None:
    inner = static.program.encoding(node.sop)
    if node.encoding is not inner:
        label = static.program.labels[node.sop]
        numbers = f"numerical(Aggregate(..., {label}, default=0)) is numerical, as {label} is"
        static.add(
            ref,
            f"an Aggregate's encoding must be its SOp's: it is {node.encoding.value}, "
            f"{label} is {inner.value}",
            numbers if inner is NUMERICAL else f"aggregate numerical(Map(lambda x: x, {label}))",
        )
        return
    if node.encoding is CATEGORICAL and node.default is not None:
        static.add(
            ref,
            f"a categorical Aggregate's default must be None, not {node.default!r}",
            "leave the default out, and replace values where nothing is selected",
        )
    if node.encoding is NUMERICAL and (node.default is None or node.default != 0):
        static.add(
            ref, f"a numerical Aggregate's default must be 0, not {node.default!r}", "default=0"
        )


def _linear_fix(program: Program, node: LinearSequenceMap) -> str:
    categorical = [r for r in (node.fst, node.snd) if program.encoding(r) is CATEGORICAL]
    if not categorical:
        return "numerical(LinearSequenceMap(...)) is numerical"
    labels = " and ".join(dict.fromkeys(program.labels[ref] for ref in categorical))
    return f"read {labels} through numerical(Map(lambda x: x, ...)), or use SequenceMap"


def _check_values(static: _Static, vocab: set[Value], max_seq_len: int) -> None:
    program = static.program
    sets: dict[Ref, ValueSet] = {}
    unknown: set[Ref] = set()
    spent, selectors = Spent(), SelectorPairs()
    for ref in sorted(program.reachable):
        node = program.nodes[ref]
        if any(child in unknown for child in children(node)):
            unknown.add(ref)
            continue
        if isinstance(node, SELECTOR_TYPES):
            predicate = node.predicate if isinstance(node, Select) else None
            try:
                spent.call(predicate, selectors.pairs(ref, node, sets), program.labels[ref])
            except TooCostly as error:
                static.add(ref, str(error), "shorten max_seq_len or the vocabulary")
                return
            if isinstance(node, Select):
                _check_predicate(static, ref, node, sets)
            continue
        try:
            sets[ref] = node_values(program, ref, sets, vocab, max_seq_len, spent)
        except TooCostly as error:
            static.add(ref, str(error), "shorten max_seq_len or the vocabulary")
            return
        except ProgramError as error:
            unknown.add(ref)
            static.add(ref, str(error), _value_fix(node))
            continue
        fault = next(filter(None, map(value_fault, sets[ref].ordered)), "")
        if fault:
            unknown.add(ref)
            static.add(ref, f"{fault}, which this expression may take", _value_fix(node))
            continue
        _check_function(static, ref, sets)
        if not sets[ref].unordered:
            unknown.add(ref)
            static.add(
                ref,
                "an expression must have a value for some input; this one is always None",
                "give a value in its function",
            )


def _value_fix(node: object) -> str:
    if isinstance(node, Aggregate):
        return "map the values to 0 and 1 first, or make the Aggregate categorical"
    return "handle those values, for example with an if-else, or change the vocabulary"


def _check_function(static: _Static, ref: Ref, sets: dict[Ref, ValueSet]) -> None:
    program = static.program
    node = program.nodes[ref]
    if program.encoding(ref) is NUMERICAL and not _holds_numbers(static, ref, sets[ref]):
        return
    if isinstance(node, Map) and program.encoding(node.inner) is CATEGORICAL:
        inner = sets[node.inner]
        failure = _unary_failure(
            node.function, inner.unordered, inner.types, node.encoding is NUMERICAL
        )
    elif isinstance(node, SequenceMap):
        fst, snd = sets[node.fst], sets[node.snd]
        failure = _binary_failure(
            node.function, fst.unordered, snd.unordered, fst.types, snd.types, node.fst == node.snd
        )
    else:
        return
    if failure:
        static.add(ref, failure, _value_fix(node))


def _holds_numbers(static: _Static, ref: Ref, values: ValueSet) -> bool:
    """Whether a numerical SOp has values that weights can hold; adds a problem if not."""
    odd = [v for v in values.ordered if not isinstance(v, (bool, int, float))]
    if odd:
        rule = f"a numerical SOp must hold numbers, not {shown_value(odd)}"
        static.add(ref, rule, "make it categorical")
        return False
    largest = max((abs(number_or(v, 0.0)) for v in values.ordered), default=0.0)
    if largest > MAX_FLOAT32:
        static.add(
            ref,
            f"weights are float32, so a numerical SOp must hold numbers up to "
            f"{MAX_FLOAT32:.1e}, not {largest:.1e}",
            "make it categorical, or use smaller numbers",
        )
        return False
    return True


@functools.lru_cache(maxsize=16384)
def _unary_failure(
    function: Function, values: tuple[Value, ...], types: tuple[type, ...], number: bool
) -> str | None:
    for value in values:
        try:
            result = function(value)
        except PYTHON_FAILURES as error:
            return f"{brief(function)} fails on {shown_value(value)}, a value it may meet: {error}"
        if number and result is None:
            return (
                f"a numerical SOp must hold numbers, but {brief(function)} gives None on "
                f"{shown_value(value)}"
            )
    return None


@functools.lru_cache(maxsize=16384)
def _binary_failure(
    function: Function,
    fst: tuple[Value, ...],
    snd: tuple[Value, ...],
    fst_types: tuple[type, ...],
    snd_types: tuple[type, ...],
    same: bool,
) -> str | None:
    for x in fst:
        for y in (x,) if same else snd:
            try:
                function(x, y)
            except PYTHON_FAILURES as error:
                return (
                    f"{brief(function)} fails on {shown_value(x)}, {shown_value(y)}, values it "
                    f"may meet: {error}"
                )
    return None


def _check_predicate(static: _Static, ref: Ref, node: Select, sets: dict[Ref, ValueSet]) -> None:
    keys, queries = sets[node.keys], sets[node.queries]
    failure = _predicate_failure(
        node.predicate, keys.unordered, queries.unordered, keys.types, queries.types
    )
    if failure:
        static.add(ref, failure, "let the predicate handle all values of its keys and queries")


@functools.lru_cache(maxsize=16384)
def _predicate_failure(
    predicate: Predicate,
    keys: tuple[Value, ...],
    queries: tuple[Value, ...],
    key_types: tuple[type, ...],
    query_types: tuple[type, ...],
) -> str | None:
    for key in keys:
        for query in queries:
            try:
                float(predicate(key, query))  # type: ignore[arg-type]
            except FAILURES as error:
                return (
                    f"{brief(predicate)} fails on key {shown_value(key)} and query "
                    f"{shown_value(query)}: {error}"
                )
    return None


def _check_layers(static: _Static) -> None:
    if any(problem.severity == "error" for problem in static.problems):
        return
    program = static.program
    at: dict[HalfLayer, list[Ref]] = {}
    for ref, half_layer in half_layers(program).items():
        if isinstance(program.nodes[ref], SelectorWidth):
            at.setdefault(half_layer, []).append(ref)
    for refs in at.values():
        if len(refs) > 1:
            names = ", ".join(program.labels[ref] for ref in sorted(refs))
            static.add(
                max(refs),
                f"SelectorWidths of one layer ({names}) share the neuron with which Tracr clears "
                "BOS, so BOS is corrected more than once; it shows only where an Aggregate "
                "selects nothing",
                "nothing if the behavioural check passes; else delay one of them by a Map",
                "warning",
            )
