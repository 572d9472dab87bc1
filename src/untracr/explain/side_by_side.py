"""Runs a model and a program on an input, and reads each line's value off the residual stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from untracr.arrays import Floats
from untracr.compile.values import ValueSet
from untracr.diagnose.judging import faults
from untracr.errors import ModelFileError
from untracr.explain.explained import Explained
from untracr.explain.explanation import Held, Line, Mask, Output, Pattern
from untracr.explain.fitted import Fitted, fitted
from untracr.rasp.domain import Domain
from untracr.rasp.equivalence import EQUAL_WITHIN, numbers_agree, same_value
from untracr.rasp.functions import Value, number_or
from untracr.rasp.interpreter import Batch, Column
from untracr.rasp.nodes import CATEGORICAL, INDICES, TOKENS, Aggregate, Ref, Select, SelectorWidth
from untracr.rasp.program import Program
from untracr.rasp.spent import Spent
from untracr.transformer.transformer import Trace, Transformer
from untracr.verify.attribution import Attribution, attributions_of, unknown_attributions
from untracr.verify.outputs import HALF_READ_OUT, LOOSEST_TOLERANCE, OUTPUT_TOLERANCE, has_no_values
from untracr.verify.verdict import Beside

NOTHING_HELD = HALF_READ_OUT / 2
"""Where no value's coefficient is above this, the stream holds no value."""

ATTENTION_OFF = 0.1
"""Attention that differs by more than this from a selector's is another one."""

ATTENTION_OFF_WHERE_CHANGED = 0.25
"""The same where all weights are a little off."""

OFF_AS_COMPILED = 0.05
"""Coefficients, numbers (relative to 1) and attention that are no farther apart are the same."""


def explain(
    model: Transformer,
    program: Program,
    domain: Domain,
    inputs: Sequence[Sequence[Value]],
    *,
    earlier: Beside | None = None,
) -> Iterator[Explained]:
    """Explains a model by a program, input by input.

    Args:
        model: the weights; the last two rows of W_E are BOS and PAD.
        program: without composite selectors (`untracr.compile.lowering`).
        domain: values of the token rows, and the longest input.
        inputs: token sequences without BOS.
        earlier: a program laid beside a model, such as `Result.beside`, which is not done
            again if it is this program beside these weights.

    Raises:
        InputError: an input is not in the domain.
        EvaluationError: the program fails on an input.
        ModelFileError: the weights are so large that the stream overflows.
    """
    for tokens in inputs:
        domain.require(tokens)
    laid = fitted(model, program, domain, earlier)
    beside = None if isinstance(laid, str) else laid
    if beside is None:
        lines = unknown_attributions(program)
    else:
        lines = attributions_of(program, beside.compiled, beside.alignment)
    inner = tuple(Attribution(ref, program.labels[ref]) for ref in (TOKENS, INDICES))
    unknown = laid if isinstance(laid, str) else ""
    for tokens in inputs:
        run = _Run(model, program, domain, beside, (*inner, *lines), tokens)
        yield run.explanation(unknown)


class _Run:
    """A model and a program on one input."""

    def __init__(
        self,
        model: Transformer,
        program: Program,
        domain: Domain,
        beside: Fitted | None,
        attributions: tuple[Attribution, ...],
        tokens: Sequence[Value],
    ) -> None:
        self.model, self.program, self.tokens = model, program, tuple(tokens)
        self.domain = domain
        self.beside, self.attributions = beside, attributions
        self.batch = Batch([self.tokens], causal=model.causal)
        self.states: dict[Ref, Column | Mask] = {}
        spent = Spent()
        for ref in sorted(program.reachable):
            self.batch.count(program.nodes[ref], self.states, spent, program.labels[ref])
            self.states[ref] = self.batch.step(program.nodes[ref], self.states)
        ids = [[len(domain.vocab), *(domain.vocab.index(token) for token in self.tokens)]]
        with np.errstate(over="ignore", invalid="ignore"):
            self.trace = model.forward(ids)
        if not np.isfinite(self.trace.output).all():
            raise ModelFileError(
                "the residual stream must hold finite numbers; the weights are so large that "
                f"it overflows float32 on {list(self.tokens)}"
            )
        self.own = None if beside is None else beside.compiled.transformer.forward(ids)

    def explanation(self, unknown: str) -> Explained:
        """All lines, and the output; and why nothing is known of the stream."""
        return Explained(
            self.tokens,
            tuple(self._line(c) for c in self.attributions if c.ref in self.states),
            self._output(),
            unknown,
            self.beside.changed if self.beside is not None else (),
            self._departures(),
        )

    def _departures(self) -> tuple[str, ...]:
        """Where Tracr's construction is not RASP on this input."""
        if self.beside is None:
            return ()
        found = faults(self.program, self.beside.compiled, self.domain, [self.tokens])
        labels = self.program.labels
        return tuple(
            f"{labels[p.ref] if p.ref is not None else p.expression}: {p.rule} (fix: {p.fix})"
            for p in found
            if p.severity == "error"
        )

    def values(self, ref: Ref) -> tuple[Value, ...]:
        """The program's value of a SOp at each position."""
        column = self.states[ref]
        assert isinstance(column, Column)
        return tuple(self.batch.row(column, 0))

    def _line(self, attribution: Attribution) -> Line:
        ref, state = attribution.ref, self.states[attribution.ref]
        name = attribution.text.split(" = ")[0]
        if not isinstance(state, Column):
            node = self.program.nodes[ref]
            assert isinstance(node, Select)
            patterns, same = self._patterns(attribution, state[0])
            return Line(
                attribution,
                name,
                matrix=state[0],
                patterns=patterns,
                as_compiled=same,
                keys=self.values(node.keys),
                queries=self.values(node.queries),
            )
        values = self.values(ref)
        if self.beside is None or self.own is None:
            return Line(attribution, name, values)
        parts, sets = self.beside.compiled.node_map[ref], self.beside.compiled.value_sets[ref]
        coefficients = self._coefficients(self.trace, ref, self.beside.back[:, list(parts.dims)])
        axes = np.eye(self.beside.compiled.transformer.d_model)[:, list(parts.dims)]
        own = self._coefficients(self.own, ref, axes)
        same = bool(
            (np.abs(coefficients - own) <= OFF_AS_COMPILED * np.maximum(1.0, np.abs(own))).all()
        )
        if self.program.encoding(ref) is CATEGORICAL:
            rows = zip(coefficients, values, strict=True)
            held = tuple(_held(row, parts.values, value) for row, value in rows)
            return Line(attribution, name, values, None, held, parts.values, coefficients, (), same)
        held = tuple(
            Held(number, 1.0, _same_number(number, value, self._tolerance(sets, value)))
            for number, value in zip(coefficients[:, 0].tolist(), values, strict=True)
        )
        return Line(attribution, name, values, None, held, (), coefficients, (), same)

    def _coefficients(self, trace: Trace, ref: Ref, directions: Floats) -> Floats:
        """[T, values]: how much of each direction [D, values] the stream holds behind BOS.

        It is looked at when the half-layer that computes the variable has written.
        """
        assert self.beside is not None
        stream, half_layer = trace.input_embeddings, self.beside.compiled.node_map[ref].half_layer
        if half_layer is not None:
            is_width = isinstance(self.program.nodes[ref], SelectorWidth)
            stream = trace.residuals[(half_layer.next if is_width else half_layer).number]
        return np.asarray(stream[0, 1:].astype(np.float64) @ directions)

    @property
    def _is_changed(self) -> bool:
        """Whether all of the model's weights are a little off the program's."""
        return self.beside is not None and self.beside.loose

    def _tolerance(self, values: ValueSet, wanted: Value) -> float:
        """How far a number may be off: little, or less than half as far as the next one is."""
        if not self._is_changed or not isinstance(wanted, (bool, int, float)):
            return OUTPUT_TOLERANCE
        others = [v for v in values.unordered if isinstance(v, (bool, int, float))]
        size = max(1.0, abs(wanted))
        apart = [abs(v - wanted) / size for v in others if abs(v - wanted) > EQUAL_WITHIN * size]
        return max(OUTPUT_TOLERANCE, 0.999 * min(LOOSEST_TOLERANCE, min(apart, default=1.0) / 2))

    def _patterns(self, attribution: Attribution, matrix: Mask) -> tuple[tuple[Pattern, ...], bool]:
        """What the heads attend to that implement a selector; whether as in the own weights."""
        if self.beside is None or self.own is None:
            return (), False
        patterns, same = [], True
        limit = ATTENTION_OFF_WHERE_CHANGED if self._is_changed else ATTENTION_OFF
        heads = {c.ref: c.heads for c in self.attributions}
        for ref in sorted(self.program.reachable):
            node = self.program.nodes[ref]
            if not isinstance(node, (Aggregate, SelectorWidth)) or node.selector != attribution.ref:
                continue
            wanted = _wanted(matrix, always_bos=isinstance(node, SelectorWidth))
            mine = self.beside.compiled.node_map[ref].heads
            for (layer, head), (own_layer, own_head) in zip(heads[ref], mine, strict=False):
                attention = _softmax(self.trace.attn_logits[layer][0, head].astype(np.float64))
                own = _softmax(self.own.attn_logits[own_layer][0, own_head].astype(np.float64))
                same = same and float(np.abs(attention[1:] - own[1:]).max()) <= OFF_AS_COMPILED
                agrees = np.abs(attention[1:] - wanted).max(axis=1) <= limit
                patterns.append(Pattern(layer, head, attention, wanted, agrees))
        return tuple(patterns), same

    def _output(self) -> Output | None:
        model = self.model
        if model.W_U is None or has_no_values(model):
            return None
        program = self.values(self.program.output)
        out = (self.trace.output[0, 1:] @ model.W_U).astype(np.float64)
        if model.output_values is None:
            numbers: list[float] = out[:, 0].tolist()
            wrong = [
                position
                for position, (number, value) in enumerate(zip(numbers, program, strict=True))
                if not _same_number(number, value, self._output_tolerance(value))
            ]
            return Output(program, tuple(numbers), tuple(wrong))
        read = tuple(model.output_values[position] for position in out.argmax(axis=1).tolist())
        pairs_read = enumerate(zip(read, program, strict=True))
        return Output(program, read, tuple(i for i, (a, b) in pairs_read if not same_value(a, b)))

    def _output_tolerance(self, wanted: Value) -> float:
        if self.beside is None:
            return OUTPUT_TOLERANCE
        return self._tolerance(self.beside.compiled.value_sets[self.program.output], wanted)


def _held(row: Floats, values: tuple[Value, ...], wanted: Value) -> Held:
    """The value that a position's stream holds, of a variable's coefficients [values]."""
    ordered = np.sort(row)[::-1]
    clear = float(ordered[0] - (ordered[1] if len(ordered) > 1 else 0.0))
    value = values[int(row.argmax())] if ordered[0] > NOTHING_HELD else None
    if value is None:
        clear = 1.0 - max(0.0, float(ordered[0]))
    return Held(value, clear, same_value(value, wanted))


def _same_number(number: float, wanted: Value, tolerance: float) -> bool:
    """Whether the stream's number is the program's; where that is None, nothing is written."""
    if wanted is None:
        return abs(number) <= tolerance
    if not isinstance(wanted, (bool, int, float)):
        return False
    return bool(numbers_agree(np.array(number), np.array(number_or(wanted, np.nan)), tolerance))


def _wanted(matrix: Mask, *, always_bos: bool) -> Floats:
    """[T, T + 1]: attention to BOS and the positions, of a selector's matrix [T, T]."""
    selected = np.concatenate([np.zeros((len(matrix), 1)), matrix], axis=1)
    selected[:, 0] = 1.0 if always_bos else ~matrix.any(axis=1)
    return np.asarray(selected / selected.sum(axis=1, keepdims=True))


def _softmax(logits: Floats) -> Floats:
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))
