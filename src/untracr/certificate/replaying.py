"""A certificate's check, made again from its program and a model's weights.

The meta-model is not loaded: how the program was found does not matter. All
that the certificate claims and that can be computed is computed, and must be
found at least as strong as it claims.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from untracr.ambiguity.checking import Check, check
from untracr.certificate.certificate import (
    CERTIFIED_VERDICTS,
    Certificate,
    plain_evidence,
    read_certificate,
)
from untracr.certificate.program_cost import require_affordable
from untracr.errors import CertificateError, ProgramError, RaspSyntaxError
from untracr.loading.loading import load_model
from untracr.loading.model import LoadedModel
from untracr.loading.readable import require_readable
from untracr.measure.exactness import find_exactness
from untracr.rasp.functions import Value
from untracr.rasp.program import Program, print_program
from untracr.short_repr import short_repr
from untracr.syntax.parsing import parse
from untracr.transformer.token_rows import Naming, TokenRows, token_rows
from untracr.transformer.transformer import Transformer
from untracr.transformer.weights_digest import weights_digest
from untracr.verify.evidence import PROVED, Evidence, WeightRelation, headline
from untracr.verify.outputs import cannot_compare
from untracr.verify.recompiling import recompile
from untracr.verify.weight_equivalence import same_weights

STRENGTH: dict[WeightRelation, int] = {
    "not compared": 0,
    "different": 0,
    "noisy": 1,
    "projected": 1,
    "rotated": 2,
    "reordered": 3,
}
"""How much each finding about the weights says."""

TIMES_CLAIMED, ROUNDED_CLAIM = 2.0, 1e-6
"""Differences of weights may come out this many times larger, and this much more, on another
machine: they are errors of single precision, and add up in another order there."""


@dataclass(frozen=True)
class Step:
    """One thing that was checked.

    Attributes:
        name: model, tokens, inputs, exactness, program, verdict, evidence, other programs or
            read-out.
        holds: whether it is as certified.
        text: what was found.
    """

    name: str
    holds: bool
    text: str


@dataclass(frozen=True)
class Replay:
    """What came of replaying a certificate.

    Attributes:
        certificate: the claim.
        steps: what was checked, in order; the last one may be the first that failed.
        program: the program as read, printed again; empty if it cannot be read.
        found: the check made now; None if it did not come to it.
        seconds: all of this took.
    """

    certificate: Certificate
    steps: tuple[Step, ...]
    program: str
    found: Check | None
    seconds: float

    __repr__ = short_repr

    @property
    def is_confirmed(self) -> bool:
        """Whether all that the certificate claims was found again."""
        return self.found is not None and all(step.holds for step in self.steps)

    @property
    def is_proved(self) -> bool:
        """Whether it is confirmed and claims a proof, not a test, and no input is known on which
        the weights do not do what the program says."""
        if self.found is None or not self.is_confirmed or self.found.departures:
            return False
        return self.certificate.verdict in PROVED

    @property
    def conclusion(self) -> str:
        """One sentence."""
        claim = self.certificate.verdict
        if self.is_confirmed and self.found is not None:
            only = "" if claim in PROVED else ", which is no proof"
            shown = headline(claim, self.found.departures)
            return f"confirmed: {shown}: {self.found.detail}{only}"
        failed = next(step for step in self.steps if not step.holds)
        return f"not confirmed: {claim} was certified; {failed.name}: {failed.text}"

    def as_dict(self) -> dict[str, object]:
        """The replay as plain JSON values."""
        checked = self.found
        return {
            "confirmed": self.is_confirmed,
            "proved": self.is_proved,
            "claimed": self.certificate.verdict,
            "verdict": None if checked is None else checked.verdict,
            "detail": "" if checked is None else checked.detail,
            "departures": 0 if checked is None else checked.departures,
            "evidence": None if checked is None else plain_evidence(checked.evidence),
            "program": self.program,
            "steps": [asdict(step) for step in self.steps],
            "seconds": round(self.seconds, 6),
        }


def replay_file(
    path: Path, model: Path | None = None, *, vocab: Sequence[Value] | None = None
) -> Replay:
    """Replays the certificate in a file.

    Args:
        path: the certificate.
        model: the model's file, or a folder that holds a file of the name certified; the
            one that the certificate names if not given.
        vocab: as for `replay`.

    Raises:
        CertificateError: it is no certificate.
        ModelFileError: there is no model, or none that can be read.
    """
    certificate = read_certificate(path)
    return replay(certificate, load_model(model_path(path, certificate, model)), vocab=vocab)


def model_path(path: Path, certificate: Certificate, given: Path | None = None) -> Path:
    """Where a certificate's model is looked for.

    Raises:
        CertificateError: there is no such file beside the certificate, and none was given.
    """
    name = Path(certificate.model_file)
    if given is not None:
        return given / name.name if given.is_dir() else given
    beside = path.parent / name
    if not beside.exists():
        raise CertificateError(
            f"{path}: the model must lie at {certificate.model_file!r} from here, and there is "
            "no such file; say where it is by --model"
        )
    return beside


def replay(
    certificate: Certificate, loaded: LoadedModel, *, vocab: Sequence[Value] | None = None
) -> Replay:
    """Makes a certificate's check again.

    Args:
        certificate: the claim.
        loaded: the model that it is about.
        vocab: the values of the token rows; what the file says if not given, and the
            certificate's where the file says nothing.

    Raises:
        ModelFileError: the model is outside what can be read.
    """
    begun = time.perf_counter()
    require_readable(loaded.transformer)
    own = token_rows(loaded, Naming(vocab))
    model = _in_certified_order(certificate, loaded.transformer, own)
    steps = [_same_model(certificate, model)]
    program: Program | None = None
    checked: Check | None = None
    if steps[0].holds:
        steps += [_same_tokens(certificate, own)]
        steps += [_same_inputs(certificate, model), _same_exactness(certificate, model)]
    if all(step.holds for step in steps):
        step, program = _read(certificate, model)
        steps.append(step)
        if program is not None and step.holds:
            checked = check(model, program, certificate.domain, settle=False)
            steps += [_verdict(certificate, checked), _evidence(certificate, checked)]
            steps += [_others(certificate, model, program, checked)]
            steps += [_read_out(model, checked)]
    shown = "" if program is None else print_program(program)
    return Replay(certificate, tuple(steps), shown, checked, time.perf_counter() - begun)


def _same_model(certificate: Certificate, model: Transformer) -> Step:
    digest = weights_digest(model)
    if digest == certificate.sha256:
        return Step("model", True, f"these are the weights that were certified ({digest[:16]}...)")
    text = f"other weights: their SHA-256 is {digest}, the certified {certificate.sha256}"
    return Step("model", False, text)


def _in_certified_order(
    certificate: Certificate, model: Transformer, own: TokenRows
) -> Transformer:
    """The model with its token rows in the order that is certified."""
    rows = certificate.rows
    if len(rows.order) != len(model.W_E):
        return own.applied(model)
    return replace(own, tokens=rows.tokens, bos=rows.bos, pad=rows.pad).applied(model)


def _same_tokens(certificate: Certificate, own: TokenRows) -> Step:
    """Whether rows and names are as the file says, or as the user does.

    Where neither does they are the certificate's, which is said.
    """
    certified = _listed(certificate.vocab)
    if len(certificate.vocab) != len(own.values):
        text = f"{len(certificate.vocab)} are certified, the model has {len(own.values)}"
        return Step("tokens", False, text)
    who = {"given": "--vocab says", "file": "the file says"}
    if own.names_from in who and _typed(own.values) != _typed(certificate.vocab):
        other = f"{certified} are certified, {who[own.names_from]} {_listed(own.values)}"
        return Step("tokens", False, other)
    rows = certificate.rows
    differ = rows.order != own.order
    if differ and own.rows_from in who:
        return Step("tokens", False, f"other rows are certified than {who[own.rows_from]}")
    how = {"given": "as given", "file": "as the file says"}
    text = f"{certified}, {how.get(own.names_from, 'as certified; the file names none')}"
    if differ:
        text += f"; rows {rows.bos} and {rows.pad} of W_E are taken for BOS and PAD, as certified"
    elif own.assumed:
        text += f"; {own.assumed}"
    return Step("tokens", True, text)


def _typed(values: Sequence[Value]) -> list[tuple[type, Value]]:
    return [(type(value), value) for value in values]


def _listed(values: Sequence[Value]) -> str:
    shown = ", ".join(repr(value) for value in values[:12])
    return shown if len(values) <= 12 else f"{shown}, ... ({len(values)} in all)"


def _same_inputs(certificate: Certificate, model: Transformer) -> Step:
    longest, how = len(model.W_pos) - 1, "causal" if model.causal else "not causal"
    text = f"1 to {longest} tokens, {how}"
    if (certificate.max_seq_len, certificate.causal) == (longest, model.causal):
        return Step("inputs", True, text)
    claimed = "causal" if certificate.causal else "not causal"
    claim = f"1 to {certificate.max_seq_len} tokens, {claimed}, is certified"
    return Step("inputs", False, f"{claim}; the model takes {text}")


def _same_exactness(certificate: Certificate, model: Transformer) -> Step:
    """Whether the model's staircases are as steep as certified: the program is compiled so."""
    exactness, certified = find_exactness(model).value, certificate.mlp_exactness
    shown = "no staircase" if exactness is None else f"mlp_exactness {exactness:.12g}"
    if exactness != certified:
        text = "none is" if certified is None else f"{certified:.12g} is"
        return Step("exactness", False, f"{text} certified; the weights show {shown}")
    return Step("exactness", True, f"{shown}, as the weights show")


def _read(certificate: Certificate, model: Transformer) -> tuple[Step, Program | None]:
    try:
        program = parse(certificate.program)
        outputs = not cannot_compare(model)
        require_affordable(program, certificate.domain, causal=model.causal, outputs=outputs)
    except RaspSyntaxError as error:
        place = f"line {error.line}: " if error.line is not None else ""
        return Step("program", False, f"it cannot be read: {place}{error.message}"), None
    except ProgramError as error:
        return Step("program", False, f"it is not checked: {_first_line(error)}"), None
    text = f"{program.length} operations, {len(certificate.program):,} characters"
    return Step("program", True, text), program


def _verdict(certificate: Certificate, checked: Check) -> Step:
    if checked.verdict in CERTIFIED_VERDICTS:
        strong = CERTIFIED_VERDICTS.index(checked.verdict) >= CERTIFIED_VERDICTS.index(
            certificate.verdict
        )
        how = "as certified" if checked.verdict == certificate.verdict else "certified was "
        if checked.verdict != certificate.verdict:
            how += certificate.verdict
        return Step("verdict", strong, f"{checked.verdict}, {how}: {checked.detail}")
    text = f"{checked.verdict}, certified was {certificate.verdict}: {checked.detail}"
    return Step("verdict", False, text)


def _evidence(certificate: Certificate, checked: Check) -> Step:
    claimed, seen = certificate.evidence, checked.evidence
    weaker = _weaker(claimed, seen)
    if certificate.inputs_checked > checked.inputs_checked:
        weaker.append(
            f"{certificate.inputs_checked:,} inputs are certified, "
            f"{checked.inputs_checked:,} were checked"
        )
    if weaker:
        return Step("evidence", False, "; ".join(weaker))
    outputs = "outputs not compared"
    if seen.read_out == "same":
        outputs = "the read-out is the program's own"
    elif seen.inputs_checked:
        outputs = f"outputs agree on {seen.inputs_agree:,} different inputs"
    return Step("evidence", True, f"weights {seen.weights}, {outputs}")


def _weaker(claimed: Evidence, seen: Evidence) -> list[str]:
    """In what the evidence found falls short of what is claimed."""
    weaker = []
    if STRENGTH[seen.weights] < STRENGTH[claimed.weights] or (
        STRENGTH[seen.weights] == STRENGTH[claimed.weights] == 1 and seen.weights != claimed.weights
    ):
        weaker.append(f"weights are certified as {claimed.weights}, and found {seen.weights}")
    elif seen.weights == claimed.weights and seen.weights_off > (
        TIMES_CLAIMED * claimed.weights_off + ROUNDED_CLAIM
    ):
        weaker.append(
            f"weights are certified as off by {claimed.weights_off:.2g}, "
            f"and are by {seen.weights_off:.2g}"
        )
    if claimed.read_out == "same" != seen.read_out:
        weaker.append("the read-out is certified to be the program's own, and is not")
    if seen.inputs_agree < claimed.inputs_agree or seen.inputs_checked < claimed.inputs_checked:
        weaker.append(
            f"outputs are certified to agree on {claimed.inputs_agree:,} of "
            f"{claimed.inputs_checked:,} inputs, and do on {seen.inputs_agree:,} of "
            f"{seen.inputs_checked:,}"
        )
    if seen.output_tolerance > TIMES_CLAIMED * claimed.output_tolerance + ROUNDED_CLAIM:
        weaker.append(
            f"outputs are certified to {claimed.output_tolerance:.2g}, "
            f"and agree to {seen.output_tolerance:.2g}"
        )
    return weaker


def _others(certificate: Certificate, model: Transformer, program: Program, found: Check) -> Step:
    """Whether the listed programs are the ones found now, and each has the model's weights."""
    name = "other programs"
    now = {print_program(other) for other in found.others}
    listed = set()
    for number, text in enumerate(certificate.other_programs):
        try:
            other = parse(text)
            if print_program(other) == print_program(program):
                return Step(name, False, f"number {number + 1} is the program itself")
            if print_program(other) in now and not _has_weights(model, other, certificate):
                return Step(name, False, f"number {number + 1} has other weights")
        except ProgramError as error:
            return Step(name, False, f"number {number + 1} cannot be read: {_first_line(error)}")
        listed.add(print_program(other))
    if len(listed) < len(certificate.other_programs):
        return Step(name, False, "one of them is listed twice")
    if listed != now:
        text = f"{len(listed)} are certified, {len(now)} have these weights, {len(listed & now)}"
        return Step(name, False, f"{text} of them among the certified")
    return Step(name, True, f"{len(now) or 'none'} with these weights, as certified")


def _has_weights(model: Transformer, program: Program, certificate: Certificate) -> bool:
    weights = recompile(program, certificate.domain, model)
    return weights is not None and same_weights(model, weights).same


def _read_out(model: Transformer, checked: Check) -> Step:
    name, missing = "read-out", cannot_compare(model)
    if missing:
        return Step(name, True, f"{missing}: the weights hold no names of results")
    if checked.verdict == "unverified":
        return Step(name, True, "nothing to compare")
    if checked.evidence.read_out == "same":
        return Step(name, True, "it is the program's own, column by column")
    count = f"{checked.evidence.inputs_agree:,} different inputs"
    return Step(name, True, f"it gives the program's outputs on {count}")


def _first_line(error: ProgramError) -> str:
    return str(error).splitlines()[0]
