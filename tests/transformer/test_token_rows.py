"""Which rows of W_E are BOS and PAD: read off the weights, told by a file or a user, or assumed.

Tracr sorts its special tokens among the vocabulary, so that over letters from d on, over
words, or with a BOS of the user's own they stand anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from compiled_models import bare
from tracr_reference import compile_with_tracr, reset_ids
from untracr import compile_rasp_to_model, decompile_model
from untracr.certificate.certificate import certificate_of
from untracr.certificate.replaying import replay
from untracr.cli.entry import main
from untracr.errors import EvaluationError, ModelFileError, UsageError
from untracr.loading.compiled_file import save_model
from untracr.loading.haiku import transformer_from_haiku
from untracr.loading.model import LoadedModel
from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.rasp.functions import Value
from untracr.rasp.interpreter import run
from untracr.rasp.program import Program
from untracr.sample.sampler import sample_program
from untracr.sample.token_names import with_drawn_names, with_token_names
from untracr.syntax.tracr_objects import to_tracr
from untracr.transformer import treatments
from untracr.transformer.special_rows import find_special_rows
from untracr.transformer.token_rows import Naming, rows_of, token_rows
from untracr.transformer.transformer import Transformer

REVERSE = """
length = SelectorWidth(Select(tokens, tokens, Comparison.TRUE))
opposite = SequenceMap(lambda x, y: x - y - 1, length, indices)
reverse = Aggregate(Select(indices, opposite, Comparison.EQ), tokens)
"""
IS_B = 'numerical(Map(lambda x: x == "b", tokens))'
IS_B_COUNTED = 'SelectorWidth(Select(tokens, tokens, lambda k, q: k == "b"))'


def tracr_weights(model: Any) -> Transformer:
    """A Tracr model's weights, with nothing said of their rows."""
    params = {k: {n: np.asarray(a) for n, a in v.items()} for k, v in model.params.items()}
    return transformer_from_haiku(params, model.model_config.num_heads)


def tracr_model(program: Program, domain: Domain) -> Any:
    """A program compiled by Tracr."""
    from tracr.rasp import rasp

    reset_ids(rasp)
    return compile_with_tracr(to_tracr(program), set(domain.vocab), domain.max_seq_len)


def weights_of(source: str, vocab: tuple[Value, ...], length: int = 4, **names: Any) -> Transformer:
    """Our compiler's weights, rows in Tracr's order, without a read-out."""
    model = compile_rasp_to_model(source, vocab, length, **names)
    return bare(model.transformer)


def rows(model: Transformer) -> tuple[int, int, bool]:
    """BOS's and PAD's row as taken, and whether that is assumed."""
    found = rows_of(model)
    return found.bos, found.pad, bool(found.assumed)


@pytest.mark.slow
def test_tracr_counts_x_among_w_to_z() -> None:
    """BOS and PAD are Tracr's first rows there; taken for the last two, z was counted."""
    from tracr.compiler import lib
    from tracr.rasp import rasp

    reset_ids(rasp)
    sop = lib.make_frac_prevs(rasp.tokens == "x")
    model = tracr_weights(compile_with_tracr(sop, {"w", "x", "y", "z"}, 5))
    result = decompile_model(model, vocab={"w", "x", "y", "z"})
    assert result.verdict == "identical"
    assert result.token_rows is not None
    assert (result.token_rows.bos, result.token_rows.pad) == (0, 1)
    assert result.program is not None
    tokens = ("x", "w", "z", "x")
    assert run(result.program, [tokens]) == [[1.0, 1 / 2, 1 / 3, 1 / 2]]


def test_our_own_reverse_over_a_to_d_from_weights_alone() -> None:
    """Its rows are a, b, c, BOS, PAD, d."""
    model = compile_rasp_to_model(REVERSE, ("a", "b", "c", "d"), 4).transformer
    assert rows(model) == (3, 4, False)
    result = decompile_model(model)
    assert result.verdict == "identical"
    assert result.token_rows is not None
    assert result.token_rows.tokens == (0, 1, 2, 5)
    assert result.program is not None
    assert run(result.program, [("a", "d", "d")]) == [["d", "d", "a"]]


def test_a_read_out_names_the_tokens() -> None:
    """Its values are the letters; called 0 to 3 the tokens would give no such output."""
    model = compile_rasp_to_model(REVERSE, ("a", "b", "c", "d"), 4).transformer
    result = decompile_model(model)
    assert result.token_rows is not None
    assert result.token_rows.names_from == "read-out"
    assert result.vocab == ("a", "b", "c", "d")
    alone = decompile_model(bare(model))
    assert alone.vocab == (0, 1, 2, 3)
    assert alone.verdict == "identical"


@pytest.mark.slow
@pytest.mark.parametrize("index", range(12))
def test_sampled_programs_over_drawn_names(index: int) -> None:
    """Real Tracr, no metadata: the true rows may be these, and the program compiles to them."""
    program, domain = with_drawn_names(
        sample_program(61, index), PAPER_DOMAIN, Random(f"names {index}")
    )
    compiled = tracr_model(program, domain)
    model, places = tracr_weights(compiled), compiled.input_encoder.encoding_map
    bos, pad = places["compiler_bos"], places["compiler_pad"]
    shown = find_special_rows(model)
    assert (bos, pad) in shown.pairs()
    rng = np.random.default_rng(index)
    assert find_special_rows(treatments.rotate(model, rng)) == shown
    named = decompile_model(model, vocab=set(domain.vocab))
    assert named.token_rows is not None
    assert {named.token_rows.bos, named.token_rows.pad} == {bos, pad}
    assert (named.token_rows.bos, named.token_rows.pad) == (
        bos,
        pad,
    ) or not named.token_rows.assumed


def test_programs_over_other_names_do_the_same() -> None:
    """What the names are drawn for: the same function of the tokens' places."""
    for index in range(20):
        program = sample_program(62, index)
        named = with_token_names(program, PAPER_DOMAIN, "vwxyz")
        tokens = [(3, 0, 1, 1, 4), (2, 2), (0,)]
        letters = [tuple("vwxyz"[token] for token in row) for row in tokens]
        try:
            expected, found = run(program, tokens), run(named, letters)
        except EvaluationError:  # letters are not averaged
            continue
        back = [["vwxyz".find(v) if isinstance(v, str) else v for v in row] for row in found]
        assert back == expected


def test_what_nothing_reads_is_assumed_and_said() -> None:
    """a and c are read by nothing, as PAD; without heads BOS is not read either."""
    counted = weights_of(IS_B_COUNTED, ("a", "b", "c"))
    assert rows(counted) == (3, 4, False)  # each key is read
    alone = weights_of(IS_B, ("a", "b", "c"))
    assert find_special_rows(alone).pad == (0, 2, 3, 4)
    assert rows(alone) == (3, 4, True)
    result = decompile_model(alone)
    assert "nothing reads rows 0, 2, 3 and 4 of W_E" in result.detail
    assert "rows 3 and 4 are taken for them" in result.detail
    assert result.verdict == "identical"
    named = decompile_model(alone, bos=3, pad=4)
    assert named.token_rows is not None
    assert not named.token_rows.assumed
    assert "nothing reads" not in named.detail


def test_names_tell_what_the_weights_leave_open() -> None:
    """Where the vocabulary is known, BOS and PAD are where Tracr sorts them, if they may be."""
    model = weights_of(IS_B.replace('"b"', '"y"'), ("w", "x", "y", "z"))
    assert rows_of(model).assumed
    found = rows_of(model, Naming(("w", "x", "y", "z")))
    assert (found.bos, found.pad) == (0, 1)
    assert found.assumed
    result = decompile_model(model, vocab=("w", "x", "y", "z"))
    assert result.program is not None
    assert run(result.program, [("w", "y", "z")]) == [[0, 1, 0]]


def test_every_choice_that_is_open_gives_a_program_of_the_same_weights() -> None:
    """Rows that nothing reads are alike: whichever are taken, the answer is as good."""
    model = weights_of(IS_B, ("a", "b", "c"))
    for bos, pad in find_special_rows(model).pairs():
        result = decompile_model(model, bos=bos, pad=pad)
        assert result.verdict == "identical"
        assert result.token_rows is not None
        assert result.program is not None
        read = result.token_rows.tokens.index(1)
        assert run(result.program, [(0, 1, 2)]) == [[n == read for n in range(3)]]


def test_a_bos_of_the_users_own() -> None:
    """Sorted before the letters, and named by the user, by rows or by an encoder's map."""
    model = compile_rasp_to_model(REVERSE, ("a", "b", "c"), 4, compiler_bos="BOS", compiler_pad="~")
    bare = model.transformer
    assert rows(bare) == (0, 4, False)
    places = model.input_encoder.encoding_map
    for named in (list(places), dict(places)):
        result = decompile_model(bare, token_values=named, bos="BOS", pad="~")
        assert result.verdict == "identical"
        assert result.vocab == ("a", "b", "c")
        assert result.token_rows is not None
        assert result.token_rows.rows_from == "given"


@pytest.mark.parametrize(
    ("naming", "message"),
    [
        (Naming(bos=9), "bos must be the number of a row of W_E, 0 to 4, .* not 9"),
        (Naming(pad=True), "pad must be the number of a row"),
        (Naming(bos=3, pad=3), "two rows of W_E, not row 3 both"),
        (Naming(bos="compiler_bos"), "names of all rows are given by token_values"),
        (Naming(("a", "b")), "all rows of W_E but BOS and PAD, 3 of 5, not 2"),
        (Naming(token_values=("a", "b", "c", "compiler_bos")), "each of the 5 rows of W_E"),
        (Naming(token_values=("a", "b", "c", "d", "e")), "BOS 'compiler_bos' and PAD"),
        (Naming(token_values={"a": 0, "b": 2}), "rows 0 to 1 once each"),
        (
            Naming(("a", "b", "c"), ("a", "b", "c", "compiler_bos", "compiler_pad")),
            "not both",
        ),
    ],
)
def test_what_does_not_fit_is_refused(naming: Naming, message: str) -> None:
    """One clear error: the rule, and what came."""
    with pytest.raises(ModelFileError, match=message):
        rows_of(weights_of(REVERSE, ("a", "b", "c")), naming)


def test_weights_that_show_nothing_are_said_to() -> None:
    """Random weights have no BOS; the last two rows are taken, and that is said."""
    rng = np.random.default_rng(5)
    model = weights_of(REVERSE, ("a", "b", "c"))
    noise = {
        name: rng.normal(size=a.shape).astype(np.float32) for name, a in model.arrays().items()
    }
    found = rows_of(model.replace(**noise))
    assert (found.bos, found.pad) == (3, 4)
    assert "the weights do not show" in found.assumed


@pytest.mark.parametrize("strange", [[1], {"a": 1}, 1e13, float("nan"), 10**400])
def test_strange_names_in_a_file_are_refused(
    strange: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where no program is read: one line, no traceback."""
    model = compile_rasp_to_model(REVERSE, ("a", "b"), 3).transformer
    named = ["a", strange, "compiler_bos", "compiler_pad"]
    for said in ({"token_values": named}, {"token_values": [strange] * 4}):
        loaded = LoadedModel(model, dict(said), tmp_path / "a.npz")
        with pytest.raises(ModelFileError):
            token_rows(loaded)
    place = str(tmp_path / "b.npz")
    save_model(place, model, {"token_values": ["a", [1], "compiler_bos", "compiler_pad"]})
    for command in (["run", place, "a"], ["explain", place, "a"], ["decompile", place]):
        assert main(command) == 1
        assert capsys.readouterr().err.startswith("untracr: error: ")


def certified(tmp_path: Path, model: Transformer) -> tuple[LoadedModel, Any]:
    loaded = LoadedModel(model, {}, tmp_path / "a.npz")
    result = decompile_model(loaded)
    return loaded, certificate_of(result, loaded, tmp_path)


def test_certificates_hold_the_rows(tmp_path: Path) -> None:
    """They are replayed with the rows they were made with; others are other weights."""
    from dataclasses import replace

    loaded, certificate = certified(tmp_path, weights_of(REVERSE, ("a", "b", "c", "d")))
    assert certificate.rows.order == (0, 1, 2, 5, 3, 4)
    assert replay(certificate, loaded).is_proved
    other = replace(certificate.rows, tokens=(0, 1, 2, 3), bos=5)
    assert not replay(replace(certificate, rows=other), loaded).is_confirmed
    names = ["a", "b", "c", "compiler_pad", "compiler_bos", "d"]
    says = replace(loaded, metadata={"token_values": names, "bos": "compiler_bos",
                                     "pad": "compiler_pad"})  # fmt: skip
    found = replay(replace(certificate, vocab=("a", "b", "c", "d")), says)
    assert "other rows are certified than the file says" in found.conclusion


def test_certificates_say_what_is_assumed(tmp_path: Path) -> None:
    """Also when they are replayed: it is found again, not believed."""
    loaded, certificate = certified(tmp_path, weights_of(IS_B, ("a", "b", "c")))
    assert "nothing reads rows" in certificate.detail
    found = replay(certificate, loaded)
    assert found.is_proved
    assert any("nothing reads rows 0, 2, 3 and 4" in step.text for step in found.steps)


def test_the_command_line_takes_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """decompile, explain, run and check tell what was taken, and take what they are told."""
    model = compile_rasp_to_model(REVERSE, ("a", "b", "c", "d"), 4).transformer
    place = str(tmp_path / "a.npz")
    save_model(place, model)
    told = ["--rows", "a,b,c,compiler_bos,compiler_pad,d"]
    assert main(["decompile", place]) == 0
    out = capsys.readouterr().out
    assert "# rows of W_E: BOS 3, PAD 4, as the weights show" in out
    assert main(["decompile", place, *told, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["vocab"] == ["a", "b", "c", "d"]
    assert found["token_rows"]["tokens"] == [0, 1, 2, 5]
    assert main(["run", place, "d,a,b", *told]) == 0
    assert capsys.readouterr().out == "b,a,d\n"
    assert main(["explain", place, "d,a", *told]) == 0
    assert main(["check", place, "--against", "reverse", *told]) == 0
    capsys.readouterr()
    assert main(["run", place, "d,a", "--bos", "9"]) == 1
    assert "bos must be the number of a row" in capsys.readouterr().err
    assert main(["run", "reverse", "1,2", "--bos", "3"]) == 2
    assert "--bos is for models" in capsys.readouterr().err


def test_open_rows_are_told_on_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run rests on them too."""
    place = str(tmp_path / "a.npz")
    save_model(place, compile_rasp_to_model(IS_B, ("a", "b", "c"), 4).transformer)
    assert main(["run", place, "0,1,2"]) == 0
    found = capsys.readouterr()
    assert found.out == "0,1,0\n"
    assert "rows 3 and 4 are taken for them" in found.err


def turned(order: list[int]) -> Callable[[Transformer], Transformer]:
    return lambda model: model.replace(W_E=model.W_E[order])


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_rows(seed: int) -> None:
    """Wherever BOS and PAD stand, the program is found."""
    source = REVERSE
    model = weights_of(source, (0, 1, 2))
    bos, pad = np.random.default_rng(seed).permutation(5)[:2].tolist()
    tokens = iter(range(3))
    order = [{bos: 3, pad: 4}.get(row, -1) for row in range(5)]
    order = [row if row >= 0 else next(tokens) for row in order]
    result = decompile_model(turned(order)(model))
    assert result.verdict == "identical"
    assert result.token_rows is not None
    assert (result.token_rows.bos, result.token_rows.pad) == (order.index(3), order.index(4))


@pytest.mark.parametrize("given", [{"vocab": 5}, {"token_values": 5}])
def test_names_of_rows_that_are_no_list_are_told(given: dict[str, Any]) -> None:
    """One sentence, and no TypeError."""
    model = compile_rasp_to_model("Map(lambda x: x + 1, tokens)", range(3), 3)
    with pytest.raises(ModelFileError, match=f"{next(iter(given))} must be a list of values"):
        decompile_model(model.transformer, **given)


@pytest.mark.parametrize("budget", ["x", float("nan"), -1])
def test_a_budget_is_a_number_of_seconds(budget: Any) -> None:
    """What cannot be one is told before anything is read."""
    model = compile_rasp_to_model("Map(lambda x: x + 1, tokens)", range(3), 3)
    with pytest.raises(UsageError, match="budget must be a number of seconds"):
        decompile_model(model.transformer, budget=budget)
