"""The report: tables for people, in `docs/performance.md` between its marks, and JSON for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.figures import Figure, Goal, Results
from bench.processes import ROOT

DOCUMENT = ROOT / "docs" / "performance.md"
JSON = ROOT / "bench" / "results.json"
NAME = "figures"


def written(found: Sequence[Results]) -> None:
    """Write both; what was written down before and is not measured now stays, where it was."""
    before = known() if JSON.exists() else []
    new = {results.name: results for results in found}
    every = [new.pop(results.name, results) for results in before]
    every += new.values()
    DOCUMENT.write_text(replaced(DOCUMENT.read_text(), NAME, told(every)))
    JSON.write_text(json.dumps({"measurements": list(map(_documented, every))}, indent=1) + "\n")


def known() -> list[Results]:
    """What was written down last."""
    return [_read(document) for document in json.loads(JSON.read_text())["measurements"]]


def marks(name: str) -> tuple[str, str]:
    """What stands before and behind the part of a document that is written by a program."""
    return f"<!-- {name} -->", f"<!-- end of {name} -->"


def replaced(text: str, name: str, part: str) -> str:
    """A document's text with another part of that name."""
    begin, end = marks(name)
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{part}\n{end}{after}"


def told(every: Sequence[Results]) -> str:
    """Tables in Markdown."""
    goals = [row for results in every for goal in results.goals if (row := _goal(results, goal))]
    parts = ["### Goals\n\n" + table(["what", "goal", "found", ""], goals)] if goals else []
    parts += [_results(results) for results in every]
    return "\n\n".join(parts) + "\n"


def _goal(results: Results, goal: Goal) -> list[str] | None:
    figure = next(figure for figure in results.figures if figure.name == goal.figure)
    if (found := results.reached(goal)) is None:
        return None
    digits = 2 if goal.how in ("ratio", "case") else figure.digits
    unit = {
        "ratio": f"× {goal.beside}",
        "case": f"× {goal.beside}",
        "difference": f"{figure.unit} above {goal.beside}",
    }.get(goal.how, figure.unit)
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
    note = f"Median of the rounds (least–most); then, of the same round, {beside}. " if beside else ""
    machine = ". ".join(f"{name.capitalize()}: {value}" for name, value in results.machine.items())
    return f"### {results.title}\n\n{note}{machine}.\n\n{table(heads, rows)}"


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


def _documented(results: Results) -> dict[str, Any]:
    """All values of all rounds, what they come to, and all that it takes to tell of them."""
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
    return {
        "name": results.name,
        "title": results.title,
        "machine": dict(results.machine),
        "baselines": list(results.baselines),
        "units": list(map(asdict, results.figures)),
        "goals": list(map(asdict, results.goals)),
        "figures": found,
    }


def _read(document: Mapping[str, Any]) -> Results:
    results = Results(
        document["name"],
        document["title"],
        document["baselines"],
        [Figure(**figure) for figure in document["units"]],
        [Goal(**goal) for goal in document["goals"]],
        machine=document["machine"],
    )
    for one in document["figures"]:
        results.values[one["case"], one["who"], one["figure"]] = one["rounds"]
    return results
