"""What a program gives when one of its lines is exchanged."""

from __future__ import annotations

import numpy as np

from compiled_models import program_of
from untracr.hypothesis.lines import exchanged, is_function_of, lines_of
from untracr.rasp.domain import PAPER_DOMAIN
from untracr.rasp.interpreter import Batch, Column

TOKENS = 0


def batch_of(*rows: list[int]) -> Batch:
    """Inputs of one length."""
    codes = np.array(rows)
    return Batch.of_codes(PAPER_DOMAIN, codes, np.full(len(rows), codes.shape[1]))


def test_an_exchanged_line_is_read_by_all_that_comes_after() -> None:
    program = program_of("SequenceMap(lambda x, y: x * y, Map(lambda x: x + 1, tokens), tokens)")
    lines = lines_of(program, batch_of([2, 3]))
    assert lines.batch.row(lines.output, 0) == [6, 12]
    after = exchanged(
        program, batch_of([2, 3]), {TOKENS: Column(np.array([[4, 3]]), PAPER_DOMAIN.vocab)}
    )
    assert [after.output.values[code] for code in after.output.codes[0]] == [20, 12]
    assert after.meant.all()


def test_one_line_of_two_that_hold_the_same_is_exchanged_alone() -> None:
    program = program_of("SequenceMap(lambda x, y: x * y, Map(lambda x: x + 1, tokens), tokens)")
    line = next(ref for ref in program.sops if ref not in (0, 1, program.output))
    lines = lines_of(program, batch_of([2, 3]))
    values = lines.columns[line].values
    codes = lines.columns[line].codes.copy()
    codes[0, 0] = values.index(4)
    after = exchanged(program, batch_of([2, 3]), {line: Column(codes, values)})
    assert [after.output.values[code] for code in after.output.codes[0]] == [8, 12]


def test_a_mean_over_two_categories_means_nothing() -> None:
    program = program_of("Aggregate(Select(tokens, tokens, Comparison.EQ), tokens)")
    line = program.output
    assert lines_of(program, batch_of([1, 1, 2])).columns[line] is not None
    key = program.nodes[line]
    assert key is not None
    doubled = program_of(
        "Aggregate(Select(tokens, tokens, Comparison.EQ), Map(lambda x: x + 1, tokens))"
    )
    inner = next(ref for ref in doubled.sops if ref not in (0, 1, doubled.output))
    batch = batch_of([1, 1, 2])
    column = lines_of(doubled, batch).columns[inner]
    codes = column.codes.copy()
    codes[0, 0] = column.values.index(3)
    after = exchanged(doubled, batch_of([1, 1, 2]), {inner: Column(codes, column.values)})
    assert not after.meant[0]


def test_functions_are_told_from_what_is_none() -> None:
    x = np.array([0, 1, 2, 3])
    assert is_function_of(x // 2, x)
    assert not is_function_of(x, x // 2)
