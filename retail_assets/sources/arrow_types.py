"""Arrow types of Parquet files that DuckDB does not read, as others that hold the same values."""

import pyarrow as pa
import pyarrow.compute as pc

DECIMAL_DIGITS = 38  # that a decimal of DuckDB may have
PER_SECOND = {"s": 1, "ms": 1_000}
FOREVER = 2**63 - 1  # microseconds that DuckDB calls infinity


class UnreadableColumn(Exception):
    """A column of a type for which there is no other."""


def readable(table: pa.Table) -> pa.Table:
    """`table` with every column in a type that DuckDB reads; raises UnreadableColumn that names the column."""
    for at, field in enumerate(table.schema):
        wanted = plain(field.type)
        if wanted == field.type:
            continue
        try:
            table = table.set_column(at, field.with_type(wanted), _cast(table.column(at), wanted))
        except pa.ArrowException as error:
            said = str(error).splitlines()[0]
            raise UnreadableColumn(f"the column {field.name!r} is of the type {field.type}: {said}") from error
    return table


def plain(kind: pa.DataType) -> pa.DataType:
    """The type itself, or one that holds its values and that DuckDB reads."""
    if isinstance(kind, pa.BaseExtensionType):
        return plain(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return plain(kind.value_type)
    if pa.types.is_decimal256(kind):
        return pa.decimal128(kind.precision, kind.scale) if kind.precision <= DECIMAL_DIGITS else pa.string()
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_large_string(kind) or kind == pa.string_view():
        return pa.string()  # one type for all files of a feed, whoever wrote them
    if pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind) or kind == pa.binary_view():
        return pa.binary()
    if pa.types.is_timestamp(kind) and kind.unit in PER_SECOND:
        return pa.timestamp("us", kind.tz)  # DuckDB fails on those of other units that are beyond its calendar
    return pa.list_(plain(kind.value_type)) if pa.types.is_large_list(kind) else kind


def _cast(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    chunks = [chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk for chunk in column.chunks]
    if pa.types.is_string(wanted) and column.type == pa.string_view():
        return pa.chunked_array([pa.array(chunk.to_pylist(), wanted) for chunk in chunks], wanted)
    if pa.types.is_binary(wanted) and column.type == pa.binary_view():
        return pa.chunked_array([pa.array(chunk.to_pylist(), wanted) for chunk in chunks], wanted)
    if pa.types.is_timestamp(wanted) and pa.types.is_timestamp(column.type):
        return _microseconds(column, wanted)
    return pa.chunked_array(chunks, plain(column.type) if not chunks else chunks[0].type).cast(wanted)


def _microseconds(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """Instants of another unit; what no microseconds can hold is infinity, as DuckDB says it."""
    factor = 10**6 // PER_SECOND[column.type.unit]
    most = FOREVER // factor
    values = column.cast(pa.int64())
    within = pc.min_element_wise(pc.max_element_wise(values, -most, skip_nulls=False), most, skip_nulls=False)
    beyond = pc.if_else(pc.greater(values, 0), FOREVER, -FOREVER)
    return pc.if_else(pc.equal(within, values), pc.multiply(within, factor), beyond).cast(wanted)
