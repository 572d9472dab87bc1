"""Which inputs a program is tried on: all of its domain, or many different ones of all shapes.

Tokens drawn one by one hardly ever repeat for long, and many faults show only where they
do: widths are largest where all tokens are one, values tie where tokens do. So of a large
domain inputs of many shapes are drawn: short ones, constant and nearly constant ones, of
two tokens, periodic, sorted, mirrored, of few tokens, without repeats, and plain ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from random import Random

from untracr.rasp.domain import Domain
from untracr.rasp.functions import Value
from untracr.rasp.interpreter import Batch

ALL_TRIED_UP_TO = 200_000
"""Inputs of the largest domain of which all are tried."""

INPUTS_DRAWN = 20_000
"""Different inputs that are tried of a larger one."""

INPUTS_TRIED_FIRST = 2_000
"""Inputs of many shapes that are tried before the rest of a domain: most faults show there."""

PAIRS = 60_000_000
"""Pairs of positions on which a selector is evaluated at most: fewer inputs if they are long."""

CHUNK_PAIRS = 1_000_000
"""Pairs of positions at a time: bounds memory."""

_FEWEST_INPUTS = 64
"""Inputs that are tried however long they are."""

_SEED = 20_260_101

Tokens = tuple[Value, ...]


def batches(domain: Domain, most: int, *, causal: bool, some: bool = False) -> Iterator[Batch]:
    """The inputs that are tried, none of them twice.

    Args:
        domain: the inputs there are.
        most: of a domain that has no more inputs all are tried; of a larger one at most
            `INPUTS_DRAWN`.
        causal: whether positions see only themselves and earlier ones.
        some: only the first `INPUTS_TRIED_FIRST` of many shapes, of a domain that is tried as a
            whole and has a lot more; else none.
    """
    affordable = max(_FEWEST_INPUTS, PAIRS // domain.max_seq_len**2)
    chunk = max(_FEWEST_INPUTS // 4, CHUNK_PAIRS // domain.max_seq_len**2)
    is_whole = domain.size <= min(most, affordable)
    if some:
        if is_whole and domain.size > 2 * INPUTS_TRIED_FIRST:
            yield from _chunks(shaped(domain, INPUTS_TRIED_FIRST), chunk, causal)
    elif is_whole:
        for start in range(0, domain.size, chunk):
            yield Batch.of_domain(domain, start, start + chunk, causal=causal)
    else:
        yield from _chunks(shaped(domain, min(INPUTS_DRAWN, most, affordable)), chunk, causal)


def _chunks(inputs: list[Tokens], chunk: int, causal: bool) -> Iterator[Batch]:
    for start in range(0, len(inputs), chunk):
        yield Batch(inputs[start : start + chunk], causal=causal)


def shaped(domain: Domain, count: int) -> list[Tokens]:
    """Different inputs of many shapes, in a fixed random order.

    Args:
        domain: the inputs there are.
        count: how many of them; fewer where the domain has no more.
    """
    random = Random(_SEED)
    distinct = dict.fromkeys(itertools.islice(domain, min(count // 4, domain.size)))
    for tokens in _constant(domain, count // 8):
        distinct[tokens] = None
    for number in range(4 * count):
        if len(distinct) >= min(count, domain.size):
            break
        length = domain.max_seq_len if number % 3 else random.randint(1, domain.max_seq_len)
        shape = SHAPES[number % len(SHAPES)]
        distinct[tuple(shape(random, domain.vocab, length))] = None
    inputs = list(distinct)[:count]
    random.shuffle(inputs)
    return inputs


def _constant(domain: Domain, most: int) -> Iterator[Tokens]:
    """One token again and again, the longest inputs first."""
    every = (
        (token,) * length for length in range(domain.max_seq_len, 0, -1) for token in domain.vocab
    )
    return itertools.islice(every, most)


Shape = Callable[[Random, Tokens, int], list[Value]]


def _nearly_constant(random: Random, vocab: Tokens, length: int) -> list[Value]:
    tokens = [random.choice(vocab)] * length
    for _ in range(random.randint(1, 2)):
        tokens[random.randrange(length)] = random.choice(vocab)
    return tokens


def _two_tokens(random: Random, vocab: Tokens, length: int) -> list[Value]:
    pair = (random.choice(vocab), random.choice(vocab))
    return [random.choice(pair) for _ in range(length)]


def _two_runs(random: Random, vocab: Tokens, length: int) -> list[Value]:
    turn = random.randint(0, length)
    return [random.choice(vocab)] * turn + [random.choice(vocab)] * (length - turn)


def _periodic(random: Random, vocab: Tokens, length: int) -> list[Value]:
    motif = [random.choice(vocab) for _ in range(random.randint(1, max(1, length // 2)))]
    return list(itertools.islice(itertools.cycle(motif), length))


def _sorted(random: Random, vocab: Tokens, length: int) -> list[Value]:
    places = sorted(random.randrange(len(vocab)) for _ in range(length))
    return [vocab[place] for place in (places if random.random() < 0.5 else reversed(places))]


def _mirrored(random: Random, vocab: Tokens, length: int) -> list[Value]:
    half = [random.choice(vocab) for _ in range((length + 1) // 2)]
    return half + half[: length // 2][::-1]


def _few_tokens(random: Random, vocab: Tokens, length: int) -> list[Value]:
    few = random.sample(vocab, random.randint(1, min(len(vocab), 4)))
    return [random.choice(few) for _ in range(length)]


def _no_repeats(random: Random, vocab: Tokens, length: int) -> list[Value]:
    shuffled = random.sample(vocab, len(vocab))
    return list(itertools.islice(itertools.cycle(shuffled), length))


def _uneven(random: Random, vocab: Tokens, length: int) -> list[Value]:
    often, share = random.choice(vocab), random.random()
    return [often if random.random() < share else random.choice(vocab) for _ in range(length)]


def _plain(random: Random, vocab: Tokens, length: int) -> list[Value]:
    return [random.choice(vocab) for _ in range(length)]


SHAPES: tuple[Shape, ...] = (
    _nearly_constant,
    _two_tokens,
    _two_runs,
    _periodic,
    _sorted,
    _mirrored,
    _few_tokens,
    _no_repeats,
    _uneven,
    _plain,
)
