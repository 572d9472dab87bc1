"""Certificates hold programs of strangers: no code is run, and none takes for ever."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from certified_models import HIST, failing, result_of, saved
from strategies import RELAXED, programs
from untracr.ambiguity.checking import check
from untracr.certificate.certificate import (
    Certificate,
    CertifiedRows,
    certificate_of,
    parse_certificate,
)
from untracr.certificate.program_cost import require_affordable
from untracr.certificate.replaying import replay
from untracr.errors import CertificateError
from untracr.loading.model import LoadedModel
from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.rasp.program import Program, print_program
from untracr.rasp.spent import TooCostly
from untracr.sample.sampler import sample_program
from untracr.syntax.hand_written import HAND_WRITTEN
from untracr.syntax.library import LIBRARY
from untracr.syntax.parsing import parse
from untracr.transformer import treatments
from untracr.transformer.token_rows import in_standard_order
from untracr.transformer.weights_digest import weights_digest
from untracr.verify.evidence import Evidence

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


@pytest.mark.slow
@pytest.mark.parametrize("name", COSTLY)
def test_programs_that_would_take_forever_are_refused(name: str, tmp_path: Path) -> None:
    """Programs of a few lines that would fill time and memory end in seconds, with a reason."""
    loaded = saved(tmp_path / "a.npz", HIST, (0, 1, 2, 3, 4), 5)
    certificate = certificate_of(result_of(loaded, parse(HIST)), loaded, tmp_path)
    found = replay(replace(certificate, program=COSTLY[name]), loaded)
    assert failing(found) == ["program"], found.conclusion
    assert "at most" in found.conclusion


@pytest.mark.slow
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
        loaded = saved(folder / f"{len(found)}.npz", source, vocab, length)
        model = loaded.transformer
        for changed in (
            model,
            treatments.add_noise(model, rng, 1e-4),
            treatments.rotate(model, rng),
        ):
            one = replace(loaded, weights=changed)
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
