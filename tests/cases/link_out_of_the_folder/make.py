from pathlib import Path

Path("kept.csv").write_text(Path("sales/a.csv").read_text().replace("S1,1", "S1,9"))
Path("sales/within.csv").symlink_to("../kept.csv")
Path("sales/out.csv").symlink_to("/etc/passwd")
