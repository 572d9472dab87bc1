"""`untracr train`, `export`, `eval` and `bench`: what users see."""

from __future__ import annotations

import json
import sys
import types
from importlib import import_module
from pathlib import Path

import pytest

from command_line import Run


@pytest.mark.slow
def test_train_export_decompile(run: Run, tmp_path: Path, model: Path) -> None:
    """A checkpoint of one step is resumed, exported and used."""
    import_module("torch")
    out = tmp_path / "run"
    small = ["--batch-size", 2, "--workers", 0, "--width", 16, "--layers", 1, "--heads", 2]
    options = ["--device", "cpu", *small]
    found = run("train", "--out", out, "--steps", 1, *options)
    assert found.code == 0
    saved = out / "checkpoint.safetensors"
    assert found.out.startswith(f"checkpoint: {saved}\n")
    assert run("train", "--out", out, "--steps", 2, *options, "--json").objects == [
        {"checkpoint": str(saved)}
    ]
    error = run.fails(2, "train", "--out", out, "--steps", 2, "--seed", 1, *options)
    assert "belongs to a run with" in error
    exported = tmp_path / "small.safetensors"
    assert run("export", saved, "-o", exported).out.startswith(f"wrote {exported}: ")
    assert run("decompile", model, "--checkpoint", exported).code in (0, 3)


def test_heads_must_divide_the_width(run: Run, tmp_path: Path) -> None:
    """Sizes that do not fit are told before anything is made."""
    import_module("torch")
    sizes = ["--width", 10, "--heads", 3]
    error = run.fails(2, "train", "--out", tmp_path / "run", "--steps", 1, *sizes)
    assert error == "--heads 3 must divide --width 10"
    assert not (tmp_path / "run").exists()


def test_training_treatments_must_exist(run: Run, tmp_path: Path) -> None:
    """What is no treatment is told before anything is made."""
    import_module("torch")
    options = ["--steps", 1, "--treatments", "rotated=0.5,noisy=0.6"]
    error = run.fails(2, "train", "--out", tmp_path / "run", *options)
    assert error == "argument --treatments: shares of treatments must add up to at most 1, not 1.1"
    options[-1] = "rotate=0.5"
    error = run.fails(2, "train", "--out", tmp_path / "run", *options)
    assert error.endswith("not 'rotate'")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "option",
    [
        ("--exclude", "x"),
        ("--exclude-sampled", "1:1"),
        ("--other-domains", "0.5"),
        ("--treatments", "noisy=0.1"),
        ("--outside-functions", "0.2"),
    ],
)
def test_the_baseline_takes_no_options_of_the_meta_model(
    run: Run, tmp_path: Path, option: tuple[str, str]
) -> None:
    """An option that would be passed over is refused by name."""
    import_module("torch")
    error = run.fails(2, "train", "--out", tmp_path / "run", "--steps", 1, "--baseline", *option)
    assert error == f"{option[0]} goes with the meta-model, not with --baseline"


def test_exporting_what_is_no_checkpoint(run: Run, model: Path, tmp_path: Path) -> None:
    """export refuses other files."""
    import_module("torch")
    assert "\n" not in run.fails(1, "export", tmp_path / "no", "-o", tmp_path / "x.safetensors")


def test_training_without_torch(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch is missing, the command says what to install."""
    for name in [name for name in sys.modules if name.startswith("untracr.metamodel.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    error = run.fails(1, "train", "--out", "x", "--steps", "1")
    assert error == "this needs PyTorch, which is not installed: pip install 'untracr[train]'"


class FakeReport:
    """A report that shows what it was made from."""

    def __init__(self, *made_from: object) -> None:
        self.made_from = made_from

    def as_dict(self) -> dict[str, object]:
        """As the real one."""
        return {"made_from": [str(part) for part in self.made_from]}

    def to_markdown(self) -> str:
        """As the real one."""
        return f"made from {self.made_from[1:]}"


def test_eval_reports(run: Run, untrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder, or programs of a seed, are evaluated and reported as text or JSON."""
    fake = types.SimpleNamespace(
        evaluate_folder=lambda d, folder, **how: FakeReport(d.checkpoint, folder, how),
        evaluate_samples=lambda d, seed, n, **how: FakeReport(d.checkpoint, seed, n, how),
    )
    import_module("untracr.evaluate")  # its front door needs the true one
    monkeypatch.setitem(sys.modules, "untracr.evaluate.evaluation", fake)
    common = ["--checkpoint", untrained]
    found = run("eval", "--programs", 3, "--seed", 5, *common)
    assert (found.code, found.out) == (0, "made from (5, 3, {'treatment': 'compiled'})\n")
    found = run("eval", "models", *common, "--treatments", "rotated", "--json")
    how = "{'seed': 0, 'treatment': 'rotated'}"
    assert found.objects == [{"made_from": [str(untrained), "models", how]}]


def test_eval_for_real(run: Run, untrained: Path, tmp_path: Path) -> None:
    """The evaluation that is there accepts what the command hands it."""
    found = run("eval", "--programs", 2, "--checkpoint", untrained, "--json")
    assert found.code == 0
    assert len(found.objects) == 1
    assert run("eval", "--programs", 1, "--checkpoint", untrained).out
    assert "\n" not in run.fails(1, "eval", tmp_path, "--checkpoint", untrained)
    arguments = ["eval", "--programs", 1, "--checkpoint", untrained, "--treatments", "rotatd"]
    assert "rotat" in run.fails(2, *arguments)


def test_bench_reports(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The options reach the benchmark, and its report is shown as text or JSON."""
    fake = types.SimpleNamespace(
        run_speed_benchmark=lambda **how: FakeReport("", sorted(how.items()))
    )
    monkeypatch.setitem(sys.modules, "untracr.bench.speed", fake)
    found = run("bench", "speed", "--quick", "--seed", 2)
    how = "[('checkpoint', None), ('programs', None), ('quick', True), ('seed', 2)]"
    assert (found.code, found.out) == (0, f"made from ({how},)\n")
    assert run("bench", "speed", "--json").code == 0


def test_results_carry_file_names_as_given(
    run: Run, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``./model`` stays ``./model``: scripts match results to files by what they passed."""
    monkeypatch.chdir(model.parent)
    given = f"./{model.name}"
    found = run("decompile", given, "--json", "--no-progress")
    assert json.loads(found.out)["file"] == given
