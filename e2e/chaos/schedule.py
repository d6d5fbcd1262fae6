"""The schedule: which fault comes when, by a seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal

Kind = Literal[
    "kill", "kill all", "kill at start", "freeze", "terminate", "cut", "database", "database crash"
]

WEIGHTS: dict[Kind, int] = {"kill": 60, "kill at start": 10, "freeze": 8, "terminate": 8, "cut": 18}
WITH_SEVERAL: dict[Kind, int] = {"kill all": 20}
WITH_POSTGRES: dict[Kind, int] = {"database": 3, "database crash": 3}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong: after how many seconds of quiet, to which process, and for how long."""

    kind: Kind
    after: float
    process: int
    seconds: float

    def kills(self, processes: int) -> int:
        """How many processes it kills."""
        return {"kill": 1, "kill at start": 2, "kill all": processes}.get(self.kind, 0)


def schedule(seed: int, *, kills: int, processes: int, store: str) -> Iterator[Fault]:
    """Faults until there were so many kills."""
    random = Random(seed)
    weights = {
        **WEIGHTS,
        **(WITH_SEVERAL if processes > 1 else {}),
        **(WITH_POSTGRES if store == "postgres" else {}),
    }
    left = kills
    while left > 0:
        kind = random.choices(list(weights), list(weights.values()))[0]
        fault = Fault(
            kind,
            # Now and then long enough for what needs a quiet moment, such as ending what nobody writes.
            after=random.uniform(0.1, 0.9) if random.random() < 0.85 else random.uniform(4, 6),
            process=random.randrange(processes),
            seconds=random.uniform(*{"freeze": (1, 8), "cut": (0, 1)}.get(kind, (0, 1.5))),
        )
        left -= fault.kills(processes)
        yield fault
