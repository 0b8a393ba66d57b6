import os

os.rename(b"sales/a.csv", b"sales/caf\xe9.csv")  # noqa: PTH104 - a path of bytes
