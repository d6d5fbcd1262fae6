"""The report: what a run went through, and what of the promises it found kept."""

from collections import Counter
from collections.abc import Sequence
from statistics import median

from e2e.chaos.checks import Result, lost_answers
from e2e.chaos.records import Run

MOST_SHOWN = 5
"""Violations of one promise that are shown in full."""


def report(run: Run, results: Sequence[Result], title: str) -> str:
    """The figures, the promises, and each violation with the message that it is about."""
    lines = [title, *(f"  {name:<28} {value}" for name, value in figures(run).items()), ""]
    lines.append(f"  {'promise':<46} {'looked at':>9} {'broken':>7}")
    lines += [
        f"  {result.promise:<46} {result.looked_at:>9} {len(result.violations):>7}" for result in results
    ]
    for result in results:
        for violation in result.violations[:MOST_SHOWN]:
            lines += ["", f"{result.promise}: BROKEN, {title}", f"  {violation}"]
        if (more := len(result.violations) - MOST_SHOWN) > 0:
            lines.append(f"  … and {more} more")
    return "\n".join(lines)


def figures(run: Run) -> dict[str, str]:
    """What a run went through."""
    rows = run.stored.rows.values()
    endings = Counter(row.status for row in rows if row.role == "assistant")
    shown = sum(len(piece.text) for reading in run.readings for piece in reading.shown)
    acknowledged = sum(prompt.acknowledged for prompt in run.prompts)
    sendings = sum(prompt.sendings for prompt in run.prompts)
    lost = lost_answers(run)
    wall = [reading.ended_at - at for at, reading in lost]
    able = [run.healthy_seconds(at, reading.ended_at) for at, reading in lost]
    return {
        "kill -9": str(run.faults["kill -9"]),
        "other faults": _counts({kind: n for kind, n in run.faults.items() if "kill" not in kind}),
        "prompts acknowledged": f"{acknowledged} of {len(run.prompts)}, sent {sendings} times",
        "answers": f"{endings.total()} ({_counts(endings)})",
        "characters shown": f"{shown:,}",
        "readings": f"{len(run.readings)} as text, {len(run.fragment_readings)} as fragments",
        "connections lost and found": str(sum(len(reading.resumptions) for reading in run.readings)),
        "stops, deletions, retries": f"{len(run.stops)}, {len(run.deletions)}, "
        f"{sum(len(prompt.retried) for prompt in run.prompts)}",
        "refusals by status": _counts({f"{status}": n for status, n in run.refusals.items()}) or "none",
        "in the servers' logs": _counts(run.complaints) or "nothing",
        "kill to interrupted": _seconds(wall),
        "  of it with a server there": _seconds(able),
        "told to end to ended": _seconds(run.termination_seconds),
        "listening to first event": _seconds(resume_seconds(run)),
    }


def resume_seconds(run: Run) -> list[float]:
    """From when a process listens again to the first event on each stream that was resumed on it."""
    return [
        resumption.event_at - max(found)
        for reading in run.readings
        for resumption in reading.resumptions
        if (found := [at for at in run.listening[resumption.process] if resumption.between(at)])
    ]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if count)


def _seconds(values: Sequence[float]) -> str:
    if not values:
        return "never seen"
    return f"median {median(values):.2f} s, at most {max(values):.2f} s ({len(values)} times)"
