"""`untracr check` and `decompile --certificate`: what users see."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from certified_models import HIST, edited, result_of, saved
from real_models import REAL
from untracr.ambiguity.checking import check
from untracr.certificate.certificate import Certificate, certificate_of, write_certificate
from untracr.cli import main
from untracr.loading.compiled_file import save_model
from untracr.loading.loading import load_model
from untracr.rasp.domain import Domain
from untracr.syntax.parsing import parse

WIDTH = "some = Select(tokens, tokens, Comparison.{})\nwidth = SelectorWidth(some)\n"


def test_check_confirms(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a step, a conclusion, exit code 0; the same as JSON."""
    assert main(["check", str(file)]) == 0
    found = capsys.readouterr()
    lines = found.out.splitlines()
    assert found.err == ""
    names = ["model", "tokens", "inputs", "exactness", "program", "verdict", "evidence"]
    names += ["other programs", "read-out"]
    assert [line.split(":")[0] for line in lines[1:-1]] == names
    assert lines[-1].startswith("confirmed: identical: the program recompiles to these weights")
    assert main(["check", str(file), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["confirmed"], shown["proved"], shown["claimed"]) == (True, True, "identical")
    assert parse(shown["program"]) == parse(HIST)


def test_known_departures_are_no_proof(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A certificate of weights that do something else on some input says so first, and ends with 3.

    Also where the read-out is scaled: that shows nothing better than the program's own does.
    """
    source = "Aggregate(Select(indices, tokens, Comparison.EQ), tokens)"
    loaded = saved(tmp_path / "m.safetensors", source)
    path = tmp_path / "m.json"
    write_certificate(path, certificate_of(result_of(loaded, parse(source)), loaded, tmp_path))
    assert main(["check", str(path)]) == 3
    told = capsys.readouterr().out.splitlines()[-1]
    assert told.startswith("confirmed: identical weights, but not what the program says on 7 in")
    assert main(["check", str(path), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["departures"] == 7
    assert loaded.transformer.W_U is not None
    scaled = loaded.transformer.replace(W_U=2 * loaded.transformer.W_U)
    assert check(scaled, parse(source), Domain((0, 1, 2), 3)).verdict == "unverified"


def test_check_refuses(
    file: Path, certificate: Certificate, capsys: pytest.CaptureFixture[str]
) -> None:
    """A forged claim is answered with 3; a damaged file, or a missing model, is an error."""
    forged = file.with_name("forged.json")
    forged.write_bytes(edited(certificate, program=WIDTH.format("NEQ")))
    assert main(["check", str(forged)]) == 3
    assert capsys.readouterr().out.splitlines()[-1].startswith("not confirmed: identical was")
    assert main(["check", str(file), str(forged)]) == 3
    out = capsys.readouterr().out
    assert (out.count("\nconfirmed: "), out.count("\nnot confirmed: ")) == (1, 1)
    forged.write_bytes(file.read_bytes()[:-20])
    assert main(["check", str(forged), str(file), "--json"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert "must be JSON" in lines[0]["error"]
    assert lines[1]["confirmed"] is True
    forged.write_text('{"some": "JSON"}')
    assert main(["check", str(forged)]) == 1
    assert "this is JSON, but no certificate" in capsys.readouterr().err
    forged.write_bytes(edited(certificate, model__file="nowhere.npz"))
    assert main(["check", str(forged)]) == 1
    assert "'nowhere.npz' from here" in capsys.readouterr().err
    assert main(["check", str(forged), "--model", str(file.with_suffix(""))]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--causal"], "--causal is for programs"),
        (["--max-seq-len", "3"], "--max-seq-len is for programs"),
        (["--against", "sort"], "--against is for programs"),
        (["other.json", "--model", "a.npz"], "--model must be a folder"),
    ],
)
def test_options_of_programs_are_refused(
    arguments: list[str], message: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A certificate says its own domain."""
    assert main(["check", str(file), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_programs_are_checked_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    """One program at a time, and --model is not for them."""
    assert main(["check", "reverse"]) == 0
    assert main(["check", "sort", "sort_unique"]) == 2
    assert main(["check", "sort", "--model", "a.npz"]) == 2
    assert "there is no certificate here" in capsys.readouterr().err


def test_terminals_are_not_obeyed(
    file: Path, certificate: Certificate, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a stranger wrote is shown on one line, without control characters."""
    forged = file.with_name("forged.json")
    forged.write_bytes(
        edited(certificate, program="\x1b[2Jtokens\nconfirmed: all", model__file="a\x1b[2J\nb")
    )
    assert main(["check", str(forged), "--model", str(file.with_suffix(""))]) == 3
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert not any(line.startswith("confirmed") for line in out.splitlines())


@pytest.mark.usefixtures("meta_model")
def test_decompile_writes_what_check_confirms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The example, too; nothing is written where nothing is shown, or over other files."""
    folder = tmp_path / "new" / "folder"
    assert main(["decompile", "--example", "--certificate", str(folder)]) == 0
    written = list(folder.iterdir())
    assert [path.suffixes for path in written] == [[".npz", ".json"]]
    assert main(["decompile", "--example", "--certificate", str(folder)]) == 0
    assert main(["check", str(written[0])]) == 0
    capsys.readouterr()
    written[0].write_text("mine")
    assert main(["decompile", "--example", "--certificate", str(folder)]) == 1
    assert "is something else" in capsys.readouterr().err
    assert written[0].read_text() == "mine"
    assert main(["decompile", "--example", "--certificate", str(written[0])]) == 1
    assert "needs a folder" in capsys.readouterr().err
    noise = tmp_path / "noise.npz"
    model = load_model(REAL / "101-0001.npz").transformer
    rng = np.random.default_rng(0)
    drawn = {
        name: rng.normal(size=a.shape).astype(np.float32) for name, a in model.arrays().items()
    }
    save_model(noise, model.replace(**drawn))
    assert main(["decompile", "--greedy", str(noise), "--certificate", str(tmp_path / "c")]) == 3
    assert "nothing is shown" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
