"""Nobody's name leaves in a scrambled copy, in whatever script, encoding or format it is written."""

import csv
import gzip
import io
import json
import unicodedata
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assets.sources.other_letters import is_part_of_word
from retail_assets.sources.scramble import Scrambled, ScrambleError, Scrambler, scramble_file
from retail_assets.sources.scrambled_json import column_keys, scrambled_json
from retail_assets.sources.scrambled_parquet import UnknownType, scrambled_table
from retail_assets.sources.scrambler import KEPT

SCRIPTS = {
    "Latin": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "accents": "\u00e4\u00f6\u00fc\u00df\u00e9\u00e8\u00f1\u00e7\u00c4\u00d6\u00dc\u0161\u010d\u0141\u0142\u017b\u1ea1",
    "Cyrillic": "".join(map(chr, range(0x410, 0x450))),
    "Greek": "".join(map(chr, range(0x3B1, 0x3CA))),
    "Hebrew": "".join(map(chr, range(0x5D0, 0x5EB))),
    "Arabic": "".join(map(chr, range(0x627, 0x63B))),
    "Devanagari": "".join(map(chr, range(0x905, 0x93A))),
    "Thai": "".join(map(chr, range(0xE01, 0xE2F))),
    "Han": "\u5c71\u7530\u592a\u90ce\u738b\u5c0f\u660e\U00020bb7",
    "kana": "".join(map(chr, [*range(0x3042, 0x3094), *range(0x30A2, 0x30F4), *range(0xFF71, 0xFF9D)])),
    "Hangul": "\uae40\ucca0\uc218\uac00\ub098\ub2e4",
    "full width": "".join(map(chr, [*range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B)])),
    "mathematical": "\U0001d400\U0001d401\U0001d41a",
    "circled": "\u24d0\u24d1\u24d2",
}
PEOPLE = [
    "\u0418\u0432\u0430\u043d \u041f\u0435\u0442\u0440\u043e\u0432",
    "\u5c71\u7530\u592a\u90ce",
    "\u738b",
    "\u0391\u03bb\u03ad\u03be\u03b1\u03bd\u03b4\u03c1\u03bf\u03c2",
    "\u0645\u062d\u0645\u062f",
    "M\u00fcller",
    "Jose\u0301 Garci\u0301a",
    "\u0660\u0661\u0662\u0663\u0664\u0665",
    "\uff11\uff12\uff13",
    "\uff2a\uff4f\uff48\uff4e",
    "\uae40\ucca0\uc218",
    "\u0936\u0930\u094d\u092e\u093e",
    "\U00020bb7\u91ce\u5bb6",
    "John Smith",
]
words = st.sampled_from(sorted(SCRIPTS)).flatmap(lambda name: st.text(SCRIPTS[name], min_size=3, max_size=12))
texts = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("".join(SCRIPTS.values()))))


def scrambled(file: Path, content: bytes, **options: Any) -> tuple[bytes, Scrambled]:
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    out = file.with_name(f"out_{file.name}")
    out.unlink(missing_ok=True)
    done = scramble_file(file, out, b"key", **options)
    return out.read_bytes(), done


@given(texts)
def test_every_sign_has_its_kind(text: str) -> None:
    made = Scrambler(b"key").words(text)
    assert len(made) == len(text)
    for was, now in zip(text, made, strict=True):
        assert unicodedata.category(was) == unicodedata.category(now)
        assert len(was.encode()) == len(now.encode())
        if not is_part_of_word(was) or unicodedata.category(was)[0] == "M":
            assert was == now


@given(st.lists(words, min_size=1))
def test_no_letter_of_a_word_stays(said: list[str]) -> None:
    made = Scrambler(b"key").words("|".join(said)).split("|")
    for was, now in zip(said, made, strict=True):
        assert was.lower() in KEPT or all(a != b for a, b in zip(was, now, strict=True)), (was, now)
        assert [one.isupper() for one in was] == [one.isupper() for one in now]
        scripts = [[unicodedata.name(one, "?").split()[0] for one in text] for text in (was, now)]
        assert scripts[0] == scripts[1]


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_people_go_in_every_encoding(tmp_path: Path, encoding: str, ends: str) -> None:
    said = ends.join(["name,phone", *(f"{person},0049 171 {at}55" for at, person in enumerate(PEOPLE)), ""])
    made, done = scrambled(tmp_path / "x.csv", said.encode(encoding))
    text = made.decode(encoding)
    assert len(made) == len(said.encode(encoding)) and text.startswith(f"name,phone{ends}")
    for person in PEOPLE:
        for word in person.split():
            assert word not in text
    assert done.kept_lines[0].lstrip("\ufeff") == "name,phone" and done.changed > len(PEOPLE)


def test_a_cut_utf16_file_stays_cut(tmp_path: Path) -> None:
    made, _ = scrambled(tmp_path / "x.csv", "name\nJohn Smith\n".encode("utf-16") + b"\x41")
    assert made.endswith(b"\x41") and "John" not in made[:-1].decode("utf-16")


@pytest.mark.parametrize(
    "encoding", ["latin-1", "cp1251", "iso8859-7", "gbk", "euc-jp", "euc-kr", "shift-jis", "big5", "koi8-r"]
)
def test_bytes_of_older_encodings_go(tmp_path: Path, encoding: str) -> None:
    for person in PEOPLE:
        try:
            said = person.encode(encoding)
        except UnicodeEncodeError:
            continue
        made, _ = scrambled(tmp_path / encoding / "x.csv", b"name\n" + said + b"\n")
        for word in said.split():
            assert word not in made
            changed = sum(a != b for a, b in zip(word, made.split(b"\n")[1], strict=False))
            assert changed * 3 >= len(word), "a byte of nearly each letter"


def test_the_same_word_goes_the_same_way_in_every_file(tmp_path: Path) -> None:
    table = pa.table({"name": pa.array(["M\u00fcller"]).dictionary_encode()})
    pq.write_table(table, tmp_path / "p.parquet")
    scramble_file(tmp_path / "p.parquet", tmp_path / "q.parquet", b"key")
    made = {pq.read_table(tmp_path / "q.parquet")["name"].to_pylist()[0]}
    for encoding in ("utf-8", "utf-16", "latin-1"):
        made.add(scrambled(tmp_path / "x.csv", "name\nM\u00fcller".encode(encoding))[0].decode(encoding).split()[1])
    for ascii_only in (True, False):
        content = json.dumps([{"name": "M\u00fcller"}], ensure_ascii=ascii_only).encode()
        made.add(json.loads(scrambled(tmp_path / "x.json", content)[0])[0]["name"])
    assert len(made) == 1 and "M\u00fcller" not in made


leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts)
documents = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(texts, inner))


def structure(data: object) -> object:
    if isinstance(data, dict):
        return [structure(value) for value in data.values()]
    if isinstance(data, list):
        return [structure(value) for value in data]
    if isinstance(data, str):
        return len(data), [unicodedata.category(sign) for sign in data]
    return type(data)


@given(documents, st.booleans(), st.sampled_from([None, 2]))
def test_json_stays_json(data: object, ascii_only: bool, indent: int | None) -> None:
    made, _, _ = scrambled_json(json.dumps(data, ensure_ascii=ascii_only, indent=indent), Scrambler(b"key"), ())
    keys_meet = lambda pairs: [value for _, value in pairs]  # noqa: E731 - two short keys may become the same one
    assert structure(json.loads(made, object_pairs_hook=keys_meet)) == structure(data)
    assert made.isascii() >= ascii_only


@pytest.mark.parametrize(
    "wrong", [r'{"a": "Jos\u00"}', r'{"a": "Jo\q \ud83d"}', '{"a": "Jos', r'[{"a": "Jos\ud83d\u0041n"}]']
)
def test_broken_json_stays_as_broken(wrong: str) -> None:
    made, _, _ = scrambled_json(wrong, Scrambler(b"key"), ())
    assert len(made) == len(wrong) and "Jos" not in made and "Jo\\" not in made

    def fault(text: str) -> str:
        try:
            json.loads(text)
        except ValueError as error:
            return str(error)
        return "none"

    assert fault(made) == fault(wrong)


@pytest.mark.parametrize(
    ("text", "stay"),
    [
        ('{"John": 1, "Bob": 2}', set()),
        ('[{"name": "John"}]', {"name"}),
        ('[{"name": 1, "John": 2}, {"name": 1}, {"name": 1, "Bob": 2}]', {"name"}),
        ('{"John": {"age": 1, "Ann": 2}, "Bob": {"age": 3}}', {"age"}),
        (
            '{"name": 1}\n{"name": 2, "by": {"John": 1}}\n{"name": 3, "by": {"Bob": 1}}\n{"name": 4, "by": {}}',
            {"name", "by"},
        ),
        ('{"na\\u006de": 1}\n{"name": 1}', {"name"}),
        ('{"name": {"x": 1\n{"name": {"x": 1}}\n{"name": {"x": 2}}', {"name", "x"}),
        ('{"name": 1, "name": 2}', set()),
    ],
)
def test_keys_of_most_rows_are_columns_and_others_are_data(text: str, stay: set[str]) -> None:
    assert column_keys(text) == stay
    made, kept, _ = scrambled_json(text, Scrambler(b"key"), ())
    assert set(kept) == stay
    assert "John" not in made and "Bob" not in made


def test_a_key_stays_if_a_person_says_so(tmp_path: Path) -> None:
    said = b'{"orders": [{"name": "Jane"}, {"name": "Bob"}]}'
    made, done = scrambled(tmp_path / "x.json", said)
    assert list(json.loads(made)) != ["orders"] and (done.kept_keys, done.changed_keys) == (["name"], 1)
    made, done = scrambled(tmp_path / "x.json", said, kept_keys=["orders"])
    assert list(json.loads(made)) == ["orders"] and done.changed_keys == 0


rows = st.lists(st.lists(texts, min_size=2, max_size=2), min_size=1)


@given(rows)
def test_csv_stays_csv(rows: list[list[str]]) -> None:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    made = Scrambler(b"key").words(out.getvalue())
    read = list(csv.reader(io.StringIO(made, newline="")))
    assert [list(map(len, row)) for row in read] == [
        list(map(len, row)) for row in csv.reader(io.StringIO(out.getvalue(), newline=""))
    ]


VALUES: dict[str, pa.Array] = {
    "dictionary": pa.array(["Jane", None, "Jane", "\u0418\u0432\u0430\u043d"]).dictionary_encode(),
    "ordered": pa.DictionaryArray.from_arrays(pa.array([0, 1, 0, None], pa.int8()), ["Jane", "Ivan"], ordered=True),
    "coded": pa.array([4711, 4711, None, 12]).dictionary_encode(),
    "list": pa.array([["Jane", "Bob"], [], None, ["Jane"]]),
    "struct": pa.array([{"who": "Jane", "age": 47}, None, {"who": None, "age": 4711}, {"who": "x", "age": 1}]),
    "map": pa.array([[("Jane", 47)], [], None, [("Bob", 4711)]], pa.map_(pa.string(), pa.int32())),
    "small": pa.array([127, -128, None, 99], pa.int8()),
    "largest": pa.array([2**64 - 1, 4711, None, 10**19], pa.uint64()),
    "money": pa.array([Decimal("99.95"), Decimal("-0.50"), None, Decimal("12.00")], pa.decimal128(4, 2)),
    "text": pa.array(["Jane", "\u5c71\u7530", None, "Bob"], pa.large_string()),
    "bytes": pa.array([b"Jane Miller", b"\x00\x01\xff\xfe", None, b""]),
    "fixed": pa.array([b"Jane", b"\x00\xff\x10\x80", None, b"BobX"], pa.binary(4)),
    "half": pa.array([1.25, None, 47.5, 10.0], pa.float16()),
    "uuid": pa.array([UUID(int=2**100 + 7).bytes, None, UUID(int=5).bytes, UUID(int=5).bytes], pa.uuid()),
}


@pytest.mark.parametrize("name", sorted(VALUES))
def test_parquet_columns_of_every_type_keep_it(tmp_path: Path, name: str) -> None:
    pq.write_table(pa.table({name: VALUES[name]}), tmp_path / "x.parquet")
    scramble_file(tmp_path / "x.parquet", tmp_path / "y.parquet", b"key")
    was, now = pq.read_table(tmp_path / "x.parquet"), pq.read_table(tmp_path / "y.parquet")
    assert now.schema == was.schema and now[name].null_count == was[name].null_count
    said = repr(now[name].to_pylist())
    for gone in ("Jane", "Bob", "Miller", "\u5c71\u7530", "\u0418\u0432\u0430\u043d", "4711", "127", "99"):
        assert gone not in said
    assert now[name] != was[name]


def test_what_a_writer_noted_in_a_parquet_file_goes() -> None:
    table = pa.table({"who": ["Jane"]}).replace_schema_metadata({"customers": "Jane Miller"})
    assert scrambled_table(table, Scrambler(b"key")).schema.metadata is None


def test_a_type_without_others_is_named() -> None:
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array(["Jane"])])
    with pytest.raises(UnknownType, match="column 'who' of the type"):
        scrambled_table(pa.table({"who": union}), Scrambler(b"key"))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.csv.gz", gzip.compress(b"name\nJane\n", mtime=0), "gzip"),
        ("x.xlsx", b"PK\x03\x04 workbook", "zip"),
        ("x.csv", bytes(range(256)) * 4, "no text"),
        ("x.csv", b"\xff\xfe\x00\x00" + b"\xff\xff\xff\x7f" * 4, "no UTF-32"),
        ("x.csv", b"name,mail\n", "nothing in it to change"),
        ("x.csv", b"Jane Miller,jane@example.com\nBob,b@x.org\n", "'jane@example.com' in it looks like data"),
        ("x.csv", "Jane;01.03.1970\nBob;02.04.1980\n".encode("utf-16"), "'01.03.1970' in it looks like data"),
        ("x.csv", b"Jane\t4711\n", "'4711' in it looks like data"),
        ("x.csv", b"", "nothing in it to change"),
    ],
)
def test_what_would_let_data_out_is_refused(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    with pytest.raises(ScrambleError, match=says):
        scrambled(tmp_path / name, content)
    assert not (tmp_path / f"out_{name}").exists()


def test_a_person_says_what_the_first_line_is(tmp_path: Path) -> None:
    made, _ = scrambled(tmp_path / "x.csv", b"Jane,4711\nBob,12\n", header_lines=0)
    assert b"Jane" not in made and b"4711" not in made
    made, done = scrambled(tmp_path / "x.csv", b"shop,2024-01-01\nBerlin,12\n", header_lines=1)
    assert made.startswith(b"shop,2024-01-01\n") and done.kept_lines == ["shop,2024-01-01"]


def test_a_few_bytes_that_are_no_text_stay(tmp_path: Path) -> None:
    made, _ = scrambled(tmp_path / "x.csv", b"name,x\nJane\x00,\x01\nBob,1\x1a")
    assert (made.count(b"\0"), made[-1:]) == (1, b"\x1a") and b"Jane" not in made


@pytest.mark.parametrize("person", ["12 Mayer 2024", "1 Janssen 24", "20991399", "Oktavia"])
def test_what_only_begins_like_a_date_goes(person: str) -> None:
    assert Scrambler(b"key").words(person) != person
