from datetime import date, timedelta
from pathlib import Path

START = {"s1": date(2022, 1, 2), "s2": date(2022, 1, 3)}
rows = [f"a,{store},{day + timedelta(weeks=n)},{3 + n % 4}" for store, day in START.items() for n in range(40)]
Path("two.csv").write_text("\n".join(["item,store,week,qty", *rows]) + "\n")
