"""Which row of a model's W_E stands for what, and on whose word.

Tracr sorts tokens and special tokens together, so BOS may be any row. All that
reads programs wants the tokens' rows first, then BOS and PAD: `TokenRows.applied`
brings a model into that order. Who says which row is which: the user; else the
file; else the weights (`special_rows`), which may leave several rows open. Then
one is assumed, by the rule of `_preferred`, and `TokenRows.assumed` says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from untracr.bounds import MAX_NUMBER
from untracr.errors import ModelFileError
from untracr.rasp.domain import BOS, PAD
from untracr.rasp.functions import Value
from untracr.rasp.values import tracr_sorted
from untracr.short_repr import short_repr
from untracr.transformer.described import Described
from untracr.transformer.special_rows import SpecialRows, find_special_rows
from untracr.transformer.transformer import Transformer

Source = Literal["given", "file", "weights", "read-out", "assumed"]

MOST_LISTED = 8
"""Rows that are listed in a sentence."""


@dataclass(frozen=True)
class Naming:
    """What the user says of a model's token rows; None where nothing is said.

    Attributes:
        vocab: the values of the tokens' rows, in the order of the rows, BOS's and PAD's left out; a
            set is in Tracr's order.
        token_values: the values of all rows in order, BOS's and PAD's names among them;
            or the row of each value, as ``model.input_encoder.encoding_map`` has it.
        bos, pad: names among ``token_values`` (or those that the file gives); where rows have no
            names the numbers of rows.
    """

    vocab: Iterable[Value] | None = None
    token_values: Sequence[Value] | Mapping[Value, int] | None = None
    bos: Value = None
    pad: Value = None


NOTHING_SAID = Naming()


def tokens_first(vocab: Sequence[Value]) -> Naming:
    """What is said of a model whose rows are those of a vocabulary, then BOS and PAD."""
    return Naming(vocab, bos=len(vocab), pad=len(vocab) + 1)


@dataclass(frozen=True)
class TokenRows:
    """Which row of W_E is which.

    Attributes:
        tokens: rows of the tokens, in the order of ``values``.
        bos, pad: rows.
        values: of the tokens; 0, 1, 2, ... where nobody names them.
        names_from: who names them; ``read-out`` where it has a text for each of as many
            outputs, which are taken for the tokens; ``assumed`` where nobody does.
        rows_from: who says which rows are BOS and PAD.
        assumed: what rests on an assumption, as a sentence; empty if nothing does.

    Raises:
        ModelFileError: a value is none that a token may have.
    """

    tokens: tuple[int, ...]
    bos: int
    pad: int
    values: tuple[Value, ...]
    names_from: Source
    rows_from: Source
    assumed: str = ""

    __repr__ = short_repr

    def __post_init__(self) -> None:
        if not all(_is_token(value) for value in self.values):
            raise ModelFileError(
                "tokens must be None, bool, int, float or str, and numbers at most "
                f"{MAX_NUMBER:.0e} in size; one of them is not"
            )

    @property
    def order(self) -> tuple[int, ...]:
        """All rows, those of the tokens first, then BOS and PAD."""
        return (*self.tokens, self.bos, self.pad)

    def applied(self, model: Transformer) -> Transformer:
        """The model with its rows in this order."""
        order = list(self.order)
        return model if order == sorted(order) else model.replace(W_E=model.W_E[order])

    def as_dict(self) -> dict[str, object]:
        """As plain JSON values; ``tokens`` has the row of each token of the vocabulary."""
        return {
            "tokens": list(self.tokens),
            "bos": self.bos,
            "pad": self.pad,
            "names_from": self.names_from,
            "rows_from": self.rows_from,
            "assumed": self.assumed,
        }


def _is_token(value: object) -> bool:
    if isinstance(value, (int, float)):
        return abs(value) <= MAX_NUMBER  # and is a number
    return value is None or isinstance(value, str)


def token_rows(loaded: Described, naming: Naming = NOTHING_SAID) -> TokenRows:
    """Which row of a file's model is which.

    Args:
        loaded: the file, and what it says of its rows.
        naming: what the user says, which goes before the file.

    Raises:
        ModelFileError: what is said does not fit the model's rows.
    """
    model, said = loaded.transformer, loaded.metadata
    try:
        if naming.token_values is not None:
            return _by_names(model, _listed(naming.token_values), naming, said, "given")
        if isinstance(named := said.get("token_values"), list):
            return _by_names(model, tuple(named), naming, said, "file")
        return rows_of(model, naming, _known_vocab(said))
    except ModelFileError as error:
        raise ModelFileError(f"{loaded.path}: {error}") from None


def rows_of(
    model: Transformer, naming: Naming = NOTHING_SAID, vocab: tuple[Value, ...] | None = None
) -> TokenRows:
    """Which row of a model is which where no file names the rows.

    Args:
        model: the weights.
        naming: what the user says.
        vocab: what a file says of the tokens' values.

    Raises:
        ModelFileError: what is said does not fit the model's rows.
    """
    if naming.token_values is not None:
        return _by_names(model, _listed(naming.token_values), naming, {}, "given")
    count = len(model.W_E)
    bos, pad = (_row(name, getattr(naming, name), count) for name in ("bos", "pad"))
    if bos is not None and bos == pad:
        raise ModelFileError(f"BOS and PAD must be two rows of W_E, not row {bos} both")
    names_from, values = _unsaid(model)
    if naming.vocab is not None:
        names_from, values = "given", _vocab(naming.vocab)
    elif vocab is not None:
        names_from, values = "file", vocab
    _require_all_named(values, count)
    special = _found(model, bos, pad, values if names_from != "assumed" else None)
    tokens = tuple(row for row in range(count) if row not in (special.bos, special.pad))
    return TokenRows(
        tokens, special.bos, special.pad, values, names_from, special.source, special.assumed
    )


def _unsaid(model: Transformer) -> tuple[Source, tuple[Value, ...]]:
    """The tokens' names where nobody gives them.

    Texts can only come from tokens that are texts, or from a table; where the read-out has
    as many as there are tokens, they are taken to be these.
    """
    count, outputs = max(0, len(model.W_E) - 2), model.output_values
    texts = {value for value in outputs or () if isinstance(value, str)}
    if outputs is not None and len(outputs) == len(texts) == count:
        return "read-out", outputs
    return "assumed", tuple(range(count))


def in_standard_order(
    loaded: Described, vocab: Sequence[Value] | None = None
) -> tuple[Transformer, tuple[Value, ...]]:
    """The model with its token rows first, then BOS and PAD, and the tokens' values.

    Args:
        loaded: a weights file.
        vocab: values of the token rows, to be used instead of the file's own.

    Raises:
        ModelFileError: what is said of the rows does not fit the model's.
    """
    rows = token_rows(loaded, Naming(vocab))
    return rows.applied(loaded.transformer), rows.values


def _listed(named: Sequence[Value] | Mapping[Value, int]) -> tuple[Value, ...]:
    """The values of all rows in order."""
    if not isinstance(named, Mapping):
        return _collected("token_values", named)
    if sorted(named.values()) != list(range(len(named))):
        raise ModelFileError(
            f"token_values must give the rows 0 to {len(named) - 1} once each, "
            f"not {sorted(named.values())}"
        )
    return tuple(sorted(named, key=lambda value: named[value]))


def _by_names(
    model: Transformer,
    named: tuple[Value, ...],
    naming: Naming,
    said: Mapping[str, object],
    source: Source,
) -> TokenRows:
    """Where every row has a name, and two of them are those of BOS and PAD."""
    own = said if source == "file" else {}
    bos = naming.bos if naming.bos is not None else own.get("bos", BOS)
    pad = naming.pad if naming.pad is not None else own.get("pad", PAD)
    places = [_places(named, name) for name in (bos, pad)]
    if len(named) != len(model.W_E) or any(len(found) != 1 for found in places) or bos == pad:
        who = "the file" if source == "file" else "token_values (--rows)"
        raise ModelFileError(
            f"{who} must name each of the {len(model.W_E)} rows of W_E, BOS and PAD among them "
            f"once; it names {len(named)}, BOS {bos!r:.60} and PAD {pad!r:.60}"
        )
    special = places[0][0], places[1][0]
    tokens = tuple(row for row in range(len(named)) if row not in special)
    if naming.vocab is None:
        return TokenRows(tokens, *special, tuple(named[row] for row in tokens), source, source)
    if source == "given":
        raise ModelFileError("give vocab (--vocab) or token_values (--rows), not both")
    values = _vocab(naming.vocab)
    _require_all_named(values, len(named))
    return TokenRows(tokens, *special, values, "given", source)


def _require_all_named(values: Sequence[Value], count: int) -> None:
    if len(values) != count - 2:
        raise ModelFileError(
            f"a vocabulary must name all rows of W_E but BOS and PAD, {count - 2} of {count}, "
            f"not {len(values)}"
        )


def _collected(name: str, values: object) -> tuple[Value, ...]:
    """What the user says of the rows, as a tuple.

    Raises:
        ModelFileError: it is no collection.
    """
    if not isinstance(values, Iterable):
        raise ModelFileError(f"{name} must be a list of values, not {values!r:.60}")
    return tuple(values)


def _vocab(vocab: Iterable[Value]) -> tuple[Value, ...]:
    """In the order of the rows; a set is in Tracr's."""
    values = _collected("vocab", vocab)
    return tracr_sorted(values) if isinstance(vocab, (set, frozenset)) else values


def _places(named: Sequence[Value], name: object) -> list[int]:
    """Rows of a name; 1 and True are two names."""
    return [row for row, value in enumerate(named) if type(value) is type(name) and value == name]


def _known_vocab(said: Mapping[str, object]) -> tuple[Value, ...] | None:
    """The vocabulary that a file states, if it does."""
    vocab = said.get("vocab")
    if not isinstance(vocab, list) or not all(
        v is None or isinstance(v, (bool, int, float, str)) for v in vocab
    ):
        return None
    return tuple(vocab)


def _row(name: str, value: Value, count: int) -> int | None:
    """A row's number as the user gives it.

    Raises:
        ModelFileError: it is none.
    """
    if value is None:
        return None
    if type(value) is not int or not 0 <= value < count:
        raise ModelFileError(
            f"{name} must be the number of a row of W_E, 0 to {count - 1}, where the rows have no "
            f"names, not {value!r:.60}; names of all rows are given by token_values (--rows)"
        )
    return value


@dataclass(frozen=True)
class _Found:
    bos: int
    pad: int
    source: Source
    assumed: str = ""


def _found(
    model: Transformer, bos: int | None, pad: int | None, values: tuple[Value, ...] | None
) -> _Found:
    """BOS's and PAD's rows: as given, else as the weights show, else assumed."""
    if bos is not None and pad is not None:
        return _Found(bos, pad, "given")
    shown = find_special_rows(model)
    pairs = [pair for pair in shown.pairs() if bos in (None, pair[0]) and pad in (None, pair[1])]
    if len({frozenset(pair) for pair in pairs}) == 1:  # which of two is BOS nothing reads
        return _Found(*_preferred(pairs, values), "weights")
    if pairs:
        chosen = _preferred(pairs, values)
        return _Found(*chosen, "assumed", _open(shown, bos, pad, chosen))
    rows = [row for row in range(len(model.W_E)) if row not in (bos, pad)]
    taken = [bos, pad]
    if pad is None:
        taken[1] = rows.pop()
    if bos is None:
        taken[0] = rows.pop()
    assert taken[0] is not None
    assert taken[1] is not None
    reason = (
        "the weights do not show which rows of W_E are BOS and PAD; "
        f"they are taken to be rows {taken[0]} and {taken[1]}"
    )
    return _Found(taken[0], taken[1], "assumed", reason)


def _preferred(
    pairs: Sequence[tuple[int, int]], values: tuple[Value, ...] | None
) -> tuple[int, int]:
    """Of rows that may be BOS and PAD those where Tracr sorts its own names.

    That is known where the tokens are; else they stand side by side, behind the tokens
    rather than before them.
    """
    for pair in pairs:
        if values is not None and pair == _where_sorted(values):
            return pair
    beside = [pair for pair in pairs if pair[1] == pair[0] + 1]
    return max(beside or pairs)


def _where_sorted(values: tuple[Value, ...]) -> tuple[int, int] | None:
    """Where Tracr sorts BOS and PAD among tokens that are in its order themselves."""
    if BOS in values or PAD in values:
        return None
    ordered = tracr_sorted((*values, BOS, PAD))
    if tuple(value for value in ordered if value not in (BOS, PAD)) != values:
        return None
    return ordered.index(BOS), ordered.index(PAD)


def _open(shown: SpecialRows, bos: int | None, pad: int | None, chosen: tuple[int, int]) -> str:
    """What is assumed where several rows may be BOS or PAD."""
    rest = "so any of them may be"
    if bos is not None or len(shown.bos) == 1:
        return (
            f"nothing reads rows {_numbers(shown.pad)} of W_E, {rest} PAD; row {chosen[1]} is "
            "taken for it"
        )
    if pad is not None:
        return (
            f"nothing reads rows {_numbers(shown.bos)} of W_E, {rest} BOS; row {chosen[0]} is "
            "taken for it"
        )
    return (
        f"nothing reads rows {_numbers(shown.pad)} of W_E, {rest} BOS and PAD; rows {chosen[0]} "
        f"and {chosen[1]} are taken for them"
    )


def _numbers(rows: Sequence[int]) -> str:
    listed = [str(row) for row in rows[:MOST_LISTED]]
    if len(rows) > MOST_LISTED:
        return f"{', '.join(listed)}, ... ({len(rows)} in all)"
    return f"{', '.join(listed[:-1])} and {listed[-1]}"
