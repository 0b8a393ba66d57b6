"""What a person looks at: contenders, elasticities by category, demand curves, and the batch of decisions."""

import base64
import io
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from retail_assets.core import markdown
from retail_assets.core.errors import RetailError
from retail_assets.core.figures import new_figure
from retail_assets.pricing.decide.explain import explain
from retail_assets.pricing.response.evaluation import BASELINES, VARIANTS
from retail_assets.pricing.response.model import MEASURES, PRODUCT, PriceModel
from retail_assets.resources.lake import Lake

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES = 4
MOST_CATEGORIES = 40
OBJECTIVE_PLACES = (0, 1)  # in a trail: the second, where the price in force has a line before it
NAMES = {
    "sku_level": "per SKU, shrunken to the category",
    "store_level": "per store and SKU, shrunken to the SKU",
    "pooled_ols": "least squares per category",
    "sku_ols": "least squares per SKU",
    "no_response": "no answer to prices",
}


class ReportError(RetailError):
    """A report was asked for that has nothing to show."""


def response_table(model: PriceModel, lake: Lake) -> pd.DataFrame:
    """One row per SKU: sku, category, the model's MEASURES, mean units per day and price over its stores, and what its
    category's others win (`others`, `others_lo`, `others_hi`; NaN where it was not learnt).
    """
    table = pd.DataFrame(model.table[: len(model.skus)], columns=list(MEASURES))
    table.insert(0, "sku", list(model.skus))
    products = lake.open("gold", "dim_product").to_pyarrow_table(columns=["sku", "category"]).to_pandas()
    base = model.base.to_pandas().groupby("sku", as_index=False)[["units_per_day", "price"]].mean()
    table = table.merge(products, on="sku", how="left").merge(base, on="sku", how="left")
    known = model.categories[: len(model.substitution)]
    others = pd.DataFrame(model.substitution[:, [0, 2, 3]], columns=["others", "others_lo", "others_hi"])
    return table.merge(others.assign(category=known), on="category", how="left")


def contender_table(metrics: dict[str, float]) -> str:
    """A markdown table of the held-back errors of the model and what it was held against."""
    measures = ("holdout_deviance_", "holdout_wape_")
    rows = ([NAMES[name], *(f"{metrics[m + name]:.4f}" for m in measures)] for name in (*VARIANTS, *BASELINES))
    lines: list[str] = [markdown.table(("", "deviance per unit", "absolute error per unit"), rows)]
    if "cross_elasticity" in metrics:
        cross, error = metrics["cross_elasticity"], 1.96 * metrics["cross_error"]
        lines += ["", f"Cross-elasticity within categories: {cross:.2f} ({cross - error:.2f} to {cross + error:.2f})."]
    return "\n".join(lines)


def category_table(responses: pd.DataFrame) -> str:
    """A markdown table of elasticities by category, most elastic first, at most MOST_CATEGORIES."""
    groups = responses.assign(width=responses["hi"] - responses["lo"]).groupby("category", dropna=False)
    table = groups.agg(
        skus=("sku", "size"), elasticity=("elasticity", "median"), lowest=("elasticity", "min"),
        highest=("elasticity", "max"), width=("width", "median"), own=("weight", "median"),
        others=("others", "first"), others_lo=("others_lo", "first"), others_hi=("others_hi", "first"),
    ).sort_values("elasticity")  # fmt: skip
    heads = ("category", "SKUs", "median", "from", "to", "interval", "own sales", "its others win")
    lines: list[tuple[object, ...]] = []
    table = table.head(MOST_CATEGORIES)
    for name, row in zip(table.index, table.to_dict("records"), strict=True):
        shown = [f"{row[c]:.2f}" for c in ("elasticity", "lowest", "highest", "width")]
        won = (
            f"{row['others']:.2f} ({row['others_lo']:.2f} to {row['others_hi']:.2f})" if pd.notna(row["others"]) else ""
        )
        lines.append((name, row["skus"], *shown, f"{row['own']:.0%}", won))
    return markdown.table(heads, lines)


def demand_curves(responses: pd.DataFrame) -> str:
    """A markdown image (inline PNG): units per day over price, with 95 % bands, from most to least elastic SKU."""

    known = responses[responses["units_per_day"] > 0].sort_values("elasticity", kind="stable")
    if known.empty:
        raise ReportError("no SKU has sold recently: there is no demand curve to draw")
    places = np.unique(np.linspace(0, len(known) - 1, CURVES).astype(int))
    figure = new_figure(9.0, 2.6)
    for axes, row in zip(
        np.atleast_1d(figure.subplots(1, len(places))), known.iloc[places].to_dict("records"), strict=True
    ):
        prices = row["price"] * np.linspace(0.75, 1.25, 41)
        edges = [row["units_per_day"] * (prices / row["price"]) ** row[name] for name in ("lo", "hi", "elasticity")]
        axes.fill_between(prices, edges[0], edges[1], color="#4c72b0", alpha=0.25, linewidth=0)
        axes.plot(prices, edges[2], color="#4c72b0")
        axes.axvline(row["price"], color="#444444", linewidth=0.7, linestyle=":")
        axes.set_title(f"{row['sku']}: {row['elasticity']:.2f} ({row['lo']:.2f}, {row['hi']:.2f})", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.set_ylim(bottom=0)
    return _image(figure, "units per day over price")


def elasticity_plot(responses: pd.DataFrame) -> str:
    """A markdown image (inline PNG): every SKU's elasticity with its 95 % interval, sorted."""

    ordered = responses.sort_values("elasticity", kind="stable")
    figure = new_figure(9.0, 2.6)
    axes = figure.subplots()
    place: npt.NDArray[np.int64] = np.arange(len(ordered))
    axes.fill_between(place, ordered["lo"], ordered["hi"], color="#4c72b0", alpha=0.3, linewidth=0, label="95 %")
    axes.plot(place, ordered["elasticity"], color="#4c72b0", linewidth=1.2, label="elasticity")
    axes.axhline(-1, color="#c44e52", linewidth=0.8, linestyle=":", label="unit elastic")
    axes.set_xlabel("SKUs, most elastic first", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7, ncols=3, frameon=False)
    return _image(figure, "elasticity of every SKU")


def store_counts(lake: Lake, business_date: str) -> str:
    """A markdown table of the newest decision of each store-SKU: how many changed, stayed, rest or conflict."""
    rows = lake.query(
        f"""select store_id, count(*) as decided,
                   count(*) filter (outcome = 'changed') as changed, count(*) filter (outcome = 'kept') as kept,
                   count(*) filter (outcome = 'held') as held, count(*) filter (outcome = 'conflict') as conflict
            from ({newest_decisions(lake, business_date)}) group by 1 order by 1"""
    )
    return _markdown(rows)


def explorations(lake: Lake, business_date: str) -> int:
    """How many of the newest decisions tried a price to learn from it."""
    number = "(guardrails::json->>'$[{}].numbers.{}')::double"
    tried = (f"{number.format(k, 'tried')} <> {number.format(k, 'elasticity')}" for k in OBJECTIVE_PLACES)
    rows = lake.query(
        f"""select count(*) as explored from ({newest_decisions(lake, business_date)}) where {" or ".join(tried)}"""
    )
    return int(rows["explored"][0].as_py())


def biggest_changes(lake: Lake, business_date: str, limit: int = 10) -> str:
    """A markdown table of the largest relative changes of the newest decisions."""
    rows = lake.query(
        f"""select store_id, sku, previous_price as "before", price as "after", currency,
                   format('{{:+.1f}} %', 100.0 * (price - previous_price) / previous_price) as change
            from ({newest_decisions(lake, business_date)}) where outcome = 'changed'
            order by abs(price - previous_price) / previous_price desc, store_id, sku limit {limit}"""
    )
    return _markdown(rows)


def example_in_words(lake: Lake, business_date: str) -> str:
    """The reasons of the change with the largest gain in expected margin; empty when no price changed."""
    rows = lake.query(
        f"""select * exclude (outcome) from ({newest_decisions(lake, business_date)}) where outcome = 'changed'
            order by (output::json->>'margin_after')::double - (output::json->>'margin_before')::double desc nulls last,
                     store_id, sku limit 1"""
    ).to_pylist()
    return explain(rows[0]) if rows else ""


def newest_decisions(lake: Lake, business_date: str) -> str:
    """SQL for the newest batch decision of each store-SKU of a business date, with its `outcome`."""
    return f"""
        select *, output::json->>'outcome' as outcome from {lake.scan("decisions", PRODUCT)}
        where mode = 'batch' and business_date = date '{business_date}'
        qualify row_number() over (partition by store_id, sku order by "at" desc, decision_id desc) = 1"""


def _markdown(rows: pa.Table) -> str:
    names = rows.column_names
    return markdown.table(names, zip(*(rows[name].to_pylist() for name in names), strict=True))


def _image(figure: "Figure", title: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return f"![{title}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"
