from pathlib import Path

text = Path("m.yaml").read_text()
Path("corrected.yaml").write_text(
    text.replace("quantity: qty", 'quantity: {sql: "coalesce(TRY_CAST(qty AS INTEGER), 9)"}')
)
