"""`untracr test`: its exit code says whether the program gave the network's outputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import Run
from foreign_tensors import GPT2_CONFIG, folder_of, gpt2_arrays


@pytest.mark.parametrize(("program", "code"), [("hist", 0), ("reverse", 3)])
def test_a_compiled_model_against_programs(run: Run, model: Path, program: str, code: int) -> None:
    """0 for its own; 3, which stands for no, for another, and no error."""
    found = run("test", model, program, "--quick", "--no-progress", "--max-seq-len", "3")
    assert (found.code, found.err) == (code, "")
    assert "Behaviour: " in found.out


def test_a_network_of_another_architecture(run: Run, tmp_path: Path) -> None:
    """What was assumed of it is told with the answer."""
    folder = folder_of(tmp_path / "gpt2", gpt2_arrays(), GPT2_CONFIG)
    found = run("test", folder, "hist", "--quick", "--no-progress", "--max-seq-len", "3")
    assert (found.code, found.err) == (3, "")
    assert "assumed: tokens have no names" in found.out
