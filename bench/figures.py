"""Figures: what was measured of whom, a value for each round, and what it is beside the baseline's."""

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Figure:
    """One thing that is measured: its name, its unit, and how many digits of it are worth telling."""

    name: str
    unit: str
    digits: int = 0
    compared: bool = True
    """Whether it says something beside a baseline's."""


@dataclass(frozen=True)
class Goal:
    """What a figure is to be at most: beside a baseline or another case, or by itself."""

    case: str
    who: str
    figure: str
    at_most: float
    beside: str = ""
    """The baseline, or the other case; empty for none."""
    how: Literal["ratio", "difference", "value", "case"] = "value"


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, and the least and the most of them."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """That of values, of which there is one at least."""
        return cls(statistics.median(values), min(values), max(values))

    def told(self, digits: int) -> str:
        """In words: `57 (55-60)`, or `57` where all are the same."""
        middle, *ends = (f"{value:,.{digits}f}" for value in (self.median, self.least, self.most))
        return middle if ends[0] == ends[1] == middle else f"{middle} ({ends[0]}–{ends[1]})"


def p95(values: Sequence[float]) -> float:
    """What one of twenty values is above; there are two at least."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


Key = tuple[str, str, str]
"""Case, who, figure."""


@dataclass
class Results:
    """What one measurement has found: every value of every round."""

    name: str
    title: str
    baselines: Sequence[str]
    figures: Sequence[Figure]
    goals: Sequence[Goal] = ()
    values: dict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))
    machine: Mapping[str, str] = field(default_factory=dict)
    """What was measured on and when, and in what browser."""

    def add(self, case: str, who: str, found: Mapping[str, float]) -> None:
        """Take down what a round has found."""
        for figure in self.figures:
            if figure.name in found:
                self.values[case, who, figure.name].append(found[figure.name])

    def spread(self, case: str, who: str, figure: str) -> Spread | None:
        """The values of a figure; None where it was not measured."""
        values = [value for value in self.values.get((case, who, figure), []) if not math.isnan(value)]
        return Spread.of(values) if values else None

    def beside(self, case: str, who: str, figure: str, baseline: str, how: str = "ratio") -> Spread | None:
        """A figure as a multiple of a baseline's of the same round, or as what it is above that."""
        other = (baseline, who) if how == "case" else (case, baseline)
        ours, theirs = (self.values.get((*row, figure), []) for row in ((case, who), other))
        pairs = [pair for pair in zip(ours, theirs, strict=False) if not any(map(math.isnan, pair))]
        if how == "difference":
            return Spread.of([one - other for one, other in pairs]) if pairs else None
        return Spread.of([one / other for one, other in pairs if other]) if any(b for _, b in pairs) else None

    def reached(self, goal: Goal) -> Spread | None:
        """What a goal is about, as it was found."""
        if goal.how == "value":
            return self.spread(goal.case, goal.who, goal.figure)
        return self.beside(goal.case, goal.who, goal.figure, goal.beside, goal.how)

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Each case with each of those who were measured in it: the baselines before the others."""
        found = list(dict.fromkeys((case, who) for case, who, _ in self.values))
        cases = list(dict.fromkeys(case for case, _ in found))
        return sorted(found, key=lambda row: (cases.index(row[0]), row[1] not in self.baselines))
