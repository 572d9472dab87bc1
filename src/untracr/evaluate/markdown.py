"""A report as Markdown, made from its JSON values, so that both hold the same numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from untracr.markdown_table import markdown_table

Json = dict[str, Any]

NOT_MEASURED = "-"

DEFINITIONS = (
    "*Token-exact*: every token of the reference's canonical form is right, names included.",
    "*Same behaviour*: the same output on every input of the domain.",
    "*Very weights*: the answer compiles to the weights that the model had before the treatment, "
    "up to a rotation of the residual stream and the order of heads and neurons.",
    "In brackets: Wilson's 95% interval of the share.",
)


def report_markdown(report: Json, pictures: Iterable[str]) -> str:
    """Writes a report.

    Args:
        report: `FullReport.as_dict`.
        pictures: names of the picture files beside it.
    """
    shown = set(pictures)
    parts = [
        _head(report),
        _accuracy(report),
        _by_length(report, shown),
        _curves(shown),
        _by_kind(
            "By operation",
            "Operations of the references that stand in the answer word for word.",
            "by_operation",
            report,
            shown,
        ),
        _by_kind(
            "By kind of token",
            "Tokens of the references that stand in the answer at the same place: half-layer, "
            "number of the operation in it, and field.",
            "by_token_kind",
            report,
            shown,
        ),
        _top_k(report),
        _ceiling(report),
        _controls(report),
        _baseline(report),
        _speed(report),
        _listing("Programs one by one", report["programs"] if report["set"]["listed"] else None),
        _listing("Library programs one by one", report["library"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def share_text(share: Json | None) -> str:
    """A share with its interval, in percent."""
    if share is None or not share["total"]:
        return NOT_MEASURED
    percent = [f"{100 * share[name]:.1f}" for name in ("share", "low", "high")]
    return f"{percent[0]}% ({percent[1]} to {percent[2]})"


def _head(report: Json) -> str:
    programs, checkpoint = report["set"], report["checkpoint"]
    lengths = ", ".join(f"{n} of length {length}" for length, n in programs["lengths"].items())
    lines = [
        f"{programs['title']}; {programs['distinct_programs']} of the {programs['programs']} "
        "are distinct.",
        f"Lengths: {lengths}.",
        *(f"Domain: {domain}." for domain in programs["domains"]),
        f"Meta-model: {checkpoint['file']}, sha256 {checkpoint['sha256'][:16]}. "
        f"untracr {report['untracr']}, seed of treatments {report['seed']}.",
    ]
    bullets = "\n".join(f"- {line}" for line in (*lines, *DEFINITIONS))
    return f"# Evaluation\n\n{bullets}"


def _labels(report: Json) -> list[str]:
    return [f"`{found['treatment']}`" for found in report["treatments"]]


def _accuracy(report: Json) -> str:
    treatments = report["treatments"]
    what = "\n".join(
        f"- {label}: {t['what']}{_size(t)}"
        for label, t in zip(_labels(report), treatments, strict=True)
    )
    told = [
        f"`{t['treatment']}`: answers whose verdict is not `unverified` though they behave "
        f"otherwise: {len(t['checked_but_other_behaviour'])}; those of them whose verdict tells of "
        f"no alternatives: {', '.join(t['untold']) or 'none'}."
        for t in treatments
        if t["checked_but_other_behaviour"]
    ]
    return "\n\n".join(["## Greedy decoding", accuracy_table(report), what, *told])


def accuracy_table(report: Json) -> str:
    """How often the answers were right, a line a treatment."""
    rows = [
        [label, *_accuracy_cells(found)]
        for label, found in zip(_labels(report), report["treatments"], strict=True)
    ]
    head = ["weights", "models", "token-exact", "same behaviour", "very weights", "verdicts"]
    return markdown_table(head, rows)


def _size(found: Json) -> str:
    return "" if found["size"] is None else f", size {found['size']:g}"


def _accuracy_cells(found: Json) -> list[object]:
    verdicts = ", ".join(f"{verdict} {n}" for verdict, n in sorted(found["verdicts"].items()))
    shares = (share_text(found[name]) for name in ("exact", "same_behaviour", "same_weights"))
    return [found["models"], *shares, verdicts]


def _by_length(report: Json, shown: set[str]) -> str:
    parts = ["## By program length", *_picture("by-length", shown)]
    for title, name in (("Token-exact.", "exact"), ("Same behaviour.", "same_behaviour")):
        rows = [
            [length, *(share_text(t["by_length"][length][name]) for t in report["treatments"])]
            for length in report["set"]["lengths"]
        ]
        parts += [title, markdown_table(["length", *_labels(report)], rows)]
    return "\n\n".join(parts)


def _picture(name: str, shown: set[str]) -> list[str]:
    return [f"![{name}]({name}.svg)"] if f"{name}.svg" in shown else []


def _curves(shown: set[str]) -> str:
    curves = sorted(name for name in shown if name.startswith("curve-"))
    if not curves:
        return ""
    pictures = [f"![{name}]({name})" for name in curves]
    return "\n\n".join(["## Accuracy against the size of a treatment", *pictures])


def _by_kind(title: str, what: str, name: str, report: Json, shown: set[str]) -> str:
    treatments = report["treatments"]
    kinds = sorted({kind for t in treatments for kind in t[name]})
    rows = [[kind, *(share_text(t[name].get(kind)) for t in treatments)] for kind in kinds]
    picture = _picture(name.replace("_", "-"), shown)
    return "\n\n".join(
        [f"## {title}", what, *picture, markdown_table(["", *_labels(report)], rows)]
    )


def _top_k(report: Json) -> str:
    pairs = list(zip(_labels(report), report["treatments"], strict=True))
    tables = [(label, t["top_k"]) for label, t in pairs if t["top_k"] is not None]
    missing = [label for label, t in pairs if t["top_k"] is None]
    parts = [
        "## Top-k with teacher forcing",
        "How often the reference's token is among the k likeliest of its class, given the true "
        "frame and the true tokens before it. The tokens are the meta-model's, which hold no "
        "names, encodings or brackets. Tokens of one program hang together, so that intervals "
        "of shares of tokens are too narrow.",
    ]
    if tables:
        ks = list(tables[0][1]["tokens"])
        head = ["weights", *(f"top {k}" for k in ks), "programs all right", "left out"]
        rows = [
            [
                label,
                *map(share_text, t["tokens"].values()),
                share_text(t["programs"]),
                t["left_out"],
            ]
            for label, t in tables
        ]
        each = f"Of each kind and program length, in percent, top {', '.join(ks)}."
        parts += [markdown_table(head, rows), each, _top_k_apart(tables)]
    if missing:
        parts.append(f"Examples of such weights cannot be made yet: {', '.join(missing)}.")
    return "\n\n".join(parts)


def _top_k_apart(tables: Sequence[tuple[str, Json]]) -> str:
    """Top-k shares per kind of token and per program length, a column a treatment."""
    rows = []
    for key, prefix in (("by_kind", ""), ("by_length", "length ")):
        names = list(dict.fromkeys(name for _, t in tables for name in t[key]))
        rows += [
            [prefix + name, *(_percents(t[key].get(name)) for _, t in tables)] for name in names
        ]
    return markdown_table(["tokens", *(label for label, _ in tables)], rows)


def _percents(shares: Json | None) -> str:
    if shares is None:
        return NOT_MEASURED
    return " / ".join(f"{100 * share['share']:.1f}" for share in shares.values())


def _ceiling(report: Json) -> str:
    pairs = list(zip(_labels(report), report["treatments"], strict=True))
    ceilings = [(label, t, t["ceiling"]) for label, t in pairs if t["ceiling"] is not None]
    if not ceilings:
        return ""
    rows = [
        [
            label,
            NOT_MEASURED if c["expected_exact"] is None else f"{100 * c['expected_exact']:.1f}%",
            share_text(t["exact"]),
            share_text(c["unique"]),
            share_text(c["exact_where_unique"]),
            share_text(c["exact_where_open"]),
            ", ".join(f"{n}: {count}" for n, count in c["models_by_programs"].items()),
            c["not_counted"],
        ]
        for label, t, c in ceilings
    ]
    head = [
        "weights",
        "ideal reader, expected token-exact",
        "answers, token-exact",
        "models that determine their program",
        "answers exact where it is determined",
        "where it is open",
        "models by number of programs",
        "not counted",
    ]
    what = (
        "How many programs have a model's very weights, itself included, and so what a reader "
        "expects who knows them all and guesses uniformly among them. Counted are programs with "
        "the reference's operations, arguments and names, but perhaps other functions, predicates "
        "and factors (several at once), as far as the sampler's types allow them, or, where the "
        "reference breaks these, of all the closed lists. Each was compiled and its weights were "
        "compared: bit for bit for `compiled`; up to one rotation of the residual stream, heads "
        "and neurons in order, for `rotated`, where also the sign of a number that nothing reads "
        "is lost. Read-outs, where there are any, must agree. Equal operations whose names are "
        "exchanged are not counted. It is no bound for a single sample: luck can exceed it."
    )
    return "\n\n".join(["## What weights leave open", what, markdown_table(head, rows)])


def _controls(report: Json) -> str:
    controls = report["controls"]
    rows = [[f"`{c['treatment']}`", c["what"], *_accuracy_cells(c)[:3]] for c in controls]
    exchanged = report["exchanged_answers_exact"]
    first = report["treatments"][0]["treatment"]
    rows.append(
        [
            "exchanged",
            f"the answer to each model (`{first}`) judged as that to the next of the set",
            exchanged["total"],
            share_text(exchanged),
            NOT_MEASURED,
        ]
    )
    head = ["control", "what", "models", "token-exact", "same behaviour"]
    return "\n\n".join(
        ["## Controls", "Nothing of the program is left here.", markdown_table(head, rows)]
    )


def _baseline(report: Json) -> str:
    baseline = report["baseline"]
    if baseline is None:
        return ""
    what = (
        f"Weights `{baseline['treatment']}`, flattened, in; the paper's tokens out. *Tokens "
        "right*: the likeliest token with the true ones before it."
    )
    row = [
        *(share_text(baseline[name]) for name in ("exact", "same_behaviour", "tokens")),
        baseline["left_out"],
    ]
    head = ["token-exact", "same behaviour", "tokens right", "left out"]
    return "\n\n".join(["## Flattened-weights baseline", what, markdown_table(head, [row])])


def _speed(report: Json) -> str:
    rows = [
        [
            f"`{t['treatment']}`",
            f"{t['speed']['median_ms']:.1f}",
            f"{t['speed']['slowest_ms']:.1f}",
            f"{t['speed']['per_second']:.1f}",
        ]
        for t in (*report["treatments"], *report["controls"])
        if t["speed"] is not None
    ]
    speed = report["speed"]
    machine = ", ".join(f"{name} {value}" for name, value in speed["machine"].items())
    what = (
        "Reading one model after another, verdict included, models already in memory. Loading the "
        f"meta-model takes {speed['load_ms']:.1f} ms. Measured on: {machine}."
    )
    head = ["weights", "median ms", "slowest ms", "models a second"]
    return "\n\n".join(["## Speed", what, markdown_table(head, rows)])


def _listing(title: str, programs: list[Json] | None) -> str:
    if not programs:
        return ""
    labels = list(programs[0]["outcomes"])
    rows = [
        [
            program["name"],
            program["length"],
            "yes" if program["in_language"] else "no",
            *(_outcome(program["outcomes"][label]) for label in labels),
        ]
        for program in programs
    ]
    head = ["program", "length", "in the language", *(f"`{label}`" for label in labels)]
    what = (
        "*In the language*: the meta-model's closed lists hold all its functions and predicates. "
        "Answers and reference tokens are in report.json."
    )
    return "\n\n".join([f"## {title}", what, markdown_table(head, rows)])


def _outcome(outcome: Json) -> str:
    if outcome["exact"]:
        verdict = "exact"
    elif outcome["same_behaviour"]:
        verdict = "same behaviour"
    elif outcome["same_weights"]:
        verdict = "very weights, other outputs"
    else:
        verdict = "wrong" if outcome["answer"] else "no program"
    return f"{verdict} ({outcome['verdict']})"
