"""Pace: when models are read, so that what many of them say is taken at one go."""

import asyncio
from collections.abc import Callable

AT_ONCE = 125
"""So many read at one go, at most: what they said is handed on before others read, who else would wait for
all of it twice."""

TURNS = 4
"""Of the event loop, until what had come was taken: it is read in the first, and taken in one of the next."""


class Pace:
    """Has those who read models do so at the same time.

    Whoever stores what models say calls `go` before it does. What came meanwhile has waited in the system,
    all of it together: to wake up for each token costs more than all that is done with it, and would have it
    stored no sooner.
    """

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []
        self._round: list[Callable[[], None]] = []

    @property
    def kept(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting or self._round)

    def wait(self, read: Callable[[], None]) -> None:
        """Call `read` when it is time to read again."""
        self._waiting.append(read)

    async def go(self) -> bool:
        """Have those read who have waited longest, and return when they have taken what had come.

        True if others had waited when the round began, who should read as soon as what these took is handed
        on. Who waits anew waits for the next round, or there would be no end to this one.
        """
        if not self._round:
            self._round, self._waiting = self._waiting, []
        reading, self._round = self._round[:AT_ONCE], self._round[AT_ONCE:]
        for read in reading:
            read()
        for _ in range(TURNS if reading else 0):
            await asyncio.sleep(0)
        return bool(self._round)
