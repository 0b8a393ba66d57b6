from pathlib import Path

text = Path("m.yaml").read_text()
Path("m.yaml").write_text(text.replace("{store_id: id, name: name}", "{store_id: id, name: " + "9" * 5_000 + "}"))
