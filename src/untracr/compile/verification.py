"""Runs weights against the program they were compiled from.

Every SOp is compared with its residual dimensions, and the first expression on
the way whose weights say something else is named. Programs in which nothing can
go wrong need no run (`is_suspicious`), and only some inputs of the others
(`verify` with ``only_suspicious``).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np
import numpy.typing as npt

from untracr.compile.compiler import Compiled
from untracr.compile.layers import half_layers
from untracr.compile.values import ValueSet
from untracr.errors import EvaluationError, Problem, ProgramError, Severity
from untracr.rasp.domain import Domain
from untracr.rasp.equivalence import same_value
from untracr.rasp.functions import Comparison, Function, Predicate, Value
from untracr.rasp.interpreter import Batch, Codes, Column, Entry, Failure, Mask
from untracr.rasp.printing import print_program
from untracr.rasp.program import (
    CATEGORICAL,
    INDICES,
    NUMERICAL,
    SOP_TYPES,
    TOKENS,
    Aggregate,
    Indices,
    LinearSequenceMap,
    Map,
    Program,
    Ref,
    Select,
    SelectorWidth,
    SequenceMap,
    Tokens,
    children,
)

MAX_INPUTS = 5_000
"""Inputs the behavioural check runs: all of a smaller domain, else a fixed sample."""

MAX_SUSPECTS = 256
"""Inputs on which weights are run when only suspicious inputs are checked."""

NUMBER_TOLERANCE = 0.01
"""How far weights may be off a number, relative to its size where above one."""

_SAMPLE_SEED = 20_260_101
_WORK = 4_000_000
"""Numbers in one residual stream, or selector, at a time: bounds memory."""

_FEWEST = 64
"""Inputs checked however long they are."""

_BLURRED_HEAD = 48
"""From this d_head on, attention to what is not selected is no longer negligible."""


def shown(program: Program, ref: Ref) -> str:
    """One node's printed line, or its label where the program cannot be printed."""
    if ref < 2:
        return program.labels[ref]
    try:
        return print_program(program).splitlines()[ref - 2]
    except ProgramError:
        return program.labels[ref]


# What can go wrong in weights


def is_suspicious(program: Program, compiled: Compiled) -> bool:
    """Whether weights might miss the program's meaning on some input.

    No run is needed for a program that is not suspicious: its weights are
    right on all inputs. The reasons are those of `_Suspects`.
    """
    if compiled.transformer.d_head >= _BLURRED_HEAD:
        return True
    sets = compiled.value_sets
    clean = _clean_at_bos(program)
    exact = _exact_values(program)
    for ref in program.reachable:
        node = program.nodes[ref]
        match node:
            case Aggregate(sop=sop, encoding=encoding):
                if encoding is CATEGORICAL or sop not in clean:
                    return True
            case Map(function, inner):
                values = sets[inner]
                if program.encoding(inner) is NUMERICAL and inner not in exact:
                    return True
                if _has_gap(function, values.unordered, values.types):
                    return True
                if _is_clipped(program, ref, sets):
                    return True
            case SequenceMap(function, fst, snd):
                a, b = sets[fst], sets[snd]
                if _has_pair_gap(function, a.unordered, b.unordered, a.types, b.types):
                    return True
            case Select(keys) if keys not in clean:
                return True
            case Select(keys, queries, predicate) if not isinstance(predicate, Comparison):
                a, b = sets[keys], sets[queries]
                if _is_graded(predicate, a.unordered, b.unordered, a.types, b.types):
                    return True
            case _:
                pass
    return False


@functools.lru_cache(maxsize=16384)
def _is_graded(
    predicate: Predicate,
    keys: tuple[Value, ...],
    queries: tuple[Value, ...],
    key_types: tuple[type, ...],
    query_types: tuple[type, ...],
) -> bool:
    """Whether a predicate gives something else than a truth value: weights take it as a number."""
    return any(predicate(key, query) not in (0, 1) for key in keys for query in queries)


@functools.lru_cache(maxsize=16384)
def _has_gap(function: Function, values: tuple[Value, ...], types: tuple[type, ...]) -> bool:
    """Whether a function gives None, or fails, on some value."""
    try:
        return any(function(value) is None for value in values)
    except (ArithmeticError, TypeError, ValueError, ProgramError):
        return True


@functools.lru_cache(maxsize=16384)
def _has_pair_gap(
    function: Function,
    fst: tuple[Value, ...],
    snd: tuple[Value, ...],
    fst_types: tuple[type, ...],
    snd_types: tuple[type, ...],
) -> bool:
    try:
        return any(function(x, y) is None for x in fst for y in snd)
    except (ArithmeticError, TypeError, ValueError, ProgramError):
        return True


def _is_clipped(program: Program, ref: Ref, sets: dict[Ref, ValueSet]) -> bool:
    """Whether a categorical to numerical Map has negative values: its ReLU clips them to 0."""
    node = program.nodes[ref]
    return (
        isinstance(node, Map)
        and node.encoding is NUMERICAL
        and program.encoding(node.inner) is CATEGORICAL
        and any(isinstance(v, (int, float)) and v < 0 for v in sets[ref].unordered)
    )


def _clean_at_bos(program: Program) -> set[Ref]:
    """SOps whose dimensions surely hold zeros at BOS, to which empty selections attend."""
    layers = half_layers(program)
    widths = [layers[ref] for ref in layers if isinstance(program.nodes[ref], SelectorWidth)]
    clean: set[Ref] = set()
    for ref in program.sops:
        match program.nodes[ref]:
            case Tokens() | Indices():
                is_clean = True
            case Map(inner=inner):
                is_clean = inner in clean and program.encoding(inner) is CATEGORICAL
            case SequenceMap(fst=fst, snd=snd):
                is_clean = fst in clean or snd in clean
            case LinearSequenceMap(fst=fst, snd=snd):
                is_clean = fst in clean and snd in clean
            case SelectorWidth(selector=selector):
                is_clean = widths.count(layers[ref]) == 1 and _queries(program, selector) in clean
            case Aggregate(selector=selector, sop=sop):
                is_clean = sop in clean and _queries(program, selector) in clean
            case _:
                is_clean = False
        if is_clean:
            clean.add(ref)
    return clean


def _queries(program: Program, selector: Ref) -> Ref:
    select = program.nodes[selector]
    assert isinstance(select, Select)
    return select.queries


def _exact_values(program: Program) -> set[Ref]:
    """SOps that take no value outside their value set: means are not all in theirs."""
    exact: set[Ref] = set()
    for ref in program.sops:
        node = program.nodes[ref]
        if not isinstance(node, Aggregate) and all(sop in exact for sop in _reads(program, ref)):
            exact.add(ref)
    return exact


def _reads(program: Program, ref: Ref) -> list[Ref]:
    """The SOps a node reads, through its selector."""
    found: list[Ref] = []
    for child in children(program.nodes[ref]):
        if isinstance(program.nodes[child], SOP_TYPES):
            found.append(child)
        else:
            found += _reads(program, child)
    return found


# Behaviour


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
        only_suspicious: run weights on at most `MAX_SUSPECTS` of the inputs on
            which something can go wrong by what the program computes.
    """
    types = tuple(map(type, domain.vocab))
    most = max(_FEWEST, min(max_inputs, _WORK // domain.max_seq_len**2))
    batch = _batch(domain, types, compiled.transformer.causal, most)
    run = _Run(program, compiled, batch, len(batch) < domain.size)
    if not run.evaluate():
        return Verification(tuple(run.problems), len(batch), domain.size)
    if only_suspicious:
        rows = run.suspects()
    else:
        rows = np.arange(len(batch))
        run.problems += _widened_heads(program, compiled)
    if len(rows):
        run.compare(rows)
    return Verification(tuple(run.problems), len(batch), domain.size)


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


@dataclass
class _Run:
    """One comparison of a program with its weights."""

    program: Program
    compiled: Compiled
    batch: Batch
    sampled: bool
    problems: list[Problem] = field(default_factory=list)
    states: dict[Ref, Column | Mask] = field(default_factory=dict)

    def evaluate(self) -> bool:
        """Runs the program; False, with a problem, where it fails."""
        for ref in sorted(self.program.reachable):
            try:
                self.states[ref] = self.batch.step(self.program.nodes[ref], self.states)
            except ProgramError as error:
                fix = "handle that value; where nothing is selected a value is None"
                if not isinstance(error, EvaluationError):
                    fix = "keep values within those that the compiler infers (no averages)"
                rule = f"the program itself fails on some input: {error}"
                self.problems.append(Problem(shown(self.program, ref), rule, fix, "error", ref))
                return False
        return True

    def column(self, ref: Ref) -> Column:
        """A SOp's values."""
        state = self.states[ref]
        assert isinstance(state, Column)
        return state

    def selected(self, aggregate: Aggregate) -> Mask:
        """An Aggregate's selector, [batch, query, key]."""
        state = self.states[aggregate.selector]
        assert not isinstance(state, Column)
        return state

    def suspects(self) -> Codes:
        """At most `MAX_SUSPECTS` rows on which weights might say something else.

        Where any row might, because attention itself is in doubt, rows that
        are suspicious for another reason as well come first.
        """
        bad = np.flatnonzero((self._suspicious() & self.batch.valid).any(axis=1))
        if not self._doubts_attention():
            return _thinned(bad, MAX_SUSPECTS)
        others = np.setdiff1d(np.arange(len(self.batch)), bad)
        few = _thinned(bad, MAX_SUSPECTS // 2)
        return np.concatenate([few, _thinned(others, MAX_SUSPECTS - len(few))])

    def _doubts_attention(self) -> bool:
        clean = _clean_at_bos(self.program)
        return self.compiled.transformer.d_head >= _BLURRED_HEAD or any(
            isinstance(node, Select)
            and (node.keys not in clean or not isinstance(node.predicate, Comparison))
            for node in (self.program.nodes[ref] for ref in self.program.reachable)
        )

    def _suspicious(self) -> Mask:
        """Where a value may be one that weights cannot hold, [batch, position]."""
        program, sets = self.program, self.compiled.value_sets
        clean, exact = _clean_at_bos(program), _exact_values(program)
        bad = self._where(program.output, _is_none)
        for ref in program.sops:
            node = program.nodes[ref]
            match node:
                case Aggregate(sop=sop, encoding=encoding):
                    if sop not in clean:
                        bad = bad | self._selects_nothing(node)
                    if encoding is CATEGORICAL:
                        bad = bad | self._mixes(node)
                case Map(inner=inner) if program.encoding(inner) is NUMERICAL:
                    if inner not in exact:
                        known = sets[inner].unordered
                        bad = bad | self._where(inner, functools.partial(_is_unknown, known))
                case _:
                    pass
            if _is_clipped(program, ref, sets):
                bad = bad | self._where(ref, _is_negative)
        return bad

    def _selects_bos(self, selector: Ref) -> bool:
        select = self.program.nodes[selector]
        assert isinstance(select, Select)
        return select.keys not in _clean_at_bos(self.program)

    def _where(self, ref: Ref, test: Callable[[Entry], bool]) -> Mask:
        column = self.column(ref)
        flags = np.array([test(value) for value in column.values], dtype=np.bool_)
        found: Mask = flags[column.codes]
        return found

    def _selects_nothing(self, node: Aggregate) -> Mask:
        return np.asarray(~self.selected(node).any(axis=2))

    def _mixes(self, node: Aggregate) -> Mask:
        """Where an Aggregate selects different values, [batch, query]."""
        selected, codes = self.selected(node), self.column(node.sop).codes[:, None, :]
        high = np.where(selected, codes, -1).max(axis=2)
        low = np.where(selected, codes, np.iinfo(np.int64).max).min(axis=2)
        return np.asarray(high > low)

    def compare(self, rows: Codes) -> None:
        """Runs the weights on some rows and reports each culprit once."""
        differs, answers, wrong = self._differences(rows)
        valid = self.batch.valid[rows]
        bad = (wrong & valid).any(axis=1)
        reported: set[Ref] = set()
        explained = np.zeros(len(rows), dtype=np.bool_)
        none = {ref: self._where(ref, _is_none)[rows] & valid for ref in differs}
        is_none = none[self.program.output].any(axis=1)
        for ref in differs:
            reads = _reads(self.program, ref)
            here = differs[ref].any(axis=1) & ~self._any(differs, reads, len(rows))
            marks: tuple[tuple[Severity, Mask], ...] = (
                ("error", here & bad),
                ("warning", here & ~bad),
            )
            for severity, at in marks:
                if at.any() and ref not in reported:
                    reported.add(ref)
                    where = differs[ref] & at[:, None]
                    self._report(ref, rows, where, answers, severity)
            explained |= here
            origin = bad & is_none & none[ref].any(axis=1) & ~self._any(none, reads, len(rows))
            if origin.any() and ref not in reported:
                reported.add(ref)
                self._report_none(ref, rows, none, origin, answers)
            explained |= origin
        if (bad & ~explained).any() and self.program.output not in reported:
            where = wrong & valid & (bad & ~explained)[:, None]
            self._report(self.program.output, rows, where, answers, "error")

    @staticmethod
    def _any(flags: dict[Ref, Mask], refs: list[Ref], count: int) -> Mask:
        found: Mask = np.zeros(count, dtype=np.bool_)
        for ref in refs:
            if ref in flags:
                found |= np.asarray(flags[ref].any(axis=1))
        return found

    def _differences(self, rows: Codes) -> tuple[dict[Ref, Mask], npt.NDArray[np.float64], Mask]:
        """Runs the weights.

        Returns:
            For each SOp where its dimensions do not hold its value, [row,
            position]; the model's outputs, numbers or indices of values; and
            where those are wrong.
        """
        program, model, valid = self.program, self.compiled.transformer, self.batch.valid[rows]
        shape = (len(rows), self.batch.valid.shape[1])
        sops = [ref for ref in program.sops if ref not in (TOKENS, INDICES)]
        held = {ref: np.zeros(shape) for ref in sops}
        answers = np.zeros(shape)
        assert model.W_U is not None
        for part, length, ids in self._token_ids(rows):
            stream = model.forward(ids).output[:, 1:]
            for ref in sops:
                dims = list(self.compiled.node_map[ref].dims)
                held[ref][part, :length] = _decode(stream[:, :, dims], program, ref)
            out = stream @ model.W_U
            is_categorical = model.output_values is not None
            answers[part, :length] = out.argmax(axis=-1) if is_categorical else out[:, :, 0]
        differs = {ref: self._differs(ref, rows, held[ref], False) & valid for ref in sops}
        return differs, answers, self._differs(program.output, rows, answers, True) & valid

    def _token_ids(self, rows: Codes) -> Iterator[tuple[Codes, int, Codes]]:
        """Groups of rows of one length: positions in ``rows``, the length, ids with BOS."""
        values = self.compiled.token_values
        code_to_id = np.array([values.index(v) for v in self.batch.tokens.values])
        lengths = self.batch.lengths[rows]
        width = self.compiled.transformer.d_model
        bos = self.compiled.bos_id
        for length in np.unique(lengths).tolist():
            members = np.flatnonzero(lengths == length)
            step = max(1, _WORK // (width * (length + 1)))
            for start in range(0, len(members), step):
                part = members[start : start + step]
                ids = code_to_id[self.batch.tokens.codes[rows[part], :length]]
                yield part, length, np.insert(ids, 0, bos, axis=1)

    def _differs(
        self, ref: Ref, rows: Codes, held: npt.NDArray[np.float64], is_output: bool
    ) -> Mask:
        """Where what the weights hold is not the program's value.

        None is nothing in categorical dimensions and anything in numerical
        ones; as an output it is always wrong.
        """
        column = self.column(ref)
        codes = column.codes[rows]
        if self.program.encoding(ref) is CATEGORICAL:
            ordered = self.compiled.value_sets[ref].ordered
            wanted = np.array([_place(v, ordered, is_output) for v in column.values])
            found: Mask = held != wanted[codes]
            return found
        numbers = np.array(
            [float(v) if isinstance(v, (bool, int, float)) else np.nan for v in column.values]
        )[codes]
        off = np.abs(held - numbers) > NUMBER_TOLERANCE * np.maximum(1.0, np.abs(numbers))
        wrong: Mask = off | (np.isnan(numbers) & is_output)
        return wrong

    def _report(
        self,
        ref: Ref,
        rows: Codes,
        where: Mask,
        answers: npt.NDArray[np.float64],
        severity: Severity,
    ) -> None:
        row, position = (int(i) for i in np.argwhere(where)[0])
        rule, fix = self._cause(ref, int(rows[row]), position)
        if severity == "error":
            rule += self._example(rows, row, answers)
        else:
            rule += f" (input {self.batch.input(int(rows[row]))}); no output shows it"
        self.problems.append(Problem(shown(self.program, ref), rule, fix, severity, ref))

    def _report_none(
        self,
        ref: Ref,
        rows: Codes,
        none: dict[Ref, Mask],
        origin: Mask,
        answers: npt.NDArray[np.float64],
    ) -> None:
        row = int(np.flatnonzero(origin)[0])
        position = int(np.flatnonzero(none[ref][row])[0])
        node = self.program.nodes[ref]
        if isinstance(node, Aggregate):
            rule = f"nothing is selected at position {position}, so RASP's value is None"
            fix = "make the selector select something at every position"
        else:
            rule = f"the function gives None at position {position}"
            fix = "give a value there"
        number = self.program.encoding(self.program.output) is NUMERICAL
        instead = "a number" if number else "some value or other (Tracr issue 25)"
        rule += f"; a model has no None and gives {instead}"
        rule += self._example(rows, row, answers)
        self.problems.append(Problem(shown(self.program, ref), rule, fix, "error", ref))

    def _example(self, rows: Codes, row: int, answers: npt.NDArray[np.float64]) -> str:
        """An input with both outputs, at the first position where they differ."""
        batch, column = self.batch, self.column(self.program.output)
        wanted = batch.row(column, int(rows[row]))
        ordered = self.compiled.transformer.output_values
        given: list[Value] = [
            round(float(a), 4) if ordered is None else ordered[int(a)]
            for a in answers[row, : len(wanted)]
        ]
        position = next(
            (i for i, (a, b) in enumerate(zip(wanted, given, strict=True)) if not _is_close(a, b)),
            0,
        )
        return (
            f". On input {batch.input(int(rows[row]))} the program gives {wanted}, the weights "
            f"{given}: {wanted[position]!r} and {given[position]!r} at position {position}"
            + (f" (a sample of {len(batch):,} inputs was checked)" if self.sampled else "")
        )

    def _cause(self, ref: Ref, row: int, position: int) -> tuple[str, str]:
        """Why a node's weights say something else, and what to do."""
        node, program = self.program.nodes[ref], self.program
        column = self.column(ref)
        value = column.values[int(column.codes[row, position])]
        match node:
            case Aggregate() if bool(self._selects_nothing(node)[row, position]):
                return (
                    f"nothing is selected at position {position}, so the head reads BOS, where "
                    f"{program.labels[node.sop]} is not empty; RASP's value is {value!r}",
                    "make the selector select something at every position",
                )
            case Aggregate(encoding=encoding) if encoding is CATEGORICAL and bool(
                self._mixes(node)[row, position]
            ):
                return (
                    "a categorical Aggregate can move one value, not average several; it selects "
                    f"different ones at position {position}",
                    "make the selector select one position (or equal values), or encode "
                    "everything as numerical 0/1 and average that",
                )
            case Map(inner=inner) if program.encoding(inner) is NUMERICAL:
                of = self.column(inner)
                met = of.values[int(of.codes[row, position])]
                return (
                    f"a function of a number is exact only on the values the compiler infers; it "
                    f"meets {met!r}, and they are "
                    f"{list(self.compiled.value_sets[inner].ordered)}",
                    "avoid functions of means; compare SelectorWidths instead",
                )
            case Map() if _is_clipped(program, ref, self.compiled.value_sets):
                return (
                    f"a categorical to numerical Map cannot give a negative number, {value!r}: its "
                    "ReLU clips it to 0",
                    "give the absolute value and subtract it by a LinearSequenceMap",
                )
            case Aggregate(selector=selector) | SelectorWidth(selector=selector) if (
                self._selects_bos(selector)
            ):
                return (
                    "the keys of its Select hold a value at BOS too (as every function of a number "
                    "does), so BOS is selected like a token",
                    "compute the keys from tokens or indices by categorical Maps only",
                )
            case Aggregate() | SelectorWidth():
                return (
                    "attention is not sharp enough: with "
                    f"d_head={self.compiled.transformer.d_head} "
                    "what is not selected weighs in, or the predicate gives numbers, not truths",
                    "use predicates that give True or False, and fewer values",
                )
            case _:
                return (
                    f"the weights do not hold the value {value!r}",
                    "give the expressions it reads fewer or other values",
                )


def _decode(
    held: npt.NDArray[np.float32], program: Program, ref: Ref
) -> npt.NDArray[np.float64] | npt.NDArray[np.int64]:
    """What a SOp's dimensions [B, T, dims] say: a number, or an index; -1 for nothing."""
    if program.encoding(ref) is NUMERICAL:
        return held[:, :, 0].astype(np.float64)
    best = held.argmax(axis=-1)
    return np.where(held.max(axis=-1) > 0.5, best, -1)


def _place(value: Entry, ordered: tuple[Value, ...], is_output: bool) -> int:
    """A value's index; -1 for None within, -2 where no index is right."""
    if value is None:
        return -2 if is_output else -1
    if isinstance(value, Failure):
        return -2
    for position, known in enumerate(ordered):
        if same_value(value, known):
            return position
    return -2


def _is_unknown(known: tuple[Value, ...], value: Entry) -> bool:
    return value is not None and not any(same_value(value, number) for number in known)


def _is_none(value: Entry) -> bool:
    return value is None


def _thinned(rows: Codes, count: int) -> Codes:
    """At most ``count`` of the rows: the first quarter of that many, then evenly many."""
    if len(rows) <= count:
        return rows
    first = count // 4
    rest = np.linspace(first, len(rows) - 1, count - first).astype(np.int64)
    return np.concatenate([rows[:first], rows[rest]])


def _is_negative(value: Entry) -> bool:
    return isinstance(value, (bool, int, float)) and value < 0


def _is_close(a: Value, b: Value) -> bool:
    if isinstance(a, (bool, int, float)) and isinstance(b, (bool, int, float)):
        return abs(a - b) <= NUMBER_TOLERANCE * max(1.0, abs(a))
    return a == b


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
            size = max(size, len(queries) + 2, len(keys) + 1)
    return size
