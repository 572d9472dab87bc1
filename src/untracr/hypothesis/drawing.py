"""Inputs on which a program and a network are compared.

All of them where they are few; else drawn: tokens at random, or as the network itself
goes on (next-token tasks), which holds what it was trained on if it was trained well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from untracr.errors import UsageError
from untracr.hypothesis.subject import Codes, Subject, View
from untracr.network.forward import forward
from untracr.rasp.domain import Domain
from untracr.task.task import NextToken, NextTokens

MOST_ENUMERATED = 200_000
"""Inputs of the largest domain that is run whole."""

LONGEST = 20
"""Tokens of the longest inputs, where the user does not say and the task has no fewer."""

MOST_TOKENS = 512
"""Tokens of the longest inputs that are run at all: programs compare all pairs of them."""

LONGER = 3
"""Times as long as these are the longest of the long ones."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Inputs of one kind.

    Attributes:
        kind: in words.
        every: whether these are all inputs of the domain.
        groups: places in the subject's vocabulary, [N, T] for each length.
    """

    kind: str
    every: bool
    groups: tuple[Codes, ...]


def domain_of(subject: Subject, longest: int | None = None) -> Domain:
    """The inputs that a program is defined on: the subject's tokens, up to a length."""
    return Domain(subject.vocab, longest_of(subject, longest))


def longest_of(subject: Subject, longest: int | None) -> int:
    """Tokens of the longest input that a program reads.

    Raises:
        UsageError: the user wants longer ones than `MOST_TOKENS`, or than the task's shortest
            input leaves room for.
    """
    if longest is not None and longest > MOST_TOKENS:
        raise UsageError(f"inputs of at most {MOST_TOKENS} tokens are compared, not {longest}")
    most = min(_longest_possible(subject, longest), MOST_TOKENS)
    if most < 1:
        raise UsageError("the network's positions leave no room for a token of an input")
    return most


def _longest_possible(subject: Subject, longest: int | None) -> int:
    around = len(subject.task.layout.before) + len(subject.task.layout.after)
    usual = min(subject.task.lengths.most or LONGEST, LONGEST)
    bounds = [usual if longest is None else longest]
    if subject.view is View.WHOLE:
        bounds[0] += around + len(subject.task.layout.between or ())
        around = 0
    if subject.network.n_positions is not None:
        bounds.append(subject.network.n_positions - around)
    return min(bounds)


def _longer_of(subject: Subject, longest: int) -> int:
    """Tokens of the longest of the long inputs."""
    return longest_of(subject, min(LONGER * longest, MOST_TOKENS))


def inputs_of(
    subject: Subject, longest: int, count: int, rng: np.random.Generator
) -> Iterator[Drawn]:
    """Every kind of input that there is for a subject.

    Args:
        subject: the network and its words.
        longest: tokens that a program reads, at most.
        count: inputs of each kind, where they are drawn.
        rng: draws them.
    """
    if subject.view is View.GIVEN:
        yield _given(subject, longest, count, rng)
        more = _longer_of(subject, longest)
        if more >= 2 * longest:
            lengths = rng.integers(2 * longest, more + 1, size=count)
            yield Drawn(f"{2 * longest} to {more} tokens", False, _uniform(subject, lengths, rng))
        return
    for factor in (1, LONGER):
        most = longest if factor == 1 else _longer_of(subject, longest)
        fewest = 1 if factor == 1 else 2 * longest
        if most < fewest:
            continue
        word = f"{fewest} to {most} positions"
        lengths = rng.integers(fewest, most + 1, size=count)
        if isinstance(subject.task.meaning, (NextToken, NextTokens)):
            yield Drawn(f"as the network goes on, {word}", False, _walked(subject, lengths, rng))
        yield Drawn(f"tokens at random, {word}", False, _laid_out(subject, lengths, rng))


def _given(subject: Subject, longest: int, count: int, rng: np.random.Generator) -> Drawn:
    fewest = max(1, subject.task.lengths.fewest)
    tokens = len(subject.vocab)
    if sum(tokens**n for n in range(fewest, longest + 1)) <= MOST_ENUMERATED:
        groups = tuple(_all_of(tokens, n) for n in range(fewest, longest + 1))
        return Drawn(f"every input of {fewest} to {longest} tokens", True, groups)
    lengths = rng.integers(fewest, longest + 1, size=count)
    return Drawn(f"{fewest} to {longest} tokens", False, _uniform(subject, lengths, rng))


def _all_of(tokens: int, length: int) -> Codes:
    """[tokens ** length, length], the first token changing least often."""
    number = np.arange(tokens**length)[:, None]
    weights = np.array([tokens**n for n in reversed(range(length))])
    return np.asarray(number // weights % tokens, dtype=np.int64)


def _uniform(subject: Subject, lengths: Codes, rng: np.random.Generator) -> tuple[Codes, ...]:
    """Different inputs of random tokens."""
    present, counts = np.unique(lengths, return_counts=True)
    return tuple(
        np.unique(rng.integers(len(subject.vocab), size=(count, length)), axis=0)
        for length, count in zip(present, counts, strict=True)
    )


def _ends_unseen(subject: Subject) -> bool:
    """Whether the end token changes no output that counts, so that no program need read it."""
    next_ones = isinstance(subject.task.meaning, (NextToken, NextTokens))
    return next_ones and subject.network.architecture.causal


def _plain_ids(subject: Subject) -> Codes:
    special = subject.task.specials.ids
    return np.array([t for t in range(len(subject.task.tokens)) if t not in special])


def _laid_out(subject: Subject, lengths: Codes, rng: np.random.Generator) -> tuple[Codes, ...]:
    """Random tokens with the special tokens where the task has them."""
    layout, plain = subject.task.layout, _plain_ids(subject)
    rows: dict[int, list[list[int]]] = {}
    for length in lengths.tolist():
        after = () if _ends_unseen(subject) else layout.after
        around = len(layout.before) + len(after) + len(layout.between or ())
        room = max(length - around, 0)
        x = room if layout.between is None else rng.integers(room + 1)
        drawn = rng.choice(plain, size=room).tolist()
        middle = [] if layout.between is None else [*layout.between, *drawn[x:]]
        row = [*layout.before, *drawn[:x], *middle, *after]
        rows.setdefault(len(row), []).append(row)
    return tuple(_codes(subject, group) for _, group in sorted(rows.items()))


def _walked(subject: Subject, lengths: Codes, rng: np.random.Generator) -> tuple[Codes, ...]:
    """As the network goes on: a random one of the tokens that it allows, or the one it says."""
    task, plain = subject.task, _plain_ids(subject)
    done: dict[int, list[list[int]]] = {}
    for length in np.unique(lengths).tolist():
        count = int((lengths == length).sum())
        head = _heads(subject, length, count, plain, rng)
        ids = head
        ended = np.zeros(count, dtype=np.bool_)
        while ids.shape[1] < length and not ended.all():
            logits = forward(subject.network, ids)[:, -1]
            chosen = _chosen(subject, logits, rng)
            ids = np.concatenate([ids, chosen[:, None]], axis=1)
            if task.specials.eos is not None:
                ended |= chosen == task.specials.eos
        for row in ids.tolist():
            start = head.shape[1]
            eos = task.specials.eos
            end = row.index(eos, start) if eos is not None and eos in row[start:] else len(row)
            done.setdefault(end, []).append(row[:end])
    return tuple(_codes(subject, group) for _, group in sorted(done.items()))


def _heads(
    subject: Subject, length: int, count: int, plain: Codes, rng: np.random.Generator
) -> Codes:
    """What is given before the network goes on, [N, positions]."""
    layout = subject.task.layout
    before = np.tile(np.array(layout.before, dtype=np.int64), (count, 1))
    if layout.between is None:
        return before if before.shape[1] else rng.choice(plain, size=(count, 1))
    room = max((length - len(layout.before) - len(layout.between) - len(layout.after)) // 2, 1)
    x = rng.choice(plain, size=(count, room))
    between = np.tile(np.array(layout.between, dtype=np.int64), (count, 1))
    return np.concatenate([before, x, between], axis=1)


def _chosen(subject: Subject, logits: np.ndarray, rng: np.random.Generator) -> Codes:
    match subject.task.meaning:
        case NextTokens(above):
            allowed = logits > above
            if (eos := subject.task.specials.eos) is not None:  # go on as long as that is allowed
                allowed[:, eos] &= ~np.delete(allowed, eos, axis=1).any(axis=1)
            allowed[~allowed.any(axis=1)] = True
            noise = rng.random(logits.shape)
            return np.asarray(np.where(allowed, noise, -1).argmax(axis=1), dtype=np.int64)
        case _:
            return np.asarray(logits.argmax(axis=1), dtype=np.int64)


def _codes(subject: Subject, rows: list[list[int]]) -> Codes:
    """Different rows of ids as places in the vocabulary; ids that it lacks are left out."""
    places = np.full(len(subject.task.tokens), -1, dtype=np.int64)
    places[subject.token_ids] = np.arange(len(subject.token_ids))
    codes = np.unique(places[np.array(rows, dtype=np.int64)], axis=0)
    return codes[(codes >= 0).all(axis=1)]
