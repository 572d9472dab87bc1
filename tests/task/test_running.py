"""Networks whose outputs are known, run in their tasks' words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from known_networks import averaging, network_of_table, successor
from strategies import RELAXED
from untracr.errors import InputError, ModelFileError
from untracr.network.network import Network
from untracr.task import batches
from untracr.task.completing import complete
from untracr.task.documents import told_of
from untracr.task.running import Answer, answers, run, run_ids
from untracr.task.settling import settled
from untracr.task.task import Task

LETTERS = ["a", "b", "c", "d", "<bos>", "<sep>", "<eos>", "<pad>"]


def task_of(network: Network, **document: object) -> Task:
    return settled(told_of(document), network)[0]


@pytest.fixture(scope="module")
def chain() -> Network:
    """Gives after each token the next one of LETTERS: <sep> <eos> <pad> a b c d <bos> <sep>."""
    return successor(len(LETTERS))


def test_next_tokens_at_every_position(chain: Network) -> None:
    task = task_of(chain, tokens=LETTERS, outputs="at every position: next token", input="BOS x")
    assert run(chain, task, ["ab", ["c"], "<bos> d"]) == [
        ["<sep>", "b", "c"],
        ["<sep>", "d"],
        ["<sep>", "<bos>"],
    ]


def test_an_answer_is_written_up_to_the_end_token() -> None:
    table = np.roll(np.eye(8), 1, axis=1)
    table[5] = np.eye(8)[1]  # after <sep> comes b
    table[3] = np.eye(8)[6]  # after d the end
    network = network_of_table(table)
    task = task_of(network, tokens=LETTERS, outputs="next token, the largest logit")
    assert run(network, task, ["a", "dd"]) == [["b", "c", "d"]] * 2
    assert answers(network, task, ["a"]) == [Answer(("<bos>", "a", "<sep>"), (), ("b", "c", "d"))]
    assert complete(network, task, ["a"], most=2) == [("b", "c")]
    assert complete(network, task, ["a <sep> c"]) == [("d",)]
    with pytest.raises(InputError, match="from 0, not -1"):
        complete(network, task, ["a"], most=-1)


def test_answers_of_several_lengths_end_each_in_its_place() -> None:
    table = np.roll(np.eye(8), 1, axis=1)
    table[3] = np.eye(8)[6]  # after d the end
    network = network_of_table(table)
    task = task_of(network, tokens=LETTERS, outputs="next token", input="x")
    assert complete(network, task, ["d", "c", "a"]) == [(), ("d",), ("b", "c", "d")]


def test_given_an_answer_its_outputs_are_those_that_count(chain: Network) -> None:
    task = task_of(chain, tokens=LETTERS, outputs="next token, the largest logit")
    [found] = answers(chain, task, [["a", "<sep>", "b", "c"]])
    assert found.tokens == ("<bos>", "a", "<sep>", "b", "c", "<eos>")
    assert found.positions == (2, 3, 4)
    assert found.outputs == ("<eos>", "c", "d")
    assert run(chain, task, ["a <sep> b c"]) == [["<eos>", "c", "d"]]


def test_without_an_end_token_positions_end_an_answer(chain: Network) -> None:
    """Twelve, of which two are taken."""
    task = task_of(
        chain, tokens=[*"abcdefg", "="], outputs="next token after =", answer_lengths=[0, 20]
    )
    assert run(chain, task, ["g="]) == [list("abcdefg=ab")]
    short = task_of(chain, tokens=[*"abcdefg", "="], outputs="next token after =", answer_lengths=2)
    assert run(chain, short, ["g="]) == [["a", "b"]]


def test_sets_of_next_tokens() -> None:
    table = np.array([[1, 0.5, 0], [0.2, 0.3, 0.6], [1, 1, 1]])
    network = network_of_table(table)
    task = task_of(
        network,
        tokens=["u", "v", "END"],
        outputs="next-token sets, one logit a token, allowed where it is above 0.4",
    )
    assert run(network, task, ["uv"]) == [[("u", "v"), ("END",)]]


def test_labels_where_a_token_stands() -> None:
    network = network_of_table(np.eye(4)[:, :2])
    task = task_of(network, tokens=["START", "END", "u", 7], outputs="at END: 0 begins, 1 ends")
    [found] = answers(network, task, [["u", 7, "u"]])
    assert found.tokens == ("START", "u", 7, "u", "END")
    assert (found.positions, found.outputs) == ((4,), ("ends",))


def test_numbers_and_a_masked_token() -> None:
    """The average of what the tokens read, of all but those that are masked."""
    network = averaging(np.array([2.0, 6.0, 100.0]), masked_token=2)
    task = task_of(network, tokens=["two", "six", "none"], outputs={"means": "number"}, pad="none")
    assert run(network, task, ["two six", "six"]) == [[4.0, 4.0], [6.0]]
    assert run_ids(network, task, [[0, 1, 2], [1, 2, 2]]) == [[4.0, 4.0], [6.0]]


def test_inputs_are_filled_up_where_the_task_says_so() -> None:
    """What fills up is read here: it is not masked."""
    network = averaging(np.array([0.0, 12.0]), positions=4)
    told = {"tokens": ["u", "."], "outputs": {"means": "number", "where": {"at": "u"}}}
    assert run(network, task_of(network, **told), ["u"]) == [[0.0]]
    assert run(network, task_of(network, **told, input="x ...."), ["u"]) == [[9.0]]
    short = task_of(network, **told, input="x ....", lengths=[1, 2])
    assert run(network, short, ["u", "uu"]) == [[6.0], [0.0, 0.0]]


def test_ordinary_tokens_around_an_input_are_always_put_in() -> None:
    """An input that begins with them may have them itself."""
    network = network_of_table(np.eye(3))
    told = {"tokens": ["0", "1", "END"], "outputs": "at every position: a token"}
    task = task_of(network, **told, input="0 x END")
    assert answers(network, task, [["0", "1", "END"]]) == answers(network, task, ["01END"])
    assert answers(network, task, ["01END"])[0].tokens == ("0", "0", "1", "END")


def test_a_token_that_ends_and_fills_up_counts_once() -> None:
    """Many configurations have one id for both."""
    network = network_of_table(np.eye(3))
    told = {"tokens": ["a", "b", "END"], "specials": {"EOS": "END", "PAD": "END"}}
    task = task_of(network, **told, outputs="at END: 0 a, 1 b, 2 end")
    assert run(network, task, ["ab"]) == [["end"]]
    assert run_ids(network, task, [[0, 1, 2, 2], [0, 0, 0, 2]]) == [["end"], ["end"]]


def test_the_last_position_that_is_not_filled_up() -> None:
    network = network_of_table(np.eye(3))
    task = task_of(
        network, tokens=["a", "b", "PAD"], outputs="at the last position: 0 a, 1 b, 2 filled"
    )
    assert run_ids(network, task, [[0, 1, 0], [0, 1, 2]]) == [["a"], ["b"]]


def test_names_that_are_numbers_are_found_as_text_and_texts_as_numbers() -> None:
    network = network_of_table(np.eye(3), positions=3)
    task = task_of(network, tokens=["-1", "0", 7], outputs="at every position: a token")
    wanted = [["-1", 7, "0"]]
    assert run(network, task, [[-1, 7, 0]]) == run(network, task, ["-1,7,0"]) == wanted
    assert run(network, task, ["-1 7 0"]) == run(network, task, [["-1", "7", "0"]]) == wanted


def test_special_tokens_are_read_among_characters() -> None:
    network = network_of_table(np.eye(5))
    told = {"outputs": "at every position: a token", "input": "x END"}
    task = task_of(network, **told, tokens=["a", "b", "E", "<sep>", "END"])
    [[*tokens]] = run(network, task, ["ab<sep>aEND"])
    assert tokens == ["a", "b", "<sep>", "a", "END"]
    spelled = task_of(network, **told, tokens=["E", "N", "D", "<sep>", "END"])
    assert run(network, spelled, ["END<sep>E"]) == [["E", "N", "D", "<sep>", "E", "END"]]


def test_a_comma_or_a_space_that_is_a_token_parts_nothing() -> None:
    network = network_of_table(np.eye(3))
    task = task_of(network, tokens=["a", ",", " "], outputs="at every position: a token")
    assert run(network, task, ["a, a"]) == [["a", ",", " ", "a"]]


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ("abz", "input 1: token 'z' at position 2 is none of the task's 8 tokens"),
        ("a,BB", "token 'BB' at position 1"),
        (["a", None], "token None"),
        (["a", 10**5000], "token a whole number of"),
        (["a", float("nan")], "token nan"),
        (["a", ["b"]], "a list of token names"),
        (3, "a list of token names"),
        ("abcdabcdabcd", "0 to 10 tokens, special ones not counted; this has 12"),
        ("a <bos> b", "holds the special token <bos>; inputs are '<bos> x <eos>'"),
        ("a <pad>", "holds the special token <pad>"),
    ],
)
def test_inputs_that_are_none_are_refused(chain: Network, tokens: object, words: str) -> None:
    task = task_of(chain, tokens=LETTERS, outputs="next-token sets")
    with pytest.raises(InputError, match=words.replace("(", r"\(")):
        run(chain, task, ["ab", tokens])  # type: ignore[list-item]


def test_one_text_is_no_list_of_inputs(chain: Network) -> None:
    with pytest.raises(InputError, match="inputs are a list of inputs"):
        run(chain, task_of(chain, tokens=LETTERS), "ab")


def test_an_input_without_an_output_that_counts_is_refused(chain: Network) -> None:
    task = task_of(chain, tokens=LETTERS, outputs="at c: 0 to 7", input="x")
    with pytest.raises(InputError, match="input 1: no output counts; they count at c"):
        run(chain, task, ["abc", "ab"])


def test_weights_that_overflow_are_said(chain: Network) -> None:
    huge = network_of_table(np.full((8, 8), 3e38)).replace(W_E=np.full((8, 8), 10, np.float32))
    task = task_of(chain, tokens=LETTERS, outputs="next token")
    for inputs in (["a"], ["a <sep> b"]):
        with pytest.raises(ModelFileError, match="finite"):
            run(huge, task, inputs)


def test_an_input_too_large_for_memory_is_refused(
    chain: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MAX_RUN_NUMBERS", 100)
    task = task_of(chain, tokens=LETTERS, outputs="next token")
    with pytest.raises(InputError, match="at most 100 are"):
        run(chain, task, ["ab"])


def test_batches_are_bounded_and_change_nothing(
    chain: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One input at a time or all at once."""
    network = random_network()
    task = task_of(network, tokens=list("abcd"), outputs={"means": "number"})
    rng = np.random.default_rng(3)
    inputs = ["".join(rng.choice(list("abcd"), size=rng.integers(1, 12))) for _ in range(40)]
    together = run(network, task, inputs)
    monkeypatch.setattr(batches, "AT_ONCE", 1)
    assert len(list(batches.batches(network, 40, 5))) == 40
    assert run(network, task, inputs) == together
    assert [run(network, task, [one])[0] for one in inputs] == together


def random_network() -> Network:
    """A network in which every part does something."""
    network = averaging(np.array([1.0, -2.0, 0.5, 3.0]), causal=True)
    rng = np.random.default_rng(1)
    heads = network.layers[0].attention
    for array in (heads.W_Q, heads.W_K, heads.W_V, network.W_pos):
        assert array is not None
        array += rng.normal(size=array.shape).astype(np.float32)
    return network


@RELAXED
@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=9), max_size=6))
def test_specials_may_be_given_or_left_out(inputs: list[list[str]]) -> None:
    network = successor(len(LETTERS))
    task = task_of(network, tokens=LETTERS, outputs="next-token sets")
    whole = [["<bos>", *tokens, "<eos>"] for tokens in inputs]
    assert answers(network, task, inputs) == answers(network, task, whole)
