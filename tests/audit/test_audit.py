"""False claims are found, true ones are not, and a long audit may be stopped anywhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from compiled_models import model_of
from tracr_reference import build, compile_with_tracr
from untracr.audit import running
from untracr.audit.claims import compiled_rows, judge_claim, still_computes
from untracr.audit.foreign import compiled_sample, without_read_out
from untracr.audit.kinds import KINDS, parse_kinds
from untracr.audit.plain_run import (
    _forward,
    _layers,
    decoded_differs,
    misread,
    outputs_differ,
    read_out_differs,
    renamed,
)
from untracr.audit.read_outs import rare_outputs
from untracr.audit.running import Audit, Record, audit_one, run_audit
from untracr.audit.strict import StrictAnswer, StrictCase, strict_answer, strict_case
from untracr.audit.subject import Subject
from untracr.audit.summary import summaries, summary_table
from untracr.audit.weights import EXACT, ROTATED, rounded_alike, weights_differ
from untracr.cli.entry import main
from untracr.compile.canonical import canonicalise
from untracr.decompile.bundled import bundled_decompiler
from untracr.decompile.decompiler import Decompiler
from untracr.decompile.result import Result, Search
from untracr.errors import ModelFileError, UsageError
from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.rasp.functions import Value
from untracr.rasp.interpreter import run
from untracr.rasp.program import Program, print_program
from untracr.sample.sampler import SamplerSettings, sample_program
from untracr.syntax.library import named_program
from untracr.syntax.parsing import parse
from untracr.transformer.head_basis import change_head_bases
from untracr.transformer.transformer import Transformer
from untracr.transformer.treatments import (
    add_noise,
    permute_heads,
    permute_neurons,
    permute_residual,
    rotate,
)
from untracr.verify.evidence import Evidence, Verdict

SEED = 31
HIST = parse("hist = SelectorWidth(Select(tokens, tokens, Comparison.EQ))")
WIDTHS = """\
smaller = SelectorWidth(Select(tokens, tokens, Comparison.LT))
x = numerical(Map(lambda n: n / 2, smaller))
y = numerical(Map(lambda n: n * 2, indices))
"""
NUMBER = parse(WIDTHS + "z = numerical(LinearSequenceMap(x, y, 1, -1))")
NEGATIVE = parse(WIDTHS + "z = numerical(LinearSequenceMap(x, y, -1, 1))")


def head_products(model: Transformer) -> npt.NDArray[np.float64]:
    """What all heads score and move, [2, L, H, D, D]."""
    exact = {name: array.astype(np.float64) for name, array in model.arrays().items()}
    scores = exact["W_Q"] @ exact["W_K"].transpose(0, 1, 3, 2)
    return np.stack([scores, exact["W_V"] @ exact["W_O"]])


def answer(program: Program, verdict: Verdict, *others: Program, tolerance: float = 0.0) -> Result:
    """An answer that claims something."""
    return Result(
        name="m",
        program=program,
        source=print_program(program),
        verdict=verdict,
        inputs_checked=0,
        detail="",
        seconds=0.1,
        vocab=PAPER_DOMAIN.vocab,
        max_seq_len=PAPER_DOMAIN.max_seq_len,
        log_probability=0.0,
        other_programs=tuple(print_program(other) for other in others),
        evidence=Evidence(output_tolerance=tolerance),
        search=Search(greedy_verdict=verdict),
    )


def subject(program: Program, *, rotated: bool = False, read_out: bool = False) -> Subject:
    """A model of a known program."""
    model = model_of(program)
    given = rotate(model, np.random.default_rng(1)) if rotated else model
    shown = given if read_out else without_read_out(given)
    return Subject("m", shown, PAPER_DOMAIN, program, without_read_out(model), given)


@pytest.mark.parametrize("rotated", [False, True])
def test_a_claim_of_identity_is_refuted_by_another_program_s_weights(rotated: bool) -> None:
    """The true program's claim stands, and every next program's falls."""
    programs = [sample_program(SEED, index) for index in range(8)]
    for program, other in zip(programs, [*programs[1:], programs[0]], strict=True):
        model = subject(program, rotated=rotated)
        assert judge_claim(model, answer(program, "identical")).false == ""
        assert judge_claim(model, answer(other, "identical")).false != ""
        assert judge_claim(model, answer(other, "unverified")).false == ""


def test_a_sign_that_a_rotation_hides_must_be_listed() -> None:
    """The negative has the same weights: alone it is a false answer, listed beside it is a true
    one."""
    model = subject(NUMBER, rotated=True)
    alone = judge_claim(model, answer(NEGATIVE, "identical"))
    assert "behaves like the reference" in alone.false
    assert (alone.behaves, alone.listed) == (False, False)
    told = judge_claim(model, answer(NEGATIVE, "identical", NUMBER))
    assert (told.false, told.behaves, told.listed) == ("", False, True)
    assert judge_claim(model, answer(NUMBER, "identical")).false == ""


def test_a_listed_program_must_have_the_weights_too() -> None:
    """What is listed as of the same weights, and is not, is a false claim."""
    claim = judge_claim(subject(HIST), answer(HIST, "identical", NUMBER))
    assert claim.false.startswith("other program 1 has other weights")


def test_other_names_are_told_apart_from_other_behaviour() -> None:
    """Without a read-out nothing holds the names of results; with one they are no excuse."""
    one_more, other_names = (parse(f"y = Map(lambda x: x {f}, tokens)") for f in ("+ 1", "- 1"))
    claim = judge_claim(subject(one_more), answer(other_names, "identical"))
    assert (claim.false, claim.behaves, claim.renamed) == ("", False, True)
    shown = judge_claim(subject(one_more, read_out=True), answer(other_names, "identical"))
    assert not shown.renamed
    assert "where [" in shown.contradicted
    assert shown.false == shown.contradicted


def test_renaming_is_one_to_one() -> None:
    """Values that become one are no renaming, nor one that becomes two, nor numbers."""
    sources = ("x", "x % 3", "-x")
    keeps, merges, other = (parse(f"y = Map(lambda x: {source}, tokens)") for source in sources)
    assert renamed(keeps, other, PAPER_DOMAIN, causal=False)
    assert not renamed(keeps, merges, PAPER_DOMAIN, causal=False)
    assert not renamed(merges, keeps, PAPER_DOMAIN, causal=False)
    assert not renamed(NUMBER, NEGATIVE, PAPER_DOMAIN, causal=False)


@pytest.mark.parametrize("kind", ["changed", "changed-rotated"])
def test_one_changed_weight_refutes_the_program_it_was_compiled_from(kind: str) -> None:
    """Each way to change a weight is seen, also behind a rotation.

    But not an entry of a head's factor that shows in none of its products, nor a read-out
    that gives the same outputs or was not given.
    """
    seen = set()
    for index in range(24):
        item = KINDS[kind].make(SEED, index)
        claim = judge_claim(item, answer(sample_program(SEED, index), "identical"))
        assert item.before is not None
        is_seen = True
        if " W_U[" in item.name:
            program, given = sample_program(SEED, index), item.model
            reason = read_out_differs(given, program, PAPER_DOMAIN, 1e-3)
            is_seen = given.W_U is not None and reason != ""
        if any(f" {name}[" in item.name for name in ("W_Q", "W_K", "W_V", "W_O")):
            before = head_products(compiled_sample(SEED, index))
            is_seen = not np.array_equal(head_products(item.before), before)
        assert (claim.false != "") == is_seen, item.name
        seen.add(item.name.split("]")[1].split(",")[0])
    assert len(seen) == 12


RARE = {
    "a table": (
        "h = SelectorWidth(Select(tokens, tokens, Comparison.EQ))\n"
        "Map(lambda x: {0: 0, 1: 1, 2: 2, 3: 7}[x], h)",
        "h = SelectorWidth(Select(tokens, tokens, Comparison.EQ))\nMap(lambda x: x, h)",
    ),
    "a pair": (
        "SequenceMap(lambda x, y: 9 if x + y == 4 else x, tokens, indices)",
        "SequenceMap(lambda x, y: x, tokens, indices)",
    ),
    "a number": (
        "h = SelectorWidth(Select(tokens, tokens, Comparison.EQ))\n"
        "numerical(Map(lambda x: 4.5 if x == 3 else x, h))",
        "h = SelectorWidth(Select(tokens, tokens, Comparison.EQ))\n"
        "numerical(Map(lambda x: x, h, simplify=False))",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("true", "false"), RARE.values(), ids=RARE)
def test_outputs_on_rare_inputs_are_judged_as_tracr_computes_them(true: str, false: str) -> None:
    """The judge finds the very inputs on which the real Tracr's model says otherwise."""
    small = Domain((0, 1, 2), 3)
    program, other = parse(true), parse(false)
    model = compiled_rows(program, small, causal=False)
    theirs = compile_with_tracr(build(program)[0], set(small.vocab), small.max_seq_len)
    wrong = []
    for tokens in small:
        said = theirs.apply(["compiler_bos", *tokens]).decoded[1:]
        assert np.allclose(np.array(said, dtype=float), interpreted(program, tokens), atol=1e-3)
        if not np.allclose(np.array(said, dtype=float), interpreted(other, tokens), atol=1e-3):
            wrong.append(tokens)
    assert 0 < len(wrong) < 10
    assert [m.tokens for m in misread(model, other, small, 1e-3)] == wrong
    assert not list(misread(model, program, small, 1e-3))


def interpreted(program: Program, tokens: Sequence[Value]) -> npt.NDArray[np.float64]:
    """What a program gives, as numbers."""
    return np.array(run(program, [tokens])[0], dtype=np.float64)


def test_a_departure_must_be_told() -> None:
    """Where a program's own weights do something else too, the answer is true if it says so."""
    mean = "x = numerical(Map(lambda t: t == 2, tokens))\n"
    mean += "m = numerical(Aggregate(Select(indices, indices, Comparison.LEQ), x))\n"
    program = parse(mean + "Map(lambda x: x > 0.38, m, simplify=False)")
    model = subject(program, read_out=True)
    silent = answer(program, "identical")
    departs = read_out_differs(model.model, program, PAPER_DOMAIN, 1e-3)
    assert departs
    assert judge_claim(model, silent).contradicted == departs
    assert judge_claim(model, replace(silent, departures=5)).contradicted == ""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["read-out-changed", "rare-outputs"])
def test_nothing_false_is_shown_of_changed_outputs(kind: str) -> None:
    """And a program whose read-out is its own is found, however rare its outputs are."""
    for index in range(14):
        record = audit_one(Audit(seed=SEED, budget=1.0), (kind, index))
        assert record.false == "", record
        if kind == "rare-outputs":
            assert record.verdict == "identical"


def test_what_was_projected_or_noisy_is_no_program_s_weights() -> None:
    """Identity is never true of them."""
    noisy = replace(subject(HIST), before=None)
    assert "no program's" in judge_claim(noisy, answer(HIST, "identical")).false


def test_a_claim_of_equivalence_is_refuted_by_one_output() -> None:
    """Outputs are compared on every input, with the tolerance that the answer tells."""
    others = [sample_program(SEED, index) for index in range(6)]
    for name in ("sort", "shuffle_dyck", "hist", "frac_prevs"):
        named = named_program(name)
        program = canonicalise(named.program)
        weights = compiled_rows(program, named.domain, causal=named.causal)
        given = rotate(weights, np.random.default_rng(1))
        model = Subject("m", given, named.domain, program, without_read_out(weights), given)
        assert judge_claim(model, answer(program, "equivalent", tolerance=1e-3)).false == ""
        for other in others:
            assert judge_claim(model, answer(other, "equivalent", tolerance=1e-3)).false != ""


def test_the_told_tolerance_counts() -> None:
    """A number that is off by a tenth is right with a tolerance of a fifth only."""
    program = parse("x = numerical(Map(lambda t: t == 2, tokens))")
    model = model_of(program)
    assert model.W_U is not None
    off = replace(subject(program, read_out=True), model=model.replace(W_U=model.W_U * 1.1))
    assert judge_claim(off, answer(program, "equivalent", tolerance=0.2)).false == ""
    assert "is read out" in judge_claim(off, answer(program, "equivalent", tolerance=0.05)).false


def test_an_equivalence_must_behave_like_a_reference_that_the_model_computes() -> None:
    """Where the tolerance hides a difference the reference tells; not where the model strayed."""
    small = parse("x = numerical(Map(lambda t: t == 2, tokens))")
    other = parse("x = numerical(Map(lambda t: 1.1 if t == 2 else 0, tokens))")
    model = subject(small, read_out=True)
    claim = judge_claim(model, answer(other, "equivalent", tolerance=0.2))
    assert claim.false == "the model computes the reference, and the program does not"
    weights = model_of(small)
    assert weights.W_U is not None
    strayed = weights.replace(W_U=weights.W_U * 0.6)
    gone = replace(model, model=strayed, read_out=strayed, before=None)
    claim = judge_claim(gone, answer(other, "equivalent", tolerance=0.6))
    assert (claim.false, claim.still_computes) == ("", False)


def test_an_answer_that_cannot_be_read_is_false() -> None:
    """The program is judged as it is printed."""
    broken = replace(answer(HIST, "identical"), source="hist = Nothing(tokens)")
    assert "cannot be read" in judge_claim(subject(HIST), broken).false
    empty = replace(answer(HIST, "identical"), source="")
    assert judge_claim(subject(HIST), empty).false == "there is no program"


def test_a_model_with_much_noise_no_longer_computes_its_program() -> None:
    """That is asked of the read-out; without one, or a reference, it is not known."""
    model = model_of(HIST)
    noisy = add_noise(model, np.random.default_rng(0), 0.5)
    known = subject(HIST)
    assert still_computes(known) is True
    assert still_computes(replace(known, read_out=noisy)) is False
    assert still_computes(replace(known, read_out=None)) is None
    assert still_computes(replace(known, reference=None)) is None


def test_symmetries_keep_the_products_and_changes_do_not() -> None:
    """Reordered and rotated models are the same; a thousandth of noise is seen."""
    rng = np.random.default_rng(5)
    for index in range(5):
        model = compiled_sample(SEED, index)
        for change in (permute_residual, permute_heads, permute_neurons):
            assert weights_differ(change(model, rng), model, EXACT) == ""
        other_basis = change_head_bases(model, rng, d_head=model.d_head + 2)
        assert weights_differ(other_basis, model, ROTATED) == ""
        assert weights_differ(rotate(other_basis, rng), model, ROTATED) == ""
        if model.W_Q.any():
            for name in ("W_Q", "W_K", "W_V", "W_O"):
                one = change_head_bases(model, rng)
                half = model.replace(**{name: getattr(one, name)})
                assert weights_differ(half, model, ROTATED) != "", name
        rotated = rotate(model, rng)
        assert weights_differ(rotated, model, ROTATED) == ""
        assert weights_differ(rotated, model, EXACT) != ""
        assert weights_differ(add_noise(model, rng, 1e-3), model, ROTATED) != ""
        assert weights_differ(model.replace(causal=True), model, ROTATED) != ""
        assert weights_differ(model.replace(b_out=model.b_out + 1e-3), model, ROTATED) != ""


def test_the_last_bit_of_a_weight_is_no_change() -> None:
    """Another compiler may round the last bit another way; two bits more are another weight."""
    model = compiled_sample(SEED, 0)
    assert rounded_alike(model.replace(W_E=model.W_E * np.float32(1 + 1.2e-7)), model)
    assert not rounded_alike(model.replace(W_E=model.W_E * np.float32(1 + 5e-7)), model)
    assert not rounded_alike(model.replace(causal=True), model)


@pytest.mark.parametrize("causal", [False, True])
def test_the_plain_run_is_the_model_s(causal: bool) -> None:
    """Of random weights with biases it reads out what the model's own forward pass computes."""
    rng = np.random.default_rng(2)
    drawn = {n: rng.normal(0, 0.3, a.shape) for n, a in compiled_sample(SEED, 3).arrays().items()}
    arrays = {name: array.astype(np.float32) for name, array in drawn.items()}
    read_out = rng.normal(0, 1, (arrays["W_E"].shape[1], 1)).astype(np.float32)
    model = Transformer(**arrays, W_U=read_out, causal=causal)  # type: ignore[arg-type]
    domain = Domain((0, 1, 2, 3, 4), 1)
    outputs = [
        float((model.forward([[5, token]]).output[0, 1] @ read_out)[0]) for token in range(5)
    ]
    program = parse(f"y = numerical(Map(lambda t: {dict(enumerate(outputs))!r}[t], tokens))")
    assert read_out_differs(model, program, domain, 1e-5) == ""
    outputs[3] += 1e-3
    program = parse(f"y = numerical(Map(lambda t: {dict(enumerate(outputs))!r}[t], tokens))")
    assert read_out_differs(model, program, domain, 1e-5).startswith("[3] gives")
    tokens = np.array([[2, 0, 4, 4, 1], [0, 0, 3, 1, 2]])
    plain = _forward(model, _layers(model), tokens)
    ids = np.concatenate([np.full((2, 1), 5), tokens], axis=1)
    assert np.allclose(plain, model.forward(ids).output[:, 1:], rtol=1e-4, atol=1e-4)


def test_an_input_that_tells_programs_apart_is_shown() -> None:
    """The text names it with both outputs."""
    shown = outputs_differ(HIST, parse("y = Map(lambda x: 1, tokens)"), PAPER_DOMAIN, causal=False)
    assert shown == "[0, 0] gives [2, 2], not [1, 1]"


@pytest.mark.slow
@pytest.mark.parametrize("kind", [name for name in KINDS if name != "trained"])
def test_items_are_functions_of_seed_and_index(kind: str) -> None:
    """The same item twice is the same to the bit; other seeds and indices give others."""
    make = KINDS[kind].make
    for index in range(9):
        fst, snd = make(SEED, index), make(SEED, index)
        assert fst.name == snd.name
        assert_same(fst.model, snd.model)
    assert len({make(SEED, index).name for index in range(9)}) == 9
    assert make(SEED, 0).name != make(SEED + 1, 0).name


@pytest.mark.slow
def test_trained_items_are_functions_of_seed_and_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run gives the same models again, which move from where they start."""
    from untracr.audit import trained

    monkeypatch.setattr(trained, "STEPS", (1, 2, 4, 8))
    trained._run.cache_clear()
    fst = [trained.trained(SEED, index) for index in range(8)]
    trained._run.cache_clear()
    snd = [trained.trained(SEED, index) for index in range(8)]
    trained._run.cache_clear()
    for one, again in zip(fst, snd, strict=True):
        assert one.name == again.name
        assert_same(one.model, again.model)
    moved = [float(np.abs(item.model.W_E - fst[4].model.W_E).max()) for item in fst[4:]]
    assert moved[3] > moved[1] > 0


def assert_same(fst: Transformer, snd: Transformer) -> None:
    """Two models are the same to the bit."""
    mine, theirs = fst.arrays(), snd.arrays()
    assert all(np.array_equal(mine[name], theirs[name]) for name in mine)
    assert (fst.W_U is None) == (snd.W_U is None)
    assert fst.W_U is None or np.array_equal(fst.W_U, snd.W_U)  # type: ignore[arg-type]


@pytest.mark.slow
def test_half_of_the_foreign_models_have_a_read_out() -> None:
    """Both ways to check are tried on them."""
    for kind in ("random", "spliced", "changed"):
        given = [KINDS[kind].make(SEED, index).model.W_U is not None for index in range(24)]
        assert 4 < sum(given) < 20


def test_kinds_are_read_from_text() -> None:
    """Names in order; an unknown one, or one twice, is refused."""
    assert parse_kinds("rotated, compiled") == ("rotated", "compiled")
    assert parse_kinds("all") == tuple(KINDS)
    with pytest.raises(UsageError, match="Did you mean 'rotated'"):
        parse_kinds("rotatd")
    with pytest.raises(UsageError, match="comes twice"):
        parse_kinds("random,random")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Which models are audited; nothing is decompiled."""
    done: list[tuple[str, int]] = []

    def audited(audit: Audit, item: tuple[str, int]) -> Record:
        done.append(item)
        return Record(*item, name=f"{audit.seed}/{item[1]}", verdict="identical")

    monkeypatch.setattr(running, "audit_one", audited)
    return done


def test_an_audit_goes_on_where_it_was_stopped(
    tmp_path: Path, calls: list[tuple[str, int]]
) -> None:
    """Cut anywhere, the file comes to the same lines, and nothing that is in it is done again."""
    file = tmp_path / "a.jsonl"
    audit = Audit(seed=3)
    whole = list(run_audit(audit, ("compiled", "rotated"), 3, file=file))
    data = file.read_bytes()
    ends = [place + 1 for place, byte in enumerate(data) if byte == ord("\n")]
    for cut in (0, 5, ends[0] - 1, ends[0], ends[0] + 9, ends[2], ends[4] + 30, len(data)):
        file.write_bytes(data[:cut])
        calls.clear()
        again = list(run_audit(audit, ("compiled", "rotated"), 3, file=file))
        assert again == whole
        assert file.read_bytes() == data
        assert len(calls) == 6 - max(0, sum(end <= cut for end in ends) - 1)


def test_an_audit_may_be_made_longer(tmp_path: Path, calls: list[tuple[str, int]]) -> None:
    """More models, and more kinds, are added to what is there; what was not asked for is left."""
    file = tmp_path / "a.jsonl"
    list(run_audit(Audit(), ("compiled",), 2, file=file))
    calls.clear()
    found = list(run_audit(Audit(), ("compiled", "random"), 3, file=file))
    assert calls == [("compiled", 2), ("random", 0), ("random", 1), ("random", 2)]
    assert len(found) == 6
    assert len(list(run_audit(Audit(), ("random",), 1, file=file))) == 1


def test_lines_of_other_audits_do_not_mix(tmp_path: Path, calls: list[tuple[str, int]]) -> None:
    """Another seed is refused, and a file that is no audit's is left as it is."""
    file = tmp_path / "a.jsonl"
    list(run_audit(Audit(seed=1), ("compiled",), 1, file=file))
    with pytest.raises(UsageError, match="begun with the seed 1, not 2"):
        list(run_audit(Audit(seed=2), ("compiled",), 1, file=file))
    for text in ("my diary", "my diary\n", '{"format": "other"}\n', "[1]\n"):
        file.write_text(text)
        with pytest.raises(UsageError, match="left alone"):
            list(run_audit(Audit(), ("compiled",), 1, file=file))
        assert file.read_text() == text


class Liar:
    """Answers every model with the same program, shown as identical; or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def decompile(self, model: Transformer, **_: object) -> Result:
        if self.error is not None:
            raise self.error
        return answer(HIST, "identical")


def lie(monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
    """Puts a `Liar` in the place of the decompiler."""
    monkeypatch.setattr(running, "_decompiler", lambda checkpoint: Liar(error))


@pytest.mark.slow
def test_a_decompiler_that_lies_is_found_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every kind tells it, the table names the models, and the exit code is 3."""
    lie(monkeypatch)
    for kind in KINDS:
        if kind not in ("trained", "strict"):  # strict compiling is no decompiler's answer
            assert audit_one(Audit(), (kind, 1)).false, kind
    assert main(["audit", "--kinds", "spliced,compiled", "--models", "2"]) == 3
    shown = capsys.readouterr().out
    assert "False claims:" in shown
    assert "- spliced/1, identical: 0/1 " in shown


def test_help_lists_every_kind_with_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """The list is made of the kinds themselves, so that it misses none."""
    assert main(["audit", "--help"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for name, kind in KINDS.items():
        assert any(line.startswith(f"{name} {kind.what}") for line in lines), name


@pytest.mark.parametrize("error", [ModelFileError("too large"), ZeroDivisionError("by zero")])
def test_a_decompiler_that_fails_is_told_and_does_not_stop_the_audit(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The record says how."""
    lie(monkeypatch, error)
    record = audit_one(Audit(), ("compiled", 0))
    assert record.verdict == "failed"
    assert str(error) in record.false


def test_the_summary_counts_what_it_says() -> None:
    """Shares are of the models that still compute; a false claim and an untold one are listed."""

    def line(index: int, verdict: str, **more: object) -> Record:
        return Record("noisy", index, f"m{index}", verdict, **more)  # type: ignore[arg-type]

    records = [
        line(0, "equivalent", greedy_verdict="equivalent", still_computes=True, behaves=True),
        line(1, "equivalent", still_computes=True, behaves=True, operations=9, candidates=3),
        line(2, "unverified", still_computes=True, behaves=True, operations=5, candidates=1),
        line(3, "unverified", still_computes=False, behaves=False),
        line(4, "identical", still_computes=False, behaves=False, false="lies"),
        line(5, "identical", still_computes=False, behaves=False, listed=True),
    ]
    (found,) = summaries(reversed(records))
    shown = json.loads(json.dumps(found.as_dict()))
    assert shown["models"] == 6
    assert (shown["still_compute"]["count"], shown["still_compute"]["total"]) == (3, 6)
    assert (shown["proved"]["count"], shown["proved"]["total"]) == (2, 3)
    assert (shown["proved_at_once"], shown["proved_by_search"]) == (1, 3)
    assert [entry["name"] for entry in shown["false"]] == ["m4"]
    assert shown["other_behaviour_unlisted"] == ["m4"]
    assert shown["other_behaviour_listed"] == 1
    assert line(6, "identical", behaves=False).is_unlisted
    assert not line(7, "identical", behaves=False, departures=3).is_unlisted
    assert (shown["median_candidates"], shown["median_operations"]) == (2, 7)
    text = summary_table([found])
    assert "- noisy/4, identical: m4: lies" in text
    assert "No claim was found to be false." in summary_table(summaries(records[:4]))


@pytest.mark.slow
def test_a_true_audit_ends_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A few models of two processes: no false claim, code 0, and a line of JSON a kind."""
    file = tmp_path / "a.jsonl"
    options = ["--kinds", "compiled,named", "--models", "3", "--budget", "2", "--out", str(file)]
    assert main(["audit", *options, "--processes", "2", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["kind"] for line in lines] == ["compiled", "named"]
    assert all(line["false"] == [] and line["models"] == 3 for line in lines)
    assert len(file.read_text().splitlines()) == 7


@pytest.mark.parametrize("kind", ["renamed", "inner-basis"])
def test_the_judge_knows_a_program_in_any_form(kind: str) -> None:
    """Names, inner bases and orders make no other weights; the next program's are others."""
    for index in range(12):
        item = KINDS[kind].make(SEED, index)
        assert item.reference is not None
        program = canonicalise(item.reference)
        assert judge_claim(item, answer(program, "identical")).false == "", item.name
        other = answer(sample_program(SEED, index + 1), "identical")
        assert judge_claim(item, other).false != "", item.name


def test_half_a_change_of_a_head_refutes_its_program() -> None:
    """One factor in another basis, or one entry of a product."""
    for index in range(16):
        item = KINDS["half-a-basis"].make(SEED, index)
        reference = next(
            program
            for n in range(100)
            if model_of(program := sample_program(SEED, 30_000_000 + 1000 * index + n)).W_Q.any()
        )
        claim = judge_claim(item, answer(reference, "identical"))
        assert "differs" in claim.false, item.name


def test_strict_cases_are_small_enough_to_run_and_of_any_exactness() -> None:
    cases = [strict_case(0, index) for index in range(40)]
    assert cases == [strict_case(0, index) for index in range(40)]
    assert all(case.domain.size <= 10_000 for case in cases)
    assert len({case.exactness for case in cases}) > 30
    assert {case.domain.max_seq_len for case in cases} >= {5, 8, 12}


@pytest.mark.slow
def test_what_is_accepted_strictly_does_what_it_says_on_every_input() -> None:
    records = list(run_audit(Audit(seed=5), ["strict"], 40))
    assert not any(record.false for record in records)
    verdicts = [record.verdict for record in records]
    assert {"accepted", "refused"} <= set(verdicts)
    table = summary_table(summaries(records))
    assert f"{verdicts.count('accepted')} accepted" in table
    assert "0 of 40 wrongly" in table


def test_the_strict_kind_can_fail() -> None:
    """What is wrong at length 12 is seen by the plain run, and told if it is accepted."""
    program = canonicalise(named_program("length").program)
    domain = Domain((0, 1), 12)
    case = StrictCase("length", program, domain, 156)
    assert decoded_differs(case.model, program, domain) == f"{[0] * 12}, position 0: not 12"
    assert strict_answer(case).verdict == "refused"
    assert StrictAnswer(True, "on some input", False, 0.0).false == "on some input"
    steeper = StrictCase("length", program, domain, 157)
    assert strict_answer(steeper).verdict == "accepted"


@pytest.mark.slow
@pytest.mark.parametrize("index", range(6))
def test_the_plain_judge_of_strict_compiling_agrees_with_tracr(index: int) -> None:
    """Where it says that weights are wrong the real Tracr's model is, and nowhere else."""
    vocab: set[Value] = {0, 1}
    exactness = (5, 20, 31, 60, 100, 13)[index]
    program = sample_program(31, index, SamplerSettings(Domain((0, 1), 5), 3, 6))
    sop, named = build(program)
    model = compile_with_tracr(sop, vocab, 5, mlp_exactness=exactness)
    domain = Domain((0, 1), 5)
    expected = [run(named, [xs])[0] for xs in domain]
    given = [model.apply(["compiler_bos", *xs]).decoded[1:] for xs in domain]
    wrong = [not all(map(_decoded_alike, a, b)) for a, b in zip(expected, given, strict=True)]
    case = StrictCase("", program, domain, exactness)
    assert bool(decoded_differs(case.model, program, domain)) is any(wrong)


def _decoded_alike(wanted: Value, given: object) -> bool:
    if isinstance(wanted, (int, float)) and isinstance(given, (int, float)):
        return abs(wanted - given) <= 1e-3 * max(1.0, abs(wanted))
    return wanted is not None and wanted == given


def test_a_steep_staircase_hides_no_head_and_doubts_none() -> None:
    """Its neurons are 10,000 long: the rounding of these is not taken for another head."""
    subject = KINDS["exactness"].make(64, 21)
    assert np.abs(subject.model.W_in).max() > 1_000
    found = judge_claim(subject, bundled_decompiler().decompile(subject.model))
    assert not found.false


@pytest.mark.slow
def test_known_departures_cover_read_outs_that_rounding_decides() -> None:
    """Where a program's own weights read out nothing, a rotated model's largest column is noise."""
    subject = rare_outputs(81, 341)
    result = Decompiler().decompile(subject.model, vocab=subject.domain.vocab, budget=3)
    assert result.verdict == "identical"
    assert result.departures > 0
    assert judge_claim(subject, result).false == ""
    assert judge_claim(subject, replace(result, departures=0)).false != ""
