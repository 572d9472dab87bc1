"""Programs on the paper's inputs written by hand, as people would write them.

Meta-models are judged on them one by one. Some stay within the functions that
the reference sampler draws, others use what it never draws. None was looked at
in training.
"""

from __future__ import annotations

from untracr.rasp.domain import PAPER_DOMAIN
from untracr.syntax.library import Example, NamedProgram


def _program(name: str, description: str, source: str, *examples: Example) -> NamedProgram:
    return NamedProgram(
        name=name,
        source=source,
        vocab=PAPER_DOMAIN.vocab,
        max_seq_len=PAPER_DOMAIN.max_seq_len,
        causal=False,
        description=description,
        examples=examples,
    )


HAND_WRITTEN: tuple[NamedProgram, ...] = (
    _program(
        "shift_right",
        "The token before, None at the first position.",
        """\
before = Map(lambda x: x - 1, indices)
at_before = Select(indices, before, Comparison.EQ)
shift_right = Aggregate(at_before, tokens)
""",
        ((3, 1, 4), (None, 3, 1)),
    ),
    _program(
        "share_of_twos",
        "Which share of the tokens are 2.",
        """\
is_two = numerical(Map(lambda x: x == 2, tokens))
everywhere = Select(tokens, tokens, Comparison.TRUE)
share_of_twos = numerical(Aggregate(everywhere, is_two, default=0))
""",
        ((2, 0, 2, 1), (0.5, 0.5, 0.5, 0.5)),
    ),
    _program(
        "larger_tokens",
        "How many tokens are larger than the one here.",
        """\
larger = Select(tokens, tokens, Comparison.GT)
larger_tokens = SelectorWidth(larger)
""",
        ((3, 1, 4), (1, 2, 0)),
    ),
    _program(
        "twos_less_ones",
        "Three times the share of twos so far less the share of ones so far.",
        """\
is_two = numerical(Map(lambda x: x == 2, tokens))
is_one = numerical(Map(lambda x: x == 1, tokens))
so_far = Select(indices, indices, Comparison.LEQ)
twos = numerical(Aggregate(so_far, is_two, default=0))
ones = numerical(Aggregate(so_far, is_one, default=0))
twos_less_ones = numerical(LinearSequenceMap(twos, ones, 3, -1))
""",
        ((2, 1), (3.0, 1.0)),
    ),
    _program(
        "token_at_its_index",
        "The token at the position that this token names, None beyond the end.",
        """\
named = Select(indices, tokens, Comparison.EQ)
token_at_its_index = Aggregate(named, tokens)
""",
        ((2, 0, 1), (1, 2, 0)),
    ),
    _program(
        "count_of_counts",
        "How many positions hold a token that is as frequent as the one here.",
        """\
same = Select(tokens, tokens, Comparison.EQ)
count = SelectorWidth(same)
as_frequent = Select(count, count, Comparison.EQ)
count_of_counts = SelectorWidth(as_frequent)
""",
        ((1, 1, 2, 3), (2, 2, 2, 2)),
    ),
    _program(
        "is_sorted_here",
        "Whether the token is at least as large as the one before; true at the first position.",
        """\
before = Map(lambda x: x - 1, indices)
here = SequenceMap(lambda x, y: 6 * x + y, indices, tokens)
wanted = SequenceMap(lambda x, y: 6 * x + y, before, tokens)
falls = Select(here, wanted, lambda k, q: k // 6 == q // 6 and k % 6 > q % 6)
is_sorted_here = Map(lambda x: x != 1, SelectorWidth(falls))
""",
        ((3, 1, 4), (True, False, True)),
    ),
    _program(
        "parity_of_token",
        "0 where the token is even, 1 where it is odd.",
        """\
parity_of_token = Map(lambda x: x % 2, tokens)
""",
        ((3, 1, 4), (1, 1, 0)),
    ),
    _program(
        "square_of_distance",
        "The square of the difference of token and index.",
        """\
difference = SequenceMap(lambda x, y: x - y, tokens, indices)
square_of_distance = numerical(Map(lambda x: x * x, difference))
""",
        ((3, 1, 4), (9, 0, 4)),
    ),
    _program(
        "larger_of_both",
        "The larger of token and index.",
        """\
larger_of_both = SequenceMap(lambda x, y: max(x, y), tokens, indices)
""",
        ((3, 1, 0), (3, 1, 2)),
    ),
    _program(
        "share_of_even_places",
        "Which share of the positions with even numbers hold an even token.",
        """\
is_even = numerical(Map(lambda x: x % 2 == 0, tokens))
at_even = Select(indices, indices, lambda k, q: k % 2 == 0)
share_of_even_places = numerical(Aggregate(at_even, is_even, default=0))
""",
        ((2, 1, 4), (1.0, 1.0, 1.0)),
    ),
    _program(
        "neighbours",
        "How many tokens differ from the one here by one.",
        """\
near = Select(tokens, tokens, lambda k, q: k - q == 1 or q - k == 1)
neighbours = SelectorWidth(near)
""",
        ((3, 1, 4, 2), (2, 1, 1, 2)),
    ),
)
"""Every program written by hand."""
