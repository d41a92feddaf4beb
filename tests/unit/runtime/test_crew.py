"""A crew does what it is handed, in order, and survives what it should not have been handed."""

import threading

import pytest

from angarium.runtime.crew import Crew


def test_all_that_was_handed_over_is_done_when_it_closes():
    crew = Crew(2, "test")
    done = []
    for number in range(100):
        crew.submit(lambda number=number: done.append(number))
    crew.close()
    assert sorted(done) == list(range(100))


def test_work_runs_at_the_same_time_on_as_many_threads_as_there_are():
    crew = Crew(3, "test")
    meet = threading.Barrier(3)
    for _ in range(3):
        crew.submit(lambda: meet.wait(10))
    crew.close()
    assert not meet.broken


def test_a_thread_survives_work_that_raises(capfd):
    crew = Crew(1, "test")
    done = []
    crew.submit(lambda: 1 / 0)
    crew.submit(lambda: done.append(1))
    crew.close()
    assert done == [1]
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_after_the_end_nothing_is_taken():
    crew = Crew(1, "test")
    crew.close()
    with pytest.raises(RuntimeError):
        crew.submit(int)
