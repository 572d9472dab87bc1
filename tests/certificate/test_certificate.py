"""Certificates: what was shown is shown again, and nothing that was changed is believed."""

from __future__ import annotations

import copy
import json
import os
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from real_models import REAL
from strategies import RELAXED, programs
from untracr.ambiguity.checking import check
from untracr.certificate.certificate import (
    Certificate,
    CertifiedRows,
    certificate_of,
    parse_certificate,
    read_certificate,
    write_certificate,
)
from untracr.certificate.program_cost import require_affordable
from untracr.certificate.replaying import Replay, model_path, replay, replay_file
from untracr.cli import main
from untracr.decompile import bundled_decompiler
from untracr.decompile.result import Result
from untracr.diagnose.model import compile_rasp_to_model
from untracr.errors import CertificateError, ModelFileError
from untracr.metamodel.numpy_network import NumpyNetwork
from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.rasp.functions import Value, number_or
from untracr.rasp.program import Program, print_program
from untracr.rasp.spent import TooCostly
from untracr.sample.sampler import sample_program
from untracr.syntax.hand_written import HAND_WRITTEN
from untracr.syntax.library import LIBRARY, NamedProgram
from untracr.syntax.parsing import parse
from untracr.transformer import treatments
from untracr.transformer.files import LoadedModel, load_model, save_model
from untracr.transformer.token_rows import in_standard_order
from untracr.transformer.weights_digest import weights_digest
from untracr.verify.evidence import Evidence

HIST = "same = Select(tokens, tokens, Comparison.EQ)\nhist = SelectorWidth(same)\n"
WIDTH = "some = Select(tokens, tokens, Comparison.{})\nwidth = SelectorWidth(some)\n"


def result_of(loaded: LoadedModel, program: Program, vocab: tuple[Value, ...] = ()) -> Result:
    """What decompiling gives if the meta-model writes this program."""
    model, named = in_standard_order(loaded)
    domain = Domain(vocab or named, len(model.W_pos) - 1)
    found = check(model, program, domain)
    assert found.program is not None
    return Result(
        name=str(loaded.path),
        program=found.program,
        source=print_program(found.program),
        verdict=found.verdict,
        inputs_checked=found.inputs_checked,
        detail=found.detail,
        seconds=0.0,
        vocab=domain.vocab,
        max_seq_len=domain.max_seq_len,
        log_probability=0.0,
        other_programs=tuple(map(print_program, found.others)),
        evidence=found.evidence,
    )


def compiled(
    path: Path,
    source: str | Program,
    vocab: tuple[Value, ...] = (0, 1, 2),
    length: int = 3,
    *,
    causal: bool = False,
) -> LoadedModel:
    """A model file with a read-out and the names of its tokens."""
    compile_rasp_to_model(source, vocab, length, causal=causal, strict=False).save(path)
    return load_model(path)


def without_read_out(loaded: LoadedModel) -> LoadedModel:
    """The same file, weights alone."""
    changed = loaded.transformer.replace(W_U=None, output_values=None)
    save_model(loaded.path, changed, loaded.metadata)
    return load_model(loaded.path)


@pytest.fixture
def hist(tmp_path: Path) -> LoadedModel:
    """The model of a histogram."""
    return compiled(tmp_path / "hist.safetensors", HIST)


@pytest.fixture
def certificate(hist: LoadedModel) -> Certificate:
    """An honest certificate of it."""
    return certificate_of(result_of(hist, parse(HIST)), hist, hist.path.parent)


@pytest.fixture
def meta_model() -> None:
    """Asked for by the tests that decompile."""


@pytest.fixture(autouse=True)
def no_meta_model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may load the meta-model, but what says that it decompiles."""
    if "meta_model" in request.fixturenames:
        return

    def load(*args: object) -> None:
        raise AssertionError("the meta-model was loaded")

    monkeypatch.setattr(NumpyNetwork, "load", load)


def failing(found: Replay) -> list[str]:
    """The steps of a replay that do not hold; none of it is confirmed then."""
    names = [step.name for step in found.steps if not step.holds]
    assert found.is_confirmed == (not names)
    assert found.is_proved <= found.is_confirmed
    assert found.conclusion.startswith("not confirmed: " if names else "confirmed: ")
    return names


def again(certificate: Certificate) -> Certificate:
    """Written and read."""
    return parse_certificate(certificate.to_json().encode())


# What is certified is found again


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


@pytest.mark.parametrize("named", [*LIBRARY, *HAND_WRITTEN], ids=lambda named: named.name)
def test_library_models_are_confirmed(named: NamedProgram, tmp_path: Path) -> None:
    """Letters, tables, numbers, None, causal attention: each verdict is found again."""
    path = tmp_path / "a.npz"
    loaded = compiled(
        path, named.program, named.vocab, min(named.max_seq_len, 5), causal=named.causal
    )
    result = result_of(loaded, named.program)
    if result.verdict == "unverified":
        with pytest.raises(CertificateError, match="nothing is shown"):
            certificate_of(result, loaded, tmp_path)
        return
    certificate = again(certificate_of(result, loaded, tmp_path))
    assert certificate.verdict == result.verdict
    assert failing(replay(certificate, loaded)) == []


CHANGES: dict[str, Callable[[LoadedModel, np.random.Generator], LoadedModel]] = {
    "rotated": lambda m, rng: replace(m, transformer=treatments.rotate(m.transformer, rng)),
    "weights alone": lambda m, rng: without_read_out(m),
    "rotated weights alone": lambda m, rng: replace(
        without_read_out(m), transformer=treatments.rotate(m.transformer, rng).replace(
            W_U=None, output_values=None
        )
    ),
    "noisy": lambda m, rng: replace(
        m, transformer=treatments.add_noise(m.transformer, rng, 0.002)
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_treated_models_are_confirmed(change: str, tmp_path: Path) -> None:
    """Whatever was shown of sampled programs' changed weights is found again, every time."""
    rng = np.random.default_rng(5)
    verdicts, others = [], 0
    for index in range(12):
        program = sample_program(171, index)
        loaded = compiled(tmp_path / f"{index}.npz", program, PAPER_DOMAIN.vocab, 5)
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


def test_a_test_is_confirmed_but_no_proof(tmp_path: Path) -> None:
    """Of a domain that is too large nothing is proved, and a replay says so."""
    letters = tuple("abcdefgh")
    loaded = compiled(tmp_path / "hist.npz", HIST, letters, 8)
    noisy = treatments.add_noise(loaded.transformer, np.random.default_rng(0), 1e-6)
    loaded = replace(loaded, transformer=noisy)
    certificate = certificate_of(result_of(loaded, parse(HIST)), loaded, tmp_path)
    assert certificate.verdict == "tested"
    found = replay(again(certificate), loaded)
    assert failing(found) == []
    assert not found.is_proved
    assert found.conclusion.endswith("which is no proof")
    assert "verdict" in failing(replay(replace(certificate, verdict="equivalent"), loaded))


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
        for one in (loaded, replace(loaded, transformer=loaded.transformer.replace(
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


# Digests


def test_the_digest_is_the_weights_and_not_the_file(hist: LoadedModel, tmp_path: Path) -> None:
    """Another format, or the token rows in another order in the file, give the same digest."""
    save_model(tmp_path / "a.npz", hist.transformer, hist.metadata)
    assert weights_digest(load_model(tmp_path / "a.npz").transformer) == weights_digest(
        hist.transformer
    )
    names = hist.metadata["token_values"]
    assert isinstance(names, list)
    order = list(reversed(range(len(names))))
    turned = hist.transformer.replace(W_E=hist.transformer.W_E[order])
    notes = {**hist.metadata, "token_values": [names[row] for row in order]}
    save_model(tmp_path / "b.npz", turned, notes)
    other = load_model(tmp_path / "b.npz")
    assert weights_digest(other.transformer) != weights_digest(hist.transformer)
    in_order, values = in_standard_order(other)
    assert values == (2, 1, 0)
    assert weights_digest(in_order) != weights_digest(in_standard_order(hist)[0])
    same_names, _ = in_standard_order(
        LoadedModel(hist.transformer.replace(W_E=hist.transformer.W_E[[3, 0, 1, 2, 4]]),
                    {**hist.metadata, "token_values": [names[r] for r in (3, 0, 1, 2, 4)]},
                    hist.path)
    )  # fmt: skip
    assert weights_digest(same_names) == weights_digest(in_standard_order(hist)[0])


def test_whatever_is_changed_changes_the_digest(hist: LoadedModel) -> None:
    """Each array, its shape, the read-out, its values and their types, and the mask count."""
    model = hist.transformer
    assert model.W_U is not None
    assert model.output_values is not None
    digests = [weights_digest(model), weights_digest(model.replace(causal=True))]
    for name, array in {**model.arrays(), "W_U": model.W_U}.items():
        changed = array.copy()
        changed.flat[-1] = np.nextafter(changed.flat[-1], np.float32(9))
        digests.append(weights_digest(model.replace(**{name: changed})))
    digests.append(weights_digest(model.replace(b_O=model.b_O[:, None])))
    digests.append(weights_digest(model.replace(W_U=None, output_values=None)))
    digests.append(weights_digest(model.replace(output_values=None)))
    floats = tuple(number_or(value, 0.0) for value in model.output_values)
    digests.append(weights_digest(model.replace(output_values=floats)))
    assert len(set(digests)) == len(digests)
    assert weights_digest(model) == digests[0]


# What was changed is not believed


def test_one_changed_weight_is_told_by_the_digest(
    hist: LoadedModel, certificate: Certificate
) -> None:
    """The smallest change of one weight ends the replay; with its digest, too, nothing is shown."""
    array = hist.transformer.W_out.copy()
    place = np.unravel_index(np.abs(array).argmax(), array.shape)
    array[place] = np.nextafter(array[place], np.float32(1e9))
    changed = replace(hist, transformer=hist.transformer.replace(W_out=array))
    found = replay(certificate, changed)
    assert failing(found) == ["model"]
    assert certificate.sha256 in found.conclusion
    array[place] += np.float32(1e-2)
    changed = replace(hist, transformer=hist.transformer.replace(W_out=array, W_U=None,
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
    loaded = compiled(tmp_path / "a.npz", HIST)
    wrong = result_of(loaded, parse(WIDTH.format("NEQ")))
    assert wrong.verdict == "unverified"
    with pytest.raises(CertificateError, match="nothing is shown"):
        certificate_of(wrong, loaded, tmp_path)
    with pytest.raises(CertificateError, match="no program could be read"):
        certificate_of(replace(wrong, program=None, source=""), loaded, tmp_path)
    faint = treatments.add_noise(loaded.transformer, np.random.default_rng(1), 1e-5)
    noisy = replace(loaded, transformer=faint)
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
    loaded = compiled(tmp_path / "a.npz", program)
    faint = treatments.add_noise(loaded.transformer, np.random.default_rng(1), 1e-3)
    loaded = replace(loaded, transformer=faint)
    honest = certificate_of(result_of(loaded, program), loaded, tmp_path)
    assert failing(replay(honest, loaded)) == []
    name, change = EDITS[edit]
    forged = replace(honest, evidence=change(honest.evidence))
    assert failing(replay(forged, loaded)) == [name]
    more = replace(honest, inputs_checked=honest.inputs_checked + 1)
    assert failing(replay(more, loaded)) == ["evidence"]


def test_the_order_of_tokens_counts(tmp_path: Path) -> None:
    """Other names, another order or other types of the tokens are not what the file says."""
    loaded = compiled(tmp_path / "a.npz", "Map(lambda x: x == 'b', tokens)", ("a", "b"))
    certificate = certificate_of(result_of(loaded, parse("Map(lambda x: x == 'b', tokens)")),
                                 loaded, tmp_path)  # fmt: skip
    assert failing(replay(certificate, loaded)) == []
    for vocab in (("b", "a"), ("a", "c"), ("a",), ("a", "b", "c")):
        assert failing(replay(replace(certificate, vocab=vocab), loaded)) == ["tokens"]
    assert failing(replay(certificate, loaded, vocab=("b", "a"))) == ["tokens"]
    unnamed = replace(loaded, metadata={}, transformer=in_standard_order(loaded)[0])
    assert failing(replay(certificate, unnamed)) == []
    swapped = replace(certificate, vocab=("b", "a"))
    assert "verdict" in failing(replay(swapped, unnamed))
    numbers = compiled(tmp_path / "b.npz", HIST, (0, 1))
    honest = certificate_of(result_of(numbers, parse(HIST)), numbers, tmp_path)
    for others in ((False, True), (0.0, 1.0)):
        assert failing(replay(replace(honest, vocab=others), numbers)) == ["tokens"]


def test_weights_under_another_read_out_are_not_confirmed(tmp_path: Path) -> None:
    """The opposite has the same weights, and a forger may list the truth beside it."""
    truth, opposite = (f"Map(lambda x: x {sign} 1, tokens)\n" for sign in ("==", "!="))
    loaded = compiled(tmp_path / "a.npz", truth)
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
    loaded = without_read_out(compiled(tmp_path / "a.npz", source))
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


# Programs of strangers

NOT_READ = {
    "empty": "",
    "import": "import os\nos.system('touch {made}')\ntokens + 1",
    "call": "__import__('os').system('touch {made}')",
    "formula": "Map(lambda x: __import__('os').system('touch {made}'), tokens)",
    "attribute": "Map(lambda x: x.__class__.__base__, tokens)",
    "eval": "Map(lambda x: eval('1'), tokens)",
    "open": "Map(lambda x: open('{made}', 'w'), tokens)",
    "walrus": "Map(lambda x: (y := 1), tokens)",
    "comprehension": "Map(lambda x: [0 for _ in range(10**9)], tokens)",
    "decorator": "@__import__\ndef f(): pass\ntokens + 1",
    "f-string": "Map(lambda x: f'{{x}}', tokens)",
    "deep": "tokens" + " + 1" * 20_000,
    "null": "tokens\0",
    "not Python": "sort the tokens",
    "huge number": "Map(lambda x: x + 0x" + "F" * 100_000 + ", tokens)",
    "no SOp": "Select(tokens, tokens, Comparison.EQ)",
}


@pytest.mark.parametrize("name", NOT_READ)
def test_code_is_never_run(
    name: str, hist: LoadedModel, certificate: Certificate, tmp_path: Path
) -> None:
    """A program is read, not run: what is no program is refused in one step."""
    made = tmp_path / "made"
    source = NOT_READ[name].replace("{made}", str(made)).replace("{{x}}", "{x}")
    found = replay(replace(certificate, program=source), hist)
    assert failing(found) == ["program"]
    assert "cannot be read" in found.conclusion
    assert not made.exists()


GROWS = "".join(
    f"a{n} = SequenceMap(lambda x, y: x * {97 + 2 * n} + y, a{n - 1}, a{n - 1})\n"
    f"b{n} = SequenceMap(lambda x, y: x * {89 + 2 * n} + y, a{n}, a{n - 1})\n"
    for n in range(1, 9)
)
"""Pairs of pairs: values are squared on every line."""

MEANS = "".join(
    f"s{n} = Select(indices, indices, Comparison.LEQ)\n"
    f"m{n} = Aggregate(s{n}, Map(lambda x: x ** 7 + {n}, tokens))\n"
    for n in range(4)
) + "".join(
    f"j{n} = SequenceMap(lambda x, y: x * 1000003 + y, {a}, {b})\n"
    for n, (a, b) in enumerate([("m0", "m1"), ("j0", "m2"), ("j1", "j0"), ("j2", "j1")])
)

COSTLY = {
    "many values": "a0 = Map(lambda x: x * 7, tokens)\n" + GROWS.replace("a0, a0", "a0, tokens"),
    "many operations": "a = Map(lambda x: x + 1, tokens)\n"
    + "a = Map(lambda x: x + 1, a, simplify=False)\n" * 5_000,
    "long function": "a = SequenceMap(lambda x, y: max("
    + ", ".join(["x * y"] * 40_000)
    + "), tokens, indices)\n"
    + "a = SequenceMap(lambda x, y: max("
    + ", ".join(["x - y"] * 40_000)
    + "), a, indices)\n",
    "composite selectors": "a = SequenceMap(lambda x, y: x * 9 + y, tokens, indices)\n"
    "b = SequenceMap(lambda x, y: x * 8 + y, tokens, indices)\n"
    "s = SelectorAnd(Select(a, b, Comparison.LT), Select(b, a, Comparison.LT))\n"
    "t = SelectorOr(s, SelectorAnd(Select(b, b, Comparison.LT), s))\n"
    "SelectorWidth(SelectorAnd(t, SelectorAnd(Select(a, a, Comparison.GT), t)))\n",
}


@pytest.mark.parametrize("name", COSTLY)
def test_programs_that_would_take_forever_are_refused(name: str, tmp_path: Path) -> None:
    """Programs of a few lines that would fill time and memory end in seconds, with a reason."""
    loaded = compiled(tmp_path / "a.npz", HIST, (0, 1, 2, 3, 4), 5)
    certificate = certificate_of(result_of(loaded, parse(HIST)), loaded, tmp_path)
    found = replay(replace(certificate, program=COSTLY[name]), loaded)
    assert failing(found) == ["program"], found.conclusion
    assert "at most" in found.conclusion


def test_what_people_write_is_affordable() -> None:
    """The limits are far from the programs that exist."""
    for named in (*LIBRARY, *HAND_WRITTEN):
        domain = Domain(named.vocab, named.max_seq_len)
        require_affordable(named.program, domain, causal=named.causal)
    for index in range(20):
        require_affordable(sample_program(172, index), PAPER_DOMAIN, causal=False)
    require_affordable(parse(MEANS), PAPER_DOMAIN, causal=False)  # of the pairs few occur
    with pytest.raises(TooCostly):
        require_affordable(parse(COSTLY["many operations"]), PAPER_DOMAIN, causal=False)


@pytest.fixture(scope="module")
def strange_models(
    tmp_path_factory: pytest.TempPathFactory,
) -> list[tuple[Certificate, LoadedModel]]:
    """Models of several kinds with what a forger would write about them."""
    folder, rng = tmp_path_factory.mktemp("models"), np.random.default_rng(3)
    number = "numerical(Map(lambda x: x * 2, numerical(Map(lambda x: x, tokens))))"
    found: list[tuple[Certificate, LoadedModel]] = []
    for source, vocab, length in ((HIST, (0, 1, 2), 3), (HIST, ("a", "b"), 4), (number, (0, 1), 3)):
        loaded = compiled(folder / f"{len(found)}.npz", source, vocab, length)
        model = loaded.transformer
        for changed in (
            model,
            treatments.add_noise(model, rng, 1e-4),
            treatments.rotate(model, rng),
        ):
            one = replace(loaded, transformer=changed)
            in_order, names = in_standard_order(one)
            assert names is not None
            claim = Certificate(
                model_file="a.npz",
                sha256=weights_digest(in_order),
                vocab=names,
                max_seq_len=length,
                causal=False,
                program="",
                verdict="tested",
                inputs_checked=0,
                detail="",
                evidence=Evidence(),
                rows=CertifiedRows(tuple(range(len(names))), len(names), len(names) + 1),
            )
            found.append((claim, one))
    return found


@settings(RELAXED, max_examples=60)
@given(program=programs())
def test_any_program_is_confirmed_or_not(
    program: Program, strange_models: list[tuple[Certificate, LoadedModel]]
) -> None:
    """No program makes a replay fail in another way, not even one that the compiler refuses."""
    for claim, loaded in strange_models:
        failing(replay(replace(claim, program=print_program(program)), loaded))


@pytest.mark.parametrize(
    "source",
    [
        "a = numerical(Map(lambda x: x, tokens))\nSequenceMap(lambda x, y: x * y, a, a)",
        "numerical(SequenceMap(lambda x, y: x * y, tokens, tokens))",
        "a = numerical(Map(lambda x: x, tokens))\nSelectorWidth(Select(a, a, Comparison.EQ))",
        "tokens",
    ],
)
def test_what_has_no_weights_is_not_compiled(
    source: str, hist: LoadedModel, certificate: Certificate
) -> None:
    """A program that breaks the compiler's rules is told by the rule."""
    found = replay(replace(certificate, program=source), hist)
    assert failing(found) == ["program"]
    assert "must be categorical" in found.conclusion or "at least one" in found.conclusion


def test_any_edit_is_refused_or_harmless(hist: LoadedModel, certificate: Certificate) -> None:
    """Of 1,500 files with bytes changed, those that are confirmed say what is true."""
    rng = random.Random(1)
    pieces = (b'"', b"0", b"1e999", b"-", b"\\u0000", b"[", b"{", b"null", b"9" * 30, b"\\ud800")
    refused = confirmed = 0
    for _ in range(1500):
        data = bytearray(certificate.to_json().encode())
        for _ in range(rng.randint(1, 3)):
            place, how = rng.randrange(len(data)), rng.random()
            if how < 0.4:
                data[place] = rng.randrange(256)
            elif how < 0.7:
                del data[place : place + rng.randint(1, 9)]
            else:
                data[place:place] = rng.choice(pieces)
        try:
            read = parse_certificate(bytes(data))
        except CertificateError:
            refused += 1
            continue
        found = replay(read, hist)
        if found.is_confirmed:
            confirmed += 1
            checked = check(hist.transformer, parse(read.program), certificate.domain)
            assert checked.verdict == "identical"
            assert read.domain == certificate.domain
    assert refused > 1000
    assert confirmed > 10


# Files


def edited(certificate: Certificate, **changes: object) -> bytes:
    """A certificate's bytes with entries replaced; `model__file` is an inner one."""
    content: dict[str, Any] = copy.deepcopy(certificate.as_dict())
    for name, value in changes.items():
        outer, _, inner = name.partition("__")
        if inner:
            content[outer][inner] = value
        else:
            content[outer] = value
    return json.dumps(content).encode()


BAD: dict[str, tuple[dict[str, object], str]] = {
    "format": ({"format": "other"}, "no certificate: its format must be"),
    "version": ({"format_version": 3}, "format_version 2 is read; this is 3; a newer"),
    "earlier version": ({"format_version": 1}, "this is 1; decompile the model again"),
    "version true": ({"format_version": True}, "this is true"),
    "no model": ({"model": None}, "model must be a JSON object, not null"),
    "verdict": ({"verdict": "proved"}, "verdict must be one of tested, equivalent, identical"),
    "unverified": ({"verdict": "unverified"}, "not 'unverified'"),
    "verdict list": ({"verdict": ["identical"]}, "verdict must be one of"),
    "digest": ({"model__sha256": "ABC"}, "model.sha256 must be 64 lower-case"),
    "absolute": ({"model__file": "/etc/passwd"}, "relative to the certificate's folder"),
    "windows": ({"model__file": "C:\\a.npz"}, "relative to the certificate's folder"),
    "share": ({"model__file": "\\\\host\\a.npz"}, "relative to the certificate's folder"),
    "null in file": ({"model__file": "a\0b"}, "relative to the certificate's folder"),
    "no file": ({"model__file": ""}, "relative to the certificate's folder"),
    "long file": ({"model__file": "a" * 5000}, "at most 4,000 characters, not 5,000"),
    "no tokens": ({"vocab": []}, "vocab: a vocabulary must hold at least one token"),
    "twice": ({"vocab": [1, True]}, "must not repeat a token"),
    "huge token": ({"vocab": [10**13]}, r"vocab\[0\] must be at most 1e\+12"),
    "infinite token": ({"vocab": [0, float("inf")]}, "Infinity is not JSON"),
    "list token": ({"vocab": [[1]]}, r"vocab\[0\] must be null, true"),
    "many tokens": ({"vocab": list(range(1001))}, "at most 1,000 tokens"),
    "vocab": ({"vocab": "abc"}, "vocab must be a list, not 'abc'"),
    "length": ({"max_seq_len": 0}, "max_seq_len must be a whole number from 1 to 1,000, not 0"),
    "huge length": ({"max_seq_len": 10**9}, "from 1 to 1,000, not 1000000000"),
    "float length": ({"max_seq_len": 3.0}, "not 3.0"),
    "causal": ({"causal": 1}, "causal must be true or false, not 1"),
    "program": ({"program": ["tokens"]}, "program must be a text"),
    "long program": ({"program": "#" * 1_000_001}, "program may have at most 1,000,000"),
    "others": ({"other_programs": [3]}, r"other_programs\[0\] must be a text, not 3"),
    "many others": ({"other_programs": ["tokens"] * 201}, "200 other programs, not"),
    "others of equivalent": (
        {"verdict": "equivalent", "other_programs": ["tokens"]},
        "where the verdict is 'identical' only",
    ),
    "inputs": ({"inputs_checked": -1}, "inputs_checked must be a whole number"),
    "agree": (
        {"evidence__inputs_agree": 9, "evidence__inputs_checked": 8},
        "inputs_agree must be at most",
    ),
    "weights": ({"evidence__weights": "equal"}, "evidence.weights must be one of not compared"),
    "off": ({"evidence__weights_off": -1.0}, "evidence.weights_off must be a number from 0 up"),
    "tolerance": ({"evidence__output_tolerance": "0"}, "evidence.output_tolerance"),
    "unknown": ({"proof": "yes"}, "a certificate has an unknown key 'proof'"),
    "unknown inner": ({"model__url": "http://x"}, "model has an unknown key 'url'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_entries_are_named(name: str, certificate: Certificate) -> None:
    """One clear error: the rule, the value and the place."""
    changes, message = BAD[name]
    with pytest.raises(CertificateError, match=message) as error:
        parse_certificate(edited(certificate, **changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", ["format", "model", "program", "evidence", "verdict", "vocab"])
def test_missing_entries_are_named(key: str, certificate: Certificate) -> None:
    """Every key must be there."""
    content = certificate.as_dict()
    del content[key]
    with pytest.raises(CertificateError, match=key):
        parse_certificate(json.dumps(content).encode())


def test_damaged_files_are_refused(certificate: Certificate, tmp_path: Path) -> None:
    """Cut short anywhere, not UTF-8, not JSON, nested deeply, of huge numbers, or two-faced."""
    data = certificate.to_json().encode()
    for end in range(0, len(data) - 2, 37):
        with pytest.raises(CertificateError, match="must be JSON"):
            parse_certificate(data[:end])
    for bad, message in (
        (data.replace(b"certificate", b"certific\xff", 1), "must be UTF-8 text; byte 30 is not"),
        (certificate.to_json().encode("utf-16"), "must be UTF-8"),
        (b"[" * 200_000, "must be JSON"),
        (b"[1, 2]", "a certificate must be a JSON object"),
        (b"{}", "no certificate: its format must be"),
        (data.replace(b'"max_seq_len": 3', b'"max_seq_len": ' + b"9" * 5000), "must be JSON"),
        (data.replace(b'"max_seq_len": 3', b'"max_seq_len": 1e999'), "must fit a float"),
        (data.replace(b'"weights_off": 0.0', b'"weights_off": 1e999'), "must fit a float"),
        (data.replace(b'"weights_off": 0.0', b'"weights_off": NaN'), "NaN is not JSON"),
        (
            data.replace(b'"causal"', b'"verdict": "tested", "causal"'),
            "the key 'verdict' is there twice",
        ),
    ):
        assert bad != data
        with pytest.raises(CertificateError, match=message):
            parse_certificate(bad)
    assert parse_certificate(b"\xef\xbb\xbf" + data) == certificate
    for path, message in (
        (tmp_path / "missing.json", "there is no such file"),
        (tmp_path, "a certificate is one file; this is a directory"),
    ):
        with pytest.raises(CertificateError, match=message):
            read_certificate(path)
    with (tmp_path / "big.json").open("wb") as file:
        file.truncate(17 * 2**20)
    with pytest.raises(CertificateError, match="at most 8,388,608 bytes"):
        read_certificate(tmp_path / "big.json")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    """A certificate that is a pipe is refused, not read forever."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CertificateError, match="is a regular file"):
        read_certificate(tmp_path / "pipe")


def test_models_are_found_from_the_certificate(
    hist: LoadedModel, certificate: Certificate, tmp_path: Path
) -> None:
    """Beside it, in a folder next to it, in a folder that is given; else one error says where."""
    folder = tmp_path / "certificates"
    loaded = replace(hist, path=hist.path)
    beside = certificate_of(result_of(loaded, parse(HIST)), loaded, folder)
    assert beside.model_file == "../hist.safetensors"
    path = folder / "hist.json"
    write_certificate(path, beside)
    assert replay_file(path).is_proved
    moved = tmp_path / "moved"
    moved.mkdir()
    hist.path.rename(moved / hist.path.name)
    with pytest.raises(CertificateError, match=r"'\.\./hist\.safetensors' from here.*--model"):
        replay_file(path)
    assert replay_file(path, moved).is_proved
    assert model_path(path, beside, moved) == moved / "hist.safetensors"
    assert replay_file(path, moved / hist.path.name).is_proved
    with pytest.raises(ModelFileError, match="no such file"):
        replay_file(path, tmp_path / "nothing.npz")


def test_a_path_that_leads_elsewhere_shows_nothing(
    certificate: Certificate, tmp_path: Path
) -> None:
    """Of a file that is no model nothing is told but that it is none."""
    secret = tmp_path / "secret"
    secret.write_text("the password is swordfish")
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.json"
    path.write_bytes(edited(certificate, model__file="../secret"))
    with pytest.raises(ModelFileError, match="this is text") as error:
        replay_file(path)
    assert "swordfish" not in str(error.value)


def test_other_files_are_not_overwritten(
    hist: LoadedModel, certificate: Certificate, tmp_path: Path
) -> None:
    """The same model's certificate is replaced; another's, and any other file, is kept."""
    path = tmp_path / "a.json"
    write_certificate(path, certificate)
    write_certificate(path, replace(certificate, detail="again"))
    assert read_certificate(path).detail == "again"
    write_certificate(path, replace(certificate, sha256="0" * 64))  # trained anew, the same file
    other = replace(certificate, sha256="1" * 64, model_file="other.npz")
    before = path.read_bytes()
    with pytest.raises(CertificateError, match=r"only one of the same model.*other\.npz"):
        write_certificate(path, other)
    assert path.read_bytes() == before
    path.write_text('{"my": "notes"}')
    with pytest.raises(CertificateError, match="something else"):
        write_certificate(path, certificate)
    assert path.read_text() == '{"my": "notes"}'
    with pytest.raises(CertificateError, match="cannot be written"):
        write_certificate(path / "b.json", certificate)
    with pytest.raises(CertificateError, match="program may have at most"):
        write_certificate(tmp_path / "c.json", replace(certificate, program="#" * 3_000_000))
    assert not (tmp_path / "c.json").exists()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


# The command line


@pytest.fixture
def file(hist: LoadedModel, certificate: Certificate) -> Path:
    """The honest certificate beside its model."""
    path = hist.path.with_name("hist.safetensors.json")
    write_certificate(path, certificate)
    return path


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
    loaded = compiled(tmp_path / "m.safetensors", source)
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
