"""Answers on models of which nothing was told but the weights, under the true names.

An answer says which rows of W_E it took for what; it is judged with the true names in
the place of those that it made up.
"""

from __future__ import annotations

from dataclasses import replace

from untracr.audit.subject import Subject
from untracr.decompile.result import Result
from untracr.rasp.domain import BOS, PAD, Domain
from untracr.rasp.functions import Value
from untracr.rasp.program import Program
from untracr.sample.token_names import with_token_names


def under_true_names(
    subject: Subject, result: Result, programs: list[Program]
) -> tuple[Subject, list[Program], str]:
    """An answer with the true names of the rows it took.

    Where it took the row of a token that nothing reads for BOS or PAD, and said so, that
    token's name is given to the row that it took for the token instead.

    Args:
        subject: with ``row_names``.
        result: the answer.
        programs: its program, and others that it lists.

    Returns:
        The subject with its rows in the answer's order, the programs over the true names, and
        what is false about the rows; empty if nothing is.
    """
    rows, names = result.token_rows, subject.row_names
    if rows is None or names is None:
        return subject, programs, "the answer does not say which rows it took"
    true = [names[row] for row in rows.tokens]
    taken = [names[row] for row in (rows.bos, rows.pad) if names[row] not in (BOS, PAD)]
    false = "" if not taken or rows.assumed else f"{taken} are taken for BOS or PAD, unsaid"
    given: list[Value] = [taken.pop() if name in (BOS, PAD) else name for name in true]
    order = list(rows.order)
    before = subject.before
    judged = replace(
        subject,
        model=subject.model.replace(W_E=subject.model.W_E[order]),
        before=None if before is None else before.replace(W_E=before.W_E[order]),
        domain=Domain(tuple(given), subject.domain.max_seq_len),
        row_names=None,
    )
    answered = Domain(result.vocab, result.max_seq_len)
    return judged, [with_token_names(p, answered, given) for p in programs], false
