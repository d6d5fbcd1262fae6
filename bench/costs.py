"""What a simulation is given, what each thing costs and how much of all there is; and what comes of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """What things take, in seconds: of processor time, save `wait`."""

    token: float = 0
    """To take one from a model."""
    commit: float = 0
    row: float = 0
    """To store what one answer has got, in a commit."""
    wait: float = 0
    """What a commit waits for the disk."""
    render: float = 0
    """What all readers of an answer in a process share."""
    send: float = 0
    """To send an event to one reader."""
    far: float = 0
    """To read from the database what another process has written, for one event."""
    prompt: float = 0
    beside: float = 0
    """What a process does besides, in each second."""
    database_commit: float = 0
    database_row: float = 0
    database_far: float = 0
    model: float = 0
    """What the scripted model takes for a token, where it is on the same host."""
    reader: float = 0
    """What the program that reads takes for an event, where it is on the same host."""


@dataclass(frozen=True)
class Setup:
    """What is simulated."""

    answers: int
    rate: float = 20
    readers: int = 1
    processes: int = 1
    postgres: bool = False
    elsewhere: float = 0
    """The part of the readers that read from another process than writes their answer."""
    prompts: float = 0
    """New ones in each second, of each process."""
    cores: int = 2
    alone: bool = False
    """Whether the database, the model and the readers have hosts of their own."""
    seconds: float = 2


@dataclass(frozen=True)
class Outcome:
    """What came of it: lags in milliseconds, processor time in microseconds for a token, or in cores."""

    delivered: float
    lag_p50: float
    lag_p99: float
    cpu: float
    database_cpu: float
    others_cpu: float
    busiest: float
    """How much of its time the event loop of a process has something to do."""
    tokens: float
    """In each second, like the following."""
    commits: float
    events: float
    """States of answers that were stored; each is sent to each reader."""
    far: float
    """Events that a process has read from the database."""
