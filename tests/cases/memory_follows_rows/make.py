from datetime import date, timedelta
from pathlib import Path

rows = [
    ",".join([*(f"{letter}{n}" for letter in "abcdef"), str(date(2023, 1, 1) + timedelta(day)), str(n % 5 + day % 3)])
    for n in range(200)
    for day in range(30)
]
Path("wide.csv").write_text("\n".join(["a,b,c,d,e,f,date,qty", *rows]) + "\n")
