"""Weeks, months and short histories of real retailers: ours next to the seasonal naive at every level.

    python benchmarks/forecast_sets.py --data FOLDER
    python benchmarks/forecast_sets.py --data FOLDER --only walmart_8 orange_juice --loss absolute
    python benchmarks/forecast_sets.py --data FOLDER --earlier 2

FOLDER has walmart_store_sales, dominicks_oj, online_retail, completejourney and m5. Each set is forecast for its
last window; `--earlier` also forecasts windows before it, one horizon apart, on which choices may be made. Printed
per level: weighted RMSSE and pinball loss as shares of those of the seasonal naive (a year where there is one),
coverage of the 90 % intervals, and absolute error per unit of `mean`, `q50` and the naive. 1 if the pinball loss of a
level is above the naive's on a last window.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from forecast_peers import data_folder

from retail_assets.forecasting.panel.backtest import Files, ForecastBacktest, backtest
from retail_assets.forecasting.panel.panel import Columns, Rules
from retail_assets.forecasting.panel.trees import Settings

Build = Callable[[Path, Path], Files]


@dataclass(frozen=True)
class Case:
    """A set: how its files are built, how they are read, and the last period to learn from before its last window."""

    build: Build
    columns: Columns
    rules: Rules
    horizon: int
    until: str
    days: int


def main() -> int:
    """Prints every set; 1 if a level's pinball loss is above the naive's."""
    options = _options()
    data, worse = data_folder(options.data), 0
    for name in options.only or CASES:
        case = CASES[name]
        with tempfile.TemporaryDirectory() as where:
            files = case.build(data, Path(where))
            for back in range(options.earlier, -1, -1):
                settings = Settings(loss=options.loss, rows=options.rows)
                until = earlier(case, back)
                found = backtest(files, case.columns, case.rules, until, case.horizon, settings, lambda step: None)
                show(f"{name}, {found.scored}, {found.periods} periods before, --loss {options.loss}", found)
                lost = [level.pinball > SAME * level.pinball_baseline for level in found.levels]
                worse += sum(lost) if not back else 0
    print(f"{worse} levels of the last windows have a larger pinball loss than the seasonal naive")
    return 1 if worse else 0


def earlier(case: Case, back: int) -> str:
    """The last period to learn from, `back` windows before the last."""
    if case.until.isdecimal():
        return str(int(case.until) - back * case.horizon)
    if case.rules.freq == "M":
        return str(pd.Period(case.until, "M") - back * case.horizon)
    return str((pd.Timestamp(case.until) - pd.Timedelta(days=case.days * case.horizon * back)).date())


def show(title: str, found: ForecastBacktest) -> None:
    """One table of the levels, and what was averaged."""
    print(f"\n{title}: {found.cpu_seconds:.0f} s of processor time, {blend_line(found)}")
    print(f"  {'level':<30}{'nodes':>7}{'RMSSE':>8}{'pinball':>9}{'covers':>8}{'mean':>9}{'q50':>8}{'naive':>8}")
    for level in found.levels:
        shares = (level.rmsse / level.seasonal_naive, level.pinball / level.pinball_baseline)
        errors = (level.absolute, level.absolute_median, level.absolute_seasonal_naive)
        print(
            f"  {level.level:<30}{level.nodes:>7,}{shares[0]:>8.3f}{shares[1]:>9.3f}{level.coverage:>8.1%}"
            f"{errors[0]:>9.4f}{errors[1]:>8.4f}{errors[2]:>8.4f}",
            flush=True,
        )


def blend_line(found: ForecastBacktest) -> str:
    """What was averaged."""
    return ", ".join(f"{name} {share:.0%}" for name, share in found.blend.items() if round(share, 2) > 0)


def walmart(group: tuple[str, ...]) -> Build:
    """Weekly sales by store and department, or summed over one of them, with the weeks of holidays."""

    def build(data: Path, folder: Path) -> Files:
        sales = pd.read_parquet(data / "walmart_store_sales" / "weekly_sales.parquet")
        sales.groupby([*group, "Date"], as_index=False)["Weekly_Sales"].sum().to_parquet(folder / "sales.parquet")
        weeks = sales[["Date", "IsHoliday"]].drop_duplicates("Date")
        weeks.to_parquet(folder / "calendar.parquet", index=False)
        return Files(folder / "sales.parquet", folder / "f.parquet", calendar=folder / "calendar.parquet")

    return build


def orange_juice(data: Path, folder: Path) -> Files:
    """Units of a store and brand per week, with prices and promotions."""
    sales = pd.read_parquet(data / "dominicks_oj" / "sales.parquet")
    sales.assign(units=np.exp(sales["logmove"])).to_parquet(folder / "sales.parquet")
    return Files(folder / "sales.parquet", folder / "f.parquet")


def online_retail(data: Path, folder: Path) -> Files:
    """Units of an article per week that is there whole; returns and rows without a price are left out."""
    lines = pd.read_parquet(data / "online_retail" / "transactions.parquet")
    lines = lines[(lines["Quantity"] > 0) & (lines["UnitPrice"] > 0)]
    week = lines["InvoiceDate"].dt.to_period("W-SUN").dt.start_time
    lines = lines.assign(week=week)[(week > week.min()) & (week < week.max())]
    lines.groupby(["StockCode", "week"], as_index=False)["Quantity"].sum().to_parquet(folder / "sales.parquet")
    return Files(folder / "sales.parquet", folder / "f.parquet")


def complete_journey(data: Path, folder: Path) -> Files:
    """Units of a product category in each of the 60 largest stores per week."""
    lines = pd.read_parquet(data / "completejourney" / "transactions.parquet")
    products = pd.read_parquet(data / "completejourney" / "products.parquet")
    lines = lines.merge(products[["product_id", "department", "product_category"]], on="product_id")
    lines = lines[~lines["department"].isin(["FUEL", "MISCELLANEOUS"]) & lines["product_category"].notna()]
    stores = lines.groupby("store_id").size().nlargest(60).index
    keys = ["product_category", "store_id", "week"]
    lines[lines["store_id"].isin(stores)].groupby(keys, as_index=False)["quantity"].sum().to_parquet(
        folder / "sales.parquet"
    )
    names = lines.drop_duplicates("product_category")[["product_category", "department"]]
    names.to_parquet(folder / "names.parquet")
    return Files(folder / "sales.parquet", folder / "f.parquet", attributes=folder / "names.parquet")


def m5_periods(freq: str) -> Build:
    """M5 summed to calendar months, or to four weeks from the end."""

    def build(data: Path, folder: Path) -> Files:
        sales = pd.read_parquet(data / "m5" / "sales_train.parquet")
        day = pd.to_datetime(sales["date"])
        if freq == "M":
            period = day.dt.to_period("M")
            whole = (period > period.min()) & (period < period.max())
            sales = sales.assign(period=period.dt.strftime("%Y-%m"))[whole]
        else:
            back = (day.max() - day).dt.days // 28
            sales = sales.assign(period=(day.max() - pd.to_timedelta(28 * back, unit="D")).dt.date)[back < back.max()]
        keys = ["item_id", "store_id", "period"]
        sales.groupby(keys, as_index=False)["quantity_sold"].sum().to_parquet(folder / "sales.parquet")
        ids = data / "m5" / "series_ids.parquet"
        return Files(folder / "sales.parquet", folder / "f.parquet", attributes=ids)

    return build


def m5_days(last: str, days: int) -> Build:
    """Three stores of M5, of `days` days before `last` and the 28 after it."""

    def build(data: Path, folder: Path) -> Files:
        stores = ["CA_3", "TX_2", "WI_1"]
        sales = pd.read_parquet(data / "m5" / "sales_train.parquet", filters=[("store_id", "in", stores)])
        day, end = pd.to_datetime(sales["date"]), pd.Timestamp(last)
        sales[(day > end - pd.Timedelta(days=days)) & (day <= end + pd.Timedelta(days=28))].to_parquet(
            folder / "sales.parquet"
        )
        ids = pd.read_parquet(data / "m5" / "series_ids.parquet")
        ids[ids["store_id"].isin(stores)].to_parquet(folder / "ids.parquet")
        calendar = data / "m5" / "calendar.parquet"
        return Files(folder / "sales.parquet", folder / "f.parquet", folder / "ids.parquet", calendar)

    return build


STORES = Columns(("Store", "Dept"), "Date", "Weekly_Sales")
WEEKS = Rules("W", "unknown", "keep")
JUICE = Columns(("store", "brand"), "week", "units")
SAME = 1.005  # where the sums are the naive's, series that are not sold yet move them a little
M5 = Columns(("item_id", "store_id"), "period", "quantity_sold")
CASES = {
    "walmart_8": Case(walmart(("Store", "Dept")), STORES, WEEKS, 8, "2012-08-31", 7),
    "walmart_39": Case(walmart(("Store", "Dept")), STORES, WEEKS, 39, "2012-01-27", 7),
    "walmart_stores_13": Case(walmart(("Store",)), replace(STORES, series=("Store",)), WEEKS, 13, "2012-07-27", 7),
    "walmart_stores_39": Case(walmart(("Store",)), replace(STORES, series=("Store",)), WEEKS, 39, "2012-01-27", 7),
    "walmart_departments_13": Case(walmart(("Dept",)), replace(STORES, series=("Dept",)), WEEKS, 13, "2012-07-27", 7),
    "orange_juice": Case(
        orange_juice, replace(JUICE, known=("price{brand}", "deal", "feat")), Rules("W", "unknown"), 8, "152", 7
    ),
    "orange_juice_alone": Case(orange_juice, JUICE, Rules("W", "unknown"), 8, "152", 7),
    "online_retail": Case(online_retail, Columns(("StockCode",), "week", "Quantity"), Rules("W"), 4, "2011-04-25", 7),
    "complete_journey": Case(
        complete_journey, Columns(("product_category", "store_id"), "week", "quantity"), Rules("W"), 4, "35", 7
    ),
    "m5_months": Case(m5_periods("M"), M5, Rules("M"), 2, "2016-01", 30),
    "m5_four_weeks": Case(m5_periods("4W"), M5, Rules("4W"), 2, "2016-02-28", 28),
    "m5_84_days": Case(m5_days("2016-03-27", 84), replace(M5, time="date"), Rules(), 28, "2016-03-27", 1),
    "m5_84_days_autumn": Case(m5_days("2015-10-02", 84), replace(M5, time="date"), Rules(), 28, "2015-10-02", 1),
    "m5_84_days_first": Case(m5_days("2015-05-25", 84), replace(M5, time="date"), Rules(), 28, "2015-05-25", 1),
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of the data sets (RETAIL_REAL_DATA if not given)")
    parser.add_argument("--only", nargs="*", choices=list(CASES), help="these sets only")
    parser.add_argument("--earlier", type=int, default=0, help="windows before the last one that are forecast too")
    parser.add_argument("--loss", choices=["squared", "absolute"], default="squared", help="the error of `mean`")
    parser.add_argument("--rows", type=int, default=Settings.rows, help="examples of one member")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
