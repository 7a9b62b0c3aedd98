"""Writes tests/rank/mutants/lightgbm: small text models with one fault each, and the error each must give.

    python tests/rank/make_lightgbm_mutants.py

index.txt has a line per file: its name and the code of the error, or "ok" for the files the others were made from. The codes are
written here by hand; no reader of the library takes part.
"""

from __future__ import annotations

import shutil
from pathlib import Path

HERE = Path(__file__).parent / "mutants" / "lightgbm"
PLAIN = """num_leaves=3
num_cat=0
split_feature=0 1
threshold=0.5 1.5
decision_type=2 2
left_child=1 -1
right_child=-3 -2
leaf_value=1 2 3
leaf_count=4 5 6
internal_count=15 9
is_linear=0
shrinkage=1
"""
CATEGORIES = """num_leaves=3
num_cat=2
split_feature=0 1
threshold=0 1
decision_type=1 1
left_child=1 -1
right_child=-3 -2
leaf_value=1 2 3
cat_boundaries=0 1 3
cat_threshold=5 1 2
is_linear=0
shrinkage=1
"""
LEAF = """num_leaves=1
num_cat=0
leaf_value=1
is_linear=0
shrinkage=1
"""
written: list[tuple[str, str]] = []


def model(tree: str, trees: int = 1) -> str:
    """A whole file, with the sizes of its trees filled in."""
    texts = [f"Tree={index}\n{tree}\n\n" for index in range(trees)]
    return (
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\nobjective=regression\n"
        "feature_names=a b\nfeature_infos=[0:1] 0:1:2\n"
        f"tree_sizes={' '.join(str(len(text)) for text in texts)}\n\n{''.join(texts)}end of trees\n\n"
        "feature_importances:\na=1\n\nparameters:\n[boosting: gbdt]\nend of parameters\n"
    )


def write(name: str, content: str | bytes, code: str) -> None:
    (HERE / f"{name}.txt").write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape"))
    written.append((f"{name}.txt", code))


def once(text: str, what: str, by: str) -> str:
    assert text.count(what) >= 1, what
    return text.replace(what, by, 1)


def head(name: str, code: str, what: str, by: str) -> None:
    """A fault before or behind the trees."""
    write(name, once(model(PLAIN), what, by), code)


def tree(name: str, code: str, what: str, by: str, base: str = PLAIN) -> None:
    """A fault in a tree, whose size is right."""
    write(name, model(once(base, what, by)), code)


def sound() -> None:
    write("plain", model(PLAIN), "ok")
    write("categories", model(CATEGORIES), "ok")
    write("one_leaf", model(LEAF), "ok")
    write("three_trees", model(PLAIN, 3), "ok")
    write("pandas", model(PLAIN) + '\npandas_categorical:[["a", "b"]]\n', "ok")


def heads() -> None:
    whole = model(PLAIN)
    write("empty", "", "model.not_lightgbm")
    write("first_byte", whole[1:], "model.not_lightgbm")
    write("json", '{"tree": 1}', "model.not_lightgbm")
    write("zeros", b"\0" * 64, "model.not_lightgbm")
    head("version_2", "model.version", "version=v4", "version=v2")
    head("version_none", "model.missing_key", "version=v4\n", "")
    head("key_unknown", "model.unknown_key", "label_index", "label_indx")
    head("key_twice", "model.key_twice", "label_index=0\n", "label_index=0\nlabel_index=0\n")
    head("key_missing", "model.missing_key", "label_index=0\n", "")
    head("names_missing", "model.missing_key", "feature_names=a b\n", "")
    head("infos_missing", "model.missing_key", "feature_infos=[0:1] 0:1:2\n", "")
    head("classes_missing", "model.missing_key", "num_class=1\n", "")
    head("classes", "model.class_count", "num_class=1", "num_class=2")
    head("classes_none", "model.no_outputs", "num_class=1\nnum_tree_per_iteration=1", "num_class=0\nnum_tree_per_iteration=0")
    head("classes_negative", "model.bad_number", "num_class=1", "num_class=-1")
    head("classes_text", "model.bad_number", "num_class=1", "num_class=one")
    head("objective", "model.unknown_objective", "objective=regression", "objective=regresion")
    head("names_three", "model.count", "feature_names=a b", "feature_names=a b c")
    head("names_one", "model.count", "feature_names=a b", "feature_names=a")
    head("name_twice", "model.feature_name_twice", "feature_names=a b", "feature_names=a a")
    head("name_empty", "model.feature_name_empty", "feature_names=a b", "feature_names=a ")
    head("info", "model.bad_number", "[0:1] 0:1:2", "[0:1 0:1:2")
    head("info_three", "model.bad_feature_info", "[0:1] 0:1:2", "[0:1:2] 0:1:2")
    head("infos_one", "model.count", "[0:1] 0:1:2", "[0:1]")
    head("size_long", "model.tree_size", "tree_sizes=", "tree_sizes=1")
    head("size_text", "model.bad_number", "tree_sizes=", "tree_sizes=x")
    head("sizes_two", "model.tree_size", "tree_sizes=", "tree_sizes=7 ")
    head("tree_number", "model.unexpected_line", "Tree=0", "Tree=1")
    head("tree_word", "model.unexpected_line", "Tree=0", "Free=0")
    head("end_missing", "model.unexpected_line", "end of trees", "end of treez")
    head("features_huge", "model.limit_features", "max_feature_idx=1", "max_feature_idx=2000000000")
    head("features_overflow", "model.number_range", "max_feature_idx=1", "max_feature_idx=99999999999999999999")
    head("line_ends", "model.line_ends", "label_index=0\n", "label_index=0\r\n")
    write("cut_head", whole[: whole.index("Tree=0")], "model.truncated")
    write("cut_tree", whole[: whole.index("left_child")], "model.truncated")
    write("cut_end", whole[: whole.index("end of trees")], "model.truncated")
    write("trailing", whole + "\nmore\n", "model.trailing_data")
    write("two_models", whole + whole, "model.trailing_data")
    write("pandas_open", whole + '\npandas_categorical:[["a", "b"]\n', "model.pandas_categories")
    write("pandas_number", whole + "\npandas_categorical:7\n", "model.pandas_categories")
    head("number_minus", "model.bad_number", "label_index=0", "label_index=--1")


def trees() -> None:
    for line in PLAIN.splitlines(True)[:8]:
        tree(f"no_{line.partition('=')[0]}", "model.missing_key", line, "")
    tree("tree_key_twice", "model.key_twice", "num_cat=0\n", "num_cat=0\nnum_cat=0\n")
    tree("tree_key_unknown", "model.unknown_key", "shrinkage", "shrinkag")
    tree("leaves_none", "model.tree_empty", "num_leaves=3", "num_leaves=0")
    tree("leaves_more", "model.count", "num_leaves=3", "num_leaves=4")
    tree("leaves_fewer", "model.count", "num_leaves=3", "num_leaves=2")
    tree("leaves_huge", "model.count", "num_leaves=3", "num_leaves=2000000000")
    tree("linear", "model.linear_tree", "is_linear=0", "is_linear=1")
    tree("linear_two", "model.bad_value", "is_linear=0", "is_linear=2")
    tree("threshold_text", "model.bad_number", "0.5", "0.5x")
    tree("threshold_nan", "model.threshold_nan", "0.5", "nan")
    tree("threshold_count", "model.count", "threshold=0.5 1.5", "threshold=0.5")
    tree("leaf_range", "model.number_range", "leaf_value=1", "leaf_value=1e999")
    tree("leaf_inf", "model.leaf_not_finite", "leaf_value=1", "leaf_value=inf")
    tree("leaf_nan", "model.leaf_not_finite", "leaf_value=1", "leaf_value=nan")
    tree("leaf_count_short", "model.count", "leaf_count=4 5 6", "leaf_count=4 5")
    write("leaf_overflow", model(once(PLAIN, "leaf_value=1 2 3", "leaf_value=1.7e308 2 3"), 2), "model.score_overflow")
    tree("decision_12", "model.decision_type", "decision_type=2 2", "decision_type=12 2")
    tree("decision_huge", "model.decision_type", "decision_type=2 2", "decision_type=200 2")
    tree("feature_two", "model.feature_range", "split_feature=0 1", "split_feature=0 2")
    tree("feature_negative", "model.bad_number", "split_feature=0 1", "split_feature=0 -1")
    tree("child_far", "model.child_range", "right_child=-3", "right_child=-4")
    tree("child_node_far", "model.child_range", "left_child=1 -1", "left_child=2 -1")
    tree("child_root", "model.root_has_parent", "left_child=1", "left_child=0")
    tree("child_two_parents", "model.node_two_parents", "right_child=-3 -2", "right_child=-2 -2")
    tree("child_smallest", "model.child_range", "left_child=1 -1", "left_child=1 -2147483648")
    tree("child_self", "model.node_two_parents", "left_child=1 -1", "left_child=1 1")
    tree("set_number", "model.category_set", "threshold=0 1", "threshold=0 2", CATEGORIES)
    tree("set_fraction", "model.category_set", "threshold=0 1", "threshold=0 0.5", CATEGORIES)
    tree("set_negative", "model.category_set", "threshold=0 1", "threshold=0 -1", CATEGORIES)
    tree("boundaries_start", "model.category_boundaries", "cat_boundaries=0 1 3", "cat_boundaries=1 1 3", CATEGORIES)
    tree("boundaries_fall", "model.category_boundaries", "cat_boundaries=0 1 3", "cat_boundaries=0 4 3", CATEGORIES)
    tree("boundaries_end", "model.count", "cat_threshold=5 1 2", "cat_threshold=5 1", CATEGORIES)
    tree("boundaries_short", "model.count", "cat_boundaries=0 1 3", "cat_boundaries=0 1", CATEGORIES)
    tree("set_word", "model.number_range", "cat_threshold=5", "cat_threshold=4294967296", CATEGORIES)
    tree("set_word_negative", "model.bad_number", "cat_threshold=5", "cat_threshold=-5", CATEGORIES)
    tree("leaf_of_one", "model.count", "leaf_value=1", "leaf_value=1 2", LEAF)
    tree("leaf_of_none", "model.missing_key", "leaf_value=1\n", "", LEAF)


def main() -> None:
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir(parents=True)
    sound()
    heads()
    trees()
    (HERE / "index.txt").write_text("".join(f"{name} {code}\n" for name, code in written))
    print(f"{len(written)} files, {len({code for _, code in written})} codes")


if __name__ == "__main__":
    main()
