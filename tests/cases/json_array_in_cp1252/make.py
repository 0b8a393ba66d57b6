"""An array of one item, written by a program that does not know UTF-8."""

from pathlib import Path

Path("items-a.json").write_bytes('[{"item":"A1","title":"Käse","group":"g"}]'.encode("cp1252"))
