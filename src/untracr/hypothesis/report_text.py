"""What a test of a hypothesis showed, in words and as JSON values."""

from __future__ import annotations

from collections.abc import Iterator

from untracr.evaluate.share import Share
from untracr.hypothesis.behaviour import Behaviour, CounterExample
from untracr.hypothesis.causes import Found, Support
from untracr.hypothesis.controls import Control
from untracr.hypothesis.examining import LEAST_INPUTS, LEAST_TOLD, HypothesisReport, LineReport
from untracr.hypothesis.idle import Idle
from untracr.hypothesis.subject import WITHIN, WITHIN_AFTER_EXCHANGE, Subject
from untracr.shown_text import shown
from untracr.task.task import Number

HALVES = "half of them to look for places, half to count"


def report_text(report: HypothesisReport) -> str:
    """Everything, for people."""
    return "\n".join(_lines(report))


def _lines(report: HypothesisReport) -> Iterator[str]:
    yield str(report.program).rstrip()
    yield ""
    numbers = isinstance(report.subject.task.meaning, Number)
    close = f", numbers {_within(report.subject)}" if numbers else ""
    yield f"Behaviour: the program's outputs against the network's own{close}"
    for each in report.behaviours:
        yield from _behaviour(each)
    yield ""
    count, length = report.traced
    yield (
        f"Causes: interchange on {count:,} inputs of {length} tokens; "
        + ("places are looked for and counted on the same" if count < LEAST_INPUTS else HALVES)
        + (f"; numbers to within {WITHIN_AFTER_EXCHANGE:g}" if numbers else "")
    )
    for line in report.lines:
        yield from _line(report, line)
    if report.idle is not None:
        yield ""
        yield from _idle(report.idle, report.subject.network.d_model)
    yield ""
    yield from verdict(report)


def _behaviour(each: Behaviour) -> Iterator[str]:
    best = each.best_baseline
    yield f"  {each.kind}: {each.share.count:,} of {each.share.total:,} the same, {each.share}"
    yield f"    skill {each.skill:.2f} over the best trivial predictor, a {best.name}: {best.share}"
    if each.errors is not None:
        yield f"    errors: {_errors(each.errors)}"
    for example in each.counter_examples:
        yield f"    {_example(example)}"


def _errors(errors: Share) -> str:
    if not errors.total:
        return "the network makes none on these inputs"
    return (
        f"the program makes {errors.count:,} of the network's {errors.total:,}, {errors} "
        "(the truth makes none of them)"
    )


def _example(example: CounterExample) -> str:
    tokens, program, network = (
        shown(list(values)) for values in (example.tokens, example.program, example.network)
    )
    return f"on {tokens} the program gives {program}, the network {network}"


def _line(report: HypothesisReport, line: LineReport) -> Iterator[str]:
    label = report.program.labels[line.line]
    support = line.support
    if not support.informative:
        yield f"  {label}: says nothing; {_too_few(support.share.total)}"
        return
    if support.best is None:
        yield f"  {label}: not supported; {_not_found(support)}"
        return
    mark = "supported" if line.supported else "not supported"
    yield f"  {label}: {mark}; interchange accuracy {support.share} at {_place(support.best)}"
    if support.told < 0.99:
        yield f"    its value is told there to {100 * support.told:.0f}%{_coarser(line)}"
    if line.told_by:
        names = ", ".join(report.program.labels[ref] for ref in line.told_by)
        yield f"    told by {names} at the same place, so not shown to be computed besides"
    if support.together:
        names = ", ".join(report.program.labels[ref] for ref in support.together)
        yield f"    exchanged together with {names}, from which its values alone do not part it"
    everywhere = Share(support.everywhere_right, support.everywhere_tried)
    controls = ", ".join(_control(at) for at in line.controls)
    yield f"    all positions at once {everywhere}; controls: {controls}"
    if line.broken is not None:
        changed = 1 - line.broken.same.fraction
        yield f"    taken from other inputs, it changes {100 * changed:.0f}% of outputs"
    others = [at.place.name for at in support.places if at is not support.best]
    if line.supported and others:
        yield f"    as good: {', '.join(others)}"


def _coarser(line: LineReport) -> str:
    if line.followed and line.support.told < LEAST_TOLD:
        return ": the output follows it, but the place may hold only what becomes of it"
    return ""


def _not_found(support: Support) -> str:
    if support.values:
        return f"not looked for, since of its {support.values:,} values none is seen often enough"
    return "no place was found whose activations differ with it"


def _too_few(changing: int) -> str:
    if not changing:
        return "no exchange of it that was tried changes an output that counts"
    return f"{changing} exchanges of it change an output that counts, too few to tell"


def _control(control: Control) -> str:
    chance = f" (chance {100 * control.chance:.0f}%)" if control.chance else ""
    if not control.share.total:
        return f"{control.name} none{chance}"
    return f"{control.name} {100 * control.share.fraction:.0f}%{chance}"


def _place(found: Found) -> str:
    return f"{found.place.name}, {found.subspace.rank} dimensions"


def _idle(left: Idle, width: int) -> Iterator[str]:
    parts_taken = tuple(
        f"{name} ({rank} of {width} dimensions)"
        for name, rank in zip(left.parts, left.ranks, strict=True)
    )
    if left.tested:
        yield (
            "Nothing else: with all that no supported line claims taken from other inputs, "
            f"{left.worst} of {left.worst.total:,} inputs keep their output, in the worst of "
            f"{left.draws} draws"
        )
    else:
        yield "Nothing else: not tested; no half-layer was left of which anything could be taken"
    parts = (
        (left.whole, "taken whole"),
        (parts_taken, "taken but for what lines claim"),
        (left.claimed, "claimed whole by lines, so nothing of it was taken"),
        (left.kept, "left alone and not tested, since lines were found in the stream behind"),
    )
    for names, what in parts:
        if names:
            yield f"  {what}: {', '.join(names)}"


def verdict(report: HypothesisReport) -> Iterator[str]:
    """What was shown, in sentences that claim no more."""
    first = report.behaviours[0]
    told = [line for line in report.lines if line.support.informative]
    good = [line for line in told if line.supported]
    if first.every and first.share.count == first.share.total:
        yield _same_everywhere(report)
    elif first.share.count == first.share.total:
        yield (
            f"The program gave the network's output on each of {first.share.total:,} inputs drawn; "
            "others were not tried."
        )
    else:
        wrong = first.share.total - first.share.count
        yield (
            f"The program is not what the network does: {wrong:,} of {first.share.total:,} inputs "
            "differ."
        )
    for other in report.behaviours[1:]:
        if wrong := other.share.total - other.share.count:
            yield f"{other.kind}: {wrong:,} of {other.share.total:,} inputs differ."
    ends = {0, 1, report.program.output}
    inner = [line for line in good if line.line not in ends and not ends & {*line.told_by}]
    yield (
        f"Causes support {len(good)} of {len(told)} lines whose exchange can be seen"
        f" ({len(report.lines) - len(told)} say nothing)."
    )
    if told_by := sum(bool(line.told_by) for line in good):
        yield f"Of these {told_by} are told by another line at the same place."
    if not inner and len(told) > len(good):
        yield (
            "Nothing shows that the network runs this program: no line between input and output "
            "is supported."
        )


def _same_everywhere(report: HypothesisReport) -> str:
    """All inputs were run; of numbers that may be further apart only this is said."""
    subject, inputs = report.subject, f"all {report.behaviours[0].share.total:,} inputs"
    if not isinstance(subject.task.meaning, Number):
        return f"The program is equivalent to the network on {inputs}."
    if subject.within <= WITHIN:
        return f"The program is equivalent to the network on {inputs}, numbers {_within(subject)}."
    return f"The program gave the network's numbers {_within(subject)} on {inputs}."


def _within(subject: Subject) -> str:
    return f"to within {subject.within:g}, relative to 1"


def report_json(report: HypothesisReport) -> dict[str, object]:
    """Everything as plain JSON values."""
    return {
        "program": str(report.program),
        "seed": report.seed,
        "numbers_within": report.subject.within,
        "behaviour": [_behaviour_json(each) for each in report.behaviours],
        "traced": {"inputs": report.traced[0], "length": report.traced[1]},
        "lines": [_line_json(report, line) for line in report.lines],
        "idle": None if report.idle is None else _idle_json(report.idle),
        "verdict": list(verdict(report)),
    }


def _behaviour_json(each: Behaviour) -> dict[str, object]:
    return {
        "inputs": each.kind,
        "every_input": each.every,
        "same": each.share.as_dict(),
        "skill": each.skill,
        "errors": None if each.errors is None else each.errors.as_dict(),
        "baselines": {at.name: at.share.as_dict() for at in each.baselines},
        "counter_examples": [
            {
                "input": list(at.tokens),
                "program": list(at.program),
                "network": list(at.network),
            }
            for at in each.counter_examples
        ],
    }


def _line_json(report: HypothesisReport, line: LineReport) -> dict[str, object]:
    support = line.support
    best = support.best
    return {
        "line": report.program.labels[line.line],
        "informative": support.informative,
        "supported": line.supported,
        "place": None if best is None else best.place.name,
        "told": support.told,
        "told_by": [report.program.labels[ref] for ref in line.told_by],
        "together": [report.program.labels[ref] for ref in support.together],
        "rank": None if best is None else best.subspace.rank,
        "interchange": Share(support.right, support.tried).as_dict(),
        "everywhere": Share(support.everywhere_right, support.everywhere_tried).as_dict(),
        "controls": {at.name: at.share.as_dict() for at in line.controls},
        "unchanged_when_broken": None if line.broken is None else line.broken.same.as_dict(),
        "as_good": [at.place.name for at in support.places],
    }


def _idle_json(left: Idle) -> dict[str, object]:
    return {
        "tested": left.tested,
        "worst": left.worst.as_dict() if left.tested else None,
        "draws": left.draws,
        "taken_whole": list(left.whole),
        "taken_in_part": list(left.parts),
        "claimed_dimensions": list(left.ranks),
        "claimed_whole": list(left.claimed),
        "left_alone": list(left.kept),
    }
