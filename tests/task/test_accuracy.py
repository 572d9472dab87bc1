"""Shares of inputs on which a network is right as a whole."""

from __future__ import annotations

import numpy as np
import pytest

from known_networks import averaging, network_of_table
from untracr.errors import InputError
from untracr.task.accuracy import Wanted, accuracy, right
from untracr.task.documents import told_of
from untracr.task.settling import settled
from untracr.task.task import Task

IDS = np.array([[0, 1, 2], [2, 1, 0], [1, 1, 1]], dtype=np.int16)
ALL = np.ones(IDS.shape, dtype=bool)


def bare(count: int) -> Task:
    """A task of which nothing is told."""
    return settled(told_of({}), network_of_table(np.zeros((count, count))))[0]


def test_the_largest_logit_at_every_position_that_counts() -> None:
    network = network_of_table(np.eye(3))
    truth = IDS.copy()
    truth[0, 2], truth[1, 1] = 0, 0
    assert accuracy(network, bare(3), Wanted(IDS, ALL, truth)) == 1 / 3
    compare = ALL.copy()
    compare[0, 2] = False
    np.testing.assert_array_equal(
        right(network, bare(3), Wanted(IDS, compare, truth)), [True, False, True]
    )


def test_sets_are_right_as_a_whole() -> None:
    network = network_of_table(np.array([[1, 1, -1], [1, -1, 1], [-1, -1, 0.5]]))
    truth = np.array([[1, 1, 0], [1, 0, 1], [0, 0, 1]], dtype=bool)[IDS]
    assert accuracy(network, bare(3), Wanted(IDS, ALL, truth)) == 1
    outputs = {"outputs": {"means": "next-token set", "above": 0.6}}
    task = settled(told_of(outputs), network)[0]
    np.testing.assert_array_equal(
        right(network, task, Wanted(IDS, ALL, truth)), [False, False, True]
    )


def test_numbers_may_be_off_by_a_thousandth() -> None:
    network = averaging(np.array([10.0, 0.0, 20.0]), causal=True)
    truth = np.array([[10.009, 5, 10], [20, 10.02, 10], [0, 0.0009, -0.0009]])
    np.testing.assert_array_equal(
        right(network, bare(3), Wanted(IDS, ALL, truth)), [True, False, True]
    )


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Wanted(IDS, ALL[:, :2], IDS), "compare must be truth values"),
        (Wanted(IDS, ALL.astype(int), IDS), "compare must be truth values"),
        (Wanted(IDS, ALL, IDS[:2]), "truth must be"),
        (Wanted(IDS, ALL, np.zeros((3, 3, 4), dtype=bool)), "truth must be"),
        (Wanted(IDS, ALL, np.zeros((3, 3, 3))), "truth must be"),
        (Wanted(IDS, ALL, IDS == 1), "truth must be"),
        (Wanted(IDS + 1, ALL, IDS), "0 to 2, not 3"),
        (Wanted(IDS.astype(float), ALL, IDS), "whole numbers"),
        (Wanted(IDS[:0], ALL[:0], IDS[:0]), "there are none"),
    ],
)
def test_what_does_not_fit_is_refused(wanted: Wanted, words: str) -> None:
    with pytest.raises(InputError, match=words):
        accuracy(network_of_table(np.eye(3)), bare(3), wanted)
