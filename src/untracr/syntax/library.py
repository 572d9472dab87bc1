"""Named programs: the one list that tests, benchmarks and examples share.

Each is RASP source in Tracr's syntax, kept as text and parsed when asked for.
They compute what the programs of the RASP paper and of Tracr's library do.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

from untracr.errors import UsageError, did_you_mean
from untracr.rasp.domain import Domain
from untracr.rasp.functions import Value
from untracr.rasp.program import Program
from untracr.short_repr import short_repr
from untracr.syntax.parsing import parse

Example = tuple[tuple[Value, ...], tuple[Value, ...]]
"""An input and the output that RASP gives for it."""


@dataclass(frozen=True)
class NamedProgram:
    """A program with the inputs it is meant for.

    Attributes:
        name: a unique identifier.
        source: RASP in Tracr's syntax.
        vocab: the tokens.
        max_seq_len: the longest input.
        causal: whether it is compiled with causal attention; True only where
            that gives the same outputs.
        description: what it computes, in one sentence.
        examples: inputs and their outputs.
    """

    name: str
    source: str
    vocab: tuple[Value, ...]
    max_seq_len: int
    causal: bool
    description: str
    examples: tuple[Example, ...] = field(repr=False)

    __repr__ = short_repr

    @functools.cached_property
    def program(self) -> Program:
        """The parsed source."""
        return parse(self.source, filename=self.name)

    @property
    def domain(self) -> Domain:
        """The inputs it is meant for."""
        return Domain(self.vocab, self.max_seq_len)


def named_program(name: str) -> NamedProgram:
    """The program of the library called ``name``.

    Raises:
        UsageError: there is none.
    """
    for program in LIBRARY:
        if program.name == name:
            return program
    names = [program.name for program in LIBRARY]
    raise UsageError(
        f"the library has no program {name!r}.{did_you_mean(name, names)} "
        f"It holds {', '.join(names)}."
    )


_LETTERS = ("a", "b", "c", "d")

_LENGTH = """\
everywhere = Select(tokens, tokens, Comparison.TRUE)
length = SelectorWidth(everywhere)
"""

_HIST = """\
same_token = Select(tokens, tokens, Comparison.EQ)
hist = SelectorWidth(same_token)
"""


def _sorting(vals: str, keys: str, name: str) -> str:
    """Source that moves each of ``vals`` to the number of smaller ``keys``."""
    return f"""\
smaller = Select({keys}, {keys}, Comparison.LT)
target_pos = SelectorWidth(smaller)
from_target = Select(target_pos, indices, Comparison.EQ)
{name} = Aggregate(from_target, {vals})
"""


def _balance(pair: str, suffix: str = "") -> str:
    """Source of the running balance of one pair of brackets, as fractions of the prefix."""
    opening, closing = pair[0], pair[1]
    return f"""\
bools_open{suffix} = numerical(tokens == "{opening}")
prevs_open{suffix} = Select(indices, indices, Comparison.LEQ)
opens{suffix} = numerical(Aggregate(prevs_open{suffix}, bools_open{suffix}, default=0))
bools_close{suffix} = numerical(tokens == "{closing}")
prevs_close{suffix} = Select(indices, indices, Comparison.LEQ)
closes{suffix} = numerical(Aggregate(prevs_close{suffix}, bools_close{suffix}, default=0))
pair_balance{suffix} = numerical(LinearSequenceMap(opens{suffix}, closes{suffix}, 1, -1))
"""


_DYCK_END = """\
any_negative = numerical(Map(lambda x: x, negative))
select_all = Select(indices, indices, Comparison.TRUE)
has_neg = numerical(Aggregate(select_all, any_negative, default=0))
everywhere = Select(tokens, tokens, Comparison.TRUE)
length = SelectorWidth(everywhere)
select_last = Select(indices, length - 1, Comparison.EQ)
last_zero = Aggregate(select_last, all_zero)
not_has_neg = ~has_neg
"""

LIBRARY: tuple[NamedProgram, ...] = (
    NamedProgram(
        name="length",
        source=_LENGTH,
        vocab=_LETTERS,
        max_seq_len=5,
        causal=False,
        description="The length of the input, at every position.",
        examples=(
            (("a",), (1,)),
            (("a", "b", "a"), (3, 3, 3)),
            (("d", "d", "d", "d", "d"), (5, 5, 5, 5, 5)),
        ),
    ),
    NamedProgram(
        name="reverse",
        source=_LENGTH
        + """\
opp_idx = length - indices
last_minus_idx = opp_idx - 1
flip = Select(indices, last_minus_idx, Comparison.EQ)
reverse = Aggregate(flip, tokens)
""",
        vocab=_LETTERS,
        max_seq_len=5,
        causal=False,
        description="The input backwards.",
        examples=(
            (("a",), ("a",)),
            (("a", "b", "c"), ("c", "b", "a")),
            (("d", "a", "a", "b", "c"), ("c", "b", "a", "a", "d")),
        ),
    ),
    NamedProgram(
        name="hist",
        source=_HIST,
        vocab=_LETTERS,
        max_seq_len=5,
        causal=False,
        description="How often each token occurs in the input.",
        examples=(
            (("a", "b", "a", "c"), (2, 1, 2, 1)),
            (("d", "d", "d"), (3, 3, 3)),
        ),
    ),
    NamedProgram(
        name="sort_unique",
        source=_sorting("tokens", "tokens", "sort"),
        vocab=(1, 2, 3, 4, 5),
        max_seq_len=5,
        causal=False,
        description="The tokens in ascending order; they must be distinct.",
        examples=(
            ((2, 4, 3, 1), (1, 2, 3, 4)),
            ((5, 1, 4), (1, 4, 5)),
        ),
    ),
    NamedProgram(
        name="sort",
        source="""\
min_key = 1
max_seq_len = 5
keys = SequenceMap(lambda x, i: x + min_key * i / max_seq_len, tokens, indices)
"""
        + _sorting("tokens", "keys", "sort"),
        vocab=(1, 2, 3, 4, 5),
        max_seq_len=5,
        causal=False,
        description="The tokens in ascending order, repeated ones included.",
        examples=(
            ((2, 4, 1, 2), (1, 2, 2, 4)),
            ((5, 5, 3, 1, 1), (1, 1, 3, 5, 5)),
        ),
    ),
    NamedProgram(
        name="sort_freq",
        source=_HIST
        + """\
minus_hist = -1 * hist
keys = SequenceMap(lambda x, i: x + 1 * i / 5, minus_hist, indices)
"""
        + _sorting("tokens", "keys", "sort_freq"),
        vocab=_LETTERS,
        max_seq_len=5,
        causal=False,
        description="The tokens by falling frequency, ties in input order.",
        examples=(
            (("b", "d", "b", "a"), ("b", "b", "d", "a")),
            (("a", "b", "c", "c", "b"), ("b", "c", "c", "b", "a")),
        ),
    ),
    NamedProgram(
        name="frac_prevs",
        source="""\
bools = numerical(tokens == "a")
prevs = Select(indices, indices, Comparison.LEQ)
frac_prevs = numerical(Aggregate(prevs, bools, default=0))
""",
        vocab=_LETTERS,
        max_seq_len=5,
        causal=True,
        description='The fraction of tokens so far that are "a".',
        examples=(
            (("a", "b"), (1.0, 0.5)),
            (("b", "a", "a", "c"), (0.0, 1 / 2, 2 / 3, 2 / 4)),
        ),
    ),
    NamedProgram(
        name="pair_balance",
        source=_balance("()"),
        vocab=("(", ")", "a"),
        max_seq_len=5,
        causal=True,
        description='The fraction of "(" so far minus that of ")".',
        examples=(
            (("(", ")"), (1.0, 0.0)),
            (("a", "(", ")", ")"), (0.0, 1 / 2, 0.0, -1 / 4)),
        ),
    ),
    NamedProgram(
        name="shuffle_dyck",
        source=_balance("()")
        + """\
negative = pair_balance < 0
all_zero = pair_balance == 0
"""
        + _DYCK_END
        + "shuffle_dyck = last_zero & not_has_neg\n",
        vocab=("(", ")"),
        max_seq_len=5,
        causal=False,
        description='Whether "(" and ")" are balanced.',
        examples=(
            (("(", ")"), (True, True)),
            ((")", "("), (False, False)),
            (("(", "(", ")"), (False, False, False)),
        ),
    ),
    NamedProgram(
        name="shuffle_dyck2",
        source=_balance("()", "_round")
        + _balance("{}", "_curly")
        + """\
negative_round = pair_balance_round < 0
negative_curly = pair_balance_curly < 0
negative = negative_round | negative_curly
zero_round = pair_balance_round == 0
zero_curly = pair_balance_curly == 0
all_zero = zero_round & zero_curly
"""
        + _DYCK_END
        + "shuffle_dyck2 = last_zero & not_has_neg\n",
        vocab=("(", ")", "{", "}"),
        max_seq_len=5,
        causal=False,
        description="Whether each of two kinds of brackets is balanced on its own.",
        examples=(
            (("(", "{", ")", "}"), (True, True, True, True)),
            (("(", ")", "{", ")", "}"), (False, False, False, False, False)),
        ),
    ),
    NamedProgram(
        name="count_a",
        source="""\
is_a = Select(tokens, tokens, lambda k, q: k == "a")
count_a = SelectorWidth(is_a)
""",
        vocab=_LETTERS,
        max_seq_len=5,
        causal=False,
        description='How many tokens are "a", at every position.',
        examples=(
            (("a", "b", "a"), (2, 2, 2)),
            (("b", "c"), (0, 0)),
        ),
    ),
    NamedProgram(
        name="count_less_freq",
        source=_HIST
        + """\
select_less = Select(hist, hist, lambda k, q: k <= 2)
count_less_freq = SelectorWidth(select_less)
""",
        vocab=_LETTERS,
        max_seq_len=5,
        causal=False,
        description="How many positions hold a token that occurs at most twice.",
        examples=(
            (("a", "a", "a", "b", "c"), (2, 2, 2, 2, 2)),
            (("a", "a", "b", "b"), (4, 4, 4, 4)),
        ),
    ),
    NamedProgram(
        name="shift_by_1",
        source="""\
previous = Select(indices, indices, lambda k, q: q == k + 1)
shift_by_1 = Aggregate(previous, tokens, default=None)
""",
        vocab=_LETTERS,
        max_seq_len=5,
        causal=True,
        description="Each position's previous token, None at the first.",
        examples=(
            (("a", "b", "c"), (None, "a", "b")),
            (("d",), (None,)),
        ),
    ),
    NamedProgram(
        name="detect_pattern",
        source="""\
is_a = tokens == "a"
previous = Select(indices, indices, lambda k, q: q == k + 1)
a_before = Aggregate(previous, is_a, default=None)
is_b = tokens == "b"
detect_pattern = a_before & is_b
""",
        vocab=_LETTERS,
        max_seq_len=5,
        causal=True,
        description='Whether the pattern "a", "b" ends here, None at the first position.',
        examples=(
            (("a", "b", "b", "a", "b"), (None, True, False, False, True)),
            (("b",), (None,)),
        ),
    ),
    NamedProgram(
        name="first_token",
        source="""\
at_first = Select(indices, indices, lambda k, q: k == 0)
first_token = Aggregate(at_first, tokens)
""",
        vocab=_LETTERS,
        max_seq_len=5,
        causal=True,
        description="The first token, at every position.",
        examples=(
            (("c", "a", "b"), ("c", "c", "c")),
            (("d",), ("d",)),
        ),
    ),
    NamedProgram(
        name="last_token",
        source=_LENGTH
        + """\
last_idx = length - 1
at_last = Select(indices, last_idx, Comparison.EQ)
last_token = Aggregate(at_last, tokens)
""",
        vocab=_LETTERS,
        max_seq_len=5,
        causal=False,
        description="The last token, at every position.",
        examples=(
            (("c", "a", "b"), ("b", "b", "b")),
            (("d",), ("d",)),
        ),
    ),
)
"""Every named program."""
