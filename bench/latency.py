"""Latency of the server: to the model, from its first token, from Stop to silence, and back after a cut."""

import re
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack

from bench.exchange import FIRST_TOKEN, Exchange, asking, get, post
from bench.figures import Figure, Goal, Results, p95
from bench.options import Options
from bench.setups import RAW, TUTORIAL, Setup, ours, raw, tutorial, warm
from bench.upstream import Record, Upstream

NAME = "latency"
CASE = "one reader"
REPEATS = 5
FIRST_TOKENS = 40
"""As many are looked at in a round: of fewer the slowest twentieth would be one, or none."""
RATE = 20
THINKING_SECONDS = 0.15
"""How long the model takes for its first token: by then whoever reads is connected."""
CUT_SECONDS = 0.2
CLOSED_SECONDS = 10

FIGURES = (
    Figure("model asked", "ms", 1),
    Figure("first token", "ms", 1),
    Figure("first token, p95", "ms", 1),
    Figure("back after a cut", "ms", 1),
    Figure("stop to silence", "ms", 1),
)
READ_AS = ("text", "HTML")
GOALS = (
    *(Goal(CASE, who, "first token", 5, RAW, "difference") for who in READ_AS),
    *(Goal(CASE, who, "first token, p95", 1, TUTORIAL, "ratio") for who in READ_AS),
)


def measure(options: Options) -> Results:
    """All of them in turns, several times a round; a round's value is their median, unless it says p95."""
    title = "Latency of the server: from prompt to model, from its first token to the reader's, and others"
    results = Results(NAME, title, (TUTORIAL, RAW), FIGURES, GOALS)
    for _ in range(options.rounds):
        with Upstream() as upstream, ExitStack() as closing:
            starts = {
                RAW: raw(upstream),
                TUTORIAL: tutorial(upstream),
                "text": ours(upstream, "text"),
                "HTML": ours(upstream, "html"),
            }
            everyone = {who: closing.enter_context(start) for who, start in starts.items()}
            found: dict[str, list[dict[str, float]]] = {who: [] for who in everyone}
            for setup in everyone.values():
                warm(setup, upstream)
            for repeat in range(REPEATS):
                for who, setup in everyone.items():
                    found[who].append(_measured(setup, upstream, f"{who} {repeat}"))
            first: dict[str, list[float]] = {who: [] for who in everyone}
            upstream.say(rate=RATE, delay=THINKING_SECONDS, count=2, together=1)
            for number in range(FIRST_TOKENS):
                for who, setup in everyone.items():
                    first[who].append(_first_token(setup, upstream, f"{who}, first token {number}"))
            for who, each in found.items():
                firsts = {"first token": statistics.median(first[who]), "first token, p95": p95(first[who])}
                results.add(CASE, who, _medians(each) | firsts)
    return results


def _first_token(setup: Setup, upstream: Upstream, prompt: str) -> float:
    """From the model's first token to its reader's, in ms."""
    with asking(setup.kind, setup.ports[0], prompt).exchange as exchange:
        first = exchange.until(FIRST_TOKEN[setup.kind])
    return (first - _closed(upstream, prompt).sent[0]) * 1e3


def _measured(setup: Setup, upstream: Upstream, prompt: str) -> dict[str, float]:
    """One answer: asked for, cut off, read again, stopped."""
    upstream.say(rate=RATE, delay=THINKING_SECONDS, together=1)
    asked = asking(setup.kind, setup.ports[0], prompt)
    with asked.exchange as exchange:
        exchange.until(FIRST_TOKEN[setup.kind])
    if not asked.path:
        # Who wants silence goes away, and who was cut off can only ask anew.
        stopped = time.monotonic()
        record = _closed(upstream, prompt)
        back = _asked_anew(setup, upstream, prompt)
    else:
        time.sleep(CUT_SECONDS)
        last = re.findall(rb"\nid: ?(\w+)", exchange.came)[-1].decode()
        stop = post(asked.path.partition("/fragments")[0] + "/stop", "HX-Request: true")
        with Exchange(setup.ports[0], get(asked.path, f"Last-Event-ID: {last}")) as again:
            back = again.until(FIRST_TOKEN[setup.kind]) - again.asked
            with Exchange(setup.ports[0], stop) as stopping:
                stopped = stopping.asked
                stopping.all()
        record = _closed(upstream, prompt)
    return {
        "model asked": (record.asked - asked.at) * 1e3,
        "back after a cut": back * 1e3,
        "stop to silence": ((record.closed or 0) - stopped) * 1e3,
    }


def _asked_anew(setup: Setup, upstream: Upstream, prompt: str) -> float:
    upstream.say(rate=RATE, together=1)
    asked = asking(setup.kind, setup.ports[0], f"{prompt} again")
    with asked.exchange as exchange:
        return exchange.until(FIRST_TOKEN[setup.kind]) - asked.at


def _closed(upstream: Upstream, prompt: str) -> Record:
    """The record of an answer, once its reader has let go of it."""
    until = time.monotonic() + CLOSED_SECONDS
    while time.monotonic() < until:
        record = upstream.records().get(prompt)
        if record and record.closed is not None:
            return record
    raise AssertionError(f"the answer to {prompt!r} went on")


def _medians(each: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(one[name] for one in each) for name in each[0]}
