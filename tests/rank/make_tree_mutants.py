"""Writes tests/rank/mutants/catboost and tests/rank/mutants/trees: small files with one fault each, and the error each must give.

    python tests/rank/make_tree_mutants.py

index.txt of a folder has a line per file: its name and the code of the error, or "ok" for the files the others were made from.
The codes are written here by hand; no reader of the library takes part.
"""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "mutants"
Document = dict[str, Any]
written: list[tuple[str, str]] = []


def write(name: str, content: bytes, code: str) -> None:
    (HERE / name).write_bytes(content)
    written.append((name, code))


# ---- CatBoost ----


def split(feature: int, border: float, index: int) -> Document:
    return {"border": border, "float_feature_index": feature, "split_index": index, "split_type": "FloatFeature"}


def column(index: int, borders: list[float], treatment: str = "AsFalse") -> Document:
    return {
        "borders": borders,
        "feature_id": f"column {index}",
        "feature_index": index,
        "flat_feature_index": index,
        "has_nans": True,
        "nan_value_treatment": treatment,
    }


SYMMETRIC: Document = {
    "features_info": {"float_features": [column(0, [0.5, 1.5]), column(1, [-2.0], "AsTrue")]},
    "model_info": {"params": {"loss_function": {"type": "RMSE", "params": {}}}},
    "oblivious_trees": [
        {"leaf_values": [1.0, 2.0, 4.0, 8.0], "leaf_weights": [3, 4, 5, 6], "splits": [split(0, 1.5, 1), split(1, -2.0, 2)]},
        {"leaf_values": [16.0, 32.0], "leaf_weights": [9, 9], "splits": [split(0, 0.5, 0)]},
    ],
    "scale_and_bias": [2.0, [100.0]],
}
NODES: Document = {
    **{key: value for key, value in SYMMETRIC.items() if key != "oblivious_trees"},
    "trees": [
        {
            "split": split(1, -2.0, 2),
            "left": {"value": 1.0, "weight": 7},
            "right": {"split": split(0, 1.5, 1), "left": {"value": 4.0, "weight": 5}, "right": {"value": 8.0, "weight": 6}},
        },
        {"value": 16.0, "weight": 18},
    ],
}
WIDE: Document = {
    **SYMMETRIC,
    "oblivious_trees": [{"leaf_values": [1, 2, 3, 4, 5, 6], "leaf_weights": [1, 2], "splits": [split(0, 0.5, 0)]}],
    "scale_and_bias": [1, [0, 0, 0]],
}


def catboost() -> None:
    def mutant(name: str, code: str, change: Callable[[Document], Any], base: Document = SYMMETRIC) -> None:
        document = copy.deepcopy(base)
        change(document)
        write(f"catboost/{name}.json", json.dumps(document).encode(), code)

    def text(name: str, code: str, what: str, by: str, base: Document = SYMMETRIC) -> None:
        whole = json.dumps(base)
        assert what in whole
        write(f"catboost/{name}.json", whole.replace(what, by, 1).encode("utf-8", "surrogatepass"), code)

    def features(d: Document) -> list[Document]:
        return d["features_info"]["float_features"]

    def tree(d: Document) -> Document:
        return d["oblivious_trees"][0]

    mutant("symmetric", "ok", lambda d: None)
    mutant("nodes", "ok", lambda d: None, NODES)
    mutant("wide", "ok", lambda d: None, WIDE)

    # not JSON, or not this JSON
    write("catboost/empty.json", b"", "model.json_syntax")
    write("catboost/array.json", b"[]", "model.not_catboost")
    write("catboost/number.json", b"3", "model.wrong_kind")
    write("catboost/object.json", b"{}", "model.missing_field")
    write("catboost/cut.json", json.dumps(SYMMETRIC).encode()[:-1], "model.json_syntax")
    write("catboost/trailing.json", json.dumps(SYMMETRIC).encode() + b"{}", "model.json_syntax")
    write("catboost/null_byte.json", json.dumps(SYMMETRIC).encode() + b"\0\0", "model.json_syntax")
    write("catboost/brackets.json", b'{"model_info":{"a":' + b"[" * 5000, "model.json_depth")
    write("catboost/nested_nodes.json", b'{"trees":[' + b'{"left":' * 5000, "model.json_depth")
    text("bad_utf8", "model.json_syntax", "column 0", "column \udcff")
    text("comma", "model.json_syntax", "[1.0, 2.0", "[1.0,, 2.0")
    text("nan", "model.json_syntax", "[1.0, 2.0", "[NaN, 2.0")
    text("overflow", "model.json_syntax", "[1.0, 2.0", "[1e999, 2.0")
    text("comment", "model.json_syntax", "{", "{/* a model */")
    text("key_twice", "model.json_duplicate_key", '"leaf_values"', '"leaf_values": [], "leaf_values"')
    text("info_key_twice", "model.json_duplicate_key", '"type"', '"a": 1, "a": 2, "type"')
    many = ", ".join(f'"k{i % 99}": 0' for i in range(100))
    text("info_key_twice_of_many", "model.json_duplicate_key", '"type"', many + ', "type"')
    mutant("unknown_key", "model.unknown_field", lambda d: d.update(tree_weights=[]))
    mutant("unknown_split_key", "model.unknown_field", lambda d: tree(d)["splits"][0].update(weight=1))
    mutant("unknown_node_key", "model.unknown_field", lambda d: d["trees"][0].update(wieght=1), NODES)
    mutant("no_features", "model.missing_field", lambda d: d.pop("features_info"))
    mutant("features_array", "model.wrong_kind", lambda d: d.update(features_info=[]))
    mutant("no_columns", "model.no_features", lambda d: d.update(features_info={}))
    mutant("no_list_of_trees", "model.tree_kinds", lambda d: d.pop("oblivious_trees"))
    mutant("both_lists_of_trees", "model.tree_kinds", lambda d: d.update(trees=[]))
    mutant("no_trees", "model.no_trees", lambda d: d.update(oblivious_trees=[]))
    mutant("trees_object", "model.wrong_kind", lambda d: d.update(oblivious_trees={}))
    mutant("tree_array", "model.wrong_kind", lambda d: d.update(oblivious_trees=[[]]))
    mutant("tree_number", "model.wrong_kind", lambda d: d.update(oblivious_trees=[1]))

    # columns
    mutant("column_array", "model.wrong_kind", lambda d: features(d).append([]))
    mutant("column_twice", "model.feature_index", lambda d: features(d)[1].update(flat_feature_index=0))
    mutant("column_gap", "model.feature_index", lambda d: features(d)[1].update(flat_feature_index=2))
    mutant("column_huge", "model.feature_index", lambda d: features(d)[1].update(flat_feature_index=2_000_000_000))
    mutant("column_negative", "model.index_range", lambda d: features(d)[1].update(flat_feature_index=-1))
    mutant("column_fraction", "model.wrong_kind", lambda d: features(d)[1].update(flat_feature_index=0.5))
    mutant("column_order", "model.feature_index", lambda d: features(d)[1].update(feature_index=3))
    mutant("column_name_twice", "model.feature_name_twice", lambda d: features(d)[1].update(feature_id="column 0"))
    mutant("column_name_number", "model.wrong_kind", lambda d: features(d)[1].update(feature_id=7))
    mutant("treatment", "model.bad_choice", lambda d: features(d)[1].update(nan_value_treatment="AsZero"))
    mutant("no_treatment", "model.missing_field", lambda d: features(d)[1].pop("nan_value_treatment"))
    mutant("has_nans_number", "model.wrong_kind", lambda d: features(d)[1].update(has_nans=1))
    mutant("borders_fall", "model.borders", lambda d: features(d)[0].update(borders=[1.5, 0.5]))
    mutant("border_no_float", "model.borders", lambda d: features(d)[0].update(borders=[0.1, 1.5]))
    mutant("border_huge", "model.borders", lambda d: features(d)[0].update(borders=[0.5, 1e300]))
    mutant("border_text", "model.wrong_kind", lambda d: features(d)[0].update(borders=["0.5", 1.5]))
    mutant("borders_missing", "model.missing_field", lambda d: features(d)[0].pop("borders"))
    mutant(
        "category_column_gap",
        "model.feature_index",
        lambda d: d["features_info"].update(categorical_features=[{"feature_index": 0, "flat_feature_index": 5}]),
    )

    # splits
    mutant("split_feature", "model.feature_range", lambda d: tree(d)["splits"][0].update(float_feature_index=2))
    mutant("split_feature_negative", "model.index_range", lambda d: tree(d)["splits"][0].update(float_feature_index=-1))
    mutant("split_feature_text", "model.wrong_kind", lambda d: tree(d)["splits"][0].update(float_feature_index="0"))
    mutant("split_border", "model.split_index", lambda d: tree(d)["splits"][0].update(border=0.75))
    mutant("split_index", "model.split_index", lambda d: tree(d)["splits"][0].update(split_index=2))
    mutant("split_index_huge", "model.split_index", lambda d: tree(d)["splits"][0].update(split_index=2_000_000_000))
    mutant("split_of_other_column", "model.split_index", lambda d: tree(d)["splits"][0].update(float_feature_index=1))
    mutant("split_type", "model.bad_choice", lambda d: tree(d)["splits"][0].update(split_type="FloatFeatures"))
    mutant("split_no_type", "model.missing_field", lambda d: tree(d)["splits"][0].pop("split_type"))
    mutant("split_no_border", "model.missing_field", lambda d: tree(d)["splits"][0].pop("border"))
    mutant("split_no_feature", "model.missing_field", lambda d: tree(d)["splits"][0].pop("float_feature_index"))
    mutant("split_array", "model.wrong_kind", lambda d: tree(d)["splits"].append([]))
    mutant("splits_object", "model.wrong_kind", lambda d: tree(d).update(splits={}))
    mutant("splits_number", "model.wrong_kind", lambda d: tree(d).update(splits=0))
    mutant("split_with_category", "model.unknown_field", lambda d: tree(d)["splits"][0].update(cat_feature_index=0))
    one_hot = {"cat_feature_index": 0, "split_index": 3, "split_type": "OneHotFeature", "value": -5}
    mutant("one_hot", "model.categorical_split", lambda d: tree(d).update(splits=[one_hot, split(1, -2.0, 2)]))
    counter = {"border": 1, "ctr_target_border_idx": 0, "split_index": 3, "split_type": "OnlineCtr"}
    mutant("counter", "model.categorical_split", lambda d: tree(d).update(splits=[counter, split(1, -2.0, 2)]))
    mutant("node_one_hot", "model.categorical_split", lambda d: d["trees"][0].update(split=one_hot), NODES)

    # leaves
    mutant("values_short", "model.count", lambda d: d["oblivious_trees"][1]["leaf_values"].pop())
    mutant("values_long", "model.count", lambda d: d["oblivious_trees"][1]["leaf_values"].append(0))
    mutant("values_none", "model.no_outputs", lambda d: tree(d).update(leaf_values=[]))
    mutant("values_text", "model.wrong_kind", lambda d: tree(d)["leaf_values"].append("1"))
    mutant("values_nested", "model.wrong_kind", lambda d: tree(d)["leaf_values"].append([1]))
    mutant("values_null", "model.wrong_kind", lambda d: tree(d)["leaf_values"].append(None))
    mutant("weights_short", "model.count", lambda d: tree(d)["leaf_weights"].pop())
    mutant("weights_one_tree", "model.cover_missing", lambda d: tree(d).pop("leaf_weights"))
    mutant("weight_negative", "model.cover", lambda d: tree(d).update(leaf_weights=[1, 1, 1, -1]))
    mutant("weight_overflow", "model.cover", lambda d: tree(d).update(leaf_weights=[1e308, 1e308, 1e308, 1e308]))
    mutant("many_splits", "model.count", lambda d: tree(d).update(splits=[split(0, 1.5, 1)] * 40, leaf_values=[1.0]), WIDE)
    mutant("wide_values", "model.count", lambda d: d["oblivious_trees"].append({"leaf_values": [1, 2], "splits": None}), WIDE)
    mutant("score_overflow", "model.score_overflow", lambda d: tree(d).update(leaf_values=[1.7e308, 0, 0, 0]))

    # nodes
    mutant("node_empty", "model.node_shape", lambda d: d["trees"].append({}), NODES)
    mutant("node_no_right", "model.node_shape", lambda d: d["trees"][0].pop("right"), NODES)
    mutant("node_no_split", "model.node_shape", lambda d: d["trees"][0].pop("split"), NODES)
    mutant("node_both", "model.node_shape", lambda d: d["trees"][0].update(value=1), NODES)
    mutant("node_weight", "model.node_shape", lambda d: d["trees"][0].update(weight=1), NODES)
    mutant("node_left_array", "model.wrong_kind", lambda d: d["trees"][0].update(left=[]), NODES)
    mutant("node_value_text", "model.wrong_kind", lambda d: d["trees"][1].update(value="1"), NODES)
    mutant("node_value_object", "model.wrong_kind", lambda d: d["trees"][1].update(value={}), NODES)
    mutant("node_value_nested", "model.wrong_kind", lambda d: d["trees"][1].update(value=[[1]]), NODES)
    mutant("node_width", "model.leaf_width", lambda d: d["trees"][1].update(value=[1, 2]), NODES)
    mutant("node_no_value", "model.no_outputs", lambda d: d.update(trees=[{"value": []}]), NODES)
    mutant("node_weight_negative", "model.cover", lambda d: d["trees"][1].update(weight=-1), NODES)
    mutant("node_weight_missing", "model.cover_missing", lambda d: d["trees"][0]["left"].pop("weight"), NODES)

    # scale and bias
    mutant("bias_short", "model.outputs_length", lambda d: d.update(scale_and_bias=[1, [0, 0]]), WIDE)
    mutant("bias_text", "model.wrong_kind", lambda d: d.update(scale_and_bias=[1, ["0"]]))
    mutant("bias_number", "model.wrong_kind", lambda d: d.update(scale_and_bias=[1, 0]))
    mutant("bias_missing", "model.count", lambda d: d.update(scale_and_bias=[1]))
    mutant("bias_twice", "model.wrong_kind", lambda d: d.update(scale_and_bias=[1, [0], [0]]))
    mutant("bias_first", "model.wrong_kind", lambda d: d.update(scale_and_bias=[[0], 1]))
    mutant("scale_text", "model.wrong_kind", lambda d: d.update(scale_and_bias=["1", [0]]))
    mutant("scale_overflow", "model.score_overflow", lambda d: d.update(scale_and_bias=[1.7e308, [0]]))


# ---- the library's own file ----

LEFT, RIGHT = 0, 1
Split = tuple[
    float, int, int, int, int, int, int, int, int
]  # threshold, feature, set, left, right, missing, default, categorical, 0


def number(threshold: float, feature: int, left: int, right: int, missing: int = 2, default: int = 0) -> Split:
    return (threshold, feature, 0, left, right, missing, default, 0, 0)


def category(chosen: int, feature: int, left: int, right: int) -> Split:
    return (0.0, feature, chosen, left, right, 0, 0, 1, 0)


HEADER: Document = {
    "features": ["a", "b"],
    "objective": "",
    "outputs": 1,
    "average": False,
    "scale": 1.0,
    "zero_threshold": -1.0,
    "float_values": True,
    "float_sums": False,
    "fractions_are_zero": False,
    "covers": True,
}
PARTS: Document = {
    "start": [0.5],
    "bias": [0.0],
    "trees": [(0, 2), (0, 0)],
    "splits": [number(0.5, 0, 1, ~2), category(0, 1, ~0, ~1)],
    "leaves": [1.0, 2.0, 3.0, 4.0],
    "covers": [10.0, 6.0, 2.0, 4.0, 4.0, 10.0],
    "sets": [[5]],
}


def pack(header: Document, parts: Document, counts: Document | None = None, digest: bytes | None = None) -> bytes:
    counted = {
        "trees": len(parts["trees"]),
        "splits": len(parts["splits"]),
        "sets": len(parts["sets"]),
        "words": sum(map(len, parts["sets"])),
    }
    return seal(json.dumps({**header, **counted, **(counts or {})}).encode(), body(parts), digest)


def body(parts: Document) -> bytes:
    out = b"".join(struct.pack("<d", v) for v in parts["start"] + parts["bias"])
    out += b"".join(struct.pack("<II", *t) for t in parts["trees"])
    out += b"".join(struct.pack("<dIIiiBBBB", *s) for s in parts["splits"])
    out += b"".join(struct.pack("<d", v) for v in parts["leaves"] + parts["covers"])
    out += b"".join(struct.pack("<I", len(s)) for s in parts["sets"])
    return out + b"".join(struct.pack("<I", w) for s in parts["sets"] for w in s)


def seal(header: bytes, rest: bytes, digest: bytes | None = None, magic: bytes = b"OPSPT\1\0\0") -> bytes:
    out = magic + struct.pack("<I", len(header)) + header + rest
    return out + (hashlib.sha256(out).digest() if digest is None else digest)


def trees() -> None:
    def mutant(name: str, code: str, header: Document | None = None, **parts: Any) -> None:
        write(f"trees/{name}.trees", pack({**HEADER, **(header or {})}, {**PARTS, **parts}), code)

    def counted(name: str, code: str, **counts: Any) -> None:
        write(f"trees/{name}.trees", pack(HEADER, PARTS, counts), code)

    def splits(*changed: Split) -> list[Split]:
        return [*changed, *PARTS["splits"][len(changed) :]]

    whole = pack(HEADER, PARTS)
    head = json.dumps(HEADER).encode()
    mutant("small", "ok")
    write("trees/empty.trees", b"", "model.magic")
    write("trees/short.trees", b"OPSPT\1\0\0", "model.magic")
    write("trees/other_magic.trees", b"OPSPW" + whole[5:], "model.magic")
    write("trees/version.trees", whole[:5] + b"\2" + whole[6:], "model.version")
    write("trees/padding.trees", whole[:6] + b"\1" + whole[7:], "model.version")
    write("trees/header_length.trees", whole[:8] + b"\xff\xff\xff\xff" + whole[12:], "model.truncated")
    write("trees/header_cut.trees", seal(head[:-1], b""), "model.json_syntax")
    write("trees/header_null.trees", seal(head + b"\0", b""), "model.json_syntax")
    write("trees/header_array.trees", seal(b"[]", b""), "model.wrong_kind")
    write("trees/header_depth.trees", seal(b'{"features":' + b"[" * 200, b""), "model.json_depth")
    write("trees/header_twice.trees", seal(b'{"scale":1,"scale":1}', b""), "model.json_duplicate_key")
    write("trees/header_utf8.trees", seal(b'{"\xff":1}', b""), "model.utf8")
    write("trees/checksum.trees", pack(HEADER, PARTS, digest=b"\0" * 32), "model.checksum")
    write("trees/cut.trees", whole[:-1], "model.truncated")
    write("trees/no_checksum.trees", whole[:-32], "model.truncated")
    write("trees/trailing.trees", whole + b"\0", "model.trailing")
    mutant("unknown_field", "model.unknown_field", {"divisor": 2})
    write("trees/missing_field.trees", pack({k: v for k, v in HEADER.items() if k != "scale"}, PARTS), "model.missing_field")
    mutant("scale_text", "model.wrong_kind", {"scale": "1"})
    mutant("name_number", "model.names", {"features": ["a", 1]})
    mutant("name_twice", "model.feature_name_twice", {"features": ["a", "a"]})
    mutant("no_features", "model.no_features", {"features": []})
    mutant("no_outputs", "model.no_outputs", {"outputs": 0}, start=[], bias=[])
    mutant("outputs_negative", "model.count", {"outputs": -1})
    mutant("outputs_huge", "model.truncated", {"outputs": 4_000_000_000})
    mutant("covers_missing", "model.truncated", covers=[])
    mutant("covers_unannounced", "model.count", {"covers": False})
    counted("trees_more", "model.count", trees=3)
    counted("trees_less", "model.count", trees=1)
    counted("trees_huge", "model.truncated", trees=4_000_000_000)
    counted("trees_beyond", "model.count", trees=1 << 40)
    counted("splits_more", "model.count", splits=3)
    counted("sets_more", "model.count", sets=2)
    counted("sets_huge", "model.truncated", sets=4_000_000_000)
    counted("words_more", "model.count", words=2)
    mutant("splits_of_tree", "model.count", trees=[(0, 0xFFFFFFFF), (0, 0)])
    mutant("no_trees", "model.no_trees", trees=[], splits=[], leaves=[], covers=[], sets=[])
    mutant("output_range", "model.output_range", trees=[(1, 2), (0, 0)])
    mutant("start_nan", "model.not_finite", start=[float("nan")])
    mutant("bias_infinite", "model.not_finite", bias=[float("inf")])
    mutant("threshold_nan", "model.threshold_nan", splits=splits(number(float("nan"), 0, 1, ~2)))
    mutant("feature_range", "model.feature_range", splits=splits(number(0.5, 2, 1, ~2)))
    mutant("child_range", "model.child_range", splits=splits(number(0.5, 0, 2, ~2)))
    mutant("leaf_range", "model.child_range", splits=splits(number(0.5, 0, 1, ~3)))
    mutant("child_lowest", "model.child_range", splits=splits(number(0.5, 0, 1, -(2**31))))
    mutant("root_is_child", "model.root_has_parent", splits=splits(number(0.5, 0, 0, ~2)))
    mutant("two_parents", "model.node_two_parents", splits=splits(number(0.5, 0, 1, 1)))
    mutant("cycle", "model.node_two_parents", splits=splits(number(0.5, 0, 1, ~2), category(0, 1, 1, ~1)))
    mutant("leaf_twice", "model.node_two_parents", splits=splits(number(0.5, 0, 1, ~1)))
    mutant("right_first", "model.numbering", splits=splits(number(0.5, 0, ~2, 1)))
    mutant("leaves_swapped", "model.numbering", splits=[PARTS["splits"][0], category(0, 1, ~1, ~0)])
    mutant("missing_rule", "model.split_fields", splits=splits(number(0.5, 0, 1, ~2, missing=3)))
    mutant("default_side", "model.split_fields", splits=splits(number(0.5, 0, 1, ~2, default=2)))
    mutant("category_flag", "model.split_fields", splits=splits((0.0, 0, 0, 1, ~2, 0, 0, 2, 0)))
    mutant("padding_of_split", "model.split_fields", splits=splits((0.5, 0, 0, 1, ~2, 2, 0, 0, 1)))
    mutant("set_of_a_number", "model.split_fields", splits=splits((0.5, 0, 1, 1, ~2, 2, 0, 0, 0)))
    mutant("threshold_of_a_category", "model.split_fields", splits=[PARTS["splits"][0], (0.5, 1, 0, ~0, ~1, 0, 0, 1, 0)])
    mutant("missing_of_a_category", "model.split_fields", splits=[PARTS["splits"][0], (0.0, 1, 0, ~0, ~1, 2, 0, 1, 0)])
    mutant("set_range", "model.category_set", splits=[PARTS["splits"][0], category(1, 1, ~0, ~1)])
    mutant("set_unused", "model.category_set", sets=[[5], [6]])
    mutant("set_order", "model.category_set", splits=[PARTS["splits"][0], category(1, 1, ~0, ~1)], sets=[[5], [6]])
    mutant("leaf_nan", "model.leaf_not_finite", leaves=[1.0, float("nan"), 3.0, 4.0])
    mutant("cover_negative", "model.cover", covers=[10.0, 6.0, -2.0, 4.0, 4.0, 10.0])
    mutant("cover_nan", "model.cover", covers=[10.0, float("nan"), 2.0, 4.0, 4.0, 10.0])
    mutant("leaves_short", "model.count", {"covers": False}, leaves=[1.0], covers=[])
    mutant("score_overflow", "model.score_overflow", leaves=[1.7e308, 0.0, 0.0, 1.7e308])
    mutant("float_overflow", "model.score_overflow", {"float_sums": True}, leaves=[3e38, 0.0, 0.0, 3e38])
    mutant(
        "average_of_unequal",
        "model.trees_per_output",
        {"outputs": 2, "average": True},
        start=[0.0, 0.0],
        bias=[0.0, 0.0],
    )


if __name__ == "__main__":
    for folder, make in (("catboost", catboost), ("trees", trees)):
        shutil.rmtree(HERE / folder, ignore_errors=True)
        (HERE / folder).mkdir(parents=True)
        make()
        lines = [f"{name.split('/')[1]} {code}" for name, code in written if name.startswith(folder)]
        assert len(set(lines)) == len(lines)
        (HERE / folder / "index.txt").write_text("\n".join(lines) + "\n")
