"""Options of the commands that draw a stream of programs, and what they mean."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from untracr.cli.command import Parser
from untracr.cli.values import not_negative, positive
from untracr.errors import ModelFileError, ProgramError, UsageError

if TYPE_CHECKING:
    from untracr.sample.exclusion import Exclusion
    from untracr.sample.treatment_shares import TreatmentShares


@dataclass(frozen=True, kw_only=True)
class ExcludeSampledOption:
    """What `add_exclude_sampled_option` adds."""

    exclude_sampled: list[tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class OtherDomainsOption:
    """What `add_other_domains_option` adds."""

    other_domains: float


def add_exclude_sampled_option(parser: Parser) -> None:
    """Adds ``--exclude-sampled``, behind ``--exclude``."""
    parser.add_argument(
        "--exclude-sampled",
        type=seed_and_count,
        action="append",
        default=[],
        metavar="SEED:N",
        help="likewise for the N programs of `untracr eval --programs N --seed SEED`",
    )


def add_other_domains_option(parser: Parser) -> None:
    """Adds ``--other-domains``."""
    parser.add_argument(
        "--other-domains",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="share of the programs that are for other inputs than the paper's: 3 to 10 tokens "
        "and up to 3 to 8 positions, at random (default: 0)",
    )


def seed_and_count(text: str) -> tuple[int, int]:
    """Reads ``777:1000``, the first thousand programs of seed 777.

    Raises:
        ArgumentTypeError: it is not two whole numbers, the second from 1 up.
    """
    seed, colon, count = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(
            f"must be a seed and a number of programs, as in 777:1000, not {text!r}"
        )
    return not_negative(seed), positive(count)


def share(text: str) -> float:
    """A number from 0 to 1.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, not {text}")
    return number


def treatment_shares(text: str) -> tuple[tuple[str, float], ...]:
    """Reads ``rotated=0.2,noisy=0.1``.

    Raises:
        ArgumentTypeError: it is not names and shares.
    """
    shares = []
    for word in text.split(","):
        name, equals, number = word.partition("=")
        if not equals:
            raise argparse.ArgumentTypeError(
                f"must be names and shares, as in rotated=0.2,noisy=0.1, not {word!r}"
            )
        shares.append((name.strip(), share(number)))
    return tuple(shares)


def shares_of(shares: tuple[tuple[str, float], ...]) -> TreatmentShares:
    """Treatments of the training weights.

    Raises:
        UsageError: there is no such treatment, or the shares make no sense.
    """
    from untracr.sample.treatment_shares import TreatmentShares

    try:
        return TreatmentShares(shares)
    except ValueError as error:
        raise UsageError(f"argument --treatments: {error}") from None


def exclusion_of(folders: list[Path], sampled: list[tuple[int, int]]) -> Exclusion:
    """Test sets that are left out of training.

    Args:
        folders: of models with their programs.
        sampled: seed and number of programs of our own sampler.

    Raises:
        ModelFileError: a folder has no list of programs, an empty or a damaged one.
    """
    from untracr.compile.canonical import program_from_paper_tokens
    from untracr.evaluate.reference import read_references
    from untracr.sample.exclusion import NO_EXCLUSION, Exclusion

    excluded = NO_EXCLUSION
    for folder in folders:
        programs = []
        for reference in read_references(folder):
            try:
                programs.append((program_from_paper_tokens(reference.tokens), reference.domain))
            except ProgramError as error:
                raise ModelFileError(f"{folder}, program {reference.name}: {error}") from None
        if not programs:
            raise ModelFileError(f"{folder} lists no program that could be left out")
        excluded |= Exclusion.of(folder.resolve().name, programs)
    for seed, count in sampled:
        excluded |= Exclusion.of_sampled(seed, count)
    return excluded
