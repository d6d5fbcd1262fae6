"""What a browser's main thread did, by kind, out of Chromium's own trace. Times are the machine's clock's."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

CATEGORIES = [
    "-*",
    "devtools.timeline",
    "disabled-by-default-devtools.timeline",
    "blink.user_timing",
    "v8",
]
LONG_SECONDS = 0.05
TASKS = {"RunTask", "ThreadControllerImpl::RunTask"}
REST = "script and rest"
"""What is none of these is script, most of it in callbacks of promises, for which the trace has no name."""
KINDS = {
    "collection": ("MinorGC", "MajorGC", "V8.GC"),
    "parsing": ("ParseHTML", "ParseAuthorStyleSheet"),
    "style": ("UpdateLayoutTree", "RecalculateStyles", "InvalidateStyle", "ScheduleStyleRecalculation"),
    "layout": ("Layout", "IntersectionObserver", "HitTest"),
    "paint": ("PrePaint", "Paint", "Layerize", "Commit", "UpdateLayer", "CompositeLayers", "PaintImage"),
}


@dataclass(frozen=True)
class Trace:
    """What was found in a trace, in seconds."""

    kinds: dict[str, float]
    """By kind; together it is all that the main thread did."""
    long_tasks: int
    longest: float
    marks: dict[str, float]
    """When the page's own marks were made."""

    @property
    def main_thread(self) -> float:
        """All of it."""
        return sum(self.kinds.values())


def read(trace: bytes) -> Trace:
    """Make sense of the file that Chromium writes."""
    events: list[dict[str, Any]] = json.loads(trace)["traceEvents"]
    mains = {
        (event["pid"], event["tid"])
        for event in events
        if event.get("name") == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    threads: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if event["ph"] == "X" and (thread := (event["pid"], event["tid"])) in mains:
            threads[thread].append(event)
    busiest = max(threads.values(), key=lambda thread: sum(_tasks(thread)), default=[])
    tasks = _tasks(busiest)
    marks = {event["name"]: event["ts"] / 1e6 for event in events if event.get("cat") == "blink.user_timing"}
    return Trace(_by_kind(busiest), sum(task > LONG_SECONDS for task in tasks), max(tasks, default=0), marks)


def _tasks(thread: Iterable[dict[str, Any]]) -> list[float]:
    return [event["dur"] / 1e6 for event in thread if event["name"] in TASKS]


def _by_kind(thread: Iterable[dict[str, Any]]) -> dict[str, float]:
    """What each event took, without those within it, by kind: processor time, where that is known."""
    seconds: dict[str, float] = dict.fromkeys([REST, *KINDS], 0.0)
    within: list[tuple[float, str]] = []
    for event in sorted(thread, key=lambda event: (event["ts"], -event["dur"])):
        while within and within[-1][0] <= event["ts"]:
            within.pop()
        if not within and event["name"] not in TASKS:
            continue  # its task began before the trace did
        kind = _kind(event["name"]) or (within[-1][1] if within else REST)
        took = event.get("tdur", event["dur"]) / 1e6
        seconds[kind] += took
        if within:
            seconds[within[-1][1]] -= took
        within.append((event["ts"] + event["dur"], kind))
    return seconds


def _kind(name: str) -> str | None:
    return next((kind for kind, names in KINDS.items() if name.startswith(names)), None)
