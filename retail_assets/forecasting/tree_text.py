"""Reads the text of a LightGBM model before LightGBM does, and refuses what it would not survive.

LightGBM trusts its own text: a count that is too large, a child that is its own parent or a number that is cut off ends
the process that loads it, or never ends a forecast. Here every line, count, index and number is held against the
format (version v4) and against the others, and only a text that agrees with itself in all of them is loaded. What is
written differently from what LightGBM writes is refused as well: nobody needs it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retail_assets.forecasting.encoding import ForecastModelError

MOST_BYTES = 400_000_000
MOST_TREES, MOST_LEAVES, MOST_DEPTH = 20_000, 131_072, 400
MOST_RAW = 500.0  # of all trees together, a logarithm of units: e ** 500 is no demand
MOST_CATEGORIES = 1 << 20
LONGEST_LINE = 8_000_000

HEAD = ("version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective",
        "feature_names", "feature_infos", "tree_sizes")  # fmt: skip
ONE = {"version": "v4", "num_class": "1", "num_tree_per_iteration": "1"}
PER_NODE = ("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child",
            "internal_value", "internal_weight", "internal_count")  # fmt: skip
PER_LEAF = ("leaf_value", "leaf_weight", "leaf_count")
OF_CATEGORIES = ("cat_boundaries", "cat_threshold")
IN_TREE = {"num_leaves", "num_cat", *PER_NODE, *PER_LEAF, "is_linear", "shrinkage"}
CATEGORICAL, MISSING_TYPES = 1, (0, 4, 8)
ABROAD = {"device_type": "cpu", "tree_learner": "serial", "boosting": "gbdt", "num_machines": "1", "linear_tree": "0",
          "data": "", "valid": "", "machines": "", "machine_list_filename": "", "forcedsplits_filename": "",
          "forcedbins_filename": "", "parser_config_file": ""}  # fmt: skip
"""Settings by which LightGBM would open a file, a port or a graphics card, and what they have to be."""
MOST_THREADS = 1024

_NUMBER = r"-?\d{1,30}(?:\.\d{0,40})?(?:[eE][+-]?\d{1,3})?"
_NUMBERS = re.compile(rf"{_NUMBER}(?: {_NUMBER})*", re.ASCII)
_BOUND = rf"(?:-?inf|{_NUMBER})"  # a split that parts known from missing values has no end
_BOUNDS = re.compile(rf"{_BOUND}(?: {_BOUND})*", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,18}(?: -?\d{1,18})*", re.ASCII)
_INFO = re.compile(rf"none|\[{_NUMBER}:{_NUMBER}\]|-?\d{{1,10}}(?::-?\d{{1,10}})*", re.ASCII)
_OBJECTIVE = re.compile(r"(?:tweedie|poisson)(?: [a-z_0-9]{1,40}:[0-9.e+-]{1,30}){0,4}", re.ASCII)
_SETTING = re.compile(r"\[([a-z_0-9]{1,60}): ([^\]\n]{0,10000})\]", re.ASCII)

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TreesText:
    """What a checked text holds: the names of its features in order, the number of trees, the bounds of their sum."""

    features: tuple[str, ...]
    trees: int
    lowest: float
    highest: float


def check(content: bytes, file: str) -> TreesText:
    """What the model text `content` holds; raises ForecastModelError that says which line of which tree is wrong.

    Takes about as long as LightGBM takes to read the text, and no more memory than a few times its size.
    """
    return _Checked(file).read(content)


class _Checked:
    """One reading of one file; `where` is the part that is looked at, for the message."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._where = "head"

    def read(self, content: bytes) -> TreesText:
        text = self._text(content)
        head, _, rest = text.partition("\n\n")
        values = self._head(head)
        features = tuple(values["feature_names"].split(" "))
        lowest = highest = 0.0
        trees = [*self._trees(rest.encode(), self._wholes(values["tree_sizes"], "tree_sizes"))]
        for number, tree in enumerate(trees[:-1]):
            self._where = f"tree {number}"
            leaves = self._tree(tree, number, len(features))
            lowest, highest = lowest + float(leaves.min()), highest + float(leaves.max())
        self._where = "all trees"
        self._require(lowest >= -MOST_RAW and highest <= MOST_RAW, f"leaves add up to {lowest:.3g} to {highest:.3g}")
        self._end(trees[-1], set(features))
        return TreesText(features, len(trees) - 1, lowest, highest)

    def _require(self, holds: bool, what: str) -> None:
        if not holds:
            raise ForecastModelError(
                f"{self._file} is no model of trees: {self._where}: {what}",
                todo="restore the version from a backup, or train again",
            )

    def _text(self, content: bytes) -> str:
        self._require(bool(content), "the file is empty")
        self._require(len(content) <= MOST_BYTES, f"{len(content):,} bytes, more than {MOST_BYTES:,}")
        self._require(b"\0" not in content, f"zeros from byte {content.find(bytes(1)):,} on, where text should be")
        self._require(content.startswith(b"tree\n"), "the file does not begin with the word tree")
        self._require(b"\r" not in content, "line ends of another system")
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            self._require(False, f"byte {error.start:,} is no text")
            raise

    def _head(self, head: str) -> dict[str, str]:
        values = self._pairs(head.split("\n")[1:])
        wrong = sorted(set(HEAD) ^ set(values))
        self._require(not wrong, f"lines missing or unknown: {', '.join(wrong)[:200]}")
        for name, expected in ONE.items():
            self._require(values[name] == expected, f"{name} is {values[name][:40]!r}, not {expected!r}")
        names, infos = values["feature_names"].split(" "), values["feature_infos"].split(" ")
        self._require(all(names) and len(set(names)) == len(names), "a feature without a name, or two of one name")
        self._require(self._whole(values["max_feature_idx"], "max_feature_idx") == len(names) - 1,
                      f"max_feature_idx is {values['max_feature_idx'][:40]} for {len(names)} features")  # fmt: skip
        self._require(len(infos) == len(names), f"{len(infos)} feature_infos for {len(names)} features")
        self._require(all(_INFO.fullmatch(info) for info in infos), "feature_infos are no ranges and no categories")
        objective = values["objective"]
        self._require(bool(_OBJECTIVE.fullmatch(objective)), f"the objective {objective[:40]!r} is not one of counts")
        label = self._whole(values["label_index"], "label_index")
        self._require(0 <= label <= len(names), f"label_index is {label}")
        return values

    def _pairs(self, lines: Sequence[str]) -> dict[str, str]:
        values: dict[str, str] = {}
        for line in lines:
            name, equals, value = line.partition("=")
            self._require(bool(equals), f"{line[:40]!r} is no line of a model")
            self._require(name not in values, f"{name[:40]} is there twice")
            self._require(len(line) <= LONGEST_LINE, f"{name[:40]} has {len(line):,} characters")
            values[name] = value
        return values

    def _trees(self, body: bytes, sizes: Integers) -> Iterator[bytes]:
        """The bytes of each tree, then what follows the last one."""
        self._require(0 < len(sizes) <= MOST_TREES, f"{len(sizes):,} trees")
        self._require(bool((sizes > 0).all()) and int(sizes.max()) <= len(body), "a tree of no or too many bytes")
        at = 0
        for number, size in enumerate(sizes.tolist()):
            self._where = f"tree {number}"
            tree = body[at : at + size]
            begins, ends = tree.startswith(b"Tree=%d\n" % number), tree.endswith(b"\n\n\n")
            self._require(begins and ends, f"it does not lie where tree_sizes says, at byte {at:,} with {size:,} bytes")
            yield tree
            at += size
        yield body[at:]

    def _tree(self, tree: bytes, number: int, features: int) -> Floats:
        """Checks one tree and returns the values of its leaves."""
        values = self._pairs(tree.decode().removeprefix(f"Tree={number}\n").removesuffix("\n\n\n").split("\n"))
        leaves, categories = (self._whole(values.get(name, ""), name) for name in ("num_leaves", "num_cat"))
        self._require(1 <= leaves <= MOST_LEAVES, f"{leaves:,} leaves")
        self._require(0 <= categories < max(leaves, 1), f"num_cat is {categories:,} with {leaves:,} leaves")
        expected = IN_TREE | (set(OF_CATEGORIES) if categories else set())
        wrong = sorted(expected ^ set(values))
        self._require(not wrong, f"lines missing or unknown: {', '.join(wrong)[:200]}")
        self._require(values["is_linear"] == "0", "leaves with equations of their own")
        self._numbers(values["shrinkage"], "shrinkage", 1)
        leaf = self._leaves(values, leaves)
        if leaves > 1:
            self._nodes(values, leaves - 1, features)
            self._decisions(values, leaves - 1, categories)
        else:
            filled = [name for name in PER_NODE if values[name]]
            self._require(not filled, f"one leaf, and {', '.join(filled)} of a node")
        return leaf

    def _leaves(self, values: dict[str, str], leaves: int) -> Floats:
        alone = leaves == 1  # LightGBM leaves weight and count of a tree without a split empty
        if not (alone and not values["leaf_weight"]):
            self._numbers(values["leaf_weight"], "leaf_weight", leaves)
        if not (alone and not values["leaf_count"]):
            self._from_zero(values["leaf_count"], "leaf_count", leaves)
        return self._numbers(values["leaf_value"], "leaf_value", leaves)

    def _nodes(self, values: dict[str, str], nodes: int, features: int) -> None:
        for name in ("split_gain", "internal_value", "internal_weight"):
            self._numbers(values[name], name, nodes)
        self._from_zero(values["internal_count"], "internal_count", nodes)
        split = self._from_zero(values["split_feature"], "split_feature", nodes)
        self._require(int(split.max()) < features, f"split_feature {int(split.max()):,} of {features} features")
        left, right = (self._wholes(values[name], name, nodes) for name in ("left_child", "right_child"))
        children = np.concatenate([left, right])
        expected = np.concatenate([np.arange(-nodes - 1, 0), np.arange(1, nodes)])
        self._require(np.array_equal(np.sort(children), expected), "not every node and leaf is the child of one node")
        own = np.tile(np.arange(nodes), 2)
        self._require(bool((children[children >= 0] > own[children >= 0]).all()), "a node comes before its parent")
        depth = np.zeros(nodes, dtype=np.int64)
        for node, below in sorted(zip(own[children > 0].tolist(), children[children > 0].tolist(), strict=True)):
            depth[below] = depth[node] + 1
        self._require(int(depth.max()) < MOST_DEPTH, f"{int(depth.max()):,} levels")

    def _decisions(self, values: dict[str, str], nodes: int, categories: int) -> None:
        self._require(bool(_BOUNDS.fullmatch(values["threshold"])), "threshold holds other things than numbers")
        threshold = np.array(values["threshold"].split(" "), dtype=np.float64)
        self._require(len(threshold) == nodes, f"threshold has {len(threshold):,} numbers, not {nodes:,}")
        endless = int((~np.isfinite(threshold)).sum())
        self._require(endless == values["threshold"].count("inf"), "threshold holds a number without an end")
        kind = self._from_zero(values["decision_type"], "decision_type", nodes)
        self._require(bool(np.isin(kind & ~np.int64(3), MISSING_TYPES).all()), f"decision_type {int(kind.max()):,}")
        by_category = (kind & CATEGORICAL) > 0
        self._require(
            int(by_category.sum()) == categories, f"num_cat is {categories:,}, not {int(by_category.sum()):,}"
        )
        if not categories:
            return
        used = threshold[by_category]
        self._require(np.array_equal(np.sort(used), np.arange(categories)), "thresholds of categories are no places")
        bounds = self._from_zero(values["cat_boundaries"], "cat_boundaries", categories + 1)
        self._require(int(bounds[0]) == 0 and bool((np.diff(bounds) > 0).all()), "cat_boundaries do not rise from 0")
        self._require(int(bounds[-1]) <= MOST_CATEGORIES, f"cat_boundaries up to {int(bounds[-1]):,}")
        words = self._from_zero(values["cat_threshold"], "cat_threshold", int(bounds[-1]))
        self._require(int(words.max()) < 2**32, "cat_threshold is no word of 32 bits")

    def _end(self, content: bytes, features: set[str]) -> None:
        """The importances, the settings of the training and a line about categories of pandas, which we never use."""
        self._where = "end"
        parts = content.decode().split("\n\n")
        self._require(len(parts) == 5 and parts[0] == "end of trees", "other parts than importances and parameters")
        importances, settings, closing, last = parts[1:]
        self._require(importances.split("\n")[0] == "feature_importances:", "no feature_importances")
        for name, value in self._pairs(importances.split("\n")[1:]).items():
            known = name in features and bool(_NUMBERS.fullmatch(value))
            self._require(known, f"{name[:40]!r} is no importance of a feature")
        self._require(settings.split("\n")[0] == "parameters:" and closing == "end of parameters", "no parameters")
        for line in settings.split("\n")[1:]:
            self._setting(line)
        self._require(last.rstrip("\n") == "pandas_categorical:null", "categories of pandas")

    def _setting(self, line: str) -> None:
        found = _SETTING.fullmatch(line)
        if found is None:
            self._require(False, f"{line[:40]!r} is no parameter")
            return
        name, value = found.groups()
        self._require(value == ABROAD.get(name, value), f"parameter {name} is {value[:40]!r}")
        if name in ("num_threads", "num_class", "num_iterations", "num_leaves", "max_bin"):
            number = self._whole(value, name)
            self._require(
                0 <= number <= (MOST_THREADS if name == "num_threads" else MOST_LEAVES), f"{name} is {number:,}"
            )

    def _whole(self, value: str, name: str) -> int:
        return int(self._wholes(value, name, 1)[0])

    def _wholes(self, value: str, name: str, count: int | None = None) -> Integers:
        self._require(len(value) <= LONGEST_LINE, f"{name} has {len(value):,} characters")
        self._require(bool(_WHOLE.fullmatch(value)), f"{name} holds other things than whole numbers")
        found = np.array(value.split(" "), dtype=np.int64)
        self._require(count in (None, len(found)), f"{name} has {len(found):,} numbers, not {count}")
        return found

    def _from_zero(self, value: str, name: str, count: int) -> Integers:
        found = self._wholes(value, name, count)
        self._require(int(found.min()) >= 0, f"{name} holds {int(found.min()):,}")
        return found

    def _numbers(self, value: str, name: str, count: int) -> Floats:
        self._require(bool(_NUMBERS.fullmatch(value)), f"{name} holds other things than numbers")
        found = np.array(value.split(" "), dtype=np.float64)
        self._require(len(found) == count, f"{name} has {len(found):,} numbers, not {count:,}")
        self._require(bool(np.isfinite(found).all()), f"{name} holds a number without an end")
        return found
