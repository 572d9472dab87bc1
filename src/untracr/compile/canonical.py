"""The paper's canonical form of a program: operations by half-layer, in a fixed order.

The reference token form is, for each half-layer (two a layer, empty ones
included), its operations followed by ``EOL``; an operation is its name,
encoding, kind, arguments and ``EOO``. Within a half-layer operations are
sorted by their tokens, and names ``sop_00``, ``sop_01``, ... follow that order.
Two programs with equal token lists are the same algorithm written the same
way; token-exact match compares these lists.
"""

from __future__ import annotations

from collections.abc import Sequence

from untracr.compile.layers import count_layers, half_layers
from untracr.errors import ProgramError
from untracr.rasp.functions import Comparison, Predicate, formula
from untracr.rasp.nodes import (
    CATEGORICAL,
    INDICES,
    NUMERICAL,
    TOKENS,
    Aggregate,
    Encoding,
    LinearSequenceMap,
    Map,
    Node,
    Ref,
    Select,
    SelectorWidth,
    SequenceMap,
    children,
    renumber,
)
from untracr.rasp.program import Builder, Program
from untracr.transformer.half_layer import FIRST_HALF_LAYER, HalfLayer

TOKENS_NAME = "sop_10_tokens"
INDICES_NAME = "sop_11_indices"

# The reference counts variables without gaps up to sop_09; tokens and indices
# have names of their own that would sort between sop_09 and sop_12.


def paper_tokens(program: Program) -> list[str]:
    """A program's canonical token list, names included.

    Raises:
        ProgramError: the program uses a composite selector, which has no such form.
    """
    tokens = ["BOS"]
    for half_layer in _named_half_layers(program)[0]:
        for name, body in half_layer:
            tokens += [name, *body, "EOO"]
        tokens.append("EOL")
    return [*tokens, "EOS"]


_N_TOKENS: dict[type[Node], int] = {
    Map: 6,
    SequenceMap: 7,
    LinearSequenceMap: 8,
    Aggregate: 8,
    SelectorWidth: 7,
}


def count_paper_tokens(program: Program, layers: dict[Ref, HalfLayer]) -> int:
    """How many tokens `paper_tokens` gives.

    Args:
        program: a program without composite selectors.
        layers: its `half_layers`.
    """
    n_half_layers = 2 * count_layers(layers)
    return 2 + n_half_layers + sum(_N_TOKENS[type(program.nodes[ref])] for ref in layers)


def canonicalise(program: Program) -> Program:
    """The same program with operations in canonical order and labels ``sop_00``, ..."""
    _, names = _named_half_layers(program)
    order = sorted((name, ref) for ref, name in names.items() if ref not in (TOKENS, INDICES))
    builder = Builder()
    new: dict[Ref, Ref] = {TOKENS: TOKENS, INDICES: INDICES}
    for name, ref in order:
        node = program.nodes[ref]
        for child in children(node):
            select = program.nodes[child]
            if isinstance(select, Select) and child not in new:
                new[child] = builder.add(renumber(select, new))
        new[ref] = builder.add(renumber(node, new), name)
    return builder.build(new[program.output])


def _named_half_layers(
    program: Program,
) -> tuple[list[list[tuple[str, list[str]]]], dict[Ref, str]]:
    names = {TOKENS: TOKENS_NAME, INDICES: INDICES_NAME}
    layers = half_layers(program)
    by_half_layer: dict[HalfLayer, list[Ref]] = {
        h: [] for h in FIRST_HALF_LAYER.until(count_layers(layers))
    }
    for ref, half_layer in layers.items():
        by_half_layer[half_layer].append(ref)
    listed: list[list[tuple[str, list[str]]]] = []
    for refs in by_half_layer.values():
        bodies = sorted((_body(program, ref, names), ref) for ref in refs)
        here = []
        for body, ref in bodies:
            names[ref] = f"sop_{len(names) - 2:02d}"
            here.append((names[ref], body))
        listed.append(here)
    return listed, names


def _body(program: Program, ref: Ref, names: dict[Ref, str]) -> list[str]:
    node = program.nodes[ref]
    match node:
        case Map(function, inner):
            arguments = ["Map", str(function), names[inner]]
        case SequenceMap(function, fst, snd):
            arguments = ["SequenceMap", str(function), names[fst], names[snd]]
        case LinearSequenceMap(fst, snd, fst_factor, snd_factor):
            factors = [str(fst_factor), str(snd_factor)]
            arguments = ["LinearSequenceMap", names[fst], names[snd], *factors]
        case Aggregate(selector, sop):
            arguments = ["SelectAggregate", *_select(program, selector, names), names[sop]]
        case SelectorWidth(selector):
            arguments = ["SelectorWidth", *_select(program, selector, names)]
        case _:
            raise ProgramError(f"not an operation: {node}")
    return [program.encoding(ref).value, *arguments]


def _select(program: Program, ref: Ref, names: dict[Ref, str]) -> list[str]:
    node = program.nodes[ref]
    if not isinstance(node, Select):
        raise ProgramError(f"the paper's token form has no composite selectors: {node}")
    return [names[node.keys], names[node.queries], predicate_name(node.predicate)]


def predicate_name(predicate: Predicate) -> str:
    """A predicate's token: Tracr's name of a comparison, the text of anything else."""
    return predicate.name if isinstance(predicate, Comparison) else str(predicate)


def program_from_paper_tokens(tokens: Sequence[str]) -> Program:
    """Reads a canonical token list back.

    Raises:
        ProgramError: the list does not follow the form.
    """
    builder = Builder()
    names: dict[str, Ref] = {TOKENS_NAME: TOKENS, INDICES_NAME: INDICES}
    last: Ref = TOKENS
    position = 0
    words = [token for token in tokens if token not in ("BOS", "EOL", "EOS")]
    while position < len(words):
        try:
            end = words.index("EOO", position)
            name, encoding, kind, *arguments = words[position:end]
            node = _read_operation(builder, names, kind, Encoding(encoding), arguments)
        except (ValueError, KeyError) as error:
            raise ProgramError(f"not the paper's token form at token {position}: {error}") from None
        last = names[name] = builder.add(node, name)
        position = end + 1
    return builder.build(last)


def _read_operation(
    builder: Builder, names: dict[str, Ref], kind: str, encoding: Encoding, words: list[str]
) -> Node:
    def body(text: str) -> str:
        return text.split(":", 1)[1].strip()

    match kind, words:
        case "Map", [function, inner]:
            return Map(formula(body(function), 1), names[inner], encoding)
        case "SequenceMap", [function, fst, snd]:
            return SequenceMap(formula(body(function), 2), names[fst], names[snd], encoding)
        case "LinearSequenceMap", [fst, snd, fst_factor, snd_factor]:
            return LinearSequenceMap(
                names[fst], names[snd], int(fst_factor), int(snd_factor), NUMERICAL
            )
        case "SelectAggregate", [keys, queries, predicate, sop]:
            select = builder.add(Select(names[keys], names[queries], Comparison[predicate]))
            default = None if encoding is CATEGORICAL else 0
            return Aggregate(select, names[sop], default, encoding)
        case "SelectorWidth", [keys, queries, predicate]:
            select = builder.add(Select(names[keys], names[queries], Comparison[predicate]))
            return SelectorWidth(select, encoding)
        case _:
            raise ValueError(f"unknown operation {kind} {words}")
