from pathlib import Path

Path("sales/b.csv").write_text("shop,receipt,time,ite")
