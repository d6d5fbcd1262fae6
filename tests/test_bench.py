"""The measurements: what they tell is what was there, and each multiple is of two figures of one round."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from bench import capacity, report
from bench.arrivals import arrived
from bench.figures import Figure, Goal, Results, p95
from bench.load import Load, run
from bench.options import Options
from bench.setups import Setup, raw, tutorial
from bench.text import tokens
from bench.upstream import Record, Upstream

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def results(*goals: Goal) -> Results:
    found = Results("speed", "Speed", ("theirs",), (Figure("time", "ms"),), goals)
    for ours, theirs in ((10, 20), (30, 100), (60, 10)):
        found.add("one", "theirs", {"time": theirs})
        found.add("one", "ours", {"time": ours})
    return found


def chunked(*events: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events)


def test_a_multiple_is_of_two_figures_of_the_same_round() -> None:
    ratio = results().beside("one", "ours", "time", "theirs")

    assert ratio
    assert (ratio.median, ratio.least, ratio.most) == (0.5, 0.3, 6)


def test_a_goal_is_told_with_what_was_found() -> None:
    ratio = Goal("one", "ours", "time", 0.5, "theirs", "ratio")
    value = Goal("one", "ours", "time", 15)
    other = Goal("two", "ours", "time", 1.1, "one", "case")
    found = results(ratio, value, other)
    for time in (5, 15, 30):
        found.add("two", "ours", {"time": time})

    told = report.told([found])

    assert "| one: time, ours | ≤ 0.5 × theirs | 0.50 (0.30–6.00) | reached |" in told
    assert "| two: time, ours | ≤ 1.1 × one | 0.50 | reached |" in told
    assert "| one: time, ours | ≤ 15 ms | 30 (10–60) | missed: 2.00 times that |" in told


def test_the_report_replaces_the_last_one_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = tmp_path / "performance.md"
    monkeypatch.setattr(report, "DOCUMENT", document)
    monkeypatch.setattr(report, "JSON", tmp_path / "results.json")
    begin, end = report.marks(report.NAME)
    document.write_text(f"# Before\n\n{begin}\n| old |\n{end}\n\nBehind.\n")

    report.written([results()])
    report.written([results()])

    text = document.read_text()
    assert text.startswith("# Before\n")
    assert text.endswith("\nBehind.\n")
    assert "old" not in text
    assert text.count("### Speed") == 1


def test_what_is_not_measured_again_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = tmp_path / "performance.md"
    monkeypatch.setattr(report, "DOCUMENT", document)
    monkeypatch.setattr(report, "JSON", tmp_path / "results.json")
    document.write_text("\n".join(report.marks(report.NAME)))
    goal = Goal("one", "ours", "time", 0.5, "theirs", "ratio")
    report.written(
        [replace(results(goal), machine={"date": "then"}), replace(results(), name="size", title="Size")]
    )
    before = document.read_text()

    report.written([replace(results(), name="size", title="Size", machine={"date": "now"})])

    assert document.read_text().replace("Date: now.", ".") == before
    assert [(one.name, one.machine) for one in report.known()] == [
        ("speed", {"date": "then"}),
        ("size", {"date": "now"}),
    ]


def test_both_stores_are_measured_with_every_number_of_answers_in_one_process_and_in_two() -> None:
    plans = {(plan.store, plan.processes): tuple(plan.streams) for plan in capacity.planned(Options())}

    assert plans == {
        (store, processes): (1, 10, 50, 100, 200, 500)
        for store in ("sqlite", "postgres")
        for processes in (1, 2)
    }


def test_of_forty_first_tokens_the_slowest_two_are_beyond_the_p95() -> None:
    assert 38 < p95([*range(1, 39), 1_000, 2_000]) < 100


def test_a_token_has_come_when_the_position_behind_it_has() -> None:
    one, two, three = tokens(3)
    ends = len(one), len(one + two), len(one + two + three)
    record = Record(0, sent=[1.0, 1.1, 1.2])
    first, rest = b"id: %d\ndata: x\n\n" % ends[0], b"id: %d\ndata: y\n\n" % ends[2]
    stream = chunked(first, rest)
    cut = len(chunked(first)) + 12  # in the middle of the second event

    arrivals = arrived([(2.0, HEAD + stream[:cut]), (3.0, stream[cut:])], "text", record)

    assert arrivals.come == [2.0, 3.0, 3.0]
    assert list(arrivals.lags(1.05, 2)) == pytest.approx([1.9, 1.8])


def test_what_shows_nothing_on_a_page_has_no_lag() -> None:
    pieces = tokens(60)
    record = Record(0, sent=[1.0] * 60)

    arrivals = arrived([(2.0, HEAD + chunked(b"event: done\ndata: complete\n\n"))], "html", record)

    silent = [piece for piece, counts in zip(pieces, arrivals.counted, strict=True) if not counts]
    assert arrivals.delivered == 60
    assert "\n\n" in silent
    assert pieces[0] not in silent
    assert len(list(arrivals.lags(0, 2))) == 60 - len(silent)


@pytest.mark.parametrize("baseline", [raw, tutorial])
def test_all_that_the_upstream_writes_is_delivered_by_a_baseline(
    baseline: Callable[[Upstream], AbstractContextManager[Setup]],
) -> None:
    with Upstream() as upstream, baseline(upstream) as running:
        load = Load(running.kind, running.ports, upstream.port, running.pids, count=3, rate=50, seconds=0.3)
        seen = run(load)

    assert seen.sent > 3 * 50 * 0.3
    assert seen.delivered == seen.sent
    assert seen.refused == 0
    assert 0 < seen.lag_p50 < 1000
    assert seen.cpu > 0
