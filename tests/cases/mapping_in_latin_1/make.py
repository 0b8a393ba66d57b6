from pathlib import Path

text = Path("m.yaml").read_text().replace("Small shop.", "Käse")
Path("m.yaml").write_bytes(text.encode("latin-1"))
