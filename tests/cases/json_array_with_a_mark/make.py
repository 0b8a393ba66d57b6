from pathlib import Path

ROWS = '[\n{"item":"A1","title":"Apple","group":"fruit"},\n{"item":"B2","title":"Bread","group":"bakery"}\n]\n'
Path("items.json").write_text("\ufeff" + ROWS)
