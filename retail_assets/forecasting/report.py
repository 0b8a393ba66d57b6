"""What a person looks at: the table of segments and the plots of the worst and the median series."""

import base64
import io
from typing import Any

import numpy as np
import pandas as pd

from retail_assets.core.figures import new_figure
from retail_assets.core.markdown import table
from retail_assets.resources.lake import Lake

HISTORY_DAYS = 84
PLOTTED = ("department", "volume")  # segments whose values are shown by their worst series
MOST_VALUES, SMALL = 6, (6.4, 1.8)
COLUMNS = {
    "rows": "{:,.0f}",
    "wape": "{:.3f}",
    "wape_median": "{:.3f}",
    "wape_seasonal_naive": "{:.3f}",
    "wape_weekday_mean": "{:.3f}",
    "rmse": "{:.2f}",
    "rmse_baseline": "{:.2f}",
    "bias": "{:+.3f}",
    "pinball": "{:.3f}",
    "coverage_90": "{:.1%}",
    "coverage_90_closed": "{:.1%}",
}
TITLES = (
    "segment", "value", "rows", "WAPE", "of the median", "seasonal naive", "weekday mean", "RMSE", "best baseline's",
    "bias", "pinball", "90 % covers", "with its ends",
)  # fmt: skip


def segment_table(scores: pd.DataFrame) -> str:
    """A markdown table of `scores` (segment, value and the columns above), in the order given."""
    cells = {name: scores[name].map(form.format) for name, form in COLUMNS.items()}
    return table(TITLES, zip(scores["segment"], scores["value"], *cells.values(), strict=True))


def worst_and_median(proof: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """The series with the largest absolute error in units, and the one in the middle of all series that sold."""
    sums = (
        proof.assign(error=(proof["units"] - proof["mean"]).abs())
        .groupby(["store_id", "sku"])[["error", "units"]]
        .sum()
    )
    sold = sums[sums["units"] > 0] if (sums["units"] > 0).any() else sums
    order = sold.sort_values("error", kind="stable").index
    return {"worst": order[-1], "median": order[len(order) // 2]}


def worst_per_value(proof: pd.DataFrame, segment: str) -> dict[str, tuple[str, str]]:
    """Per value of a segment (a column of with_segments), of those with most rows first, its worst series in units."""
    errors = (proof["units"] - proof["mean"]).abs().rename("error")
    sums = errors.groupby([proof[segment], proof["store_id"], proof["sku"]]).sum().reset_index()
    order = proof[segment].value_counts().index[:MOST_VALUES]
    worst = sums.sort_values("error", kind="stable").groupby(segment).tail(1).set_index(segment)
    return {str(value): (worst.loc[value, "store_id"], worst.loc[value, "sku"]) for value in order}


def series_history(lake: Lake, store_id: str, sku: str, until: Any) -> pd.DataFrame:
    """Units per day (business_date, units) of one series before and during its proving window."""
    sql = f"""select business_date, gross_units as units from {lake.scan("gold", "fct_sales_daily")}
              where store_id = $1 and sku = $2 and business_date > $3::date - {HISTORY_DAYS} and business_date <= $3
              order by 1"""
    with lake.connect() as db:
        return db.execute(sql, [store_id, sku, until]).df()


def plot_series(history: pd.DataFrame, proof: pd.DataFrame, title: str, size: tuple[float, float] = (8.0, 2.8)) -> str:
    """A markdown image (inline PNG, about 40 KB): actual units, the forecast's mean and its 90 % interval."""

    figure = new_figure(*size)
    axes = figure.subplots()
    days = pd.to_datetime(proof["target_date"])
    axes.plot(pd.to_datetime(history["business_date"]), history["units"], color="#444444", linewidth=1, label="units")
    axes.fill_between(days, proof["q05"], proof["q95"], color="#4c72b0", alpha=0.25, linewidth=0, label="90 %")
    axes.plot(days, proof["mean"], color="#4c72b0", linewidth=1.6, label="forecast")
    axes.plot(days, proof["seasonal_naive"], color="#c44e52", linewidth=0.8, linestyle=":", label="seasonal naive")
    axes.set_title(title, fontsize=9)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7, ncols=4, frameon=False, loc="upper left")
    return _image(figure, title)


def plots(lake: Lake, proof: pd.DataFrame) -> dict[str, str]:
    """Markdown images: the worst and the median series of a proof, and the worst series per value of PLOTTED."""
    made = {
        f"{name}_series": _plot(lake, proof, key, f"{name} series") for name, key in worst_and_median(proof).items()
    }
    for segment in PLOTTED:
        drawn = [
            _plot(lake, proof, key, f"{segment} {value}, worst series", SMALL)
            for value, key in worst_per_value(proof, segment).items()
        ]
        made[f"worst_series_by_{segment}"] = "\n\n".join(drawn)
    return made


def _plot(
    lake: Lake, proof: pd.DataFrame, key: tuple[str, str], what: str, size: tuple[float, float] = (8.0, 2.8)
) -> str:
    store_id, sku = key
    rows = proof[(proof["store_id"] == store_id) & (proof["sku"] == sku)].sort_values("target_date")
    error = float(np.abs(rows["units"] - rows["mean"]).sum() / max(rows["units"].sum(), 1.0))
    history = series_history(lake, store_id, sku, rows["target_date"].max())
    return plot_series(history, rows, f"{what}: {sku} in {store_id}, WAPE {error:.2f}", size)


def plot_components(rows: pd.DataFrame, title: str) -> str:
    """A markdown image (inline PNG): units with Prophet's sum and its forecast, and below them each part that moves.

    `rows` are one series of gold/demand_components, by day.
    """

    days = pd.to_datetime(rows["day"])
    parts = [name for name in ("trend", "weekly", "yearly", "holidays", "promotions") if rows[name].abs().sum() > 0]
    figure = new_figure(8.0, 1.4 + 1.1 * len(parts))
    axes = figure.subplots(len(parts) + 1, 1, sharex=True, height_ratios=[2.0, *(1.0 for _ in parts)])
    axes[0].plot(days, rows["units"], color="#444444", linewidth=0.7, label="units")
    axes[0].plot(days, rows["prophet"], color="#4c72b0", linewidth=1.0, label="Prophet")
    told = rows["bottom_up"].notna().to_numpy()
    if told.any():
        sums = rows["bottom_up"][told].astype(float)
        axes[0].plot(days[told], sums, color="#dd8452", linewidth=1.2, label="sum of the SKU forecasts")
    axes[0].set_title(title, fontsize=9)
    axes[0].legend(fontsize=7, ncols=3, frameon=False, loc="upper left")
    for place, name in zip(axes[1:], parts, strict=True):
        place.plot(days, rows[name], color="#4c72b0", linewidth=1.0)
        place.set_ylabel(name, fontsize=7)
    for place in axes:
        place.tick_params(labelsize=7)
    return _image(figure, title)


def _image(figure: Any, title: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return f"![{title}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"
