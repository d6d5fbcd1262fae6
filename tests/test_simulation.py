"""The simulation: it has what was measured, and docs/scaling.md is what it comes to."""

from collections.abc import Callable, Sequence

import pytest

from app.writer import round_seconds
from bench import simulation
from bench.costs import Costs, Setup
from bench.fitting import Known, Measured, fitted, least_squares
from bench.report import replaced
from bench.simulated import simulated
from bench.simulation import Comparison

pytestmark = pytest.mark.timeout(300)
"""All tables are worked out from all measurements: half a minute, and more with other tests beside it."""

CALM = 200
"""Answers at most: more fill the machine that is measured on, where the readers and the model are too."""


@pytest.fixture(scope="module")
def measured() -> Measured:
    return Measured()


@pytest.fixture(scope="module")
def known(measured: Measured) -> Known:
    return fitted(measured)


@pytest.fixture(scope="module")
def compared(measured: Measured, known: Known) -> Sequence[Comparison]:
    return simulation.compared(measured, known)


def calm(one: Comparison) -> bool:
    return one.point.setup.answers <= CALM and not one.point.setup.elsewhere


def crowded(one: Comparison) -> bool:
    return one.point.setup.answers > CALM


def near(ones: Sequence[Comparison], within: float) -> float:
    """The part of them that is no further off than this factor, in either direction."""
    return sum(1 / within <= one.simulated / one.measured <= within for one in ones) / len(ones)


@pytest.mark.parametrize("figure", ["CPU per token", "lag p50", "lag p99"])
def test_three_of_four_points_of_a_machine_that_is_not_full_are_within_a_quarter(
    compared: Sequence[Comparison], figure: str
) -> None:
    ones = [one for one in compared if one.figure == figure and calm(one)]

    assert len(ones) >= 10
    assert near(ones, 1.25) >= 0.75


@pytest.mark.parametrize(("figure", "within"), [("CPU per token", 1.5), ("lag p50", 2)])
def test_what_nothing_was_fitted_to_is_near_where_much_runs(
    compared: Sequence[Comparison], figure: str, within: float
) -> None:
    ones = [one for one in compared if one.figure == figure and crowded(one)]

    assert len(ones) >= 4
    assert not any(one.fitted for one in ones)
    assert near(ones, within) >= 0.75


def test_everything_is_delivered_as_it_was(compared: Sequence[Comparison]) -> None:
    ones = [one for one in compared if one.figure == "delivered"]

    assert ones
    assert all(one.simulated == pytest.approx(one.measured, abs=2) for one in ones)


def test_the_document_is_what_the_simulation_writes(
    measured: Measured, known: Known, compared: Sequence[Comparison]
) -> None:
    text = simulation.DOCUMENT.read_text()

    for name, part in simulation.told(measured, known, compared).items():
        assert replaced(text, name, part) == text, "run `make simulation`"


ONE = Costs(token=1e-5, commit=1e-3, row=1e-5, wait=1e-3, send=1e-5, reader=1e-6)


def test_tokens_wait_for_half_of_the_time_between_two_transactions() -> None:
    few, many = (simulated(Setup(answers, cores=8), ONE) for answers in (10, 100))

    assert few.lag_p50 == pytest.approx(1_000 * round_seconds(10) / 2, abs=5)
    assert many.lag_p50 == pytest.approx(1_000 * round_seconds(100) / 2, abs=8)


def test_what_is_done_before_the_commit_is_waited_for_by_all() -> None:
    before, behind = Costs(commit=1e-3, row=2e-4), Costs(commit=1e-3, send=2e-4)

    storing, sending = (simulated(Setup(100, cores=8), cost) for cost in (before, behind))

    assert storing.cpu == pytest.approx(sending.cpu, rel=0.2)
    assert storing.lag_p50 > sending.lag_p50 + 5


def test_a_process_that_is_asked_for_more_than_a_core_falls_behind() -> None:
    cost = Costs(token=1e-3, commit=1e-3)

    calm, full = (simulated(Setup(answers, cores=8, seconds=1), cost) for answers in (20, 100))

    assert calm.delivered == 100
    assert calm.lag_p99 < 200
    assert full.busiest > 0.95
    assert full.lag_p99 > 500


def test_processes_on_two_cores_share_them() -> None:
    cost = Costs(token=4e-4, commit=1e-3)

    two, four = (simulated(Setup(200, processes=4, cores=cores, postgres=True), cost) for cores in (2, 4))

    assert two.lag_p50 > four.lag_p50


def test_readers_elsewhere_cost_what_reading_costs() -> None:
    cost = Costs(token=1e-5, commit=1e-3, send=1e-5, far=5e-4)

    def cpu(elsewhere: float) -> float:
        return simulated(Setup(100, processes=2, cores=8, postgres=True, elsewhere=elsewhere), cost).cpu

    assert cpu(1) - cpu(0) == pytest.approx(2 * (cpu(0.5) - cpu(0)), rel=0.1)
    assert cpu(1) > 2 * cpu(0)


@pytest.mark.parametrize(
    ("true", "expected"),
    [(lambda a, b: 3 * a + 2 * b, [3, 2]), (lambda a, b: 3 * a - 0.1 * b, [2.871, 0])],
)
def test_costs_are_found_and_none_is_negative(
    true: Callable[[float, float], float], expected: Sequence[float]
) -> None:
    rows = [(1.0, 1.0), (2.0, 1.0), (3.0, 5.0)]

    assert least_squares(rows, [true(*row) for row in rows]) == pytest.approx(expected, abs=1e-3)


def test_what_it_does_not_know_it_does_not_take_for_leave_to_write() -> None:
    before = simulation.DOCUMENT.stat().st_mtime_ns

    with pytest.raises(SystemExit):
        simulation.main(["--dyr"])

    assert simulation.DOCUMENT.stat().st_mtime_ns == before
