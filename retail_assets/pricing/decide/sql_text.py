"""Text made by SQL in one pass: pieces that become a single `concat`, as chained `||` copies the text at every step.

A piece is a SQL expression of type text. `concat` reads NULL as empty: pieces must not be NULL.
"""

from collections.abc import Sequence


def literal(text: str) -> str:
    """The SQL literal of `text`."""
    return "'" + text.replace("'", "''") + "'"


def concat(pieces: Sequence[str]) -> str:
    """One SQL expression for all pieces, neighbouring literals joined."""
    joined: list[str] = []
    for piece in pieces:
        if _is_literal(piece) and joined and _is_literal(joined[-1]):
            joined[-1] = joined[-1][:-1] + piece[1:]
        else:
            joined.append(piece)
    return f"concat({', '.join(joined)})" if joined else "''"


def json_object(fields: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Pieces of a JSON object; each field is its name and the pieces of its JSON value."""
    pieces = [literal("{")]
    for place, (name, value) in enumerate(fields):
        pieces += [literal(f'{"," if place else ""}"{name}":'), *value]
    return [*pieces, literal("}")]


def json_string(*pieces: str) -> list[str]:
    """Pieces of a JSON string whose content needs no escaping."""
    return [literal('"'), *pieces, literal('"')]


def choice(column: str, values: Sequence[str]) -> str:
    """The text in `values` that an integer `column` is the index of."""
    return f"case {column} " + " ".join(f"when {i} then {literal(value)}" for i, value in enumerate(values)) + " end"


def _is_literal(piece: str) -> bool:
    return len(piece) >= 2 and piece[0] == piece[-1] == "'" and "'" not in piece[1:-1].replace("''", "")
