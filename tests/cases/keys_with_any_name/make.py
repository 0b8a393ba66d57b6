import random
from datetime import date, timedelta
from pathlib import Path

chance = random.Random(3)
START, SERIES = date(2023, 1, 1), [(i, s) for i in (1, 2) for s in (1, 2)]
for key in ("place", "_merge", "row", "index"):
    rows = [f"I{i},S{s},{START + timedelta(n)},{chance.randint(3, 12)},5" for i, s in SERIES for n in range(60)]
    Path(f"{key}.csv").write_text("\n".join([f"item,{key},date,qty,price", *rows]) + "\n")
    rows = [f"I{i},S{s},{START + timedelta(60 + n)},5" for i, s in SERIES for n in range(7)]
    Path(f"f_{key}.csv").write_text("\n".join([f"item,{key},date,price", *rows]) + "\n")
    Path(f"a_{key}.csv").write_text(f"{key},region\nS1,north\nS2,south\n")
