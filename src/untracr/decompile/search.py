"""Searching for the program of given weights: proposals, checked one operation at a time.

A state is a program half written: every operation so far is one that the
weights hold (`fitting`). A `Proposer` says what may come next. Best first: a
state costs what its operations are less probable than the best ones that fit in
their places. With the network's proposals the search so first writes what greedy
decoding would, had it skipped what the weights refute, and then goes back to
where the network was least sure.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from untracr.decompile.fitting import Fit, Fitter
from untracr.decompile.layer_frame import Frame
from untracr.decompile.proposals import Proposal
from untracr.decompile.proposers import Proposer
from untracr.decompile.state import State
from untracr.errors import ProgramError
from untracr.rasp.functions import Value
from untracr.rasp.program import Program
from untracr.read.components import is_operation
from untracr.read.frame import Base
from untracr.read.operations import MAX_OPERATIONS, Operation, WidthOperation, build_program
from untracr.read.reader import Reader
from untracr.transformer.half_layer import FIRST_HALF_LAYER, HalfLayer, attention
from untracr.transformer.transformer import Transformer

MAX_SEARCHED = 50
"""Operations a program may have that is searched for. Those behind the first `MAX_OPERATIONS`
are found without the network, whose language ends there."""


@dataclass(frozen=True)
class Deadline:
    """When a search has to end.

    Attributes:
        at: by `time.perf_counter`.
    """

    at: float

    @property
    def is_over(self) -> bool:
        """Whether it has passed."""
        return time.perf_counter() >= self.at

    def share(self, part: float) -> Deadline:
        """One with this part of the time that is left."""
        now = time.perf_counter()
        return Deadline(now + part * (self.at - now))


@dataclass
class Cost:
    """What a search has done so far.

    Attributes:
        operations: how many were compared with the weights.
        farthest: half-layer, and head or neuron, up to which some program explains them.
        dead_ends: programs up to there that no operation continues.
        most: how many of these there may be.
    """

    most: int
    operations: int = 0
    farthest: tuple[HalfLayer, int] = (FIRST_HALF_LAYER, 0)
    dead_ends: int = 0

    def reached(self, place: tuple[HalfLayer, int]) -> None:
        """Some program explains the weights up to a place."""
        if place > self.farthest:
            self.farthest, self.dead_ends = place, 0

    def ended(self, place: tuple[HalfLayer, int]) -> None:
        """No operation continues a program at a place."""
        self.dead_ends += place == self.farthest

    @property
    def is_hopeless(self) -> bool:
        """Whether enough different programs end in one place: what is there is no operation."""
        return self.dead_ends >= self.most


@dataclass
class _Node:
    """A state with the proposals for its next operation that were not yet tried."""

    state: State
    cost: float
    proposals: Iterator[Proposal]
    best: float | None = None


class ProgramSearch:
    """Searches the programs of one model.

    Args:
        model: the weights; the last two token rows are BOS and PAD.
        vocab: the value of each other token row.
        proposer: says which operations are tried, and in which order.
    """

    def __init__(self, model: Transformer, vocab: tuple[Value, ...], proposer: Proposer) -> None:
        self.model, self.vocab, self.proposer = model, vocab, proposer
        self.cost = Cost(proposer.max_dead_ends)

    def programs(self, deadline: Deadline) -> Iterator[Program]:
        """Programs all of whose operations the weights hold, the most probable ones first."""
        bases = [Base.of(self.model, self.vocab), *Base.others_of(self.model, self.vocab)]
        for number, base in enumerate(bases):
            own = deadline.share(1 / 2 if number + 1 < len(bases) else 1.0)
            yield from _InOneFrame(self.model, base, self.proposer, self.cost).programs(own)


class _InOneFrame:
    """Searches with one reading of the embeddings."""

    def __init__(self, model: Transformer, base: Base, proposer: Proposer, cost: Cost) -> None:
        self.base = base
        self.reader = Reader(model, self.base, read_out=True, any_form=True)
        self.fitter = Fitter(model, self.base, self.reader)
        self.proposer, self.cost = proposer, cost
        self.end = attention(model.n_layers)

    def programs(self, deadline: Deadline) -> Iterator[Program]:
        """See `ProgramSearch`."""
        numbers = itertools.count()
        queue: list[tuple[float, int, int, _Node]] = []

        def put(node: _Node, cost: float) -> None:
            heapq.heappush(queue, (cost, -len(node.state.operations), next(numbers), node))

        first = self._settled(self._start())
        if first is None or first.half_layer == self.end:
            return
        put(self._node(first, 0.0), 0.0)
        self.cost.farthest, self.cost.dead_ends = (FIRST_HALF_LAYER, 0), 0
        while queue and not deadline.is_over and not self.cost.is_hopeless:
            _, _, _, node = heapq.heappop(queue)
            following = self._next(node, deadline)
            if following is None:
                if node.best is None and not deadline.is_over:
                    self.cost.ended(node.state.reached)
                continue
            state, loss = following
            put(node, node.cost + loss)
            settled = self._settled(state)
            if settled is None:
                continue
            self.cost.reached(settled.reached)
            if settled.half_layer == self.end:
                yield build_program(settled.operations)
            elif len(settled.operations) < MAX_SEARCHED:
                put(self._node(settled, node.cost + loss), node.cost + loss)

    def _start(self) -> State:
        variables = (self.base.tokens, self.base.indices)
        frame = self.fitter.frame(FIRST_HALF_LAYER, variables, {})
        writing = self.proposer.writing()
        return self._entered(State(frame, 0, (), variables, (), writing=writing))

    def _node(self, state: State, cost: float) -> _Node:
        return _Node(state, cost, self.proposer.proposals(self.fitter, state))

    def _next(self, node: _Node, deadline: Deadline) -> tuple[State, float] | None:
        """The next state that the weights do not refute, and what it costs more."""
        for proposal in node.proposals:
            self.cost.operations += 1
            fit = self._fit(node.state, proposal.operation)
            if fit is not None:
                if node.best is None:
                    node.best = proposal.log_probability
                loss = max(0.0, node.best - proposal.log_probability)
                return self._written(node.state, proposal, fit), loss
            if deadline.is_over:
                return None
        return None

    def _fit(self, state: State, operation: Operation) -> Fit | None:
        slot = 2 + len(state.operations)
        try:
            return self.fitter.fit(state.frame, state.start, operation, slot)
        except (ProgramError, KeyError):
            # It fails on a value, has a result too large to be written, or too many.
            return None

    def _written(self, state: State, proposal: Proposal, fit: Fit) -> State:
        operation, writing = proposal.operation, proposal.writing
        if len(state.operations) + 1 >= MAX_OPERATIONS:
            writing = None
        elif writing is None and state.writing is not None:
            writing = state.writing.after(operation, state.place.ordinal)
        is_width = isinstance(operation, WidthOperation)
        return replace(
            state,
            start=state.start + fit.size,
            operations=(*state.operations, operation),
            variables=(*state.variables, fit.variable),
            variances=(*state.variances, (fit.variable.slot, fit.variance)),
            pending=(*state.pending, fit.variable) if is_width else state.pending,
            to_clean=state.to_clean + is_width,
            ordinal=state.ordinal + 1,
            writing=writing,
        )

    def _settled(self, state: State) -> State | None:
        """Takes all that is no operation, up to the next one or the end; None if it cannot."""
        while state.half_layer < self.end:
            if self.fitter.is_dead(state.frame, state.start):
                if state.half_layer.is_mlp and state.pending:
                    return None
                state = self._entered(
                    replace(
                        state,
                        frame=self._frame(state, state.half_layer.next),
                        start=0,
                        ordinal=0,
                        to_clean=0 if state.half_layer.is_mlp else state.to_clean,
                    )
                )
                continue
            taken = self._without_operation(state) if state.half_layer.is_mlp else None
            if taken is None:
                return state
            state = taken
        return state if state.operations else None

    def _without_operation(self, state: State) -> State | None:
        """Behind the second half of a SelectorWidth, or what takes back its writing at BOS."""
        for auxiliary in state.pending:
            fit = self.fitter.width_stair(state.frame, state.start, auxiliary)
            if fit is not None:
                return replace(
                    state,
                    start=state.start + fit.size,
                    variables=(*state.variables, fit.variable),
                    variances=(*state.variances, (fit.variable.slot, fit.variance)),
                    pending=tuple(v for v in state.pending if v is not auxiliary),
                )
        if state.to_clean and self.fitter.cleans(state.frame, state.start, state.to_clean):
            return replace(state, start=state.start + 1, to_clean=0)
        return None

    def _frame(self, state: State, half_layer: HalfLayer) -> Frame:
        return self.fitter.frame(half_layer, state.variables, dict(state.variances))

    def _entered(self, state: State) -> State:
        """Reads the components of a half-layer and shows them to the network."""
        if state.half_layer == self.end:
            return state
        known = list(state.frame.variables)
        try:
            components_read = self.reader.components(state.half_layer, known)
        except ProgramError:  # too many values to be told apart by a reader
            components_read = []
        components = tuple(c for c in components_read if is_operation(c))
        writing = state.writing
        if writing is not None:
            writing = writing.enter(self.reader, components[: 2 * MAX_OPERATIONS], known)
        return replace(state, components=components, writing=writing)
