"""A read-out beside a program's own: what is said of outputs holds on every input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from compiled_models import bare, model_of, program_of
from untracr.ambiguity.checking import Check, check
from untracr.decompile.bundled import bundled_decompiler
from untracr.decompile.result import Result
from untracr.rasp.batches import SAMPLED, batches
from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.rasp.drawn_inputs import drawn_inputs
from untracr.rasp.equivalence import decide_equivalence
from untracr.rasp.interpreter import Batch
from untracr.transformer import treatments
from untracr.transformer.transformer import Transformer
from untracr.verify.evidence import PROVED

LETTERS = Domain(("a", "b", "c", "d"), 4)
LARGE = Domain(tuple(range(8)), 8)
HIST = "h = SelectorWidth(Select(tokens, tokens, Comparison.EQ))\n"
RARE = HIST + "Map(lambda x: {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 7}[x], h)\n"


def rotated(model: Transformer) -> Transformer:
    return treatments.rotate(model, np.random.default_rng(3))


def decompiled(model: Transformer) -> Result:
    return bundled_decompiler().decompile(model, vocab=PAPER_DOMAIN.vocab)


# Outputs that differ on rare inputs


@pytest.mark.parametrize("turn", [lambda m: m, rotated], ids=["raw", "rotated"])
def test_a_rare_output_is_seen(turn: Callable[[Transformer], Transformer]) -> None:
    """Of 3,905 inputs five have one token five times: the table's last entry is not lost."""
    model = turn(model_of(RARE))
    same = check(model, program_of(HIST + "Map(lambda x: x, h, simplify=False)\n"), PAPER_DOMAIN)
    assert same.program is not None
    assert decide_equivalence(same.program, program_of(RARE), PAPER_DOMAIN).equal
    found = bundled_decompiler().decompile(model)
    assert (found.verdict, found.evidence.read_out) == ("identical", "same")
    assert found.program is not None
    assert decide_equivalence(found.program, program_of(RARE), PAPER_DOMAIN).equal


def test_a_false_claim_of_rare_outputs_is_refuted() -> None:
    """As a certificate's replay does: without taking another program of the same weights."""
    false = program_of(HIST + "Map(lambda x: x, h, simplify=False)\n")
    found = check(model_of(RARE), false, PAPER_DOMAIN, settle=False)
    assert found.verdict == "unverified"
    assert "outputs agree on 3,900 of 3,905 inputs" in found.detail


# A read-out is judged as strictly as weights


def scaled(factor: float) -> Callable[[Transformer], Transformer]:
    def change(model: Transformer) -> Transformer:
        assert model.W_U is not None
        return model.replace(W_U=model.W_U * np.float32(factor))

    return change


def with_column(of: int, name: object) -> Callable[[Transformer], Transformer]:
    """A further column like another one, but for its name."""

    def change(model: Transformer) -> Transformer:
        assert model.W_U is not None
        assert model.output_values is not None
        W_U = np.concatenate([model.W_U, model.W_U[:, of : of + 1]], axis=1)
        return model.replace(W_U=W_U, output_values=(*model.output_values, name))

    return change


def in_other_order(model: Transformer) -> Transformer:
    assert model.W_U is not None
    assert model.output_values is not None
    return model.replace(W_U=model.W_U[:, ::-1], output_values=model.output_values[::-1])


def with_one_input_changed(model: Transformer) -> Transformer:
    """On one input of one token, 3, the first value is read out."""
    assert model.W_U is not None
    W_U = model.W_U.copy()
    W_U[:, 0] += 0.55 * (model.W_E[3] + model.W_pos[5])
    return model.replace(W_U=W_U)


def with_weight(weight: float) -> Callable[[Transformer], Transformer]:
    def change(model: Transformer) -> Transformer:
        assert model.W_U is not None
        W_U = model.W_U.copy()
        W_U[0, 0] = weight
        return model.replace(W_U=W_U)

    return change


SAME_OUTPUTS = {
    "doubled": scaled(2.0),
    "a hundredth": scaled(0.01),
    "a column twice": with_column(1, 1),
    "in another order": in_other_order,
    "a column of nothing": lambda m: m.replace(
        W_U=np.concatenate([m.W_U, np.zeros_like(m.W_U[:, :1])], axis=1),
        output_values=(*m.output_values, 99),
    ),
}

OTHER_OUTPUTS = {
    "a column of another name last": with_column(1, 99),  # rounding alone decides between them
    "hardly anything": scaled(0.0005),  # as near to each other as rounding may be
    "negated": scaled(-1.0),
    "a column of another name first": lambda m: in_other_order(with_column(1, 99)(m)),
    "one input changed": with_one_input_changed,
    "not a number": with_weight(float("nan")),
    "infinite": with_weight(float("inf")),
}


@pytest.mark.parametrize("change", SAME_OUTPUTS.values(), ids=SAME_OUTPUTS)
def test_another_read_out_of_the_same_outputs_is_run(
    change: Callable[[Transformer], Transformer],
) -> None:
    """It is compared on every input, and the verdict says so; or its columns show it."""
    found = check(change(model_of(HIST)), program_of(HIST), PAPER_DOMAIN)
    if found.evidence.read_out == "same":
        assert found.verdict == "identical"
    else:
        assert found.verdict == "equivalent"
        assert found.evidence.weights == "reordered"
        assert found.evidence.inputs_agree == PAPER_DOMAIN.size
        assert "the same output on all 3,905 inputs" in found.detail


@pytest.mark.parametrize("change", OTHER_OUTPUTS.values(), ids=OTHER_OUTPUTS)
@pytest.mark.parametrize("settle", [True, False])
def test_a_read_out_of_other_outputs_is_not_proved(
    change: Callable[[Transformer], Transformer], settle: bool
) -> None:
    """Weights are the program's, and outputs are not."""
    found = check(change(model_of(HIST)), program_of(HIST), PAPER_DOMAIN, settle=settle)
    assert found.verdict == "unverified", found.detail
    assert found.evidence.weights == "reordered"
    assert "read-out" in found.detail


def test_a_number_read_out_twice_as_large_is_another() -> None:
    source = "numerical(Map(lambda x: x, tokens, simplify=False))\n"
    model, program = model_of(source), program_of(source)
    assert check(model, program, PAPER_DOMAIN).evidence.read_out == "same"
    for factor in (2.0, 0.01, 1.01):
        assert check(scaled(factor)(model), program, PAPER_DOMAIN).verdict == "unverified"
    close = check(scaled(1.0005)(model), program, PAPER_DOMAIN)
    assert (close.verdict, close.evidence.output_tolerance) == ("equivalent", 1e-3)


def test_no_number_is_taken_for_another_of_the_program() -> None:
    """5,000 and 5,001 are a five-thousandth apart, and not the same output."""
    base, one_more = (
        f"numerical(Map(lambda x: x + {n}, tokens, simplify=False))\n" for n in (5000, 5001)
    )
    assert check(model_of(base), program_of(base), PAPER_DOMAIN).verdict == "identical"
    assert check(model_of(one_more), program_of(base), PAPER_DOMAIN).verdict == "unverified"


def test_outputs_that_were_only_sampled_are_not_proved() -> None:
    """Where the read-out is another and the domain too large, nothing is proved of outputs."""
    model, program = model_of(HIST, LARGE), program_of(HIST)
    assert check(model, program, LARGE).verdict == "identical"  # by the columns alone
    found = check(scaled(2.0)(model), program, LARGE)
    assert found.verdict == "tested"
    assert found.verdict not in PROVED
    assert f"{found.inputs_checked:,} different inputs of more" in found.detail
    assert found.inputs_checked <= SAMPLED


def test_where_a_program_gives_none_outputs_are_compared() -> None:
    """A model that reads out a value where the program gives None does not agree."""
    source = "Aggregate(Select(indices, indices, lambda x, y: x == y - 1), tokens)\n"
    model, program = model_of(source), program_of(source)
    assert check(model, program, PAPER_DOMAIN).verdict == "identical"
    assert model.W_U is not None
    W_U = model.W_U.copy()
    W_U[:, 2] += 0.4 * model.W_pos[1]  # the first position, which has no earlier one
    assert check(model.replace(W_U=W_U), program, PAPER_DOMAIN).verdict == "unverified"


def with_columns(model: Transformer, count: int) -> Transformer:
    """The model with columns of nothing behind its own."""
    assert model.W_U is not None
    assert model.output_values is not None
    own = len(model.output_values)
    W_U = np.zeros((model.d_model, count), dtype=np.float32)
    W_U[:, :own] = model.W_U
    names = (*model.output_values, *(n + 0.5 for n in range(own, count)))
    return model.replace(W_U=W_U, output_values=names)


def test_columns_are_bounded() -> None:
    """More than a program has are compared as far as memory allows, else told."""
    model, program = model_of(HIST), program_of(HIST)
    most = model.d_model + 1_000
    found = check(with_columns(model, most), program, PAPER_DOMAIN)
    assert (found.verdict, found.evidence.read_out) == ("identical", "same")
    found = check(with_columns(model, most + 1), program, PAPER_DOMAIN)
    assert (found.verdict, found.evidence.read_out) == ("identical", "not compared")
    reason = f"the read-out's {most + 1:,} columns are more than the {most:,} that are compared"
    assert f"of its read-out nothing is said: {reason}" in found.detail


# More knowledge costs no verdict


NAMED = [
    "Map(lambda x: x * 3, tokens)",
    "Map(lambda x: x - 2, tokens)",
    "Map(lambda x: 10 * x + 10, tokens)",
    "Map(lambda x: {0: 'c', 1: 'a', 2: 'x', 3: 'b', 4: 'q'}[x], tokens)",
    "Map(lambda x: x ** 0.5, tokens)",
    "Map(lambda x: 5, tokens)",
    "a = Map(lambda x: x * 3, tokens)\nAggregate(Select(indices, indices, Comparison.EQ), a)",
    "a = Map(lambda x: x * 2, tokens)\n"
    "s = SelectorWidth(Select(a, a, Comparison.LT))\n"
    "SequenceMap(lambda x, y: x * 10 + y, a, s)",
    "a = Map(lambda x: x * 3 - 1, tokens)\nAggregate(Select(a, a, lambda x, y: x == y + 3), a)",
    "SequenceMap(lambda x, y: x * y - 7, tokens, indices)",
]


@pytest.mark.slow
@pytest.mark.parametrize("source", NAMED)
def test_a_true_read_out_names_the_results(source: str) -> None:
    """What is identical without its read-out is so with it, and behaves as the read-out says."""
    model, program = model_of(source), program_of(source)
    for given in (model, rotated(model)):
        assert decompiled(bare(given)).verdict == "identical"
        found = decompiled(given)
        assert (found.verdict, found.evidence.read_out) == ("identical", "same")
        assert found.alternatives == 0
        assert found.program is not None
        assert decide_equivalence(found.program, program, PAPER_DOMAIN).equal


def test_names_become_common_functions() -> None:
    """A table that a common function has is written as that."""
    for function in ("x * 3", "x - 2", "x * x", "x % 3"):
        found = bundled_decompiler().decompile(model_of(f"Map(lambda x: {function}, tokens)"))
        assert f"lambda x: {function}," in found.source


def test_letters_are_named() -> None:
    model = model_of("Map(lambda x: {'a': 1, 'b': 0, 'c': 5, 'd': -1}[x], tokens)", LETTERS)
    found = bundled_decompiler().decompile(model, vocab=LETTERS.vocab)
    assert found.verdict == "identical"
    assert "{'a': 1, 'b': 0, 'c': 5, 'd': -1}" in found.source


def test_what_reads_a_named_table_keeps_its_meaning() -> None:
    """A Select and a SequenceMap read the renamed values, moved ones too."""
    source = (
        "a = Map(lambda x: {0: 9, 1: 4, 2: 0, 3: 7, 4: 2}[x], tokens)\n"
        "s = Select(a, a, lambda x, y: x == y)\n"
        "m = Aggregate(Select(indices, indices, Comparison.EQ), a)\n"
        "Aggregate(Select(m, tokens, lambda x, y: x == y + 2), a)\n"
    )
    model, program = model_of(source), program_of(source)
    found = check(model, program, PAPER_DOMAIN)
    assert found.evidence.read_out == "same"
    other = model.replace(output_values=(10, 11, 12, 13, 14))
    renamed = check(other, program, PAPER_DOMAIN)
    assert (renamed.verdict, renamed.evidence.read_out) == ("identical", "same")
    assert renamed.program is not None
    names = dict(zip((0, 2, 4, 7, 9), range(10, 15), strict=True))
    batch = Batch.of_domain(PAPER_DOMAIN)
    mine, theirs = batch.evaluate(program), batch.evaluate(renamed.program)
    for row in range(0, len(batch), 7):
        wanted = [None if v is None else names[v] for v in batch.row(mine, row)]  # type: ignore[index]
        assert batch.row(theirs, row) == wanted


def test_a_read_out_that_no_program_has_ends_soon() -> None:
    """Names that a width cannot have: the weights' program is given, and nothing is searched."""
    model = model_of(HIST).replace(output_values=(0, 1, 2, 3, 4, 7))
    found = bundled_decompiler().decompile(model)
    assert found.verdict == "unverified"
    assert found.evidence.weights == "reordered"
    assert found.program is not None
    assert decide_equivalence(found.program, program_of(HIST), PAPER_DOMAIN).equal
    assert found.search is not None
    assert found.search.operations == 0


# Inputs drawn of large domains


def test_drawn_inputs_differ_and_repeat_themselves() -> None:
    """No input comes twice; those of one token are among them."""
    batch = drawn_inputs(LARGE, 2_000, np.random.default_rng(0))
    rows = [tuple(batch.input(row)) for row in range(len(batch))]
    assert len(set(rows)) == len(rows) > 1_900
    assert all(1 <= len(row) <= 8 for row in rows)
    assert {(token,) * 8 for token in range(8)} <= set(rows)
    assert (0, 1) * 4 in rows or any(len(set(row)) == 2 and len(row) == 8 for row in rows)


def test_no_more_is_drawn_than_there_is() -> None:
    small = Domain((0, 1, 2), 5)
    assert small.size == 363
    assert len(drawn_inputs(small, 512, np.random.default_rng(0))) == 363
    long = Domain(tuple(range(5)), 900)
    assert len(drawn_inputs(long, 100, np.random.default_rng(0))) == 100
    seen = [tuple(batch.input(row)) for batch in batches(LARGE, 512, causal=False)
            for row in range(len(batch))]  # fmt: skip
    assert len(seen) == len(set(seen))


def test_a_sample_finds_what_only_repetition_shows() -> None:
    """Eight equal tokens are one input in two million; a changed column there is found."""
    model, program = model_of(HIST, LARGE), program_of(HIST)
    assert model.output_values is not None
    named = replace(model, output_values=(*model.output_values[:-1], 99))
    found: Check = check(named, program, LARGE, settle=False)
    assert found.verdict == "unverified"
    assert found.evidence.inputs_agree < found.inputs_checked


# Weights of a head's own basis, small or large


FIRST = """
first = Select(indices, Map(lambda x: 0, indices), Comparison.EQ)
Aggregate(first, tokens)
"""


def in_a_small_basis(model: Transformer) -> Transformer:
    """The same heads, with entries of W_O near 1e-7."""
    size = np.float32(1e-7)
    return model.replace(W_V=model.W_V / size, W_O=model.W_O * size)


def test_a_head_that_writes_through_small_numbers_is_read_out() -> None:
    """What it writes is W_V W_O: another read-out of it is seen, and its own still is the same."""
    model = in_a_small_basis(model_of(FIRST))
    assert model.W_U is not None
    assert check(model, program_of(FIRST), PAPER_DOMAIN).verdict == "identical"
    for other in (np.roll(model.W_U, 1, axis=1), 0 * model.W_U, -model.W_U):
        assert (
            check(model.replace(W_U=other), program_of(FIRST), PAPER_DOMAIN).verdict not in PROVED
        )


def test_a_small_bias_is_a_bias() -> None:
    """In a head's own basis it may decide what is attended to."""
    model = model_of(FIRST)
    size = np.float32(1e-9)
    small = model.replace(W_Q=model.W_Q * size, W_K=model.W_K / size)
    assert check(small, program_of(FIRST), PAPER_DOMAIN).verdict == "identical"
    biased = small.replace(b_Q=np.full_like(small.b_Q, 9e-7))
    assert check(bare(biased), program_of(FIRST), PAPER_DOMAIN).verdict not in PROVED


LARGE_BESIDE = """
n = numerical(Map(lambda x: x * 100000000, tokens))
m = Map(lambda x: x > 150000000, n, simplify=False)
SequenceMap(lambda x, y: (x, y), m, tokens)
"""


def test_a_column_that_reads_a_trace_of_a_large_number_is_another() -> None:
    """A share of 2e-7 is rounding of the column, but not of what it gives: 60 beside ones."""
    program = program_of(LARGE_BESIDE)
    model = model_of(LARGE_BESIDE)
    assert model.W_U is not None
    assert check(model, program, PAPER_DOMAIN).evidence.read_out == "same"
    along = model.W_out[0][np.abs(model.W_out[0]).sum(axis=1).argmax()]
    columns = model.W_U.copy()
    columns[:, 0] += np.float32(2e-7) * along
    found = check(model.replace(W_U=columns), program, PAPER_DOMAIN)
    assert (found.verdict, found.evidence.read_out) == ("unverified", "different")
