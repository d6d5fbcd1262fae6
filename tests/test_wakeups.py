"""Bells: no ring is missed between two waits, and a lost one costs only a wait."""

import asyncio

from app.wakeups import WakeUps


async def test_a_ring_wakes_every_reader_of_that_answer_alone() -> None:
    wakeups = WakeUps()
    with wakeups.listening(1) as first, wakeups.listening(1) as second, wakeups.listening(2) as other:
        sleeper = asyncio.create_task(other.wait(30))
        wakeups.ring([1])

        await asyncio.wait_for(asyncio.gather(first.wait(30), second.wait(30)), 5)

        assert not sleeper.done()
        sleeper.cancel()


async def test_a_ring_before_the_wait_is_not_missed_and_counts_once() -> None:
    wakeups = WakeUps()
    with wakeups.listening(1) as bell:
        wakeups.ring([1])
        await asyncio.wait_for(bell.wait(30), 5)

        second = asyncio.create_task(bell.wait(30))
        await asyncio.sleep(0)
        assert not second.done()
        second.cancel()


async def test_without_a_ring_the_wait_ends_by_itself() -> None:
    wakeups = WakeUps()
    with wakeups.listening(1) as bell:
        await asyncio.wait_for(bell.wait(0.01), 5)


def test_who_left_is_not_counted() -> None:
    wakeups = WakeUps()
    with wakeups.listening(1), wakeups.listening(1):
        assert wakeups.readers(1) == 2
    assert wakeups.readers(1) == 0
    wakeups.ring([1])
