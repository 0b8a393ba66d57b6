"""A simulation is a function of its arguments, survives being killed, and never mixes two retailers."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from retail_assets.resources.environments import Home
from retail_assets.sample.config import SampleError, Scale, load_config, scale_named
from retail_assets.sample.outbox import Delivery, Outbox
from retail_assets.sample.simulate import simulate
from tests.sample.sample_files import STAMP, tree, truth

DAYS = 25


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("short")
    simulate(root, "tiny", seed=7, days=DAYS)
    return root


def test_same_seed_gives_same_bytes(short: Path, tmp_path: Path) -> None:
    simulate(tmp_path, "tiny", seed=7, days=DAYS)
    assert tree(tmp_path / "landing") == tree(short / "landing")
    for name in ("demand", "fraud", "returns", "faults", "elasticities", "events", "tastes", "files"):
        path = f"truth/{name}.parquet"
        assert (tmp_path / path).read_bytes() == (short / path).read_bytes(), name


def test_another_seed_gives_another_retailer(short: Path, tmp_path: Path) -> None:
    simulate(tmp_path, "tiny", seed=8, days=2)
    mine, other = tree(tmp_path / "landing"), tree(short / "landing")
    assert not any(mine[name] == other.get(name) for name in mine if name.startswith(("pos/", "clicks/")))


def test_one_more_day_only_adds_files(short: Path, tmp_path: Path) -> None:
    simulate(tmp_path, "tiny", seed=7, days=DAYS - 1)
    before = tree(tmp_path / "landing")
    whole = tree(short / "landing")
    assert before.items() <= whole.items()
    assert len(whole) > len(before)
    simulate(tmp_path, "tiny", seed=7, days=DAYS)
    assert tree(tmp_path / "landing") == whole


def test_a_second_run_touches_nothing(short: Path) -> None:
    def states() -> dict[str, tuple[int, int]]:
        return {str(p): (p.stat().st_mtime_ns, p.stat().st_ino) for p in short.rglob("*") if p.is_file()}

    before = states()
    again = simulate(short, "tiny", seed=7, days=DAYS)
    assert again.reused
    assert states() == before


def test_a_missing_file_comes_back_and_the_others_stay(tmp_path: Path) -> None:
    simulate(tmp_path, "tiny", seed=7, days=3)
    before = tree(tmp_path / "landing")
    lost = tmp_path / "landing" / next(name for name in before if name.startswith("pos/"))
    kept = next(p for p in (tmp_path / "landing" / "stock").iterdir())
    inode = kept.stat().st_ino
    lost.unlink()
    assert not simulate(tmp_path, "tiny", seed=7, days=3).reused
    assert tree(tmp_path / "landing") == before
    assert kept.stat().st_ino == inode


def test_killed_and_repeated_gives_the_same_tree(short: Path, tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from retail_assets.sample.simulate import simulate\n"
        "simulate(Path(sys.argv[1]), 'tiny', 7, int(sys.argv[2]), lambda done, total: done == 9 and os._exit(9))"
    )
    died = subprocess.run([sys.executable, "-c", program, str(tmp_path), str(DAYS)], check=False, env=os.environ)
    assert died.returncode == 9
    assert 0 < len(tree(tmp_path / "landing")) < len(tree(short / "landing"))
    half = tmp_path / "landing" / "stock" / ".stock_US_20251020_d20251021T090000Z.csv.tmp"
    half.write_bytes(b"store_id,sk")
    simulate(tmp_path, "tiny", seed=7, days=DAYS)
    assert tree(tmp_path / "landing") == tree(short / "landing")


def test_file_time_is_delivery_time(short: Path) -> None:
    for path in (short / "landing").rglob("*.*"):
        stamp = STAMP.search(path.name)
        assert stamp, path
        at = datetime.strptime(stamp[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        assert path.stat().st_mtime == at.timestamp(), path


def test_nothing_is_delivered_after_the_last_morning(short: Path) -> None:
    last = truth(Home.at(short), "files")["delivered_at"].max()
    assert last <= datetime(2025, 10, 5 + DAYS, 12, tzinfo=UTC)


def test_progress_counts_every_day(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    simulate(tmp_path, "tiny", days=3, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_summary_counts_what_lies_there(tiny: Home) -> None:
    summary = simulate(tiny.root, "tiny", seed=7)
    files = truth(tiny, "files")
    assert sum(summary.files.values()) == len(files) == len(tree(tiny.landing))
    assert summary.rows == files.groupby("source")["rows"].sum().to_dict()
    assert summary.bytes == sum(len(payload) for payload in tree(tiny.landing).values())
    assert summary.faults == len(truth(tiny, "faults"))
    assert set(summary.files) == {
        "chargebacks", "click_events", "competitor_prices", "customers", "exchange_rates", "payments", "pos_lines",
        "price_list", "products", "promotions", "stock_levels", "stores", "weather",
    }  # fmt: skip


@pytest.mark.parametrize(("seed", "scale", "days"), [(8, "tiny", DAYS), (7, "tiny", DAYS - 1), (7, "demo", 30)])
def test_refuses_to_mix_two_samples(short: Path, seed: int, scale: str, days: int) -> None:
    before = tree(short)
    with pytest.raises(SampleError, match="already there"):
        simulate(short, scale, seed=seed, days=days)
    assert tree(short) == before


def test_refuses_days_below_one(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="at least one day"):
        simulate(tmp_path, "tiny", days=0)


def test_unknown_scale_names_the_known_ones() -> None:
    with pytest.raises(SampleError, match="tiny, demo, large, huge"):
        scale_named("gigantic")


def test_scale_rejects_unknown_keys() -> None:
    with pytest.raises(ValidationError, match="colour"):
        Scale.model_validate({**scale_named("tiny").model_dump(), "colour": 1})


def test_demo_is_as_big_as_promised() -> None:
    demo, config = scale_named("demo"), load_config()
    assert sum(demo.stores.values()) >= 12
    assert demo.skus >= 300 and demo.days >= 400 and demo.customers >= 20_000
    assert len(config.countries) == 3 and len(config.departments) == 5


def test_two_files_of_one_second_both_arrive(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    delivery = Delivery(
        "price_list", "prices", "prices_DE_20251212", "csv", b"one", 1, datetime(2025, 12, 12, 5, tzinfo=UTC)
    )
    outbox.put(delivery)
    outbox.put(delivery.but(payload=b"two"))
    outbox.release(datetime(2025, 12, 13, tzinfo=UTC))
    assert sorted(path.read_bytes() for path in (tmp_path / "prices").iterdir()) == [b"one", b"two"]
    assert len({file.path for file in outbox.delivered}) == 2


def test_a_grown_sample_is_left_as_it_is(tmp_path: Path) -> None:
    days = scale_named("tiny").days + 1
    simulate(tmp_path, "tiny", seed=7, days=days)
    again = simulate(tmp_path, "tiny", seed=7)
    assert (again.reused, again.days) == (True, days)
