"""How fast the sample retailer is simulated, against writing the same rows one by one with csv and json.

    python benchmarks/sample_speed.py [--scale demo] [--days 400] [--peer-days 60]

Three figures: the whole simulation (every feed, truth included); the same feeds drawn and written row by row, as
scripts with a fake-data library do, on a slice; and POS files alone, byte for byte the same from both sides, from rows
in memory. Each runs in a process of its own, so that CPU seconds and peak memory are its own.
"""

import argparse
import csv
import io
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

TIME = "%m/%d/%Y %I:%M:%S %p"
HEADER = (
    "store_id", "receipt_id", "line_no", "sold_at", "sku", "quantity", "unit_price", "list_price", "promo_code",
    "customer_id", "payment_id", "currency",
)  # fmt: skip
# What a day of one shop has per POS line at demo scale: clicks, stock rows, payments.
SHOPS, LINES, CLICKS, STOCK, PAYMENTS = 15, 284, 382, 286, 67


def simulated(root: Path, options: argparse.Namespace) -> int:
    """The whole sample retailer; returns its POS lines."""
    from retail_assets.sample.simulate import simulate

    return simulate(root, options.scale, days=options.days).rows["pos_lines"]


def row_by_row(root: Path, options: argparse.Namespace) -> int:
    """The four big feeds with one Python row per record, without any model of demand; returns the POS lines."""
    chance = random.Random(7)
    for number in range(SHOPS * options.peer_days):
        day = datetime(2025, 10, 5) + timedelta(days=number // SHOPS)  # noqa: DTZ001 - a till's local time has no zone
        store = f"US-{number % SHOPS + 1:03d}"
        name = f"{store}_{day:%Y%m%d}"
        write_csv(root / f"pos_{name}.csv", HEADER, (_line(chance, store, day, i) for i in range(LINES)))
        stock = ([store, f"SKU-{i + 1:05d}", f"{day:%Y-%m-%d}", chance.randint(0, 40), 0] for i in range(STOCK))
        write_csv(root / f"stock_{name}.csv", ("store_id", "sku", "counted_on", "on_hand", "on_order"), stock)
        with (root / f"clicks_{name}.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(_click(chance, store, day, i)) + "\n" for i in range(CLICKS))
        rows = [_payment(chance, store, day, i) for i in range(PAYMENTS)]
        pq.write_table(pa.Table.from_pylist(rows), root / f"payments_{name}.parquet")
    return SHOPS * options.peer_days * LINES


def write_csv(path: Path, header: tuple[str, ...], rows: object) -> None:
    """One CSV file by the csv module."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)  # type: ignore[arg-type]


def _moment(chance: random.Random, day: datetime) -> datetime:
    return day + timedelta(seconds=chance.randint(28_800, 75_600))


def _line(chance: random.Random, store: str, day: datetime, line: int) -> list[object]:
    receipt = f"{store}-{day:%Y%m%d}-R{line // 3 + 1:04d}"
    price = round(chance.uniform(1, 30), 2)
    promoted = chance.random() < 0.1
    return [
        store, receipt, line % 3 + 1, _moment(chance, day).strftime(TIME), f"SKU-{chance.randint(1, 300):05d}",
        chance.choice([1, 1, 1, 2, 3]), f"{price * (0.8 if promoted else 1):.2f}", f"{price:.2f}",
        f"US-P{day:%y%m%d}" if promoted else "", f"C-{chance.randint(1, 20_000):07d}" if chance.random() < 0.6 else "",
        f"PAY-{receipt}", "USD",
    ]  # fmt: skip


def _click(chance: random.Random, store: str, day: datetime, number: int) -> dict[str, object]:
    return {
        "event_id": f"{store}-{day:%Y%m%d}-E{number:06d}",
        "session_id": f"{store}-{day:%Y%m%d}-S{number // 4:05d}",
        "customer_id": f"C-{chance.randint(1, 20_000):07d}" if chance.random() < 0.55 else None,
        "store_id": store,
        "event_type": chance.choice(["view", "view", "view", "search", "add_to_cart", "purchase"]),
        "sku": f"SKU-{chance.randint(1, 300):05d}",
        "query": None,
        "occurred_at": _moment(chance, day).isoformat() + "-04:00",
    }


def _payment(chance: random.Random, store: str, day: datetime, number: int) -> dict[str, object]:
    return {
        "payment_id": f"PAY-{store}-{day:%Y%m%d}-R{number:04d}",
        "receipt_id": f"{store}-{day:%Y%m%d}-R{number:04d}",
        "store_id": store,
        "customer_id": f"C-{chance.randint(1, 20_000):07d}",
        "card_token": "tok_" + "".join(chance.choices("abcdefghijklmnop", k=14)),
        "amount": Decimal(chance.randint(100, 20_000)).scaleb(-2),
        "currency": "USD",
        "method": chance.choice(["card", "wallet"]),
        "paid_at": _moment(chance, day),
        "is_online": False,
    }


def same_pos_files(root: Path, options: argparse.Namespace) -> dict[str, float]:
    """POS files of American shops from rows in memory: CPU seconds of our writer and of the csv module."""
    from retail_assets.sample.config import scale_named
    from retail_assets.sample.day import Simulation
    from retail_assets.sample.dialects import PosWriter
    from retail_assets.sample.outbox import Outbox
    from retail_assets.sample.world import build_world

    class Recorder(PosWriter):
        calls: list[tuple] = []  # noqa: RUF012 - one recorder, read after the run

        def files(self, *arguments):  # type: ignore[no-untyped-def]
            self.calls.append(arguments)
            return super().files(*arguments)

    world = build_world(7, scale_named(options.scale))
    (root / "truth").mkdir()
    simulation = Simulation(world, Outbox(root), root / "truth")
    simulation.pos = Recorder(world)
    for day in range(options.peer_days):
        simulation.step(day)
    simulation.close()
    started = time.process_time()
    written = [simulation.pos.files(*call) for call in Recorder.calls[: options.peer_days]]
    own = time.process_time() - started
    lines = sum(rows for files in written for _, rows in files.values())
    texts = [text for files in written for shop, (text, _) in files.items() if world.shops.country[shop] == 0]
    parsed = [_parsed(text) for text in texts]
    started = time.process_time()
    again = [_formatted(rows) for rows in parsed]
    peer = time.process_time() - started
    if again != texts:
        raise SystemExit("the two sides did not write the same bytes")
    return {"lines": lines, "own": own, "peer_lines": sum(map(len, parsed)), "peer": peer}


def _parsed(text: bytes) -> list[tuple[object, ...]]:
    """The rows of an American POS file as typed values."""
    rows = list(csv.reader(io.StringIO(text.decode())))[1:]
    return [
        (r[0], r[1], int(r[2]), datetime.strptime(r[3], TIME), r[4], int(r[5]), Decimal(r[6]), Decimal(r[7]), *r[8:])  # noqa: DTZ007
        for r in rows
    ]


def _formatted(rows: list[tuple[object, ...]]) -> bytes:
    """The same file again, row by row."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    for store, receipt, line, at, sku, quantity, unit, listed, *rest in rows:
        writer.writerow([store, receipt, line, f"{at:{TIME}}", sku, quantity, f"{unit:.2f}", f"{listed:.2f}", *rest])
    return out.getvalue().encode()


def side(options: argparse.Namespace) -> None:
    """One side of the comparison; prints its figures as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        root, started, cpu_before = Path(folder), time.perf_counter(), time.process_time()
        if options.side == "pos":
            print(json.dumps(same_pos_files(root, options)))
            return
        lines = (simulated if options.side == "ours" else row_by_row)(root, options)
        seconds = time.perf_counter() - started
        cpu = time.process_time() - cpu_before
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"lines": lines, "seconds": seconds, "cpu": cpu, "peak_mb": peak}))


def measured(name: str, options: argparse.Namespace) -> dict[str, float]:
    """Runs one side in a process of its own."""
    arguments = ["--side", name, "--scale", options.scale, "--peer-days", str(options.peer_days)]
    arguments += ["--days", str(options.days)] if options.days else []
    text = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True, text=True).stdout
    return dict(json.loads(text.splitlines()[-1]))


def compare(options: argparse.Namespace) -> None:
    """Prints all sides and their ratios."""
    sides = {"simulate": measured("ours", options), "row by row": measured("peer", options)}
    print(
        f"{'all feeds':14}{'POS lines':>12}{'seconds':>10}{'lines/s':>10}{'CPU s':>9}{'CPU us/line':>13}{'peak MB':>9}"
    )
    for name, f in sides.items():
        per_line = 1e6 * f["cpu"] / f["lines"]
        print(
            f"{name:14}{f['lines']:12,.0f}{f['seconds']:10.2f}{f['lines'] / f['seconds']:10,.0f}{f['cpu']:9.2f}"
            f"{per_line:13.2f}{f['peak_mb']:9.0f}"
        )
    own, peer = (f["cpu"] / f["lines"] for f in sides.values())
    print(f"CPU per POS line with all feeds, row by row / simulate: {peer / own:.2f}")
    pos = measured("pos", options)
    own, peer = pos["own"] / pos["lines"], pos["peer"] / pos["peer_lines"]
    print(
        f"same POS bytes from rows in memory: {1e6 * own:.2f} us a line, csv module {1e6 * peer:.2f}: {peer / own:.1f}"
    )
    million = 1e6 * sides["simulate"]["seconds"] / sides["simulate"]["lines"]
    print(f"1,000,000 POS lines with all other feeds take {million:.1f} s")


def main() -> None:
    """Reads the arguments and runs one side or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scale", default="demo")
    parser.add_argument("--days", type=int)
    parser.add_argument("--peer-days", type=int, default=60)
    parser.add_argument("--side", choices=["ours", "peer", "pos"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        side(options)
    else:
        compare(options)


if __name__ == "__main__":
    main()
