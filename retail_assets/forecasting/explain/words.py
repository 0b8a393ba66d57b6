"""An explanation in the words of a planner: short sentences and rounded numbers that still add up."""

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal

from retail_assets.forecasting.explain.contributions import GROUPS, TITLES
from retail_assets.forecasting.explain.explanation import Explanation

WORTH_SAYING = Decimal("0.01")  # of the total


def shown(values: Sequence[Decimal], total: Decimal, places: int) -> list[Decimal]:
    """`values`, which add up to `total`, rounded so that they add up to the rounded total (largest remainders)."""
    step = Decimal(1).scaleb(-places)
    floors = [value.quantize(step, ROUND_FLOOR) for value in values]
    short = int((total.quantize(step) - sum(floors, Decimal(0))) / step)
    order = sorted(range(len(values)), key=lambda at: floors[at] - values[at])
    raised = {order[at % len(order)] for at in range(max(short, 0))} if short <= len(order) else set(order)
    return [floor + step if at in raised else floor for at, floor in enumerate(floors)]


def sentences(found: Explanation) -> list[str]:
    """What a planner is told first, most important first."""
    total, days = found.total, len(found.days)
    before = "" if found.recent_mean is None else f", after {found.recent_mean:.1f} a day in the 28 days before"
    said = [
        f"{total:.0f} units are expected from {found.days[0].day:%d %b} to {found.days[-1].day:%d %b %Y}: "
        f"{total / days:.1f} a day{before}."
    ]
    if not found.history:
        said.append(
            f"It has not sold here yet: the forecast rests on {found.rung or 'other SKUs'}, and all of it is level."
        )
    said += [_moved(group, found.total_of(group), total) for group in GROUPS[1:] if _matters(found, group)]
    said += _planned(found)
    empty = sum(day.is_stocked_out for day in found.history)
    if empty:
        said.append(f"The shelf was empty at close on {empty} of the last {len(found.history)} days.")
    return [*said, *_department(found), _again(found)]


def _matters(found: Explanation, group: str) -> bool:
    return abs(found.total_of(group)) >= WORTH_SAYING * found.total


def _moved(group: str, units: Decimal, total: Decimal) -> str:
    verb = "add" if units > 0 else "take away"
    return f"{TITLES[group].capitalize()} {verb} {abs(units):.1f} units ({units / total:+.0%} of the forecast)."


def _planned(found: Explanation) -> list[str]:
    said = []
    deals = [day for day in found.days if day.discount > 0]
    if deals:
        deepest = max(day.discount for day in deals)
        said.append(
            f"A discount of up to {deepest:.0%} is planned on {len(deals)} {'day' if len(deals) == 1 else 'days'} from "
            f"{deals[0].day:%d %b}."
        )
    feasts = [f"{day.holiday} ({day.day:%d %b})" for day in found.days if day.holiday]
    return said + ([f"In these days: {', '.join(feasts)}."] if feasts else [])


def _department(found: Explanation) -> list[str]:
    whole = found.department
    if whole is None:
        return []
    total = sum((day.total for day in whole.days), Decimal(0))
    alone = [day.prophet_alone for day in whole.days if day.prophet_alone is not None]
    said = f"The {whole.series} SKUs of {whole.product_group} in {whole.place} add up to {total:.0f} units"
    if len(alone) == len(whole.days) and total > 0:
        said += f"; Prophet, which sees the department only as a whole, says {sum(alone):.0f}"
        said += f" ({sum(alone) / float(total) - 1:+.0%})"
    return [f"{said}.", *([f"{whole.note}."] if whole.note else [])]


def _again(found: Explanation) -> str:
    if found.is_reproduced:
        return f"Model {found.model_version} was run again on the recorded data and gives the same forecast."
    return f"Model {found.model_version} does not give the recorded forecast again: the reasons are not exact."


def text(found: Explanation) -> str:
    """The explanation for a terminal: sentences, then one line per week and group."""
    head = f"{found.product_name or found.sku} ({found.sku}) in {found.store_id}, forecast of {found.origin}"
    return "\n".join([head, *(f"- {sentence}" for sentence in sentences(found)), "", *_weeks(found)])


def _weeks(found: Explanation) -> list[str]:
    lines = [f"{'week from':<12}" + "".join(f"{TITLES[g]:>26}" for g in GROUPS) + f"{'forecast':>12}"]
    for week in weekly(found):
        lines.append(f"{week[0]:<12}" + "".join(f"{value:>26}" for value in week[1:-1]) + f"{week[-1]:>12}")
    return lines


def weekly(found: Explanation) -> list[list[str]]:
    """Per seven days: the first day, units per group of reasons, and the forecast that they add up to as shown."""
    rows = []
    for first in range(0, len(found.days), 7):
        days = found.days[first : first + 7]
        total = sum((day.mean for day in days), Decimal(0))
        values = [sum((day.reasons[group] for day in days), Decimal(0)) for group in GROUPS]
        rows.append([str(days[0].day), *(f"{v:.1f}" for v in shown(values, total, 1)), f"{total:.1f}"])
    return rows
