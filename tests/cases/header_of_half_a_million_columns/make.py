from pathlib import Path

Path("sales/b.csv").write_text("x," * (1 << 20))
