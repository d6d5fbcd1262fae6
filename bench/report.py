"""The report: tables for people, in `docs/performance.md` between its marks, and JSON for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.figures import Figure, Goal, Results
from bench.processes import ROOT

DOCUMENT = ROOT / "docs" / "performance.md"
JSON = ROOT / "bench" / "results.json"
NAME = "figures"


def written(machine: Mapping[str, str], every: Sequence[Results]) -> None:
    """Write both."""
    DOCUMENT.write_text(replaced(DOCUMENT.read_text(), NAME, told(machine, every)))
    JSON.write_text(json.dumps(documented(machine, every), indent=1) + "\n")


def marks(name: str) -> tuple[str, str]:
    """What stands before and behind the part of a document that is written by a program."""
    return f"<!-- {name} -->", f"<!-- end of {name} -->"


def replaced(text: str, name: str, part: str) -> str:
    """A document's text with another part of that name."""
    begin, end = marks(name)
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{part}\n{end}{after}"


def told(machine: Mapping[str, str], every: Iterable[Results]) -> str:
    """Tables in Markdown."""
    every = list(every)
    parts = [". ".join(f"{name.capitalize()}: {value}" for name, value in machine.items()) + "."]
    goals = [row for results in every for goal in results.goals if (row := _goal(results, goal))]
    if goals:
        parts.append("### Goals\n\n" + table(["what", "goal", "found", ""], goals))
    parts += [_results(results) for results in every]
    return "\n\n".join(parts) + "\n"


def _goal(results: Results, goal: Goal) -> list[str] | None:
    figure = next(figure for figure in results.figures if figure.name == goal.figure)
    if (found := results.reached(goal)) is None:
        return None
    digits = 2 if goal.how == "ratio" else figure.digits
    unit = {"ratio": f"× {goal.beside}", "difference": f"{figure.unit} above {goal.beside}"}.get(
        goal.how, figure.unit
    )
    what = f"{goal.case}: {goal.figure}, {goal.who}"
    times = found.median / goal.at_most
    verdict = "reached" if times <= 1 else f"missed: {times:.2f} times that"
    return [what, f"≤ {goal.at_most:g} {unit}", found.told(digits), verdict]


def _results(results: Results) -> str:
    heads = ["", "", *(f"{figure.name}, {figure.unit}".rstrip(", ") for figure in results.figures)]
    told = set[str]()
    rows = []
    for case, who in results.rows:
        cells = [_cell(results, case, who, figure) for figure in results.figures]
        rows.append(["" if case in told else case, who, *cells])
        told.add(case)
    beside = " and ".join(f"× {name}" for name in results.baselines)
    note = f"Median of the rounds (least–most); then, of the same round, {beside}." if beside else ""
    return f"### {results.title}\n\n{note}\n\n{table(heads, rows)}"


def _cell(results: Results, case: str, who: str, figure: Figure) -> str:
    if (spread := results.spread(case, who, figure.name)) is None:
        return ""
    parts = [spread.told(figure.digits)]
    if figure.compared and who not in results.baselines:
        for baseline in results.baselines:
            ratio = results.beside(case, who, figure.name, baseline)
            parts += [f"× {ratio.told(2)}"] if ratio else []
    return "; ".join(parts)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """One in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def documented(machine: Mapping[str, str], every: Iterable[Results]) -> dict[str, Any]:
    """All values of all rounds, and what they come to."""
    return {"machine": dict(machine), "measurements": [_documented(results) for results in every]}


def _documented(results: Results) -> dict[str, Any]:
    found = []
    for (case, who, name), values in results.values.items():
        compared = next(figure.compared for figure in results.figures if figure.name == name)
        ratios = {
            baseline: round(ratio.median, 3)
            for baseline in results.baselines
            if compared and baseline != who and (ratio := results.beside(case, who, name, baseline))
        }
        rounds = [round(value, 4) for value in values]
        found.append({"case": case, "who": who, "figure": name, "rounds": rounds, "beside": ratios})
    units = {figure.name: figure.unit for figure in results.figures}
    return {"name": results.name, "title": results.title, "units": units, "figures": found}
