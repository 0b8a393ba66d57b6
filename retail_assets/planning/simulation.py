"""Replenishment played forward: what service a rule of ordering reaches, and what stock it holds for that.

Each day: deliveries arrive before opening, shoppers buy what is there, and on review days an order is placed after
closing that lifts the stock on hand and on order to the level asked for, in whole cases. Unmet demand is lost.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Start:
    """Per series: units on the shelf after closing on day 0, and those on the way, which arrive on day `due`."""

    on_hand: Floats
    on_order: Floats
    due: Integers


@dataclass(frozen=True)
class Outcome:
    """Shapes (series, days): units sold, units of demand that met an empty shelf, units on the shelf at close."""

    sold: Floats
    lost: Floats
    closing: Floats


def replenish(
    demand: Floats, order_up_to: Floats, lead: Integers, review: Integers, case: Integers, start: Start
) -> Outcome:
    """Plays days 1 to n of `demand` (series, n).

    `order_up_to` (series, n + 1) is the level after closing on day 0 to n; it is read on days 0, review, 2 review ...
    An order of day t is on the shelf when day t + lead opens.
    """
    series, days = demand.shape
    arriving = np.zeros((series, days + 1 + int(max(lead.max(), start.due.max()))))
    arriving[np.arange(series), start.due] += start.on_order
    on_hand, on_the_way = start.on_hand.astype(float).copy(), start.on_order.astype(float).copy()
    sold, lost, closing = np.zeros(demand.shape), np.zeros(demand.shape), np.zeros(demand.shape)
    for day in range(days + 1):
        if day:
            on_hand += arriving[:, day]
            on_the_way -= arriving[:, day]
            sold[:, day - 1] = np.minimum(demand[:, day - 1], on_hand)
            lost[:, day - 1] = demand[:, day - 1] - sold[:, day - 1]
            on_hand -= sold[:, day - 1]
            closing[:, day - 1] = on_hand
        gap = np.maximum(np.ceil(order_up_to[:, day] - on_hand - on_the_way), 0.0)
        order = np.where(day % review == 0, np.ceil(gap / case) * case, 0.0)
        arriving[np.arange(series), day + lead] += order
        on_the_way += order
    return Outcome(sold, lost, closing)


@dataclass(frozen=True)
class Service:
    """What a rule reached.

    `cycle_service`: share of the times between two deliveries in which nothing was lost; `fill_rate`: share of the
    units asked for that were sold; `out_days`: share of series-days with lost demand; `stock`: mean units at close.
    """

    cycle_service: float
    fill_rate: float
    out_days: float
    stock: float


def service(outcome: Outcome, lead: Integers, review: Integers) -> Service:
    """Scores whole cycles that no order from before day 0 decides: from the delivery of the order of day 0 on."""
    series, days = outcome.sold.shape
    counted = np.zeros((series, days), dtype=bool)
    missed, cycles = 0, 0
    for lead_days, review_days in {(int(a), int(b)) for a, b in zip(lead, review, strict=True)}:
        rows = (lead == lead_days) & (review == review_days)
        first = lead_days - 1
        whole = (days - first) // review_days
        span = slice(first, first + whole * review_days)
        lost = outcome.lost[rows, span].reshape(int(rows.sum()), whole, review_days).sum(axis=2)
        missed, cycles = missed + int((lost > 0).sum()), cycles + lost.size
        counted[np.flatnonzero(rows)[:, None], np.arange(span.start, span.stop)[None, :]] = True
    sold, lost_units = outcome.sold[counted].sum(), outcome.lost[counted].sum()
    return Service(
        cycle_service=1.0 - missed / max(cycles, 1),
        fill_rate=float(sold / max(sold + lost_units, 1e-9)),
        out_days=float((outcome.lost[counted] > 0).mean()),
        stock=float(outcome.closing[counted].mean()),
    )
