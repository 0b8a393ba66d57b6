"""A planning system reads these files without asking anybody: everything it must know has to be in or beside them."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from retail_assets.planning import assets, weekly_assets
from retail_assets.planning.export import export
from retail_assets.planning.levels import LEVELS
from retail_assets.planning.read import UnknownForecast
from retail_assets.resources.lake import Lake
from tests.planning.small_plan import HORIZON, ORIGIN, SKUS, STORES, write_plan
from tests.planning.small_plan import forecasts as made


def read(file: Path) -> pd.DataFrame:
    if file.suffix == ".csv":
        return pd.read_csv(file)
    if file.suffix == ".parquet":
        return pq.read_table(file).to_pandas()
    return pd.DataFrame(json.loads(file.read_text())["forecasts"])


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_every_format_has_the_same_rows_and_metadata(plan_lake: Lake, tmp_path: Path, ending: str) -> None:
    out = tmp_path / "new folder" / f"plan.{ending}"
    done = export(plan_lake, out)
    rows, expected = read(out), made().sort_values(["store_id", "sku", "target_date"], ignore_index=True)
    assert rows[["store_id", "sku"]].equals(expected[["store_id", "sku"]])
    assert rows["mean"].tolist() == pytest.approx(expected["mean"].tolist(), rel=1e-12)
    assert rows["target_date"].tolist() == [str(day) for day in expected["target_date"]]
    if ending == "json":
        metadata = json.loads(out.read_text())["metadata"]
    else:
        metadata = json.loads((out.parent / f"plan.{ending}.metadata.json").read_text())
        assert metadata["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert metadata == done.metadata
    assert (metadata["model_version"], metadata["origin_date"], metadata["unit"]) == ("v1", str(ORIGIN), "units a day")
    assert metadata["quantile_levels"]["q05"] == 0.05 and metadata["made_at"].endswith("+00:00")
    assert set(metadata["columns"]) == set(rows.columns) and metadata["rows"] == len(rows)
    assert sorted(p.name for p in out.parent.iterdir()) == sorted(Path(f).name for f in done.files)


def test_a_level_is_exported_with_its_own_columns_only(own_plan: Lake, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="forecast_levels"):
        export(own_plan, tmp_path / "a.csv", level="store")
    assets.forecast_levels(lake=own_plan)
    sizes = {"total": 1, "store": len(STORES), "sku": len(SKUS), "country_category": 6}
    for level, groups in sizes.items():
        out = tmp_path / f"{level}.csv"
        export(own_plan, out, level=level)
        rows = pd.read_csv(out)
        assert len(rows) == groups * HORIZON and list(rows.columns)[: len(LEVELS[level])] == list(LEVELS[level])


def test_weeks_are_exported_with_their_days_and_unit(tmp_path: Path) -> None:
    lake = write_plan(Lake.at(tmp_path / "lake"), days=112)
    weekly_assets.forecasts_weekly(lake=lake)
    done = export(lake, tmp_path / "weeks.csv", weekly=True)
    rows = pd.read_csv(tmp_path / "weeks.csv")
    assert len(rows) == len(STORES) * len(SKUS) * 52 and set(done.metadata["columns"]) == set(rows.columns)
    assert (done.metadata["unit"], done.metadata["first_date"]) == ("units a week", "2026-06-08")
    assert rows["week"].tolist()[:3] == [1, 2, 3]
    with pytest.raises(UnknownForecast, match="not store"):
        export(lake, tmp_path / "weeks.csv", level="store", weekly=True)


@pytest.mark.parametrize(
    ("name", "level", "says"),
    [("a.xlsx", "sku_store", "use one of .csv, .json, .parquet"), ("a", "sku_store", "no ending"),
     ("a.csv", "planet", "'planet' is not a level")],
)  # fmt: skip
def test_a_wrong_question_writes_nothing(plan_lake: Lake, tmp_path: Path, name: str, level: str, says: str) -> None:
    with pytest.raises(UnknownForecast, match=says):
        export(plan_lake, tmp_path / name, level=level)
    assert list(tmp_path.iterdir()) == []
