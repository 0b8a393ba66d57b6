"""SQL of a mapping that fails on a value costs that row and no other, however it fails and wherever it stands."""

from pathlib import Path

import pytest

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.sources.errors import SourceConfigError
from retail_assets.sources.failing import MOST_FOUND_SINGLY
from retail_assets.sources.load import import_retailer
from retail_assets.sources.replay import replay
from tests.sources.test_mapping_mistakes import ROW, mapped, write

SQL = '{sql: "upper(item)"}'
FAILS = {
    "a cast": ("item::INT + 1", "csv"),
    "a cast in JSON": ("item::INT + 1", "jsonl"),
    "a cast in Parquet": ("item::INT + 1", "parquet"),
    "a subquery, which TRY does not take": ("(SELECT item::INT)", "csv"),
    "an error of its own": ("CASE WHEN item = 'x' THEN error('no') ELSE item END", "csv"),
    "an error that TRY lets pass": (
        "CASE WHEN item = 'x' THEN timezone(item, TIMESTAMP '2024-03-01')::VARCHAR ELSE item END",
        "csv",
    ),
}


@pytest.mark.parametrize(("sql", "kind"), FAILS.values(), ids=FAILS)
def test_a_row_that_an_expression_fails_on_is_refused_alone(
    tmp_path: Path, home: Home, lake: Lake, sql: str, kind: str
) -> None:
    write(tmp_path, *[ROW | {"receipt": str(n), "item": "x" if n == 2 else "7"} for n in range(4)], kind=kind)
    write(tmp_path, ROW | {"receipt": "8", "item": "x"}, name="sales_other", kind=kind)
    mapping, _ = mapped(tmp_path, SQL, f'{{sql: "{sql}"}}', kind)
    report = import_retailer(lake, home, mapping, tmp_path).source("pos_lines")
    assert (report.rows_bronze, report.quarantined_by_reason) == (3, {"not_computed": 2})
    found = lake.query(f"SELECT DISTINCT unnest(reasons) AS r FROM {lake.scan('quarantine', 'pos_lines')}")
    assert found["r"].to_pylist() == ["not_computed: sku cannot be computed from item='x'"]


def test_a_rule_is_tried_with_the_row_that_is_referred_to_and_its_detail_where_it_holds(
    tmp_path: Path, home: Home, lake: Lake
) -> None:
    write(tmp_path, *[ROW | {"receipt": str(n), "item": item} for n, item in enumerate(("a", "BAG", "b"))])
    mapping, _ = mapped(tmp_path, "'item ' || item", "item::INT || store.channel")
    report = import_retailer(lake, home, mapping, tmp_path).source("pos_lines")
    assert (report.rows_bronze, report.quarantined_by_reason) == (2, {"not_computed": 1})


def test_rows_that_failed_pass_a_replay_by_corrected_sql(tmp_path: Path, home: Home, lake: Lake) -> None:
    write(tmp_path, ROW | {"item": "7"}, ROW | {"receipt": "2", "item": "x"})
    import_retailer(lake, home, mapped(tmp_path, SQL, '{sql: "item::INT"}')[0], tmp_path)
    report = replay(lake, home, "pos_lines", mappings=[mapped(tmp_path, SQL, '{sql: "TRY_CAST(item AS INT)"}')[0]])
    assert (report.rows_moved, report.left_by_reason) == (0, {"missing": 1})
    assert replay(lake, home, "pos_lines", mappings=[mapped(tmp_path)[0]]).rows_moved == 1


def test_sql_that_fails_on_many_rows_one_by_one_is_refused(tmp_path: Path, home: Home, lake: Lake) -> None:
    write(tmp_path, *[ROW | {"receipt": str(n), "item": "x"} for n in range(MOST_FOUND_SINGLY + 1)])
    mapping, _ = mapped(tmp_path, SQL, '{sql: "(SELECT item::INT)"}')
    with pytest.raises(SourceConfigError, match="the SQL of feed 'lines' failed: Conversion Error") as raised:
        import_retailer(lake, home, mapping, tmp_path)
    assert raised.value.where == "sales.csv"
    report = import_retailer(lake, home, mapped(tmp_path)[0], tmp_path).source("pos_lines")
    assert (report.batches_rolled_back, report.rows_bronze) == (1, MOST_FOUND_SINGLY + 1)
