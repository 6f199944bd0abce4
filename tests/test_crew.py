"""Jobs in processes of their own: a killed one costs its own job alone, whatever it held."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from alignlib._core.crew import Crew, Over


def counted(number: int) -> Iterator[int]:
    """Yield numbers; of a negative one the process is killed in the middle, of nought there is an error."""
    for k in range(abs(number)):
        yield k
        if number < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    if number == 0:
        raise ValueError("none")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a process is killed as POSIX does it")
def test_answers_come_one_by_one_and_a_killed_process_costs_its_job_alone() -> None:
    with Crew(counted, {"a": 1, "b": 1}) as crew:
        for number in (2, -1, 0):
            crew.give("a", number)
        found: dict[int, list[object]] = {}
        for came in crew.answers(patience=60.0):
            assert came is not None
            job, answer = came
            found.setdefault(job, []).append(answer)
            if job == 2 and answer == Over():
                crew.give("b", 3)  # while others are at work
    killed = Over(f"its process was ended abruptly, with exit code {-signal.SIGKILL}")
    assert found == {2: [0, 1, Over()], -1: [0, killed], 0: [Over("ValueError: none")], 3: [0, 1, 2, Over()]}


def test_what_is_left_ends_with_the_block() -> None:
    crew: Crew[int, int] = Crew(counted, {"a": 1})

    def broken_off() -> None:
        with crew:
            crew.give("a", 10**9)
            next(crew.answers())
            raise KeyError

    with pytest.raises(KeyError):
        broken_off()
    assert [worker.process.exitcode for worker in crew._workers] != [None]
