from pathlib import Path

Path("other.csv").symlink_to("/etc/passwd")
