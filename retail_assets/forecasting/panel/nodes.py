"""Forecasts of the upper levels by a calendar regression per node: weekday, day of the month, flags, events, level.

A node sums many series, so its effects can be read off its own history; log units less their moving mean are regressed
on the calendar by ridge, and the level is a weighted mean of what remains.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retail_assets.forecasting.panel.levels import Level
from retail_assets.forecasting.panel.panel import Panel

Floats = npt.NDArray[np.float64]

HALF_LIFE, EFFECT_HALF_LIFE, SMOOTH = 7.0, 400.0, 14.0
HARMONICS, MONTH = 3, 30.4
PENALTY = {"weekday": 1.0, "month": 3.0, "event": 0.5, "flag": 1.0}
CLOSED = 0.1
FEWEST_PERIODS = 56


@dataclass(frozen=True)
class NodeData:
    """Sums of every node (nodes, until), the calendar's columns (N, k), their penalties, and flags (f, nodes, N)."""

    sums: Floats
    shared: Floats
    penalty: Floats
    own: Floats


def node_data(panel: Panel, levels: list[Level]) -> NodeData:
    """What the regression needs of the nodes of all `levels`, one below the other."""
    target = panel.target[:, : panel.until]
    sums = np.concatenate([level.sums(target) for level in levels])
    calendar, columns, penalty = panel.calendar, [], []

    def add(kind: str, values: npt.NDArray[np.generic]) -> None:
        columns.append(np.asarray(values, float))
        penalty.append(PENALTY[kind])

    for weekday in range(7):
        add("weekday", (calendar.weekday == weekday) - 1 / 7)
    for harmonic in range(1, HARMONICS + 1):
        angle = 2 * np.pi * harmonic * calendar.day_of_month / MONTH
        add("month", np.sin(angle))
        add("month", np.cos(angle))
    for flag in calendar.flags.values():
        add("flag", flag)
    for event in calendar.events.values():
        for code in np.unique(event[: panel.until]):
            if code >= 0:
                add("event", event == code)
    own = np.zeros((len(calendar.own), len(sums), len(calendar.weekday)))
    for at, flag in enumerate(calendar.own.values()):
        own[at] = np.concatenate([_mean_flag(level, flag) for level in levels])
    return NodeData(sums, np.stack(columns, axis=1), np.array(penalty), own)


def _mean_flag(level: Level, flag: npt.NDArray[np.float32]) -> Floats:
    """Mean of a flag per series over each node."""
    return level.sums(flag) / np.bincount(level.node, minlength=level.size)[:, None]


def regress(data: NodeData, origin: int, horizon: int) -> Floats:
    """Forecasts (nodes, horizon) after `origin`, from what was known then; zero for a node that never sold."""
    past = np.arange(origin)
    sums = data.sums[:, :origin]
    total = sums.sum(axis=0)
    # A day on which the whole panel is closed says nothing of demand.
    open_days = (total > CLOSED * np.median(total)).astype(float)
    kernel = np.exp(-0.5 * ((past[:, None] - past[None, :]) / SMOOTH) ** 2) * open_days
    kernel /= kernel.sum(axis=1, keepdims=True)
    logs = np.log(np.maximum(sums, 1.0))
    weight = open_days * 0.5 ** (past[::-1] / EFFECT_HALF_LIFE)
    detrended = logs - logs @ kernel.T
    shared = data.shared[:origin] - kernel @ data.shared[:origin]
    found = np.zeros((len(sums), horizon))
    recent = open_days * 0.5 ** (past[::-1] / HALF_LIFE)
    recent /= recent.sum()
    penalty = np.diag(np.concatenate([data.penalty, np.full(len(data.own), PENALTY["flag"])]))
    for node in range(len(sums)):
        flags = data.own[:, node, :origin]
        columns = np.column_stack([shared, (flags - flags @ kernel.T).T])
        gram = (columns * weight[:, None]).T @ columns + penalty
        effects = np.linalg.solve(gram, (columns * weight[:, None]).T @ detrended[node])
        span = slice(0, origin + horizon)
        calendar = np.column_stack([data.shared[span], data.own[:, node, span].T]) @ effects
        level = np.log((np.exp(logs[node] - calendar[:origin]) * recent).sum())
        found[node] = np.exp(level + calendar[origin:])
    found[sums[:, -FEWEST_PERIODS:].sum(axis=1) == 0] = 0.0
    return found
