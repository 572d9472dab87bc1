"""A full report says what was measured, the same in JSON and Markdown, and is safe to write."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from scripted_decompiler import Scripted
from untracr.cli import main
from untracr.decompile.decompiler import Decompiler
from untracr.errors import ModelFileError, UntracrError, UsageError
from untracr.evaluate.cases import CaseSet, library_cases, sampled_cases
from untracr.evaluate.full_report import FullReport, Plan, measure
from untracr.evaluate.markdown import report_markdown, share_text
from untracr.evaluate.pictures import draw_pictures
from untracr.evaluate.report_folder import require_writable, write_report
from untracr.evaluate.share import Share
from untracr.train.baseline import BaselineConfig, FlatNetwork, baseline_task
from untracr.train.checkpoint import save_checkpoint
from untracr.transformer.named_treatments import CONTROLS, parse_treatments

COUNT = 6
NAMES = ["report.json", "report.md", "by-length.svg", "by-operation.svg"]


@pytest.fixture(scope="module")
def cases() -> CaseSet:
    """A few sampled programs."""
    return sampled_cases(11, COUNT)


@pytest.fixture(scope="module")
def half_right(untrained: Path, cases: CaseSet) -> FullReport:
    """The truth for the first half, nothing for the rest."""
    answers = {c.name: c.program if i < COUNT // 2 else None for i, c in enumerate(cases.cases)}
    answers |= {case.name: None for case in library_cases().cases}
    plan = Plan(parse_treatments("compiled,rotated,compressed-bos,noisy:0.001:0.01"), ())
    return measure(Scripted(answers.__getitem__, untrained), cases, plan, library=library_cases())


@pytest.fixture(scope="module")
def values(half_right: FullReport) -> dict[str, Any]:
    """That report as JSON holds it."""
    found: dict[str, Any] = json.loads(json.dumps(half_right.as_dict(), allow_nan=False))
    return found


def test_a_perfect_reader_gets_everything(untrained: Path, cases: CaseSet) -> None:
    """With the truth every share is 1, whatever is done to the weights."""
    truth = {case.name: case.program for case in cases.cases}
    perfect = Scripted(truth.__getitem__, untrained)
    report = measure(perfect, cases, Plan(parse_treatments("compiled,noisy"), ())).as_dict()
    assert report["controls"] == []
    treatments: Any = report["treatments"]
    for found in treatments:
        shares = [found[name] for name in ("exact", "same_behaviour", "same_weights")]
        shares += [*found["by_operation"].values(), *found["by_token_kind"].values()]
        assert all(share["share"] == 1.0 for share in shares)
        assert found["speed"]["median_ms"] == 250
        assert found["speed"]["per_second"] == 4
    assert treatments[0]["ceiling"]["exact_where_open"]["share"] in (1.0, None)


def test_half_right_is_half(values: dict[str, Any]) -> None:
    """Three of six, with Wilson's interval of three of six, in every treatment."""
    for found in values["treatments"]:
        for name in ("exact", "same_behaviour", "same_weights"):
            assert found[name] == Share(3, 6).as_dict()
            parts = [part[name] for part in found["by_length"].values()]
            assert sum(part["count"] for part in parts) == 3
            assert sum(part["total"] for part in parts) == 6
        assert found["verdicts"] == {"unverified": 6}
    assert values["exchanged_answers_exact"]["total"] == COUNT
    assert values["set"]["distinct_programs"] == COUNT


def test_what_is_measured_where(values: dict[str, Any]) -> None:
    """Top-k where examples can be made, a ceiling where it is defined, and nowhere else."""
    labels = [found["treatment"] for found in values["treatments"]]
    assert labels == ["compiled", "rotated", "compressed-bos", "noisy:0.001", "noisy"]
    assert all(t["top_k"] is not None for t in values["treatments"])
    assert [t["ceiling"] is not None for t in values["treatments"]] == [True, True] + 3 * [False]
    for found in values["treatments"][:2]:
        counts = found["ceiling"]["models_by_programs"]
        expected = sum(count / int(n) for n, count in counts.items()) / COUNT
        assert found["ceiling"]["expected_exact"] == pytest.approx(expected)
        assert found["top_k"]["left_out"] == 0


def shares_in(value: object) -> list[dict[str, Any]]:
    """All shares of a JSON value."""
    if isinstance(value, dict):
        if {"count", "total", "low", "high"} <= value.keys():
            return [value]
        return [share for part in value.values() for share in shares_in(part)]
    if isinstance(value, list):
        return [share for part in value for share in shares_in(part)]
    return []


def test_markdown_holds_the_numbers_of_the_json(values: dict[str, Any]) -> None:
    """Each share of Markdown is one of JSON, and the main ones are all there, in their lines."""
    text = report_markdown(values, [])
    known = {share_text(share) for share in shares_in(values)}
    written = re.findall(r"\d+\.\d% \(\d+\.\d to \d+\.\d\)", text)
    assert len(written) > 50
    assert set(written) <= known
    for found in values["treatments"]:
        shares = (share_text(found[n]) for n in ("exact", "same_behaviour", "same_weights"))
        line = f"| `{found['treatment']}` | {COUNT} | {' | '.join(shares)} | unverified {COUNT} |"
        assert line in text.splitlines()
    ceiling = values["treatments"][1]["ceiling"]
    assert f"| `rotated` | {100 * ceiling['expected_exact']:.1f}% |" in text
    without = {**values, "treatments": [{**t, "top_k": None} for t in values["treatments"]]}
    assert "cannot be made yet: `compiled`, `rotated`" in report_markdown(without, [])


def test_named_programs_get_a_line_each(values: dict[str, Any]) -> None:
    """The library's are listed with their outcomes; sampled ones are not."""
    text = report_markdown(values, [])
    for case in library_cases().cases:
        language = "yes" if case.in_language else "no"
        assert f"| {case.name} | {case.program.length} | {language} | wrong (unverified) |" in text
    assert "## Programs one by one" not in text
    assert len(values["programs"]) == COUNT
    listed = report_markdown({**values, "set": {**values["set"], "listed": True}}, [])
    assert "| 11/0 | " in listed.split("## Programs one by one")[1]
    assert "exact (unverified)" in listed


@pytest.mark.slow
def test_controls_are_near_zero(cases: CaseSet) -> None:
    """The released meta-model finds no program in random weights, and most in true ones."""
    plan = Plan(parse_treatments("compiled"), CONTROLS)
    report: dict[str, Any] = measure(Decompiler(), sampled_cases(77, 20), plan).as_dict()
    assert [found["treatment"] for found in report["controls"]] == ["shuffled", "gaussian"]
    for found in report["controls"]:
        assert found["exact"]["total"] == 20
        assert found["exact"]["count"] <= 1
    assert report["exchanged_answers_exact"]["count"] <= 2


@pytest.mark.slow
def test_pictures_are_drawn_alike_each_time(values: dict[str, Any]) -> None:
    """One curve for the treatment with two sizes; the same bytes again."""
    found = draw_pictures(values)
    assert set(found) == {"by-length.svg", "by-operation.svg", "curve-noisy.svg"}
    assert all(b"<svg" in data for data in found.values())
    assert draw_pictures(values) == found


def test_without_matplotlib(values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what to install, before anything is measured."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UntracrError, match=r"pip install 'untracr\[report\]'"):
        draw_pictures(values)


def test_an_empty_set_is_refused(untrained: Path, cases: CaseSet) -> None:
    """Nothing can be said of no models, nor of no treatment."""
    plan = Plan(parse_treatments("compiled"))
    with pytest.raises(UsageError, match="at least one model"):
        measure(Decompiler(untrained), replace(cases, cases=()), plan)
    with pytest.raises(UsageError, match="at least one treatment"):
        measure(Decompiler(untrained), cases, Plan(()))


# The folder


def test_a_report_replaces_an_earlier_one_and_nothing_else(
    values: dict[str, Any], tmp_path: Path
) -> None:
    """New, empty and earlier folders are fine; a stranger's file stops it."""
    folder = tmp_path / "deep" / "report"
    files = write_report(folder, values)
    assert sorted(path.name for path in files) == sorted(path.name for path in folder.iterdir())
    assert json.loads((folder / "report.json").read_text("utf-8"))["set"] == values["set"]
    write_report(folder, {**values, "treatments": values["treatments"][:1]})
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"report holds notes\.txt"):
        write_report(folder, values)
    assert (folder / "notes.txt").read_text() == "mine"
    (folder / "notes.txt").unlink()
    (folder / "report.json").write_text("{}")
    with pytest.raises(UsageError, match=r"report holds by-length\.svg"):
        require_writable(folder)
    with pytest.raises(UsageError, match="is a file"):
        require_writable(folder / "report.md")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["report"]


@pytest.mark.slow
def test_a_failed_write_leaves_the_earlier_report(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever step fails, what was there is there, whole, and nothing beside it."""
    folder = tmp_path / "report"
    write_report(folder, values)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    rename = os.rename

    for failing in (1, 2):
        left = [failing]

        def breaks(source: Path, target: Path, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise OSError("disk gone")
            rename(source, target)

        monkeypatch.setattr("untracr.evaluate.report_folder.os.rename", breaks)
        with pytest.raises(OSError, match="disk gone"):
            write_report(folder, {**values, "seed": 99})
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        assert [path.name for path in tmp_path.iterdir()] == ["report"]


# The command


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    code = main([str(argument) for argument in arguments])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_the_command_writes_a_report(
    capsys: pytest.CaptureFixture[str], untrained: Path, tmp_path: Path
) -> None:
    """Files as promised, the main table on standard output, or JSON."""
    common = ["eval", "--programs", 3, "--length", "4-5", "--checkpoint", untrained]
    folder = tmp_path / "report"
    code, out, err = run(capsys, *common, "--treatments", "rotated,noisy:0.5", "--report", folder)
    assert (code, err) == (0, "")
    assert "| `noisy:0.5` | 3 |" in out
    assert out.endswith(f"report: {folder / 'report.md'}\n")
    written = json.loads((folder / "report.json").read_text("utf-8"))
    assert written["set"]["title"] == "3 programs of our sampler, seed 0, lengths 4 to 5"
    assert set(written["set"]["lengths"]) <= {"4", "5"}
    assert len(written["controls"]) == 2
    code, out, _ = run(capsys, *common, "--no-controls", "--report", folder, "--json")
    assert code == 0
    assert json.loads(out) == {"report": str(folder), "files": NAMES}


@pytest.mark.slow
def test_plain_output_for_several_treatments(
    capsys: pytest.CaptureFixture[str], untrained: Path
) -> None:
    """Without a folder reports follow each other, one line of JSON each."""
    common = ["eval", "--library", "--checkpoint", untrained, "--treatments", "compiled,rotated"]
    code, out, _ = run(capsys, *common, "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(part["treatment"], part["models"]) for part in found] == [
        ("compiled", 28),
        ("rotated", 28),
    ]
    assert run(capsys, *common)[1].count("models, weights") == 2


def test_other_domains(capsys: pytest.CaptureFixture[str], untrained: Path) -> None:
    """Random programs can be drawn for other tokens and lengths than the paper's."""
    common = ["eval", "--programs", 2, "--checkpoint", untrained, "--json"]
    code, out, _ = run(capsys, *common, "--domain", "3x4")
    assert code == 0
    assert json.loads(out)["models"] == 2
    assert out != run(capsys, *common)[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["DIR", "--programs", "3"], "give either DIR or --programs"),
        (["--library", "--length", "5"], "--length is for random programs"),
        (["--library", "--domain", "8x6"], "--domain is for random programs"),
        (["--programs", "3", "--domain", "8by6"], "not '8by6'"),
        (["--programs", "3", "--domain", "1x6"], "argument --domain: must be two numbers from 2"),
        (["--programs", "3", "--length", "9-5"], "argument --length: must be a length from 2"),
        (["--programs", "3", "--length", "5-99"], "not '5-99'"),
        (["--programs", "3", "--baseline", "x"], "--baseline is for a report"),
        (["--programs", "3", "--no-controls"], "--no-controls is for a report"),
        (["--programs", "3", "--treatments", "noisy:x"], "the size of noisy must be"),
    ],
)
def test_wrong_usage(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """Options that do not go together are one line and exit code 2."""
    code, out, err = run(capsys, "eval", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_a_folder_that_cannot_be_used_is_told_at_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is measured: a folder of other things, and missing matplotlib."""
    (tmp_path / "thesis.tex").write_text("mine")
    common = ["eval", "--programs", 100_000, "--report"]
    code, out, err = run(capsys, *common, tmp_path)
    assert (code, out) == (2, "")
    assert "thesis.tex" in err
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = run(capsys, *common, tmp_path / "new")
    assert (code, out) == (1, "")
    assert "pip install 'untracr[report]'" in err


# The baseline


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained baseline."""
    torch.manual_seed(0)
    config = BaselineConfig(width=128, layers=1, heads=2)
    task = baseline_task(config)
    path = tmp_path_factory.mktemp("flat") / "checkpoint.safetensors"
    save_checkpoint(path, FlatNetwork(config), None, {"task": task.name, "config": task.config})
    return path


@pytest.mark.slow
def test_the_baseline_is_measured_beside(
    capsys: pytest.CaptureFixture[str], untrained: Path, flat: Path, tmp_path: Path
) -> None:
    """An untrained one gets nothing right, over all programs and all their tokens."""
    common = ["eval", "--programs", 3, "--checkpoint", untrained, "--no-controls"]
    folder = tmp_path / "report"
    assert run(capsys, *common, "--report", folder, "--baseline", flat)[0] == 0
    found = json.loads((folder / "report.json").read_text("utf-8"))["baseline"]
    tokens = sum(len(case.tokens) - 1 for case in sampled_cases(0, 3).cases)
    assert (found["treatment"], found["left_out"]) == ("compiled", 0)
    assert (found["exact"]["count"], found["exact"]["total"]) == (0, 3)
    assert found["tokens"]["total"] == tokens
    assert "Flattened-weights baseline" in (folder / "report.md").read_text("utf-8")
    code, out, err = run(capsys, *common, "--report", folder, "--baseline", untrained)
    assert (code, out) == (1, "")
    assert "of the task 'flattened weights', not ''" in err


def test_the_baseline_leaves_out_what_it_has_no_words_for(flat: Path) -> None:
    """Library programs with other functions are not counted as failures."""
    from untracr.evaluate.flat_reader import FlatReader

    library = [case for case in library_cases().cases if case.name in ("hist", "sort")]
    found = FlatReader(flat).judge(library, [case.load() for case in library])
    assert (found.exact.total, found.left_out) == (1, 1)
    with pytest.raises(ModelFileError):
        FlatReader(flat.parent)
