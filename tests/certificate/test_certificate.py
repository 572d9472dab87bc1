"""What is certified is shown again, by the model and the certificate alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from certified_models import HIST, again, failing, result_of, saved, without_read_out
from real_models import REAL
from untracr.ambiguity.checking import check
from untracr.certificate.certificate import (
    Certificate,
    certificate_of,
    read_certificate,
)
from untracr.certificate.replaying import replay
from untracr.cli import main
from untracr.decompile import bundled_decompiler
from untracr.diagnose.model import compile_rasp_to_model
from untracr.errors import CertificateError
from untracr.loading.loading import load_model
from untracr.loading.model import LoadedModel
from untracr.rasp.domain import PAPER_DOMAIN
from untracr.rasp.program import print_program
from untracr.sample.sampler import sample_program
from untracr.syntax.hand_written import HAND_WRITTEN
from untracr.syntax.library import LIBRARY, NamedProgram
from untracr.syntax.parsing import parse
from untracr.transformer import treatments


def test_a_certificate_is_confirmed_without_the_meta_model(
    hist: LoadedModel, certificate: Certificate
) -> None:
    """Program and weights are enough, and the file says the same as the value."""
    assert again(certificate) == certificate
    assert (certificate.verdict, certificate.vocab) == ("identical", (0, 1, 2))
    found = replay(again(certificate), hist)
    assert failing(found) == []
    assert found.is_proved
    assert found.found == check(hist.transformer, parse(HIST), certificate.domain)


@pytest.mark.slow
@pytest.mark.parametrize("named", [*LIBRARY, *HAND_WRITTEN], ids=lambda named: named.name)
def test_library_models_are_confirmed(named: NamedProgram, tmp_path: Path) -> None:
    """Letters, tables, numbers, None, causal attention: each verdict is found again."""
    path = tmp_path / "a.npz"
    loaded = saved(path, named.program, named.vocab, min(named.max_seq_len, 5), causal=named.causal)
    result = result_of(loaded, named.program)
    if result.verdict == "unverified":
        with pytest.raises(CertificateError, match="nothing is shown"):
            certificate_of(result, loaded, tmp_path)
        return
    certificate = again(certificate_of(result, loaded, tmp_path))
    assert certificate.verdict == result.verdict
    assert failing(replay(certificate, loaded)) == []


CHANGES: dict[str, Callable[[LoadedModel, np.random.Generator], LoadedModel]] = {
    "rotated": lambda m, rng: replace(m, weights=treatments.rotate(m.transformer, rng)),
    "weights alone": lambda m, rng: without_read_out(m),
    "rotated weights alone": lambda m, rng: replace(
        without_read_out(m), weights=treatments.rotate(m.transformer, rng).replace(
            W_U=None, output_values=None
        )
    ),
    "noisy": lambda m, rng: replace(
        m, weights=treatments.add_noise(m.transformer, rng, 0.002)
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_treated_models_are_confirmed(change: str, tmp_path: Path) -> None:
    """Whatever was shown of sampled programs' changed weights is found again, every time."""
    rng = np.random.default_rng(5)
    verdicts, others = [], 0
    for index in range(12):
        program = sample_program(171, index)
        loaded = saved(tmp_path / f"{index}.npz", program, PAPER_DOMAIN.vocab, 5)
        changed = CHANGES[change](loaded, rng)
        result = result_of(changed, program)
        if result.verdict == "unverified":
            continue
        certificate = again(certificate_of(result, changed, tmp_path))
        assert certificate.other_programs == result.other_programs
        others += bool(certificate.other_programs)
        verdicts.append(certificate.verdict)
        assert certificate.verdict == result.verdict
        assert failing(replay(certificate, changed)) == []
    assert len(verdicts) >= 6
    assert ("equivalent" in verdicts) == (change == "noisy")
    assert bool(others) == (change in ("weights alone", "rotated weights alone"))


@pytest.mark.slow
def test_a_test_is_confirmed_but_no_proof(tmp_path: Path) -> None:
    """Of a domain that is too large nothing is proved, and a replay says so."""
    letters = tuple("abcdefgh")
    loaded = saved(tmp_path / "hist.npz", HIST, letters, 8)
    noisy = treatments.add_noise(loaded.transformer, np.random.default_rng(0), 1e-6)
    loaded = replace(loaded, weights=noisy)
    certificate = certificate_of(result_of(loaded, parse(HIST)), loaded, tmp_path)
    assert certificate.verdict == "tested"
    found = replay(again(certificate), loaded)
    assert failing(found) == []
    assert not found.is_proved
    assert found.conclusion.endswith("which is no proof")
    assert "verdict" in failing(replay(replace(certificate, verdict="equivalent"), loaded))


@pytest.mark.slow
@pytest.mark.usefixtures("meta_model")
def test_real_and_library_models_keep_their_programs_in_the_text() -> None:
    """What is decompiled prints and reads back as the same program, to the types of its values."""
    decompiler = bundled_decompiler()
    results = [decompiler.decompile_loaded(load_model(p)) for p in sorted(REAL.glob("*.npz"))[:30]]
    for named in (*LIBRARY, *HAND_WRITTEN):
        model = compile_rasp_to_model(
            named.program,
            named.vocab,
            min(named.max_seq_len, 4),
            causal=named.causal,
            strict=False,
        )
        loaded = LoadedModel(model.transformer, dict(model.description()), Path("m"))
        for one in (loaded, replace(loaded, weights=loaded.transformer.replace(
            W_U=None, output_values=None))):  # fmt: skip
            results.append(decompiler.decompile_loaded(one, name=named.name))
    tables = letters = 0
    for result in results:
        assert result.program is not None, result.name
        read = parse(result.source)
        assert repr(read.nodes) == repr(result.program.nodes), result.name
        assert read.output == result.program.output
        assert print_program(read) == result.source
        tables += "}[x" in result.source
        letters += "'" in result.source
        for other in result.other_programs:
            assert print_program(parse(other)) == other
    assert tables >= 4
    assert letters >= 1


@pytest.mark.slow
@pytest.mark.usefixtures("meta_model")
def test_certificates_of_real_models_are_confirmed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten files of the real Tracr are read, certified and confirmed on the command line."""
    files = sorted(REAL.glob("*.npz"))[:10]
    arguments = ["decompile", "--no-progress", "--certificate", tmp_path, *files]
    assert main([str(argument) for argument in arguments]) in (0, 3)
    written = sorted(tmp_path.glob("*.json"))
    assert len(written) >= 8
    capsys.readouterr()
    assert main(["check", *map(str, written)]) in (0, 3)  # 3 where departures are known
    assert "not confirmed" not in capsys.readouterr().out
    for path in written:
        assert (path.parent / read_certificate(path).model_file).samefile(REAL / path.stem)
