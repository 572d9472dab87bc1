"""Compiled models as subjects of hypotheses."""

from __future__ import annotations

from compiled_models import model_of, program_of
from untracr.hypothesis.subject import Subject, usual_view
from untracr.network.compiled_form import network_of_compiled
from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.rasp.program import Program
from untracr.task.task import (
    EveryPosition,
    Label,
    Layout,
    Lengths,
    Meaning,
    Number,
    Specials,
    Task,
)
from untracr.transformer.transformer import Transformer

COUNT = """
same = Select(tokens, tokens, Comparison.EQ)
often = SelectorWidth(same)
double = Map(lambda x: x * 2, often)
SequenceMap(lambda x, y: x + y, double, indices)
"""
"""Twice how often the token occurs, and the position: every line is told by the output."""


def subject_of(model: Transformer, domain: Domain = PAPER_DOMAIN) -> Subject:
    """A model of `compiled_models`, whose tokens are the domain's, then BOS and PAD."""
    tokens = len(domain.vocab)
    names = (*domain.vocab, "BOS", "PAD")[: len(model.W_E)]
    meaning: Meaning = Number() if model.output_values is None else Label(model.output_values)
    task = Task(
        names,
        Specials(bos=tokens, pad=tokens + 1 if len(names) > tokens + 1 else None),
        Layout((tokens,)),
        Lengths(1, domain.max_seq_len),
        Lengths(),
        EveryPosition(),
        meaning,
    )
    return Subject(network_of_compiled(model), task, usual_view(task))


def compiled(source: str) -> tuple[Subject, Program]:
    """A program and its weights as a subject."""
    program = program_of(source)
    return subject_of(model_of(program)), program
