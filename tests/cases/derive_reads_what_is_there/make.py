from pathlib import Path

Path("items.csv").write_bytes('item,\xa0title \nA1,Käse\n#B2,"b \\ ""x"""\r\nC3,NA\n'.encode("cp1252"))
Path("shelves.TXT").write_bytes(b"item,shelf\nA1,#1\n#9,z\n")
