from pathlib import Path

Path("items.csv").write_text("\ufeffitem,title,group\nA1,Käse,fruit\nB2,Br\0ot,bakery\n")
