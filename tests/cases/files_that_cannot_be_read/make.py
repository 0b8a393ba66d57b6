"""What can lie where files should: a folder, a pipe, a link to nothing, and a link to what others keep."""

import os
from pathlib import Path

Path("sales/folder.csv").mkdir()
Path("sales/gone.csv").symlink_to("nowhere.csv")
os.mkfifo("sales/pipe.csv")
Path("sales/m.csv").symlink_to("/proc/self/mem")
