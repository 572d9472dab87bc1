"""Programs written as a stranger would, to judge decompiling on what nobody prepared it for.

They were written down before any was decompiled, and none was changed
afterwards to be read more easily; four were mended before, where `untracr
check` said that their weights would not compute them. Letters, words, digits,
other lengths, predicates and functions of their own; from one operation to
twelve.
"""

from __future__ import annotations

from untracr.rasp.functions import Value
from untracr.syntax.library import Example, NamedProgram

LETTERS = ("a", "b", "c", "d", "e")


def _program(
    name: str,
    description: str,
    vocab: tuple[Value, ...],
    max_seq_len: int,
    source: str,
    *examples: Example,
    causal: bool = False,
) -> NamedProgram:
    return NamedProgram(name, source, vocab, max_seq_len, causal, description, examples)


OUTSIDERS: tuple[NamedProgram, ...] = (
    _program(
        "caesar",
        "Each letter moved on by two, around the end.",
        LETTERS,
        5,
        """\
caesar = Map(lambda t: {"a": "c", "b": "d", "c": "e", "d": "a", "e": "b"}[t], tokens)
""",
        (("a", "d", "e"), ("c", "a", "b")),
    ),
    _program(
        "count_vowels",
        "How many letters of the word are vowels.",
        LETTERS,
        5,
        """\
vowels = Select(tokens, tokens, lambda k, q: k == "a" or k == "e")
count_vowels = SelectorWidth(vowels)
""",
        (("b", "a", "d", "e"), (2, 2, 2, 2)),
        (("b", "c"), (0, 0)),
    ),
    _program(
        "parity_of_ones",
        "Whether the number of ones is odd.",
        (0, 1),
        8,
        """\
ones = Select(tokens, tokens, lambda k, q: k == 1)
count = SelectorWidth(ones)
parity_of_ones = Map(lambda n: n % 2, count)
""",
        ((1, 0, 1, 1), (1, 1, 1, 1)),
        ((1, 1), (0, 0)),
    ),
    _program(
        "starts_a_run",
        "Whether the token differs from the one before; not so at the first position.",
        (0, 1, 2),
        6,
        """\
at_previous = Select(indices, indices, lambda k, q: k == max(q - 1, 0))
previous = Aggregate(at_previous, tokens)
starts_a_run = SequenceMap(lambda x, y: x != y, tokens, previous)
""",
        ((2, 2, 0, 1, 1), (False, False, True, True, False)),
    ),
    _program(
        "bracket_depth",
        "How many brackets are open behind this position.",
        ("(", ")", "x"),
        6,
        """\
where_open = SequenceMap(lambda i, t: i if t == "(" else 99, indices, tokens)
where_closed = SequenceMap(lambda i, t: i if t == ")" else 99, indices, tokens)
opened = SelectorWidth(Select(where_open, indices, Comparison.LEQ))
closed = SelectorWidth(Select(where_closed, indices, Comparison.LEQ))
bracket_depth = SequenceMap(lambda a, b: a - b, opened, closed)
""",
        (("(", "x", "(", ")", ")"), (1, 1, 2, 1, 0)),
        ((")", "("), (-1, 0)),
    ),
    _program(
        "more_a_than_b",
        "Whether the word holds more of the letter a than of b.",
        ("a", "b", "c"),
        6,
        """\
everywhere = Select(tokens, tokens, Comparison.TRUE)
is_a = numerical(tokens == "a")
is_b = numerical(tokens == "b")
share_a = numerical(Aggregate(everywhere, is_a, default=0))
share_b = numerical(Aggregate(everywhere, is_b, default=0))
lead = numerical(LinearSequenceMap(share_a, share_b, 1, -1))
more_a_than_b = Map(lambda x: x > 0, lead)
""",
        (("a", "b", "a"), (True, True, True)),
        (("a", "b", "c"), (False, False, False)),
    ),
    _program(
        "vowels_first",
        "The letters with vowels before consonants, each kind in the order of the input.",
        LETTERS,
        5,
        """\
kind = Map(lambda t: {"a": 0, "b": 1, "c": 1, "d": 1, "e": 0}[t], tokens)
key = SequenceMap(lambda k, i: 10 * k + i, kind, indices)
before = Select(key, key, Comparison.LT)
place = SelectorWidth(before)
from_place = Select(place, indices, Comparison.EQ)
vowels_first = Aggregate(from_place, tokens)
""",
        (("d", "e", "b", "a"), ("e", "a", "d", "b")),
    ),
    _program(
        "residues_like_index",
        "How many digits leave this position's index when divided by three.",
        tuple(range(10)),
        4,
        """\
match = Select(tokens, indices, lambda x, y: x % 3 == y)
residues_like_index = SelectorWidth(match)
""",
        ((3, 4, 9), (2, 1, 0)),
    ),
    _program(
        "alarm",
        "Whether any reading is 8 or more.",
        tuple(range(11)),
        3,
        """\
too_high = Select(tokens, tokens, lambda k, q: k >= 8)
how_many = SelectorWidth(too_high)
alarm = Map(lambda n: n > 0, how_many)
""",
        ((3, 9), (True, True)),
        ((3, 7, 0), (False, False, False)),
    ),
    _program(
        "share_high",
        "Which share of the numbers so far is 3 or more.",
        (1, 2, 3, 4),
        5,
        """\
is_high = numerical(Map(lambda x: x >= 3, tokens))
so_far = Select(indices, indices, Comparison.LEQ)
share_high = numerical(Aggregate(so_far, is_high, default=0))
""",
        ((1, 4, 4), (0.0, 0.5, 2 / 3)),
        causal=True,
    ),
    _program(
        "palindrome",
        "Whether the word reads the same backwards.",
        ("a", "b", "c"),
        6,
        """\
length = SelectorWidth(Select(tokens, tokens, Comparison.TRUE))
mirror = SequenceMap(lambda n, i: n - i - 1, length, indices)
at_mirror = Select(indices, mirror, Comparison.EQ)
other = Aggregate(at_mirror, tokens)
unlike = SequenceMap(lambda x, y: x != y, tokens, other)
differs = numerical(Map(lambda d: d, unlike))
everywhere = Select(indices, indices, Comparison.TRUE)
share = numerical(Aggregate(everywhere, differs, default=0))
palindrome = Map(lambda s: s == 0, share)
""",
        (("a", "b", "a"), (True, True, True)),
        (("a", "b"), (False, False)),
    ),
    _program(
        "seen_before",
        "Whether the same token came earlier.",
        (0, 1, 2, 3),
        5,
        """\
place = SequenceMap(lambda t, i: 10 * t + i, tokens, indices)
earlier = Select(place, place, lambda k, q: k // 10 == q // 10 and k < q)
times = SelectorWidth(earlier)
seen_before = Map(lambda n: n > 0, times)
""",
        ((2, 0, 2, 2), (False, False, True, True)),
    ),
    _program(
        "is_most_frequent",
        "Whether no other token occurs more often.",
        (0, 1, 2, 3),
        5,
        """\
hist = SelectorWidth(Select(tokens, tokens, Comparison.EQ))
beaten = SelectorWidth(Select(hist, hist, Comparison.GT))
is_most_frequent = Map(lambda n: n == 0, beaten)
""",
        ((1, 1, 3), (True, True, False)),
    ),
    _program(
        "add_index_mod_ten",
        "The last digit of digit plus index.",
        tuple(range(10)),
        4,
        """\
add_index_mod_ten = SequenceMap(lambda x, y: (x + y) % 10, tokens, indices)
""",
        ((9, 9, 9), (9, 0, 1)),
    ),
    _program(
        "reverse_complement",
        "The other strand of a piece of DNA, read from its end.",
        ("A", "C", "G", "T"),
        5,
        """\
paired = Map(lambda t: {"A": "T", "C": "G", "G": "C", "T": "A"}[t], tokens)
length = SelectorWidth(Select(tokens, tokens, Comparison.TRUE))
last = Map(lambda n: n - 1, length)
source_place = SequenceMap(lambda n, i: n - i, last, indices)
from_there = Select(indices, source_place, Comparison.EQ)
reverse_complement = Aggregate(from_there, paired)
""",
        (("A", "C", "C"), ("G", "G", "T")),
    ),
    _program(
        "vote",
        "Passes where twice the share of yes is above the share of no.",
        ("yes", "no", "abstain"),
        5,
        """\
yes = numerical(tokens == "yes")
no = numerical(tokens == "no")
all_votes = Select(tokens, tokens, Comparison.TRUE)
share_yes = numerical(Aggregate(all_votes, yes, default=0))
share_no = numerical(Aggregate(all_votes, no, default=0))
balance = numerical(LinearSequenceMap(share_yes, share_no, 2, -1))
vote = Map(lambda b: "pass" if b > 0 else "fail", balance)
""",
        (("yes", "no", "abstain"), ("pass",) * 3),
        (("no", "no", "yes"), ("fail",) * 3),
    ),
    _program(
        "edges",
        "1 where a bit differs from the one before, which is 0 before the first.",
        (0, 1),
        7,
        """\
bit = numerical(Map(lambda b: b, tokens))
before = Select(indices, indices, lambda k, q: k + 1 == q)
last_bit = numerical(Aggregate(before, bit, default=0))
change = numerical(LinearSequenceMap(bit, last_bit, 1, -1))
edges = Map(lambda c: c != 0, change)
""",
        ((1, 1, 0, 1), (True, False, True, True)),
    ),
    _program(
        "has_duplicates",
        "Whether two cards of the hand are equal, by sorting it and looking at neighbours.",
        (1, 2, 3, 4),
        4,
        """\
key = SequenceMap(lambda card, i: 4 * card + i, tokens, indices)
rank = SelectorWidth(Select(key, key, Comparison.LT))
by_rank = Select(rank, indices, Comparison.EQ)
hand = Aggregate(by_rank, tokens)
place_before = Map(lambda i: max(i - 1, 0), indices)
at_before = Select(indices, place_before, Comparison.EQ)
before = Aggregate(at_before, hand)
equal = SequenceMap(lambda x, y: x == y, hand, before)
is_paired = numerical(Map(lambda p: p, SequenceMap(lambda e, i: e and i > 0, equal, indices)))
everyone = Select(tokens, tokens, Comparison.TRUE)
share_paired = numerical(Aggregate(everyone, is_paired, default=0))
has_duplicates = Map(lambda s: s > 0, share_paired)
""",
        ((3, 1, 3), (True, True, True)),
        ((3, 1, 2, 4), (False, False, False, False)),
    ),
    _program(
        "middle",
        "Whether the position is neither the first nor the last.",
        ("a", "b"),
        7,
        """\
length = SelectorWidth(Select(tokens, tokens, Comparison.TRUE))
from_end = SequenceMap(lambda n, i: n - 1 - i, length, indices)
middle = SequenceMap(lambda i, j: i > 0 and j > 0, indices, from_end)
""",
        (("a", "b", "b"), (False, True, False)),
    ),
)
"""All of them."""
