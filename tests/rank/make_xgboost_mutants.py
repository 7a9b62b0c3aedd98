"""Regenerates tests/rank/mutants/xgboost: models of XGBoost with one thing wrong each, made from tests/rank/fixtures/xgboost.

    python tests/rank/make_xgboost_mutants.py

index.txt names each file with the code of the error that must refuse it, or "ok" for changes that a reader must bear.
"""

import copy
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "mutants" / "xgboost"
FIXTURES = Path(__file__).parent / "fixtures" / "xgboost"
TYPES = {"default_left": "U", "split_type": "U", "categories_segments": "L", "categories_sizes": "L"}
FLOATS = {"base_weights", "leaf_weights", "loss_changes", "split_conditions", "sum_hessian"}
Edit = Callable[[Any], Any]


def text_of(s: str) -> bytes:
    return b"L" + struct.pack(">q", len(s.encode())) + s.encode()


def ubj(value: Any, key: str = "", tree: bool = False) -> bytes:
    """As XGBoost writes it: arrays of trees in one type, all others with a type per item."""
    if isinstance(value, dict):
        inside = tree or "left_children" in value
        return b"{" + b"".join(text_of(k) + ubj(v, k, inside) for k, v in value.items()) + b"}"
    if isinstance(value, list):
        count = b"#L" + struct.pack(">q", len(value))
        if tree:
            kind = "d" if key in FLOATS else TYPES.get(key, "l")
            code = {"d": "f", "U": "B", "L": "q", "l": "i"}[kind]
            return b"[$" + kind.encode() + count + b"".join(struct.pack(">" + code, v) for v in value)
        return b"[" + count + b"".join(ubj(v) for v in value)
    if isinstance(value, str):
        return b"S" + text_of(value)
    if isinstance(value, float):
        return b"d" + struct.pack(">f", value)
    return b"i" + struct.pack(">b", value) if -128 < value < 127 else b"L" + struct.pack(">q", value)


def put(*way: Any) -> Edit:
    """Sets what stands at the end of the way; the last item of `way` is the value."""

    def edit(model: Any) -> None:
        at = model
        for step in way[:-2]:
            at = at[step]
        at[way[-2]] = way[-1]

    return edit


def drop(*way: Any) -> Edit:
    def edit(model: Any) -> None:
        at = model
        for step in way[:-1]:
            at = at[step]
        del at[way[-1]]

    return edit


def several(*edits: Edit) -> Edit:
    def edit(model: Any) -> None:
        for one in edits:
            one(model)

    return edit


L = "learner"
G = (L, "gradient_booster")
M = (*G, "model")
T = (*M, "trees", 0)
P = (L, "learner_model_param")
BASES = {
    name: json.loads((FIXTURES / f"{name}.json").read_text()) for name in ("tiny", "tiny_classes", "tiny_dart", "tiny_vectors")
}
NODES = [0, 1, 2, 3, 4, 5, 6]

# name: (base, edit, code)
MODELS: dict[str, tuple[str, Edit, str]] = {
    "no_learner": ("tiny", drop(L), "model.missing_key"),
    "no_version": ("tiny", drop("version"), "model.missing_key"),
    "version_4": ("tiny", put("version", [4, 0, 0]), "model.version"),
    "version_0": ("tiny", put("version", [0, 90, 0]), "model.version"),
    "version_short": ("tiny", put("version", [3, 2]), "model.version"),
    "version_long": ("tiny", put("version", [3, 2, 0, 0]), "model.limit_items"),
    "key_of_learner": ("tiny", put(L, "objectve", {}), "model.unknown_key"),
    "key_of_tree": ("tiny", put(*T, "left_childs", []), "model.unknown_key"),
    "key_of_param": ("tiny", put(*P, "num_features", "1"), "model.unknown_key"),
    "no_attributes": ("tiny", drop(L, "attributes"), "model.missing_key"),
    "attribute_number": ("tiny", put(L, "attributes", "best_iteration", 3), "model.wrong_kind"),
    "attribute": ("tiny", put(L, "attributes", "best_iteration", "0"), "ok"),
    "objective_unknown": ("tiny", put(L, "objective", "name", "reg:squarederor"), "model.unknown_objective"),
    "objective_nameless": ("tiny", drop(L, "objective", "name"), "model.missing_key"),
    "objective_param_list": ("tiny", put(L, "objective", "reg_loss_param", ["any", {"thing": 1}]), "ok"),
    "booster_unknown": ("tiny", put(*G, "name", "gbtre"), "model.unknown_booster"),
    "booster_linear": ("tiny", put(*G, "name", "gblinear"), "model.linear_booster"),
    "booster_nameless": ("tiny", drop(*G, "name"), "model.missing_key"),
    "booster_is_dart": ("tiny", put(*G, "name", "dart"), "model.missing_key"),
    "booster_with_weights": ("tiny", put(*G, "weight_drop", [1.0, 1.0]), "model.unknown_key"),
    "dart_is_gbtree": ("tiny_dart", put(*G, "name", "gbtree"), "model.missing_key"),
    "dart_in_dart": ("tiny_dart", put(*G, "gbtree", "name", "dart"), "model.unknown_booster"),
    "dart_weight_missing": ("tiny_dart", put(*G, "weight_drop", [1.0]), "model.tree_count"),
    "dart_weight_infinite": ("tiny_dart", put(*G, "weight_drop", [1.0, float("inf")]), "model.leaf_not_finite"),
    "dart_no_weights": ("tiny_dart", drop(*G, "weight_drop"), "model.missing_key"),
    "dart_two_models": ("tiny_dart", put(*G, "model", {"weights": []}), "model.key_twice"),
    "dart_vectors": (
        "tiny_vectors",
        lambda m: m[L].update(gradient_booster={"gbtree": m[L]["gradient_booster"], "name": "dart", "weight_drop": [1.0]}),
        "model.dart_vector",
    ),
    "names_short": ("tiny", put(L, "feature_names", ["a", "b"]), "model.feature_count"),
    "names_twice": ("tiny", put(L, "feature_names", ["a", "b", "c", "d", "e", "a"]), "model.feature_name_twice"),
    "types_short": ("tiny", put(L, "feature_types", ["q"]), "model.feature_count"),
    "type_unknown": ("tiny", put(L, "feature_types", 0, "x"), "model.feature_type"),
    "type_of_split": ("tiny", put(L, "feature_types", 5, "q"), "model.feature_type"),
    "features_many": ("tiny", put(*P, "num_feature", "2000000000"), "model.limit_features"),
    "features_none": ("tiny", put(*P, "num_feature", "0"), "model.feature_count"),
    "features_other": ("tiny", put(*P, "num_feature", "7"), "model.feature_count"),
    "features_text": ("tiny", put(*P, "num_feature", "6x"), "model.bad_number"),
    "features_negative": ("tiny", put(*P, "num_feature", "-6"), "model.bad_number"),
    "features_number": ("tiny", put(*P, "num_feature", 6), "model.wrong_kind"),
    "base_score_nan": ("tiny", put(*P, "base_score", "[NaN]"), "model.base_score"),
    "base_score_empty": ("tiny", put(*P, "base_score", "[]"), "model.base_score"),
    "base_score_open": ("tiny", put(*P, "base_score", "[1"), "model.base_score"),
    "base_score_two": ("tiny", put(*P, "base_score", "[1,2]"), "model.base_score"),
    "base_score_scalar": ("tiny", put(*P, "base_score", "5E-1"), "ok"),
    "base_score_outside": (
        "tiny",
        several(put(*P, "base_score", "[1.5]"), put(L, "objective", "name", "binary:logistic")),
        "model.base_score",
    ),
    "base_score_negative": (
        "tiny",
        several(put(*P, "base_score", "[-1]"), put(L, "objective", "name", "count:poisson")),
        "model.base_score",
    ),
    "targets_none": ("tiny", put(*P, "num_target", "0"), "model.no_outputs"),
    "targets_and_classes": ("tiny_classes", put(*P, "num_target", "2"), "model.class_count"),
    "targets_many": ("tiny", put(*P, "num_target", "1000000"), "model.limit_outputs"),
    "trees_more": ("tiny", put(*M, "gbtree_model_param", "num_trees", "3"), "model.tree_count"),
    "trees_fewer": ("tiny", put(*M, "gbtree_model_param", "num_trees", "1"), "model.tree_count"),
    "trees_cut": ("tiny", drop(*M, "trees", 1), "model.tree_count"),
    "trees_too_many": ("tiny", lambda m: m[L]["gradient_booster"]["model"]["trees"].append(BASES["tiny"][L]), "model.tree_count"),
    "trees_many": ("tiny", put(*M, "gbtree_model_param", "num_trees", "2000000000"), "model.limit_trees"),
    "trees_none": (
        "tiny",
        several(
            put(*M, "gbtree_model_param", "num_trees", "0"),
            put(*M, "trees", []),
            put(*M, "tree_info", []),
            put(*M, "iteration_indptr", [0]),
        ),
        "model.no_trees",
    ),
    "trees_missing": ("tiny", drop(*M, "trees"), "model.missing_key"),
    "trees_object": ("tiny", put(*M, "trees", {}), "model.wrong_kind"),
    "tree_info_range": ("tiny", put(*M, "tree_info", 1, 1), "model.output_range"),
    "tree_info_negative": ("tiny", put(*M, "tree_info", 1, -1), "model.output_range"),
    "tree_info_short": ("tiny", put(*M, "tree_info", [0]), "model.tree_count"),
    "rounds_short": ("tiny", put(*M, "iteration_indptr", [0, 1]), "model.rounds"),
    "rounds_falling": ("tiny", put(*M, "iteration_indptr", [0, 3, 2]), "model.rounds"),
    "rounds_absent": ("tiny", drop(*M, "iteration_indptr"), "ok"),
    "cats_absent": ("tiny", drop(*M, "cats"), "ok"),
    "cats_text": ("tiny", put(*M, "cats", "enc", [{"values": "ab", "offsets": [0, 1, 2]}]), "ok"),
    "tree_id": ("tiny", put(*T, "id", 1), "model.tree_id"),
    "tree_number": ("tiny", put(*M, "trees", 0, 5), "model.wrong_kind"),
    "tree_no_children": ("tiny", drop(*T, "left_children"), "model.missing_key"),
    "tree_no_param": ("tiny", drop(*T, "tree_param"), "model.missing_key"),
    "tree_half_categories": ("tiny", drop(*T, "categories"), "model.missing_key"),
    "tree_no_types": ("tiny", drop(*T, "split_type"), "model.missing_key"),
    "nodes_none": ("tiny", put(*T, "tree_param", "num_nodes", "0"), "model.tree_empty"),
    "nodes_more": ("tiny", put(*T, "tree_param", "num_nodes", "9"), "model.count"),
    "nodes_huge": ("tiny", put(*T, "tree_param", "num_nodes", "4294967295"), "model.count"),
    "nodes_text": ("tiny", put(*T, "tree_param", "num_nodes", "seven"), "model.bad_number"),
    "nodes_deleted": ("tiny", put(*T, "tree_param", "num_deleted", "1"), "model.count"),
    "leaf_width": ("tiny_vectors", put(*T, "tree_param", "size_leaf_vector", "2"), "model.leaf_width"),
    "leaf_range": ("tiny_vectors", put(*T, "right_children", 3, 4), "model.leaf_range"),
    "leaf_negative": ("tiny_vectors", put(*T, "right_children", 3, -1), "model.leaf_range"),
    "leaf_weights_short": ("tiny_vectors", drop(*T, "leaf_weights", 0), "model.count"),
    "leaf_weights_scalar": ("tiny", put(*T, "leaf_weights", [0.0]), "model.unknown_key"),
    "leaf_weights_none": ("tiny_vectors", drop(*T, "leaf_weights"), "ok"),
    "left_short": ("tiny", put(*T, "left_children", NODES[:6]), "model.count"),
    "left_far": ("tiny", put(*T, "left_children", 0, 7), "model.child_range"),
    "left_below": ("tiny", put(*T, "left_children", 0, -2), "model.child_range"),
    "left_root": ("tiny", put(*T, "left_children", 1, 0), "model.root_has_parent"),
    "right_leaf": ("tiny", put(*T, "right_children", 0, -1), "model.child_range"),
    "right_apart": (
        "tiny",
        several(put(*T, "left_children", 0, 2), put(*T, "right_children", 0, 1)),
        "model.children_apart",
    ),
    "child_deleted": (
        "tiny",
        several(
            put(*T, "split_indices", 3, 2147483647), put(*T, "default_left", 3, 1), put(*T, "tree_param", "num_deleted", "1")
        ),
        "model.child_deleted",
    ),
    "parent_other": ("tiny", put(*T, "parents", 3, 2), "model.parent"),
    "parent_of_root": ("tiny", put(*T, "parents", 0, 1), "model.root_has_parent"),
    "cycle": (
        "tiny",
        several(
            put(*T, "left_children", [-1, 3, 5, -1, 1, -1, -1]),
            put(*T, "right_children", [-1, 4, 6, -1, 2, -1, -1]),
            put(*T, "parents", [2147483647, 4, 4, 1, 1, 2, 2]),
            put(*T, "split_type", [0, 1, 1, 0, 1, 0, 0]),
            put(*T, "categories_nodes", [1, 2, 4]),
            put(*T, "split_indices", [0, 5, 5, 0, 5, 0, 0]),
        ),
        "model.node_unreachable",
    ),
    "unreachable": (
        "tiny",
        several(
            put(*T, "left_children", [1, -1, 5, -1, -1, -1, -1]),
            put(*T, "right_children", [2, -1, 6, -1, -1, -1, -1]),
        ),
        "model.node_unreachable",
    ),
    "feature_range": ("tiny", put(*T, "split_indices", 0, 6), "model.feature_range"),
    "feature_negative": ("tiny", put(*T, "split_indices", 0, -1), "model.feature_range"),
    "condition_nan": (
        "tiny_dart",
        put(*G, "gbtree", "model", "trees", 0, "split_conditions", 0, float("nan")),
        "model.threshold_nan",
    ),
    "condition_infinite": ("tiny_dart", put(*G, "gbtree", "model", "trees", 0, "split_conditions", 0, float("inf")), "ok"),
    "condition_below": ("tiny_dart", put(*G, "gbtree", "model", "trees", 0, "split_conditions", 0, float("-inf")), "ok"),
    "leaf_nan": ("tiny", put(*T, "split_conditions", 3, float("nan")), "model.leaf_not_finite"),
    "leaf_overflow": (
        "tiny",
        several(put(*T, "split_conditions", 3, 3.0e38), put(*M, "trees", 1, "split_conditions", 3, 3.0e38)),
        "model.score_overflow",
    ),
    "default_two": ("tiny", put(*T, "default_left", 0, 2), "model.bad_value"),
    "type_two": ("tiny", put(*T, "split_type", 0, 2), "model.bad_value"),
    "cover_negative": ("tiny", put(*T, "sum_hessian", 0, -1.0), "ok"),
    "covers_absent": ("tiny", drop(*T, "sum_hessian"), "ok"),
    "covers_short": ("tiny", put(*T, "sum_hessian", [1.0]), "model.count"),
    "set_missing": ("tiny", put(*T, "split_type", 3, 1), "model.category_nodes"),
    "set_too_many": ("tiny", put(*T, "split_type", 2, 0), "model.category_nodes"),
    "set_of_other_node": ("tiny", put(*T, "categories_nodes", [0, 1, 3]), "model.category_nodes"),
    "set_empty": ("tiny", put(*T, "categories_sizes", 0, 0), "model.category_set"),
    "set_overlaps": ("tiny", put(*T, "categories_segments", 1, 1), "model.category_set"),
    "set_sizes_short": ("tiny", drop(*T, "categories_sizes", 0), "model.count"),
    "set_outside": ("tiny", put(*T, "categories_sizes", 2, 24), "model.count"),
    "set_huge": ("tiny", put(*T, "categories_sizes", 2, 2147483647), "model.count"),
    "category_negative": ("tiny", put(*T, "categories", 0, -1), "model.category_range"),
    "category_large": ("tiny", put(*T, "categories", 0, 16777216), "model.category_range"),
    "category_largest": ("tiny", put(*T, "categories", 1, 16777215), "ok"),
}


def replaced(data: bytes, what: bytes, by: bytes) -> bytes:
    if what not in data:
        raise ValueError(what)
    return data.replace(what, by, 1)


def bytes_mutants(json_bytes: bytes, ubj_bytes: bytes) -> dict[str, tuple[bytes, str]]:
    j, u = json_bytes, ubj_bytes
    one = struct.pack(">q", 1)
    nodes = b"[$l#L" + struct.pack(">q", 7)
    return {
        "trailing.json": (j + b" x", "model.trailing_data"),
        "trailing_blank.json": (j + b"\n", "ok"),
        "trailing_zero.json": (j + b"\0", "model.trailing_data"),
        "second_model.json": (j + j, "model.trailing_data"),
        "key_twice.json": (replaced(j, b'"version"', b'"learner": {}, "version"'), "model.key_twice"),
        "key_twice_in_tree.json": (replaced(j, b'"id":', b'"id": 0, "id":'), "model.key_twice"),
        "key_twice_in_cats.json": (replaced(j, b'"cats": {', b'"cats": {"x": 1, "x": 2, '), "model.key_twice"),
        "key_twice_in_attributes.json": (
            replaced(j, b'"attributes": {', b'"attributes": {"x": "1", "x": "2"'),
            "model.key_twice",
        ),
        "comma_missing.json": (replaced(j, b'"tree_info": [0, 0]', b'"tree_info": [0 0]'), "model.json_syntax"),
        "comma_last.json": (replaced(j, b'"tree_info": [0, 0]', b'"tree_info": [0, 0,]'), "model.json_syntax"),
        "comma_first.json": (replaced(j, b'"tree_info": [0, 0]', b'"tree_info": [,0, 0]'), "model.json_syntax"),
        "colon_missing.json": (replaced(j, b'"id":', b'"id"'), "model.json_syntax"),
        "key_bare.json": (replaced(j, b'"version"', b"version"), "model.json_syntax"),
        "brackets_crossed.json": (replaced(j, b'"tree_info": [0, 0]', b'"tree_info": [0, 0}'), "model.json_syntax"),
        "escape.json": (replaced(j, b'"version"', b'"versi\\on"'), "model.json_syntax"),
        "escape_known.json": (replaced(j, b'"version"', b'"versi\\u006fn"'), "ok"),
        "surrogate_half.json": (replaced(j, b'"version"', b'"versi\\ud800n"'), "model.json_syntax"),
        "surrogate_low.json": (replaced(j, b'"version"', b'"versi\\udc00n"'), "model.utf8"),
        "control.json": (replaced(j, b'"version"', b'"versi\non"'), "model.json_syntax"),
        "utf8.json": (replaced(j, b'"version"', b'"versi\xff"'), "model.utf8"),
        "literal.json": (replaced(j, b'"tree_info": [0, 0]', b'"tree_info": [0, nul]'), "model.wrong_kind"),
        "null.json": (replaced(j, b'"cats": {', b'"cats": {"x": nil, '), "model.json_syntax"),
        "number_plus.json": (replaced(j, b'"tree_info": [0, 0]', b'"tree_info": [0, +0]'), "model.bad_number"),
        "number_zeros.json": (replaced(j, b'"tree_info": [0, 0]', b'"tree_info": [0, 00]'), "model.bad_number"),
        "number_fraction.json": (replaced(j, b'"tree_info": [0, 0]', b'"tree_info": [0, 0.0]'), "model.bad_number"),
        "number_range.json": (replaced(j, b'"tree_info": [0, 0]', b'"tree_info": [0, 2147483648]'), "model.number_range"),
        "number_hex.json": (replaced(j, b'"sum_hessian": [400.0', b'"sum_hessian": [0x190'), "model.bad_number"),
        "number_nan.json": (replaced(j, b'"sum_hessian": [400.0', b'"sum_hessian": [nan'), "model.wrong_kind"),
        "number_inf.json": (replaced(j, b'"sum_hessian": [400.0', b'"sum_hessian": [inf'), "model.bad_number"),
        "number_large.json": (replaced(j, b'"sum_hessian": [400.0', b'"sum_hessian": [1e39'), "model.number_range"),
        "number_text.json": (replaced(j, b'"sum_hessian": [400.0', b'"sum_hessian": ["400"'), "model.wrong_kind"),
        "number_list.json": (replaced(j, b'"sum_hessian": [400.0', b'"sum_hessian": [[400]'), "model.wrong_kind"),
        "booleans.json": (replaced(j, b'"default_left": [1, 1, 1, 0', b'"default_left": [true, true, true, false'), "ok"),
        "booleans_bad.json": (
            replaced(j, b'"default_left": [1, 1, 1, 0', b'"default_left": [true, troe, 1, 0'),
            "model.json_syntax",
        ),
        "blanks.json": (replaced(j, b'"learner": {', b'\r\n\t "learner"\n : \t{ '), "ok"),
        "nested.json": (replaced(j, b'"cats": {', b'"cats": {"x": ' + b"[" * 100 + b"]" * 100 + b", "), "model.limit_nesting"),
        "nested_in_trees.json": (replaced(j, b'"trees": [', b'"trees": [' + b"[" * 100), "model.limit_nesting"),
        "nested_in_place.json": (b'{"version":' + b"[" * 1000, "model.wrong_kind"),
        "brackets.json": (b"{" + b"[" * 1000, "model.not_xgboost"),
        "array.json": (b"[" * 1000, "model.not_xgboost"),
        "empty.json": (b"", "model.not_xgboost"),
        "brace.json": (b"{", "model.not_xgboost"),
        "object.json": (b"{}", "model.missing_key"),
        "keys_many.json": (
            replaced(j, b'"attributes": {', b'"attributes": {' + b",".join(b'"a%d":""' % k for k in range(1025))),
            "model.limit_keys",
        ),
        "trailing.ubj": (u + b"N", "model.trailing_data"),
        "key_twice.ubj": (replaced(u, text_of("version"), text_of("learner") + b"{}" + text_of("version")), "model.key_twice"),
        "count_negative.ubj": (replaced(u, nodes, b"[$l#L" + struct.pack(">q", -1)), "model.array_length"),
        "count_huge.ubj": (replaced(u, nodes, b"[$l#L" + struct.pack(">q", 2**62)), "model.array_length"),
        "count_just_too_large.ubj": (replaced(u, nodes, b"[$l#L" + struct.pack(">q", len(u) // 2)), "model.array_length"),
        "count_less.ubj": (replaced(u, nodes, b"[$l#L" + struct.pack(">q", 6)), "model.ubj_syntax"),
        "count_byte.ubj": (replaced(u, nodes, b"[$l#i\x07"), "model.ubj_syntax"),
        "count_missing.ubj": (replaced(u, nodes, b"[$lxL" + struct.pack(">q", 7)), "model.ubj_syntax"),
        "type_text.ubj": (replaced(u, nodes, b"[$S#L" + struct.pack(">q", 7)), "model.ubj_syntax"),
        "type_double.ubj": (replaced(u, b"[$d#L" + struct.pack(">q", 7), b"[$D#L" + struct.pack(">q", 7)), "model.ubj_syntax"),
        "type_short.ubj": (
            replaced(
                u, nodes + struct.pack(">7i", 1, 3, 5, -1, -1, -1, -1), b"[$I#L" + struct.pack(">q7h", 7, 1, 3, 5, -1, -1, -1, -1)
            ),
            "ok",
        ),
        "type_float.ubj": (replaced(u, nodes, b"[$d#L" + struct.pack(">q", 7)), "model.wrong_kind"),
        "array_open.ubj": (
            replaced(u, text_of("tree_info") + b"[#L" + struct.pack(">q", 2) + b"i\0i\0", text_of("tree_info") + b"[i\0i\0]"),
            "ok",
        ),
        "array_of_text.ubj": (
            replaced(
                u,
                text_of("tree_info") + b"[#L" + struct.pack(">q", 2) + b"i\0",
                text_of("tree_info") + b"[#L" + struct.pack(">q", 2) + b"Z",
            ),
            "model.wrong_kind",
        ),
        "array_of_fractions.ubj": (
            replaced(
                u,
                text_of("tree_info") + b"[#L" + struct.pack(">q", 2) + b"i\0",
                text_of("tree_info") + b"[#L" + struct.pack(">q", 2) + b"d\0\0\0\0",
            ),
            "model.wrong_kind",
        ),
        "integer_range.ubj": (
            replaced(
                u,
                text_of("tree_info") + b"[#L" + struct.pack(">q", 2) + b"i\0",
                text_of("tree_info") + b"[#L" + struct.pack(">q", 2) + b"L" + struct.pack(">q", 2**40),
            ),
            "model.number_range",
        ),
        "marker.ubj": (replaced(u, text_of("id") + b"i", text_of("id") + b"Q"), "model.ubj_syntax"),
        "no_op.ubj": (replaced(u, text_of("id") + b"i", text_of("id") + b"Ni"), "model.ubj_syntax"),
        "object_counted.ubj": (b"{L" + struct.pack(">q", 7) + b"learner{#L" + one, "model.ubj_syntax"),
        "text_long.ubj": (b"{L" + struct.pack(">q", 2**63 - 1) + b"learner", "model.array_length"),
        "utf8.ubj": (replaced(u, text_of("version"), b"L" + struct.pack(">q", 7) + b"versio\xff"), "model.utf8"),
        "nested.ubj": (
            replaced(u, text_of("cats") + b"{", text_of("cats") + b"{" + text_of("x") + b"[" * 100),
            "model.limit_nesting",
        ),
        "brackets.ubj": (b"{L" + struct.pack(">q", 7) + b"version" + b"[" * 1000, "model.wrong_kind"),
        "empty_object.ubj": (b"{L", "model.truncated"),
        "text.txt": (b"tree\nversion=v4\n", "model.not_xgboost"),
        "binary.model": (b"binf\0\0\0?\x02\0\0\0", "model.not_xgboost"),
    }


if __name__ == "__main__":
    HERE.mkdir(parents=True, exist_ok=True)
    for old in HERE.iterdir():
        old.unlink()
    index = []
    for name, (base, edit, code) in MODELS.items():
        model = copy.deepcopy(BASES[base])
        edit(model)
        # Every third one in UBJ, where it can be written there.
        if len(index) % 3 == 2:
            path = HERE / f"{name}.ubj"
            path.write_bytes(ubj(model))
        else:
            path = HERE / f"{name}.json"
            path.write_text(json.dumps(model))
        index.append((path.name, code))
    tiny = json.dumps(BASES["tiny"]).encode()
    for name, (data, code) in bytes_mutants(tiny, ubj(BASES["tiny"])).items():
        (HERE / f"bytes_{name}").write_bytes(data)
        index.append((f"bytes_{name}", code))
    (HERE / "index.txt").write_text("".join(f"{name} {code}\n" for name, code in index))
    print(len(index), "mutants")
