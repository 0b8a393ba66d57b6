"""Codes that a writer has made numbers: pandas makes a column of codes with a gap one of floats."""

WHOLE_UNTIL = {"DOUBLE": 2**53, "FLOAT": 2**24, "HALFFLOAT": 2**11}
"""From here on a float may stand for several whole numbers; DuckDB has floats of 16 bits as FLOAT."""


def code_of(value: str, kind: str) -> str:
    """SQL for the code that the float `value` of the type `kind` was: its digits, where it still has all of them
    (536365.0 is 536365), else NULL.
    """
    number, shown = f"TRY_CAST({value} AS DOUBLE)", f"CAST({value} AS VARCHAR)"
    whole = f"CAST(TRY_CAST({number} AS BIGINT) AS VARCHAR)"
    return (
        f"CASE WHEN {number} = trunc({number}) THEN CASE WHEN abs({number}) < {WHOLE_UNTIL[kind]} THEN {whole} END "
        f"WHEN isfinite({number}) AND NOT contains({shown}, 'e') THEN {shown} END"
    )
