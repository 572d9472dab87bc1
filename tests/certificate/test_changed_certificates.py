"""What was changed in a certificate or its model is not believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from certified_models import HIST, failing, result_of, saved, without_read_out
from untracr.ambiguity.checking import check
from untracr.certificate.certificate import (
    Certificate,
    certificate_of,
)
from untracr.certificate.replaying import replay
from untracr.errors import CertificateError
from untracr.loading.model import LoadedModel
from untracr.rasp.program import print_program
from untracr.syntax.parsing import parse
from untracr.transformer import treatments
from untracr.transformer.token_rows import in_standard_order
from untracr.transformer.weights_digest import weights_digest
from untracr.verify.evidence import Evidence

WIDTH = "some = Select(tokens, tokens, Comparison.{})\nwidth = SelectorWidth(some)\n"


def test_one_changed_weight_is_told_by_the_digest(
    hist: LoadedModel, certificate: Certificate
) -> None:
    """The smallest change of one weight ends the replay; with its digest, too, nothing is shown."""
    array = hist.transformer.W_out.copy()
    place = np.unravel_index(np.abs(array).argmax(), array.shape)
    array[place] = np.nextafter(array[place], np.float32(1e9))
    changed = replace(hist, weights=hist.transformer.replace(W_out=array))
    found = replay(certificate, changed)
    assert failing(found) == ["model"]
    assert certificate.sha256 in found.conclusion
    array[place] += np.float32(1e-2)
    changed = replace(hist, weights=hist.transformer.replace(W_out=array, W_U=None,
                                                                 output_values=None))  # fmt: skip
    forged = replace(certificate, sha256=weights_digest(changed.transformer))
    assert "verdict" in failing(replay(forged, changed))


def test_another_program_is_not_confirmed(hist: LoadedModel, certificate: Certificate) -> None:
    """Programs that differ in a comparison, an operation or everything are found out."""
    for source in (WIDTH.format("NEQ"), WIDTH.format("LT"), "Map(lambda x: x + 1, tokens)\n"):
        found = replay(replace(certificate, program=source), hist)
        assert "verdict" in failing(found), source
        assert found.found is not None
        assert found.found.verdict == "unverified"


def test_an_edited_verdict_is_not_confirmed(tmp_path: Path) -> None:
    """From a wrong guess to identical, from equivalent to identical; weaker claims hold."""
    loaded = saved(tmp_path / "a.npz", HIST)
    wrong = result_of(loaded, parse(WIDTH.format("NEQ")))
    assert wrong.verdict == "unverified"
    with pytest.raises(CertificateError, match="nothing is shown"):
        certificate_of(wrong, loaded, tmp_path)
    with pytest.raises(CertificateError, match="no program could be read"):
        certificate_of(replace(wrong, program=None, source=""), loaded, tmp_path)
    faint = treatments.add_noise(loaded.transformer, np.random.default_rng(1), 1e-5)
    noisy = replace(loaded, weights=faint)
    honest = certificate_of(result_of(noisy, parse(HIST)), noisy, tmp_path)
    assert honest.verdict == "equivalent"
    assert failing(replay(replace(honest, verdict="identical"), noisy)) == ["verdict"]
    assert failing(replay(replace(honest, verdict="tested"), noisy)) == []


EDITS: dict[str, tuple[str, Callable[[Evidence], Evidence]]] = {
    "weights": ("evidence", lambda e: replace(e, weights="reordered")),
    "off": ("evidence", lambda e: replace(e, weights_off=e.weights_off / 10)),
    "agree": ("evidence", lambda e: replace(e, inputs_checked=40, inputs_agree=40)),
    "tolerance": ("evidence", lambda e: replace(e, output_tolerance=1e-5)),
}


@pytest.mark.parametrize("edit", EDITS)
def test_edited_evidence_is_not_confirmed(edit: str, tmp_path: Path) -> None:
    """Closer weights, more inputs or a finer tolerance than was found are found out."""
    program = parse(
        "a = numerical(Map(lambda x: x, tokens))\n"
        "b = numerical(Map(lambda x: x, indices))\n"
        "total = numerical(LinearSequenceMap(a, b, 1, 2))\n"
    )
    loaded = saved(tmp_path / "a.npz", program)
    faint = treatments.add_noise(loaded.transformer, np.random.default_rng(1), 1e-3)
    loaded = replace(loaded, weights=faint)
    honest = certificate_of(result_of(loaded, program), loaded, tmp_path)
    assert failing(replay(honest, loaded)) == []
    name, change = EDITS[edit]
    forged = replace(honest, evidence=change(honest.evidence))
    assert failing(replay(forged, loaded)) == [name]
    more = replace(honest, inputs_checked=honest.inputs_checked + 1)
    assert failing(replay(more, loaded)) == ["evidence"]


def test_the_order_of_tokens_counts(tmp_path: Path) -> None:
    """Other names, another order or other types of the tokens are not what the file says."""
    loaded = saved(tmp_path / "a.npz", "Map(lambda x: x == 'b', tokens)", ("a", "b"))
    certificate = certificate_of(result_of(loaded, parse("Map(lambda x: x == 'b', tokens)")),
                                 loaded, tmp_path)  # fmt: skip
    assert failing(replay(certificate, loaded)) == []
    for vocab in (("b", "a"), ("a", "c"), ("a",), ("a", "b", "c")):
        assert failing(replay(replace(certificate, vocab=vocab), loaded)) == ["tokens"]
    assert failing(replay(certificate, loaded, vocab=("b", "a"))) == ["tokens"]
    unnamed = replace(loaded, metadata={}, weights=in_standard_order(loaded)[0])
    assert failing(replay(certificate, unnamed)) == []
    swapped = replace(certificate, vocab=("b", "a"))
    assert "verdict" in failing(replay(swapped, unnamed))
    numbers = saved(tmp_path / "b.npz", HIST, (0, 1))
    honest = certificate_of(result_of(numbers, parse(HIST)), numbers, tmp_path)
    for others in ((False, True), (0.0, 1.0)):
        assert failing(replay(replace(honest, vocab=others), numbers)) == ["tokens"]


def test_weights_under_another_read_out_are_not_confirmed(tmp_path: Path) -> None:
    """The opposite has the same weights, and a forger may list the truth beside it."""
    truth, opposite = (f"Map(lambda x: x {sign} 1, tokens)\n" for sign in ("==", "!="))
    loaded = saved(tmp_path / "a.npz", truth)
    honest = certificate_of(result_of(loaded, parse(truth)), loaded, tmp_path)
    assert failing(replay(honest, loaded)) == []
    alone = without_read_out(loaded)
    model, _ = in_standard_order(alone)
    found = check(model, parse(opposite), honest.domain, settle=False)
    forged = replace(
        honest,
        program=opposite,
        inputs_checked=0,
        evidence=found.evidence,
        other_programs=tuple(map(print_program, found.others)),
    )
    assert "verdict" in failing(replay(forged, loaded))
    assert failing(replay(replace(forged, sha256=weights_digest(model)), alone)) == []


def test_other_inputs_are_not_confirmed(hist: LoadedModel, certificate: Certificate) -> None:
    """The length and the mask are the model's."""
    for forged in (replace(certificate, max_seq_len=2), replace(certificate, causal=True)):
        assert failing(replay(forged, hist)) == ["inputs"]


def test_other_programs_are_counted_and_checked(tmp_path: Path) -> None:
    """None may be left out, made up, repeated, unreadable, or of other weights."""
    source = "plus = Map(lambda x: x + 1, tokens)\n"
    loaded = without_read_out(saved(tmp_path / "a.npz", source))
    honest = certificate_of(result_of(loaded, parse(source)), loaded, tmp_path)
    others = honest.other_programs
    assert len(others) >= 2
    assert failing(replay(honest, loaded)) == []
    assert failing(replay(replace(honest, other_programs=others[::-1]), loaded)) == []
    for forged in (
        (),
        others[1:],
        (*others, others[0]),
        (*others, HIST),
        (*others[1:], HIST),
        (*others[1:], honest.program),
        (*others[1:], "import os"),
    ):
        assert failing(replay(replace(honest, other_programs=forged), loaded)) == ["other programs"]
