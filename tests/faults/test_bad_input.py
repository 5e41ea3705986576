"""A small part of the fuzz: ``make faults`` reads more than 10,000 bad inputs."""

import pytest

from faults.bad_input import CASES, try_bad_input


@pytest.mark.parametrize("kind", CASES)
def test_a_reader_lets_nothing_out_but_our_own_errors(kind: str) -> None:
    """And of a file that it takes, it finds the users that Python's own reader finds."""
    assert try_bad_input(kind, 150) >= 150
