import csv
from pathlib import Path

HOSTILE = ["%s {0}'; DROP TABLE x; --", "[/]|`x`", "\u202e\x1b[31m\nred"]


def write(path: str, rows: list[list[str]]) -> None:
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


write("stores.csv", [["id", "name"], *([name, name] for name in HOSTILE)])
write("items.csv", [["item", "title", "group"], *([name, name, name] for name in HOSTILE)])
Path("sales/a.csv").unlink()
heading = ["shop", "receipt", "time", "item", "qty", "price", "promo", "[red]new[/red]"]
for at, name in enumerate(HOSTILE):
    row = [name, name, "2024-03-01 10:00:00", name, "2", "1.50", name, ""]
    write(
        f"sales/[bold]{name.replace('/', '')}.csv", [heading, row, *([[*row[:4], name, *row[5:]]] if at == 0 else [])]
    )
text = Path("m.yaml").read_text().replace("unit_price: price", "unit_price: price\n      promo_code: promo")
text += 'skipped:\n  - {files: "sales/*red.csv", reason: "[bold]because[/] \\e[31m of\\nit"}\n'
Path("m.yaml").write_text(text)
