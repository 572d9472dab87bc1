"""Programs and models compared by ``untracr check --against``, and what causal attention means."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from untracr.cli.entry import main
from untracr.diagnose.checks import check
from untracr.diagnose.model import CompiledModel, compile_rasp_to_model
from untracr.errors import ProgramError
from untracr.explain.comparing import compare_outputs
from untracr.loading.compiled_file import save_model
from untracr.rasp.domain import Domain
from untracr.rasp.equivalence import decide_equivalence
from untracr.rasp.functions import Value
from untracr.rasp.interpreter import run
from untracr.syntax.library import named_program
from untracr.syntax.parsing import parse
from untracr.verify import outputs

HIST = "SelectorWidth(Select(tokens, tokens, Comparison.EQ))"
RARE = "Map(lambda x: {0: 0, 1: 1, 2: 2, 3: 3, 4: 7}[x], " + HIST + ")"
VOCAB: tuple[Value, ...] = ("a", "b", "c")


def saved(path: Path, source: str, length: int = 4, vocab: tuple[Value, ...] = VOCAB) -> str:
    """A model's file."""
    compile_rasp_to_model(source, vocab, length, strict=False).save(path)
    return str(path)


def written(path: Path, source: str) -> str:
    """A program's file."""
    path.write_text(source, "utf-8")
    return str(path)


def test_a_model_against_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both ways round, with an input that differs only once in the domain."""
    model, rare = saved(tmp_path / "m.npz", HIST), written(tmp_path / "rare.py", RARE)
    same = written(tmp_path / "same.py", HIST)
    assert main(["check", model, "--against", same]) == 0
    assert capsys.readouterr().out == "equal: the same output on all 120 inputs\n"
    assert main(["check", model, "--against", rare]) == 3
    assert capsys.readouterr().out == "different: a,a,a,a gives 4,4,4,4 and 7,7,7,7\n"
    assert main(["check", rare, "--against", model]) == 3
    assert capsys.readouterr().out == "different: a,a,a,a gives 7,7,7,7 and 4,4,4,4\n"
    assert main(["check", rare, "--against", model, "--max-seq-len", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "equal": True,
        "inputs_checked": 39,
        "domain_size": 39,
        "counterexample": None,
        "unclear": None,
    }


def test_some_inputs_show_no_equality(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that takes long to run is run on some inputs; then neither answer is claimed."""
    monkeypatch.setattr(outputs, "MAX_WORK", 1)
    model, same = saved(tmp_path / "m.npz", HIST, 6), written(tmp_path / "same.py", HIST)
    assert main(["check", model, "--against", same]) == 3
    assert capsys.readouterr().out.startswith("not shown: the same output on 25")
    assert main(["check", model, "--against", model, "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["equal"] is None
    assert 0 < told["inputs_checked"] <= 256 < told["domain_size"] == 1092


def test_what_rounding_decides_is_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A value has a column like another one's behind it: run prints the first, here and today."""
    model = compile_rasp_to_model(HIST, VOCAB, 3).transformer
    assert model.W_U is not None
    assert model.output_values is not None
    W_U = np.concatenate([model.W_U, model.W_U[:, [-1]]], axis=1)
    tied = model.replace(W_U=W_U, output_values=(*model.output_values, 99))
    save_model(tmp_path / "m.npz", tied, {"vocab": list(VOCAB)})
    same = written(tmp_path / "same.py", HIST)
    arguments = ["check", str(tmp_path / "m.npz"), "--against", same, "--vocab", "a,b,c"]
    arguments += ["--bos", "3", "--pad", "4"]
    assert main(arguments) == 3
    assert "but on a,a,a a model reads out two values as strongly" in capsys.readouterr().out


def test_a_model_against_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tokens are told by name, not by row, and inputs are those that both take."""
    left = saved(tmp_path / "left.npz", RARE)
    right = saved(tmp_path / "right.safetensors", HIST, 5, ("c", "a", "b"))
    letters = saved(tmp_path / "z.npz", HIST, 3, ("x", "y", "z"))
    short = saved(tmp_path / "short.npz", HIST, 3)
    assert main(["check", left, "--against", left]) == 0
    assert main(["check", left, "--against", short]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "equal: the same output on all 39 inputs"
    assert main(["check", right, "--against", left, "--json"]) == 3
    example = json.loads(capsys.readouterr().out)["counterexample"]
    assert len(set(example["input"])) == 1
    assert (example["output"], example["other_output"]) == ([4] * 4, [7] * 4)
    assert main(["check", left, "--against", letters]) == 2
    assert "the same tokens" in capsys.readouterr().err


def test_tokens_of_other_rows_are_told_by_name(tmp_path: Path) -> None:
    """Two models of the same program agree though their rows are in another order."""
    first = saved(tmp_path / "1.npz", "Map(lambda x: x, tokens)", 3, ("a", "d", "z"))
    model = compile_rasp_to_model("Map(lambda x: x, tokens)", ("a", "d", "z"), 3)
    order = [2, 0, 4, 1, 3]
    said = model.description() | {"token_values": [model.compiled.token_values[n] for n in order]}
    turned = model.transformer.replace(W_E=model.transformer.W_E[order])
    save_model(tmp_path / "2.npz", turned, said)
    assert main(["check", first, "--against", str(tmp_path / "2.npz")]) == 0


def test_numbers_are_compared_as_numbers(tmp_path: Path) -> None:
    """Numerical outputs may be off by what single precision rounds away, and no more."""
    source = (
        "n = numerical(Map(lambda x: x == 'a', tokens))\n"
        "all = Select(tokens, tokens, Comparison.TRUE)\n"
        "numerical(Aggregate(all, n, default=0))"
    )
    model = saved(tmp_path / "m.npz", source)
    other = saved(tmp_path / "o.npz", source.replace("'a'", "'b'"))
    assert main(["check", model, "--against", written(tmp_path / "p.py", source)]) == 0
    assert main(["check", model, "--against", model]) == 0
    assert main(["check", model, "--against", other]) == 3
    same = "Map(lambda x: x == 'a', tokens)"
    truths = saved(tmp_path / "truths.npz", same)
    numbers = saved(tmp_path / "numbers.npz", f"numerical({same})")
    assert main(["check", truths, "--against", numbers]) == 0
    assert main(["check", numbers, "--against", truths]) == 0


def test_a_model_never_gives_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is read out as run prints it, also where all columns are 0; a program's None differs."""
    source = "Map(lambda x: True if x == 'a' else None, tokens)"
    model = saved(tmp_path / "m.npz", source, 2)
    assert main(["run", model, "b"]) == 0
    assert capsys.readouterr().out == "True\n"
    assert main(["check", model, "--against", written(tmp_path / "p.py", source)]) == 3
    assert capsys.readouterr().out == "different: b gives True and None\n"


def test_outputs_that_overflow_agree_with_nothing() -> None:
    """Weights may be finite and what they compute not."""
    model = compile_rasp_to_model("Map(lambda x: x == 'a', tokens)", VOCAB, 2)
    wild = model.transformer.replace(
        W_out=model.transformer.W_out * np.float32(3e38), W_U=model.unembed * np.float32(3e38)
    )
    assert not compare_outputs(wild, model.source, model.domain).equal
    number = compile_rasp_to_model("numerical(Map(lambda x: x == 'a', tokens))", VOCAB, 2)
    other = number.transformer.replace(W_U=np.full_like(number.unembed, np.inf))
    assert not compare_outputs(other, number.source, number.domain).equal


@pytest.mark.slow
def test_what_is_too_much_to_compare_is_not_called_equal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a domain that is too large different inputs are tried, and the exit code says so."""
    source = "Map(lambda x: x, tokens)"
    model = saved(tmp_path / "m.npz", source, 12)
    assert main(["check", model, "--against", written(tmp_path / "p.py", source)]) == 3
    out = capsys.readouterr().out
    told = re.match(r"not shown: the same output on ([\d,]+) different inputs.* 797,160;", out)
    assert told is not None
    assert 10_000 < int(told[1].replace(",", "")) <= 20_000
    inexact = saved(tmp_path / "h.npz", HIST, 12)
    assert main(["check", inexact, "--against", written(tmp_path / "h.py", HIST)]) == 3
    assert capsys.readouterr().out.startswith("different: ")


@pytest.mark.parametrize("drop", ["unembed", "values"])
def test_a_model_without_a_read_out_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], drop: str
) -> None:
    """Neither run nor check makes answers of columns that nobody named."""
    model = compile_rasp_to_model(HIST, VOCAB, 3)
    bare = model.transformer.replace(output_values=None)
    if drop == "unembed":
        bare = bare.replace(W_U=None)
    path = tmp_path / "bare.npz"
    save_model(path, bare, model.description())
    missing = "unembed" if drop == "unembed" else "output_values"
    program = written(tmp_path / "p.py", HIST)
    for arguments in (["run", str(path), "a,b"], ["check", program, "--against", str(path)]):
        assert main(arguments) == 1
        shown = capsys.readouterr()
        assert shown.out == ""
        assert missing in shown.err


def test_a_model_says_itself_how_long_inputs_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Options that a model's weights decide are refused, and so is a model alone."""
    model = saved(tmp_path / "m.npz", HIST)
    assert main(["check", model, "--against", model, "--max-seq-len", "9"]) == 2
    assert "at most the model's longest input, 4" in capsys.readouterr().err
    assert main(["check", model]) == 2
    assert "--against" in capsys.readouterr().err


# Causal attention


def test_causal_attention_changes_what_programs_give() -> None:
    """A selector selects no key after its query: everywhere becomes all so far."""
    length = named_program("length")
    assert run(length, [["a", "b", "c"]], causal=True) == [[1, 2, 3]]
    model = compile_rasp_to_model(length, VOCAB, 3, causal=True)
    assert model.run([["a", "b", "c"]]) == [[1, 2, 3]]
    so_far = parse("SelectorWidth(Select(indices, indices, Comparison.LEQ))")
    domain = Domain(VOCAB, 3)
    assert decide_equivalence(length, so_far, domain, causal=True).equal
    assert not decide_equivalence(length, so_far, domain).equal


def test_check_tells_what_the_mask_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reversing program under causal attention reverses nothing, and check says so."""
    assert main(["check", "reverse", "--causal"]) == 0
    out = capsys.readouterr().out
    assert "causal attention changes what this program gives" in out
    assert "gives ['a', 'a'] with causal attention, ['b', 'a'] without" in out
    assert "fine: with causal attention the weights mean" in out
    assert main(["run", "reverse", "a,b", "--causal"]) == 0
    assert capsys.readouterr().out == "a,a\n"
    assert main(["run", "reverse", "a,b"]) == 0
    assert capsys.readouterr().out == "b,a\n"
    path = tmp_path / "reverse.npz"
    assert main(["compile", "reverse", "--causal", "-o", str(path)]) == 0
    assert "warning: causal attention changes what this program" in capsys.readouterr().err
    assert main(["compile", "frac_prevs", "-o", str(path)]) == 0
    assert capsys.readouterr().err == ""
    so_far = named_program("frac_prevs")
    assert so_far.causal
    assert check(so_far, so_far.vocab, so_far.max_seq_len, causal=True) == ()


def test_programs_are_compared_under_the_mask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """check --against takes --causal for two programs; a causal model brings its own."""
    everywhere = "SelectorWidth(Select(tokens, tokens, Comparison.TRUE))"
    fst = written(tmp_path / "everywhere.py", everywhere)
    snd = written(tmp_path / "so_far.py", "Map(lambda x: x + 1, indices)")
    assert main(["check", fst, "--against", snd]) == 3
    assert main(["check", fst, "--against", snd, "--causal"]) == 0
    model = tmp_path / "m.npz"
    compile_rasp_to_model(everywhere, VOCAB, 4, causal=True).save(model)
    capsys.readouterr()
    for program in (fst, snd):
        assert main(["check", program, "--against", str(model)]) == 0
    assert main(["check", snd, "--against", str(model), "--no-causal"]) == 3
    capsys.readouterr()
    assert main(["run", str(model), "a,b"]) == 0
    assert main(["run", str(model), "a,b", "--no-causal"]) == 0
    assert capsys.readouterr().out == "1,2\n2,2\n"


def test_a_library_program_is_compared_as_it_is_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As check and run have it: causal where the library's program is, unless an option says."""
    source = named_program("frac_prevs").source.replace("LEQ", "TRUE")
    other = written(tmp_path / "all.py", source)
    for pair in (["frac_prevs", "--against", other], [other, "--against", "frac_prevs"]):
        assert main(["check", *pair]) == 0
        assert capsys.readouterr().out.endswith("inputs (with causal attention)\n")
        assert main(["check", *pair, "--no-causal"]) == 3


# Named programs


def test_named_programs_are_programs() -> None:
    """What named_program gives is compiled, run, checked and compared like any program."""
    reverse = named_program("reverse")
    assert run(reverse, [["a", "b"]]) == [["b", "a"]]
    model = compile_rasp_to_model(reverse, reverse.vocab, reverse.max_seq_len)
    assert isinstance(model, CompiledModel)
    assert model.run([["a", "b"]]) == [["b", "a"]]
    assert parse(reverse) is reverse.program
    assert decide_equivalence(reverse, reverse.program, reverse.domain).equal
    assert check(reverse, reverse.vocab, reverse.max_seq_len) == ()


@pytest.mark.parametrize("given", ["tokens", 3, None])
def test_what_is_no_program_is_told(given: object) -> None:
    """Text and other things are refused by one error that says what makes a program of them."""
    with pytest.raises(ProgramError, match=r"untracr\.parse makes one"):
        run(given, [[1]])  # type: ignore[arg-type]
