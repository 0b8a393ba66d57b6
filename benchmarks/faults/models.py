"""Hostile texts of tree models: a real LightGBM model with one fault in it, named, the same for the same seed.

    for name, content in mutations(seed=7): ...

Faults are of disks (cut off, zeroed pages, flipped bits), of copying (lines lost, doubled, swapped) and of malice
(counts of billions, indices outside, cycles, numbers that are none, settings that open files or ports). A campaign
gives its own `text`; without one a small real model is trained.
"""

import random
import re
from collections.abc import Callable, Iterator
from functools import cache

MODEL_FILE = "model_mean.txt"
Fault = Callable[[str, random.Random], str]

PAGE = 4096
HUGE = (2**31 - 1, 2**31, 2**40, 10**30, -1, -(2**31))
ODD = ("nan", "-nan", "inf", "-inf", "1e999", "-1e999", "1e308", "0x10", "", "1,5", "٣", "1_0", "--1", "e", "9" * 4000)
COUNTS = ("num_leaves", "num_cat", "num_class", "num_tree_per_iteration", "max_feature_idx", "label_index")
INTEGERS = ("split_feature", "decision_type", "left_child", "right_child", "leaf_count", "internal_count",
            "cat_boundaries", "cat_threshold", "tree_sizes")  # fmt: skip
NUMBERS = ("threshold", "leaf_value", "leaf_weight", "split_gain", "internal_value", "internal_weight", "shrinkage")
OBJECTIVES = ("custom", "lambdarank", "")
SETTINGS = ("[num_threads: 2147483647]", "[num_machines: 9]", "[machines: 10.0.0.1:12400]", "[device_type: cuda]",
            "[forcedsplits_filename: /etc/passwd]", "[data: /etc/passwd]", "[input_model: /etc/passwd]",
            "[num_leaves: -5]", "[boosting: dart]", "[objective: ", "no setting", "[x: " + "y" * 100_000)  # fmt: skip


def mutations(seed: int, text: str | None = None, rounds: int = 3) -> Iterator[tuple[str, bytes]]:
    """Names and contents of faulty models: every fault of this module `rounds` times, each at another place.

    `text` is a real model's; the same seed and text give the same faults. Names are unique within one call. A few
    contents may by chance be sound models: what is loaded must answer with sound numbers, and nothing may end or stop
    the process that looks.
    """
    base = text if text is not None else forecaster_files()[MODEL_FILE].decode()
    for number in range(rounds):
        for name, fault in _TEXTS.items():
            yield f"{name} #{number}", fault(base, _chance(seed, name, number)).encode()
        for name, fault in _HOSTILE.items():
            faulty = fault(base, _chance(seed, name, number))
            hidden = number % 2 and "tree_sizes" not in name
            yield f"{name} #{number}", (with_sizes(faulty) if hidden else faulty).encode()
        for name, change in _BYTES.items():
            content = bytearray(base.encode())
            change(content, _chance(seed, name, number))
            yield f"{name} #{number}", bytes(content)


@cache
def forecaster_files() -> dict[str, bytes]:
    """The files of a real small forecaster: 12 trees over numbers with gaps and two category columns, calibrated.

    The same at every call. `MODEL_FILE` is what `mutations` changes.
    """
    import lightgbm
    import numpy as np

    from retail_assets.core.intervals import QuantileTable
    from retail_assets.forecasting.encoding import ForecasterSpec
    from retail_assets.forecasting.model import DemandForecaster

    names = ["units_mean_7", "units_mean_28", "units_mean_56", "list_price"]
    categories = {"store_id": [f"US-{number:03d}" for number in range(40)], "category": ["beer", "juice", "soda"]}
    spec = ForecasterSpec(horizon=28, features=names, categories=categories, largest_factor=3.0, on_baseline=True)
    chance = np.random.default_rng(11)
    rows = chance.normal(size=(4000, len(spec.columns)))
    rows[:, -2:] = np.column_stack([chance.integers(0, len(values), 4000) for values in categories.values()])
    rows[chance.random(4000) < 0.1, 1] = np.nan
    units = chance.poisson(np.exp(0.4 * rows[:, 0] + 0.05 * rows[:, -2] - 0.3 * (rows[:, -1] == 2))).astype(float)
    parameters = {
        "objective": "tweedie", "num_leaves": 15, "min_data_in_leaf": 20, "max_cat_to_onehot": 2, "verbosity": -1,
        "num_threads": 1, "seed": 7, "deterministic": True, "force_row_wise": True,
    }  # fmt: skip
    data = lightgbm.Dataset(rows, units, feature_name=spec.columns, categorical_feature=[*categories],
                            params=parameters)  # fmt: skip
    booster = lightgbm.train(parameters, data, num_boost_round=12)
    mean = np.asarray(booster.predict(rows, num_threads=1), float)
    table = QuantileTable.fit(units, mean, chance.integers(0, 8, 4000), [0.05, 0.25, 0.5, 0.75, 0.95], counts=True)
    return DemandForecaster(booster, spec.model_copy(update={"intervals": table})).files()


def with_sizes(text: str) -> str:
    """`text` with the sizes of its trees as they are: a fault that a sum over bytes does not show."""
    _, *trees, _ = _trees(text) if len(_trees(text)) > 2 else ["", "", ""]
    sizes = " ".join(str(len(tree.encode())) for tree in trees)
    return re.sub(r"^tree_sizes=.*$", f"tree_sizes={sizes}", text, count=1, flags=re.MULTILINE)


def _chance(seed: int, name: str, number: int) -> random.Random:
    return random.Random(f"{seed}|{name}|{number}")


def _lines_with(text: str, key: str) -> list[re.Match[str]]:
    return list(re.finditer(rf"^{key}=(.*)$", text, re.MULTILINE))


def _put(text: str, key: str, make: Callable[[list[str], random.Random], list[str]], chance: random.Random) -> str:
    """`text` with the values of one line of this key replaced; unchanged lines stay byte for byte."""
    lines = [line for line in _lines_with(text, key) if line[1]]
    if not lines:
        return text + f"{key}=1\n"
    line = chance.choice(lines)
    return text[: line.start(1)] + " ".join(make(line[1].split(" "), chance)) + text[line.end(1) :]


def _one(values: list[str], value: str, chance: random.Random) -> list[str]:
    place = chance.randrange(len(values))
    return [*values[:place], value, *values[place + 1 :]]


def _shift(text: str, chance: random.Random, change: Callable[[list[str], int, random.Random], list[str]]) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(change(lines, chance.randrange(len(lines)), chance))


def _lost(lines: list[str], at: int, chance: random.Random) -> list[str]:
    return lines[:at] + lines[at + 1 :]


def _doubled(lines: list[str], at: int, chance: random.Random) -> list[str]:
    return lines[: at + 1] + lines[at:]


def _swapped(lines: list[str], at: int, chance: random.Random) -> list[str]:
    other = chance.randrange(len(lines))
    lines[at], lines[other] = lines[other], lines[at]
    return lines


def _trees(text: str) -> list[str]:
    return re.split(r"(?=^Tree=\d+$|^end of trees$)", text, flags=re.MULTILINE)


def _swapped_trees(text: str, chance: random.Random) -> str:
    head, *trees, end = _trees(text)
    first, second = chance.sample(range(len(trees)), 2)
    trees[first], trees[second] = trees[second], trees[first]
    return "".join([head, *trees, end])


def _lost_tree(text: str, chance: random.Random) -> str:
    head, *trees, end = _trees(text)
    del trees[chance.randrange(len(trees))]
    return "".join([head, *trees, end])


def _self_cycle(text: str, chance: random.Random) -> str:
    """A node that is its own child: whoever walks the tree walks for ever."""
    return _put(text, chance.choice(("left_child", "right_child")), _points_at_itself, chance)


def _points_at_itself(values: list[str], chance: random.Random) -> list[str]:
    place = chance.randrange(len(values))
    return [*values[:place], str(place), *values[place + 1 :]]


def _to_the_root(text: str, chance: random.Random) -> str:
    return _put(text, "right_child", lambda values, c: _one(values, "0", c), chance)


def _all_the_root(text: str, chance: random.Random) -> str:
    return _put(text, "left_child", lambda values, _: ["0"] * len(values), chance)


def _two_parents(text: str, chance: random.Random) -> str:
    return _put(text, "left_child", lambda values, c: _one(values, c.choice(values), c), chance)


def _longer(values: list[str], chance: random.Random) -> list[str]:
    return values * chance.choice((2, 50))


def _shorter(values: list[str], chance: random.Random) -> list[str]:
    return values[: chance.randrange(len(values))]


def _setting(text: str, chance: random.Random) -> str:
    wanted = chance.choice(SETTINGS)
    name = re.escape(wanted.split(":")[0])
    found = re.search(rf"^{name}: .*$", text, re.MULTILINE)
    if found:
        return text[: found.start()] + wanted + text[found.end() :]
    return text.replace("parameters:\n", f"parameters:\n{wanted}\n", 1)


def _linear(text: str, chance: random.Random) -> str:
    return _put(text, "is_linear", lambda *_: ["1"], chance)


_TEXTS: dict[str, Fault] = {
    "cut off": lambda text, c: text[: c.randrange(len(text))],
    "cut off in the head": lambda text, c: text[: c.randrange(min(len(text), 600))],
    "line lost": lambda text, c: _shift(text, c, _lost),
    "line doubled": lambda text, c: _shift(text, c, _doubled),
    "lines swapped": lambda text, c: _shift(text, c, _swapped),
    "trees swapped": _swapped_trees,
    "tree lost": _lost_tree,
    "written twice": lambda text, c: text + text,
    "line ends of Windows": lambda text, c: text.replace("\n", "\r\n"),
    "no line ends": lambda text, c: text.replace("\n", " "),
    "empty": lambda text, c: "",
    "a page of HTML": lambda text, c: "<!doctype html><title>Sign in to the guest network</title>" + text[:900],
}
_HOSTILE: dict[str, Fault] = {
    "node is its own child": _self_cycle,
    "child is the root": _to_the_root,
    "every child is the root": _all_the_root,
    "child of two nodes": _two_parents,
    "linear tree": _linear,
    "setting": _setting,
    "one line of a megabyte": lambda text, c: _put(text, "threshold", lambda v, _: ["7" * 10**6], c),
    "megabytes of categories": lambda text, c: text[:-5] + "[" * 10**6,
    "another objective": lambda text, c: _put(text, "objective", lambda *_: [c.choice(OBJECTIVES)], c),
    "another version": lambda text, c: _put(text, "version", lambda *_: [c.choice(("v9", "v2", "v" * 5000))], c),
    "values of a category that are none": lambda text, c: _put(
        text, "threshold", lambda values, _: [str(c.choice(HUGE))] * len(values), c
    ),
}
for _key in COUNTS:
    _HOSTILE[f"{_key} is huge"] = lambda text, c, key=_key: _put(text, key, lambda *_: [str(c.choice(HUGE))], c)  # type: ignore[misc]
for _key in INTEGERS:
    _HOSTILE[f"{_key} is outside"] = lambda text, c, key=_key: _put(  # type: ignore[misc]
        text, key, lambda values, c: _one(values, str(c.choice((*HUGE, 999_999, -999_999))), c), c
    )
for _key in (*INTEGERS, *NUMBERS):
    _HOSTILE[f"{_key} is no number"] = lambda text, c, key=_key: _put(  # type: ignore[misc]
        text, key, lambda values, c: _one(values, c.choice(ODD), c), c
    )
    _HOSTILE[f"{_key} is too long"] = lambda text, c, key=_key: _put(text, key, _longer, c)  # type: ignore[misc]
    _HOSTILE[f"{_key} is too short"] = lambda text, c, key=_key: _put(text, key, _shorter, c)  # type: ignore[misc]


def _flip(content: bytearray, chance: random.Random) -> None:
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def _many_flips(content: bytearray, chance: random.Random) -> None:
    for _ in range(40):
        _flip(content, chance)


def _flip_in_trees(content: bytearray, chance: random.Random) -> None:
    start, end = content.find(b"Tree=0"), content.find(b"end of trees")
    place = chance.randrange(max(start, 0), max(end, 1))
    content[place] = chance.choice(b"0123456789.- e\n=")


def _zero_page(content: bytearray, chance: random.Random) -> None:
    start = PAGE * chance.randrange(len(content) // PAGE + 1)
    end = min(start + PAGE, len(content))
    content[start:end] = bytes(end - start)


def _random_page(content: bytearray, chance: random.Random) -> None:
    start = PAGE * chance.randrange(len(content) // PAGE + 1)
    end = min(start + PAGE, len(content))
    content[start:end] = chance.randbytes(end - start)


def _all_zero(content: bytearray, chance: random.Random) -> None:
    content[:] = bytes(len(content))


def _noise(content: bytearray, chance: random.Random) -> None:
    content[:] = chance.randbytes(len(content))


_BYTES: dict[str, Callable[[bytearray, random.Random], None]] = {
    "bit flipped": _flip,
    "bit flipped elsewhere": _flip,
    "byte of a tree changed": _flip_in_trees,
    "another byte of a tree changed": _flip_in_trees,
    "forty bits flipped": _many_flips,
    "page of zeros": _zero_page,
    "page of noise": _random_page,
    "zeros only": _all_zero,
    "noise only": _noise,
}
