"""A Parquet file's columns with other values of the same types; instants, flags and the schema stay."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa

from retail_assets.sources.scrambler import Scrambler

Make = Callable[[Any], Any]


class UnknownType(ValueError):
    """A type whose values nobody can replace by others."""


def scrambled_table(table: pa.Table, scrambler: Scrambler) -> pa.Table:
    """`table` with other values. What its writer noted beside the schema goes: nobody looks for people's data there.

    Raises UnknownType, which names the column.
    """
    columns = []
    for at, one in enumerate(table.schema):
        try:
            columns.append(_column(table.column(at), one.type, scrambler))
        except UnknownType as error:
            raise UnknownType(f"column {one.name!r} of the type {error} cannot be scrambled") from error
    return pa.Table.from_arrays(columns, schema=pa.schema([one.remove_metadata() for one in table.schema]))


def _column(values: pa.ChunkedArray, kind: pa.DataType, scrambler: Scrambler) -> pa.ChunkedArray:
    if isinstance(kind, pa.BaseExtensionType):
        stored = pa.chunked_array([chunk.storage for chunk in values.chunks], kind.storage_type)
        made = _column(stored, kind.storage_type, scrambler)
        return pa.chunked_array([kind.wrap_array(chunk) for chunk in made.chunks], kind)
    make = _maker(kind, scrambler)
    if make is None:
        return values
    if not pa.types.is_dictionary(kind):
        return pa.chunked_array([pa.array([make(value) for value in values.to_pylist()], kind)], kind)
    plain = pa.array([make(value) for value in values.to_pylist()], kind.value_type)
    coded = plain.dictionary_encode()
    indices, names = coded.indices.cast(kind.index_type), coded.dictionary
    return pa.chunked_array([pa.DictionaryArray.from_arrays(indices, names, ordered=kind.ordered)], kind)


def _maker(kind: pa.DataType, scrambler: Scrambler) -> Make | None:
    """What makes another value of a value of this type; None where every value stays. Raises UnknownType."""
    is_ = pa.types
    if is_.is_dictionary(kind):
        return _maker(kind.value_type, scrambler)
    if is_.is_temporal(kind) or is_.is_boolean(kind) or is_.is_null(kind):
        return None
    if is_.is_integer(kind):
        return _unless_null(lambda value: _integer(value, kind, scrambler))
    if is_.is_floating(kind):
        return _unless_null(lambda value: float(scrambler.words(repr(value))))
    if is_.is_decimal(kind):
        return _unless_null(lambda value: Decimal(scrambler.words(format(value, "f"))))
    if is_.is_string(kind) or is_.is_large_string(kind) or is_.is_string_view(kind):
        return _unless_null(scrambler.words)
    if is_.is_fixed_size_binary(kind) or is_.is_binary(kind) or is_.is_large_binary(kind) or is_.is_binary_view(kind):
        return _unless_null(lambda value: _bytes(value, scrambler))
    return _nested(kind, scrambler)


def _nested(kind: pa.DataType, scrambler: Scrambler) -> Make | None:
    is_ = pa.types
    if is_.is_map(kind):
        key, item = _maker(kind.key_type, scrambler) or _same, _maker(kind.item_type, scrambler) or _same
        return _unless_null(lambda pairs: [(key(name), item(value)) for name, value in pairs])
    if is_.is_list(kind) or is_.is_large_list(kind) or is_.is_fixed_size_list(kind):
        one = _maker(kind.value_type, scrambler) or _same
        return _unless_null(lambda values: [one(value) for value in values])
    if is_.is_struct(kind):
        fields = [kind.field(at) for at in range(kind.num_fields)]
        makers = {one.name: _maker(one.type, scrambler) or _same for one in fields}
        return _unless_null(lambda row: {name: makers[name](value) for name, value in row.items()})
    raise UnknownType(str(kind))


def _same(value: Any) -> Any:
    return value


def _unless_null(make: Make) -> Make:
    return lambda value: None if value is None else make(value)


def _integer(value: int, kind: pa.DataType, scrambler: Scrambler) -> int:
    """Another number of as many digits, of those that the type holds."""
    made = int(scrambler.words(str(value)))
    unsigned = pa.types.is_unsigned_integer(kind)
    most = 2**kind.bit_width - 1 if unsigned else 2 ** (kind.bit_width - 1) - 1
    if abs(made) <= most:
        return made
    least = 10 ** (len(str(most)) - 1)
    within = least + abs(made) % (most - least)
    within += within == abs(value)
    return within if value >= 0 else -within


def _bytes(value: bytes, scrambler: Scrambler) -> bytes:
    """Text in bytes as text; other bytes as others, of which nothing stays but how many they are."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return scrambler.noise(value)
    return scrambler.words(text).encode() if text.isprintable() else scrambler.noise(value)
