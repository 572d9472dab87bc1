"""Programs as people bring them: live Tracr code, of the kinds found in collections of models.

Collections of compiled models were written by researchers and by language
models, with Tracr's operators and library, over letters, words and numbers,
compiled with settings of their own. These are of the same kinds. None was
written with a look at how it is read, and none is changed to be read more
easily. `BROUGHT` lists them all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tracr.compiler import lib
from tracr.rasp import rasp
from tracr.rasp.rasp import indices, numerical, tokens

from untracr.rasp.values import Value

SOp = Any
TRUE, EQ, LT = rasp.Comparison.TRUE, rasp.Comparison.EQ, rasp.Comparison.LT
GT, LEQ, NEQ = rasp.Comparison.GT, rasp.Comparison.LEQ, rasp.Comparison.NEQ


@dataclass(frozen=True)
class Brought:
    """A program with how it is compiled.

    Attributes:
        name: of the function that builds it.
        build: makes its live object, anew at each call.
        vocab: the tokens.
        max_seq_len: the longest input.
        causal, bos, pad, mlp_exactness: as for Tracr's compiler.
    """

    name: str
    build: Callable[[], SOp]
    vocab: tuple[Value, ...]
    max_seq_len: int
    causal: bool = False
    bos: str = "compiler_bos"
    pad: str = "compiler_pad"
    mlp_exactness: int = 100


BROUGHT: list[Brought] = []
"""All programs, in the order of this file."""


def brought(
    vocab: tuple[Value, ...], max_seq_len: int, **settings: Any
) -> Callable[[Callable[[], SOp]], Callable[[], SOp]]:
    """Puts a program on the list, compiled with these settings."""

    def listed(build: Callable[[], SOp]) -> Callable[[], SOp]:
        BROUGHT.append(Brought(build.__name__, build, vocab, max_seq_len, **settings))
        return build

    return listed


AB, ABC, ABCDE = tuple("ab"), tuple("abc"), tuple("abcde")
WXYZ, VOWELS = tuple("wxyz"), tuple("aeioubcd")
BRACKETS, TWO_BRACKETS = tuple("()"), tuple("(){}")
BITS, DIGITS = (0, 1), tuple(range(10))
UP_TO_3, UP_TO_4, ONE_TO_5 = tuple(range(4)), tuple(range(5)), (1, 2, 3, 4, 5)
SIGNED = (-2, -1, 0, 1, 2)
FRACTIONS = (0.2, 0.5, 1.4, 2.6)
FRUIT = ("apple", "banana", "cherry", "date")
MAIL = ("click", "dear", "free", "hello", "offer", "you")


def fetched(sop: SOp, place: int) -> SOp:
    """The element at one place, everywhere."""
    return rasp.Aggregate(
        rasp.Select(indices, rasp.Map(lambda _, p=place: p, indices), EQ),
        sop,
    )


def share(condition: SOp) -> SOp:
    """Which share of all positions has it."""
    everywhere = rasp.Select(indices, indices, TRUE)
    return numerical(rasp.Aggregate(everywhere, numerical(condition), default=0))


def moved(sop: SOp, by: int) -> SOp:
    """The element so many places before."""
    return rasp.Aggregate(rasp.Select(indices, indices, lambda k, q: k + by == q), sop)


# Shares of the tokens so far.


@brought(WXYZ, 5)
def share_of_x_so_far() -> SOp:
    return lib.make_frac_prevs(tokens == "x")


@brought(("a", "b", "x"), 6)
def share_of_x_so_far_three_letters() -> SOp:
    return lib.make_frac_prevs((tokens == "x").named("is_x"))


@brought(VOWELS, 5)
def share_of_vowels_so_far() -> SOp:
    return lib.make_frac_prevs(rasp.Map(lambda t: t in "aeiou", tokens))


@brought(ONE_TO_5, 5, causal=True)
def share_of_even_so_far() -> SOp:
    even = numerical(rasp.Map(lambda t: t % 2 == 0, tokens))
    before = rasp.Select(indices, indices, LEQ)
    return numerical(rasp.Aggregate(before, even, default=0))


@brought(SIGNED, 6)
def share_of_positive() -> SOp:
    return share(rasp.Map(lambda t: 1 if t > 0 else 0, tokens))


@brought(MAIL, 4)
def share_of_spam_words() -> SOp:
    spam = rasp.Map(lambda t: 1 if t in ("free", "offer", "click") else 0, tokens)
    return share(spam).named("spam_share")


@brought(UP_TO_4, 5, mlp_exactness=1000)
def share_of_threes_after() -> SOp:
    after = rasp.Select(indices, indices, lambda k, q: k >= q)
    return numerical(rasp.Aggregate(after, numerical(tokens == 3), default=0))


@brought(("compiler_a", "d", "x", "zebra"), 5)
def share_of_x_odd_names() -> SOp:
    return lib.make_frac_prevs(tokens == "x")


@brought(ABC, 7, causal=True)
def a_minus_b_so_far() -> SOp:
    return lib.make_pair_balance(tokens, "a", "b")


@brought(AB, 6)
def twice_a_minus_thrice_b() -> SOp:
    a = numerical(lib.make_frac_prevs(tokens == "a"))
    b = numerical(lib.make_frac_prevs(tokens == "b"))
    return numerical(rasp.LinearSequenceMap(a, b, 2, -3))


@brought(WXYZ, 5)
def half_w_plus_five_z() -> SOp:
    w, z = share(tokens == "w"), share(tokens == "z")
    return numerical(rasp.LinearSequenceMap(w, z, 0.5, 5))


# Reversing, moving, fetching.


@brought(WXYZ, 5)
def reverse_late_letters() -> SOp:
    return lib.make_reverse(tokens)


@brought(FRUIT, 6)
def reverse_words() -> SOp:
    return lib.make_reverse(tokens).named("reversed_words")


@brought(UP_TO_3, 10)
def reverse_ten() -> SOp:
    opposite = lib.length - indices - 1
    return rasp.Aggregate(rasp.Select(indices, opposite, EQ), tokens)


@brought(ABCDE, 5)
def first_element() -> SOp:
    return fetched(tokens, 0)


@brought(UP_TO_4, 5, mlp_exactness=1000)
def third_element() -> SOp:
    return fetched(tokens, 2)


@brought(FRUIT, 5)
def last_word() -> SOp:
    last = rasp.Select(indices, lib.length - 1, EQ)
    return rasp.Aggregate(last, tokens).named("last_word")


@brought(ABC, 6)
def previous_letter() -> SOp:
    return lib.shift_by(1, tokens)


@brought(UP_TO_3, 8)
def two_before() -> SOp:
    return lib.shift_by(2, tokens)


@brought(ABCDE, 5)
def next_letter() -> SOp:
    return rasp.Aggregate(rasp.Select(indices, indices, lambda k, q: k == q + 1), tokens)


@brought(UP_TO_3, 6)
def swap_neighbours() -> SOp:
    partner = rasp.Map(lambda i: i + 1 if i % 2 == 0 else i - 1, indices)
    return rasp.Aggregate(rasp.Select(indices, partner, EQ), tokens)


@brought(ABC, 5)
def swap_first_and_last() -> SOp:
    last = lib.length - 1
    place = rasp.SequenceMap(lambda i, n: n if i == 0 else (0 if i == n else i), indices, last)
    return rasp.Aggregate(rasp.Select(indices, place, EQ), tokens)


@brought(UP_TO_4, 6, mlp_exactness=1000)
def rotate_left() -> SOp:
    place = rasp.SequenceMap(lambda i, n: (i + 1) % n if n else 0, indices, lib.make_length())
    return rasp.Aggregate(rasp.Select(indices, place, EQ), tokens).named("rotated")


@brought(WXYZ, 6)
def mirror_first_half() -> SOp:
    n = lib.make_length()
    place = rasp.SequenceMap(lambda i, n: i if i < n / 2 else n - 1 - i, indices, n)
    return rasp.Aggregate(rasp.Select(indices, place, EQ), tokens)


@brought(UP_TO_4, 6)
def repeat_first_digit() -> SOp:
    zero = rasp.Map(lambda x: 0, indices).named("zero")
    first = rasp.Select(indices, zero, EQ).named("first")
    return rasp.Aggregate(first, tokens).named("repeat")


@brought(UP_TO_3, 5)
def every_second_twice() -> SOp:
    return rasp.Aggregate(rasp.Select(indices, rasp.Map(lambda i: i - i % 2, indices), EQ), tokens)


# Counting.


@brought(WXYZ, 5)
def histogram_late_letters() -> SOp:
    return lib.make_hist()


@brought(FRUIT, 8)
def count_banana() -> SOp:
    return lib.make_count(tokens, "banana")


@brought(BITS, 12)
def count_ones() -> SOp:
    return rasp.SelectorWidth(rasp.Select(tokens, tokens, lambda k, q: k == 1))


@brought(ABCDE, 5)
def is_repeated() -> SOp:
    return (lib.make_hist() > 1).named("is_repeated")


@brought(ABC, 6)
def running_count_of_same() -> SOp:
    key = rasp.SequenceMap(lambda t, i: (t, i), tokens, indices)
    earlier = rasp.Select(key, key, lambda k, q: k[0] == q[0] and k[1] <= q[1])
    return rasp.SelectorWidth(earlier)


@brought(UP_TO_3, 6)
def how_many_are_less() -> SOp:
    return rasp.SelectorWidth(rasp.Select(tokens, tokens, LT))


@brought(UP_TO_4, 5, mlp_exactness=1000)
def how_many_are_greater() -> SOp:
    return rasp.SelectorWidth(rasp.Select(tokens, tokens, GT)).named("greater")


@brought(ABCDE, 6)
def how_many_differ() -> SOp:
    return rasp.SelectorWidth(rasp.Select(tokens, tokens, NEQ))


@brought(ABC, 7)
def rare_common_frequent() -> SOp:
    def kind(n: int) -> str:
        return "rare" if n <= 1 else ("common" if n <= 3 else "frequent")

    return rasp.Map(kind, lib.make_hist())


@brought(UP_TO_3, 6)
def less_frequent_than_three() -> SOp:
    return lib.make_count_less_freq(2)


@brought(ABCDE, 5)
def length_of_input() -> SOp:
    return lib.make_length()


@brought(AB, 9)
def length_is_even() -> SOp:
    return rasp.Map(lambda n: n % 2 == 0, lib.make_length())


@brought(VOWELS, 5)
def count_of_vowels() -> SOp:
    return rasp.SelectorWidth(rasp.Select(tokens, tokens, lambda k, q: k in "aeiou"))


@brought(("it", "the", "whole", "word"), 5)
def count_by_word_length() -> SOp:
    size = rasp.Map(len, tokens)
    return rasp.SelectorWidth(rasp.Select(size, size, EQ)).named("same_length")


@brought(ONE_TO_5, 5)
def is_most_frequent() -> SOp:
    hist = lib.make_hist()
    above = rasp.SelectorWidth(rasp.Select(hist, hist, GT))
    return above == 0


@brought(ABC, 5)
def unlike_everything_before() -> SOp:
    key = rasp.SequenceMap(lambda t, i: (t, i), tokens, indices)
    before = rasp.Select(key, key, lambda k, q: k[0] == q[0] and k[1] < q[1])
    return rasp.SelectorWidth(before) == 0


@brought(ONE_TO_5, 5)
def count_next_to_index() -> SOp:
    return rasp.SelectorWidth(rasp.Select(tokens, indices, lambda k, q: k == q + 1))


# Sorting and ranks.


@brought(ONE_TO_5, 5)
def sort_numbers() -> SOp:
    return lib.make_sort(tokens, tokens, max_seq_len=5, min_key=1)


@brought((3, 5, 8, 13), 4, mlp_exactness=1000)
def sort_unique_numbers() -> SOp:
    return lib.make_sort_unique(tokens, tokens)


@brought(WXYZ, 4)
def sort_letters() -> SOp:
    return lib.make_sort_unique(tokens, tokens)


@brought(ABC, 4)
def sort_by_frequency() -> SOp:
    return lib.make_sort_freq(4)


@brought(UP_TO_4, 5)
def largest_element() -> SOp:
    key = rasp.SequenceMap(lambda t, i: t + i / 10, tokens, indices)
    rank = rasp.SelectorWidth(rasp.Select(key, key, GT))
    return rasp.Aggregate(rasp.Select(rank, rasp.Map(lambda i: 0, indices), EQ), tokens)


@brought(ONE_TO_5, 4)
def smallest_element() -> SOp:
    key = rasp.SequenceMap(lambda t, i: 10 * t + i, tokens, indices)
    rank = rasp.SelectorWidth(rasp.Select(key, key, LT))
    return rasp.Aggregate(rasp.Select(rank, rasp.Map(lambda x: 0, rank), EQ), tokens)


@brought(UP_TO_3, 5)
def rank_of_each() -> SOp:
    return rasp.Map(lambda n: n + 1, rasp.SelectorWidth(rasp.Select(tokens, tokens, LT)))


@brought((2, 4, 6, 8), 4)
def is_sorted() -> SOp:
    falls = rasp.SequenceMap(lambda a, b: a > b, moved(tokens, 1), tokens)
    return share(rasp.Map(lambda x: 1 if x else 0, falls)).named("falls")


@brought(UP_TO_3, 6)
def rises_here() -> SOp:
    return rasp.SequenceMap(lambda now, before: now > before, tokens, lib.shift_by(1, tokens))


@brought(UP_TO_4, 5)
def trend() -> SOp:
    def way(now: int, before: int) -> str:
        return "up" if now > before else ("down" if now < before else "same")

    return rasp.SequenceMap(way, tokens, lib.shift_by(1, tokens))


# Patterns, palindromes, brackets.


@brought(ABC, 6)
def find_abc() -> SOp:
    return lib.detect_pattern(tokens, "abc")


@brought(BITS, 8)
def find_one_zero() -> SOp:
    return lib.detect_pattern(tokens, (1, 0))


@brought(("kitten", "mitten", "the"), 5)
def find_two_words() -> SOp:
    return lib.detect_pattern(tokens, ["the", "kitten"])


@brought(ABC, 5)
def is_palindrome() -> SOp:
    same = rasp.SequenceMap(lambda x, y: x == y, tokens, lib.make_reverse(tokens))
    unlike = rasp.Map(lambda s: 0 if s else 1, same)
    return rasp.Map(lambda s: s == 0, share(unlike))


@brought(WXYZ, 5)
def matches_mirror() -> SOp:
    return rasp.SequenceMap(lambda x, y: x == y, tokens, lib.make_reverse(tokens))


@brought(("(", ")", "a"), 5)
def bracket_balance() -> SOp:
    return lib.make_pair_balance(tokens, "(", ")")


@brought(BRACKETS, 6)
def one_pair_dyck() -> SOp:
    return lib.make_shuffle_dyck(["()"])


@brought(TWO_BRACKETS, 5)
def two_pairs_dyck() -> SOp:
    return lib.make_shuffle_dyck2()


@brought(BRACKETS, 6, mlp_exactness=1000)
def never_negative() -> SOp:
    balance = lib.make_pair_balance(tokens, "(", ")")
    return share(rasp.Map(lambda x: 1 if x < 0 else 0, balance))


@brought(AB, 6)
def alternates() -> SOp:
    same = rasp.SequenceMap(lambda x, y: x == y, tokens, moved(tokens, 1))
    return rasp.Map(lambda s: s == 0, share(rasp.Map(lambda x: 1 if x else 0, same)))


@brought(ABC, 6)
def without_runs() -> SOp:
    return rasp.SequenceMap(
        lambda now, before: "-" if now == before else now, tokens, lib.shift_by(1, tokens)
    )


@brought(UP_TO_3, 5)
def all_equal() -> SOp:
    other = rasp.SelectorWidth(rasp.Select(tokens, tokens, NEQ))
    return other == 0


# Functions of a token.


@brought((-3, -2, -1, 0, 1, 2, 3), 5)
def absolute() -> SOp:
    return rasp.Map(abs, tokens)


@brought(UP_TO_4, 5)
def cube() -> SOp:
    return rasp.Map(lambda x: x**3, tokens)


@brought((-2, -1, 0, 1, 2), 5, mlp_exactness=1000)
def cube_signed() -> SOp:
    return rasp.Map(lambda x: x**3, tokens).named("cubed")


@brought((0, 1, 4, 9, 16), 5)
def square_root() -> SOp:
    return rasp.Map(lambda x: x**0.5, tokens)


@brought(ONE_TO_5, 5)
def logarithm() -> SOp:
    return rasp.Map(lambda x: math.log(x), tokens)


@brought(SIGNED, 5)
def sigmoid() -> SOp:
    return rasp.Map(lambda x: 1 / (1 + math.exp(-x)), tokens)


@brought(FRACTIONS, 6)
def rounded() -> SOp:
    return rasp.Map(round, tokens)


@brought((0, 1, 2, 3, 4, 5), 5)
def factorial() -> SOp:
    return rasp.Map(math.factorial, tokens)


@brought(SIGNED, 5)
def sine() -> SOp:
    return rasp.Map(math.sin, tokens)


@brought(UP_TO_4, 5)
def power_of_two() -> SOp:
    return 2**3 * rasp.Map(lambda x: 2**x, tokens)


@brought(UP_TO_4, 5)
def triple() -> SOp:
    return 3 * tokens


@brought(ONE_TO_5, 5)
def ten_times_plus_ten() -> SOp:
    return rasp.Map(lambda x: 10 * x + 10, tokens)


@brought(UP_TO_3, 6)
def minus_two() -> SOp:
    return tokens - 2


@brought(SIGNED, 6)
def negated() -> SOp:
    return rasp.Map(lambda x: -x, tokens)


@brought((0, 1, 2, 3, 4, 5, 6), 5)
def clipped() -> SOp:
    return rasp.Map(lambda x: min(max(x, 2), 4), tokens)


@brought(DIGITS, 5)
def is_prime() -> SOp:
    return rasp.Map(lambda x: x in (2, 3, 5, 7), tokens)


@brought(DIGITS, 5)
def multiple_of_three() -> SOp:
    return rasp.Map(lambda x: x % 3 == 0, tokens)


@brought(DIGITS, 5, mlp_exactness=1000)
def up_to_multiple_of_four() -> SOp:
    return rasp.Map(lambda x: x + (-x) % 4, tokens)


@brought((1, 2, 3, 4, 8, 9), 5)
def power_of_two_or_not() -> SOp:
    return rasp.Map(lambda x: "power" if x & (x - 1) == 0 else "no power", tokens)


@brought(DIGITS, 5)
def parity_words() -> SOp:
    return rasp.Map(lambda x: "even" if x % 2 == 0 else "odd", tokens)


@brought(SIGNED, 5)
def sign() -> SOp:
    return rasp.Map(lambda x: (x > 0) - (x < 0), tokens)


@brought(SIGNED, 5)
def without_negatives() -> SOp:
    return rasp.Map(lambda x: x if x >= 0 else None, tokens)


@brought(tuple("abcdefgh"), 5)
def caesar_three() -> SOp:
    return rasp.Map(lambda c: chr((ord(c) - ord("a") + 3) % 26 + ord("a")), tokens)


@brought(VOWELS, 5)
def upper_vowels() -> SOp:
    return rasp.Map(lambda c: c.upper() if c in "aeiou" else c, tokens)


@brought(("cat", "dog", "elephant", "ox"), 5)
def word_lengths() -> SOp:
    return rasp.Map(len, tokens)


@brought(("cat", "dog", "elephant", "ox"), 5)
def abbreviations() -> SOp:
    return rasp.Map(lambda w: w[0].upper() + ".", tokens)


@brought(("level", "noon", "tree", "word"), 5)
def words_reversed() -> SOp:
    return rasp.Map(lambda w: w[::-1], tokens)


@brought(("bad", "fine", "good", "so-so"), 5)
def mood() -> SOp:
    return rasp.Map(
        lambda w: {"bad": "negative", "fine": "positive", "good": "positive"}.get(w, "neutral"),
        tokens,
    )


@brought(("1", "22", "a", "b4"), 5)
def is_number() -> SOp:
    return rasp.Map(lambda w: w.isdigit(), tokens)


# Functions of a token and its place.


@brought(UP_TO_4, 5)
def times_index() -> SOp:
    return tokens * indices


@brought(UP_TO_3, 6)
def twice_minus_index() -> SOp:
    return 2 * tokens - indices


@brought(ONE_TO_5, 5)
def zero_every_third() -> SOp:
    return rasp.SequenceMap(lambda t, i: 0 if (i + 1) % 3 == 0 else t, tokens, indices)


@brought(ABCDE, 5)
def capitals_alternate() -> SOp:
    return rasp.SequenceMap(lambda t, i: t.upper() if i % 2 == 0 else t, tokens, indices)


@brought(UP_TO_4, 5)
def negate_at_odd_places() -> SOp:
    return rasp.SequenceMap(lambda t, i: -t if i % 2 else t, tokens, indices)


@brought(AB, 10)
def only_at_odd_places() -> SOp:
    odd = rasp.Map(lambda i: i % 2, indices)
    return rasp.SequenceMap(lambda t, o: t if o else "", tokens, odd)


@brought(UP_TO_3, 5)
def token_equals_index() -> SOp:
    return rasp.SequenceMap(lambda t, i: t == i, tokens, indices)


@brought(ABC, 6)
def masked_but_the_first_two() -> SOp:
    return rasp.SequenceMap(lambda t, i: t if i < 2 else "_", tokens, indices)


@brought(ABC, 5)
def letter_with_place() -> SOp:
    return rasp.SequenceMap(lambda t, i: f"{t}{i}", tokens, indices)


@brought((0, 1, 2, 3, 4, 5), 5)
def index_as_power() -> SOp:
    return rasp.SequenceMap(lambda t, i: t**i, tokens, indices)


# Functions of tokens and lengths, first ones, neighbours.


@brought(UP_TO_3, 5)
def times_length() -> SOp:
    return tokens * lib.make_length()


@brought(ONE_TO_5, 4)
def divided_by_length() -> SOp:
    return rasp.SequenceMap(lambda t, n: t / max(n, 1), tokens, lib.make_length())


@brought(ONE_TO_5, 4)
def divided_by_first() -> SOp:
    return rasp.SequenceMap(lambda t, f: t / f, tokens, fetched(tokens, 0))


@brought(UP_TO_3, 6)
def second_half_zero() -> SOp:
    n = lib.make_length()
    late = rasp.SequenceMap(lambda i, n: i >= n / 2, indices, n)
    return rasp.SequenceMap(lambda t, late: 0 if late else t, tokens, late)


@brought(UP_TO_3, 5)
def sum_of_neighbours() -> SOp:
    return rasp.SequenceMap(lambda x, y: x + y, tokens, moved(tokens, 1))


@brought(UP_TO_4, 5, mlp_exactness=1000)
def larger_of_pair() -> SOp:
    return rasp.SequenceMap(max, tokens, moved(tokens, 1)).named("larger")


@brought(WXYZ, 5)
def same_as_first() -> SOp:
    return rasp.SequenceMap(lambda x, y: x == y, tokens, fetched(tokens, 0))


@brought(ONE_TO_5, 5)
def square_by_pairs() -> SOp:
    return tokens * tokens


@brought(UP_TO_3, 4)
def middle_of_three() -> SOp:
    before, after = moved(tokens, 1), moved(tokens, -1)
    return lib.make_nary_sequencemap(lambda x, y, z: sorted((x, y, z))[1], before, tokens, after)


@brought(ABC, 4)
def token_index_length() -> SOp:
    return lib.make_nary_sequencemap(
        lambda t, i, n: t if i in (0, n - 1) else "-", tokens, indices, lib.make_length()
    )


@brought(BITS, 5)
def one_bit_sum() -> SOp:
    low, high = moved(tokens, 1), moved(tokens, 2)
    return lib.make_nary_sequencemap(lambda x, y, z: x + 2 * y + 4 * z, tokens, low, high)


# Longer ones.


@brought(BITS, 8)
def parity() -> SOp:
    ones = rasp.SelectorWidth(rasp.Select(tokens, tokens, lambda k, q: k == 1))
    return rasp.Map(lambda n: "odd" if n % 2 else "even", ones)


@brought(BITS, 7, causal=True)
def running_share_thresholded() -> SOp:
    shared = lib.make_frac_prevs(tokens == 1)
    return rasp.Map(lambda s: s > 0.5, shared)


@brought(ABC, 5)
def more_a_than_c() -> SOp:
    a, c = lib.make_count(tokens, "a"), lib.make_count(tokens, "c")
    return rasp.SequenceMap(lambda x, y: x > y, a, c)


@brought(MAIL, 4)
def spam_or_not() -> SOp:
    spam = rasp.Map(lambda t: 1 if t in ("free", "offer") else 0, tokens)
    return rasp.Map(lambda s: "spam" if s > 0.3 else "mail", share(spam))


@brought(ABC, 5)
def most_frequent_first() -> SOp:
    hist = lib.make_hist()
    key = rasp.SequenceMap(lambda h, i: 10 * h - i, hist, indices)
    place = rasp.SelectorWidth(rasp.Select(key, key, GT))
    return rasp.Aggregate(rasp.Select(place, rasp.Map(lambda i: 0, indices), EQ), tokens)


@brought(UP_TO_3, 5)
def reverse_then_double() -> SOp:
    return rasp.Map(lambda x: 2 * x, lib.make_reverse(tokens))


@brought(WXYZ, 5, bos="BOS", pad="PAD")
def reverse_with_own_bos() -> SOp:
    return lib.make_reverse(tokens)


@brought(("a", "m", "z"), 6, bos="bos", pad="pad")
def histogram_with_own_bos() -> SOp:
    return lib.make_hist()


@brought(UP_TO_4, 5, bos="BOS", mlp_exactness=1000)
def first_with_own_bos() -> SOp:
    return fetched(tokens, 0)


@brought(ABC, 6)
def position_from_end() -> SOp:
    return lib.make_length() - indices - 1


@brought(UP_TO_3, 5)
def gap_to_largest() -> SOp:
    key = rasp.SequenceMap(lambda t, i: t + i / 10, tokens, indices)
    rank = rasp.SelectorWidth(rasp.Select(key, key, GT))
    zero = rasp.Map(lambda i: 0, indices)
    largest = rasp.Aggregate(rasp.Select(rank, zero, EQ), tokens)
    return rasp.SequenceMap(lambda m, t: m - t, largest, tokens)


@brought(UP_TO_4, 5)
def doubled_then_less() -> SOp:
    doubled = rasp.Map(lambda x: 2 * x, tokens)
    return rasp.SelectorWidth(rasp.Select(doubled, doubled, LT))


@brought(UP_TO_4, 5)
def shifted_then_less() -> SOp:
    x = rasp.Map(lambda x: x + 1, tokens).named("x")
    return rasp.SelectorWidth(rasp.Select(x, x, LT))


@brought(ABC, 5)
def run_starts() -> SOp:
    before = lib.shift_by(1, tokens)
    return rasp.SequenceMap(lambda now, then: now != then, tokens, before)


@brought(ABCDE, 4)
def only_the_unique() -> SOp:
    return rasp.SequenceMap(lambda t, n: t if n == 1 else None, tokens, lib.make_hist())


@brought(UP_TO_3, 5)
def at_least_two_ones() -> SOp:
    return lib.make_count(tokens, 1) >= 2


@brought(AB, 6)
def fraction_rounded() -> SOp:
    return rasp.Map(lambda s: round(s, 1), share(tokens == "a"))


@brought((1, 2, 3), 5)
def sum_of_last_two_mod_three() -> SOp:
    return rasp.SequenceMap(lambda x, y: (x + y) % 3, tokens, lib.shift_by(1, tokens))
