"""What a run is to be like."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """How much is measured, and of what; what is empty or 0 is as each measurement has it."""

    rounds: int = 2
    seconds: float = 0
    """How long one figure is measured for."""
    streams: tuple[int, ...] = ()
    stores: tuple[str, ...] = ()
    processes: tuple[int, ...] = ()
