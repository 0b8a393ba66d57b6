"""Results of `whole_graph.py` as tables: one is printed by stage, several side by side with how each stage grows."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

GIB, MIB = 2**30, 2**20
SLOW = 0.02  # a step that takes less than this share of its phase in every result is left out
PUBLISHED = "pricing__price_publications"
STAGES = ("bronze", "warehouse", "gold", "features", "forecasting", "planning", "pricing", "serving", "lineage")
Result = dict[str, Any]


def table(results: Sequence[Result]) -> str:
    """Markdown: phases, stages, slow steps and disk of each of `results`, smallest first.

    `growth` is the power of the number of POS lines that the CPU seconds (or bytes) grow with between the first and
    the last result: 1 is linear.
    """
    heads = [f"{result['name']}, {result['lines'] / 1e6:.1f} M lines" for result in results]
    parts = [_heading("phase", heads, "s wall / s CPU / GiB"), *_phases(results), "", *_to_prices(results, heads), ""]
    for phase in ("run", "nothing new", "a day more"):
        found = [_by_stage(result["phases"].get(phase, {}).get("steps", [])) for result in results]
        if any(found):
            parts += [_heading(f"{phase}: stage", heads, "s wall / s CPU / GiB"), *_rows(found, results), ""]
        steps = [_by_step(result["phases"].get(phase, {}).get("steps", [])) for result in results]
        slow = _slow(steps)
        if slow:
            parts += [_heading(f"{phase}: slow step", heads, "s wall / s CPU / GiB"), *_rows(slow, results), ""]
    return "\n".join([*parts, _heading("disk", heads, "MiB"), *_disk(results)])


def _heading(first: str, heads: Sequence[str], unit: str) -> str:
    names = [first, *(f"{head} ({unit})" for head in heads), *(["growth"] if len(heads) > 1 else [])]
    return "| " + " | ".join(names) + " |\n|" + "---|" * len(names)


def _phases(results: Sequence[Result]) -> Iterable[str]:
    return _rows([{name: _used(phase) for name, phase in result["phases"].items()} for result in results], results)


def _to_prices(results: Sequence[Result], heads: Sequence[str]) -> Iterable[str]:
    """Seconds from the start of a run until prices are published."""
    for result, head in zip(results, heads, strict=True):
        for name, phase in result["phases"].items():
            ends = [s["start"] + s["seconds"] for s in phase.get("steps", []) if s["step"] == PUBLISHED]
            yield from (f"{head}, {name}: prices are published after {end:.0f} s" for end in ends)


def _used(phase: dict[str, Any]) -> tuple[float, float, int]:
    return phase["seconds"], phase["cpu"], phase["memory"]


def _by_stage(steps: Sequence[dict[str, Any]]) -> dict[str, tuple[float, float, int]]:
    """The sums of the steps of each stage, the first part of the name of an asset; the rest are checks of several."""
    found: defaultdict[str, tuple[float, float, int]] = defaultdict(lambda: (0.0, 0.0, 0))
    for step in steps:
        first = step["step"].replace("warehouse_models", "warehouse__models").split("__")[0]
        stage = first if first in STAGES else "checks"
        seconds, cpu, memory = found[stage]
        found[stage] = (seconds + step["seconds"], cpu + step["cpu"], max(memory, step["memory"]))
    return dict(found)


def _by_step(steps: Sequence[dict[str, Any]]) -> dict[str, tuple[float, float, int]]:
    return {step["step"]: (step["seconds"], step["cpu"], step["memory"]) for step in steps}


def _slow(found: Sequence[dict[str, tuple[float, float, int]]]) -> list[dict[str, tuple[float, float, int]]]:
    """Only the steps that take SLOW of all steps in one of the results."""
    slow = set()
    for steps in found:
        whole = sum(seconds for seconds, _, _ in steps.values())
        slow |= {name for name, (seconds, _, _) in steps.items() if seconds >= SLOW * whole}
    return [{name: used for name, used in steps.items() if name in slow} for steps in found] if slow else []


def _rows(found: Sequence[dict[str, tuple[float, float, int]]], results: Sequence[Result]) -> Iterable[str]:
    names = list(dict.fromkeys(name for one in found for name in one))
    for name in names:
        cells = [_cell(one.get(name)) for one in found]
        power = _power([one[name][1] if name in one else None for one in found], results)
        yield "| " + " | ".join([name, *cells, *([power] if len(results) > 1 else [])]) + " |"


def _cell(used: tuple[float, float, int] | None) -> str:
    return "-" if used is None else f"{used[0]:.1f} / {used[1]:.1f} / {used[2] / GIB:.1f}"


def _disk(results: Sequence[Result]) -> Iterable[str]:
    sizes = [result["disk"] | {"all": sum(result["disk"].values()),
                               "scratch at its largest": max(p["scratch"] for p in result["phases"].values())}
             for result in results]  # fmt: skip
    for name in dict.fromkeys(name for one in sizes for name in one):
        cells = [f"{one[name] / MIB:,.0f}" if name in one else "-" for one in sizes]
        power = _power([one.get(name) for one in sizes], results)
        yield "| " + " | ".join([name, *cells, *([power] if len(results) > 1 else [])]) + " |"


def _power(values: Sequence[float | None], results: Sequence[Result]) -> str:
    """The exponent of growth with the number of lines between the first and the last known value."""
    known = [(result["lines"], value) for result, value in zip(results, values, strict=True) if value]
    if len(known) < 2 or known[0][0] == known[-1][0]:
        return "-"
    return f"{math.log(known[-1][1] / known[0][1]) / math.log(known[-1][0] / known[0][0]):.2f}"
