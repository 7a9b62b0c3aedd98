"""Two policies over the same log: where the documents and the records come from, and what the counts say."""

from __future__ import annotations

import io
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, cast

from opspilot import _core, policy
from opspilot._describe import Described
from opspilot._rows import encode, microseconds
from opspilot.deciding import PACKED_SUFFIX, Bundle
from opspilot.errors import PolicyError, UsageError

#: What a side of a diff may be.
Side = policy.Policy | policy.Document | Sequence[policy.Document] | Bundle

#: Bytes of a log that one thread reads at a time, rows of tasks alike.
_CHUNK_BYTES = 4 << 20
_CHUNK_TASKS = 8192
_CLIENTS = 4096
#: Records from which the types of undeclared fields are guessed.
_SAMPLE = 200


class PolicyDiff(Described):
    """What changes between two policies over a log. ``to_dict()`` has everything; ``report()`` is a page of it."""

    def __init__(self, counted: Mapping[str, Any]) -> None:
        self._counted = dict(counted)

    @property
    def decisions(self) -> int:
        """Decisions that were replayed under both policies."""
        return self._counted["decisions"]

    @property
    def changed(self) -> int:
        """Decisions of which a candidate comes out with another cap, boost or queue, or is newly forbidden or allowed."""
        return self._counted["changed"]

    @property
    def answers(self) -> int:
        """Decisions whose best candidate is another, or may be done otherwise."""
        return self._counted["answers"]

    @property
    def inexact(self) -> int:
        """Records that lack something that a rule reads; what comes out of them is what the rules make of its absence."""
        return self._counted["inexact"]

    @property
    def unreadable(self) -> int:
        return self._counted["unreadable"]

    @property
    def rules(self) -> list[dict[str, Any]]:
        """Rules of both policies: fate (same, edited, added, removed), hits, and what changes by them."""
        return self._counted["rules"]

    @property
    def clients(self) -> list[dict[str, Any]]:
        return self._counted["clients"]

    @property
    def examples(self) -> list[dict[str, Any]]:
        """First decisions that change: of all, of every rule and of every transition of the answer."""
        return self._counted["examples"]

    def transitions(self, of: str = "answer") -> dict[tuple[str, str], int]:
        """(old, new) -> how many, ``of`` the "answer" of decisions or every "candidate"."""
        return {(entry["old"], entry["new"]): entry["count"] for entry in self._counted[f"by_{of}"]}

    def to_dict(self) -> dict[str, Any]:
        return self._counted

    def report(self) -> Any:
        """The same as a page: ``diff.report().save("diff.html")``."""
        from opspilot import report

        return report.build("policy-diff", self._counted)

    def _description(self) -> dict[str, Any]:
        shown = {key: self._counted[key] for key in _PLAIN}
        shown["by_answer"] = [entry for entry in self._counted["by_answer"] if entry["old"] != entry["new"]]
        kept = ("id", "layer", "effect", "fate", "old_hits", "new_hits", "decisions")
        shown["rules"] = [{key: rule[key] for key in kept} for rule in self.rules if rule["fate"] != "same" or rule["decisions"]]
        return shown

    def __reduce__(self) -> tuple[object, ...]:
        return (PolicyDiff, (self._counted,))


_PLAIN = (
    *("kind", "old_name", "new_name", "decisions", "candidates", "changed", "answers", "best_actions", "inexact"),
    *("differing", "unreadable"),
)


@dataclass(frozen=True, slots=True)
class Policies:
    """One side: its documents, and the schema, the catalogue and the tables that came with them."""

    name: str
    documents: list[tuple[str, str]]
    schema: str | None = None
    catalogue: bytes = b""
    tables: list[tuple[str, str]] | None = None


def run(
    old: Side,
    new: Side,
    records: object,
    *,
    schema: policy.Schema | None,
    bundle: object,
    now: object,
    threads: int | None,
    examples: int,
) -> PolicyDiff:
    """``opspilot.policy.diff``."""
    before, after = policies_of(old, "old"), policies_of(new, "new")
    frame = policies_of(bundle, "bundle") if bundle is not None else None  # type: ignore[arg-type]
    homes = [side for side in (frame, after, before) if side is not None]
    fields = policy._schema_text(schema) if schema is not None else next((s.schema for s in homes if s.schema), None)
    catalogue = next((side.catalogue for side in homes if side.catalogue), b"")
    log = _Log.of(records, now)
    # A side without tables of its own looks into those of the bundle, then of the other side.
    own = [_core.LookupTables(side.tables) if side is not None and side.tables else None for side in (before, after, frame)]
    none = _core.LookupTables([])
    tables = (own[0] or own[2] or own[1] or none, own[1] or own[2] or own[0] or none)
    if fields is None:
        fields = _guessed(before, after, tables, log)
    core = _core.PolicyDiff.compile(before.documents, after.documents, fields, catalogue, examples, _CLIENTS, *tables)
    counts = _replay(core, log, threads or os.cpu_count() or 1, _is_dated(fields))
    counted: dict[str, Any] = json.loads(core.report(counts))
    return PolicyDiff({**counted, "old_name": before.name, "new_name": after.name, "records": log.name})


def _replay(core: _core.PolicyDiff, log: _Log, threads: int, dated: bool) -> _core.PolicyDiffCounts:
    """Pieces of the log side by side, their counts joined in its order; few of them are in memory at once."""
    counts = core.begin()
    work = log.pieces(core, dated)
    if threads <= 1:
        for piece in work:
            core.merge(counts, piece())
        return counts
    under_way: deque[Future[_core.PolicyDiffCounts]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for piece in work:
            under_way.append(pool.submit(piece))
            if len(under_way) > threads:
                core.merge(counts, under_way.popleft().result())
        while under_way:
            core.merge(counts, under_way.popleft().result())
    return counts


# ---- sides ----


def policies_of(source: Side, side: str) -> Policies:
    """Documents of whatever stands for a policy, with the schema and the catalogue of a bundle."""
    if isinstance(source, policy.Policy):
        schema = None if source._guessed is not None else source._core.schema
        return Policies(side, list(source._documents), schema, tables=source._tables)
    if isinstance(source, Bundle):
        return _of_parts(f"{source.name} {source.version}", source.parts_in_force())
    if isinstance(source, str) and not source.lstrip().startswith("{"):
        source = Path(source)
    if isinstance(source, Path):
        if source.is_dir():
            return _of_folder(source)
        if source.suffix == PACKED_SUFFIX:
            return replace(policies_of(Bundle.load(source), side), name=source.name)
        return Policies(source.name, [(source.name, policy._text_of(source))])
    if isinstance(source, Sequence) and not isinstance(source, (str, bytes)):
        parts = [policies_of(one, f"{side} {i}") for i, one in enumerate(source)]
        return Policies(side, [document for part in parts for document in part.documents])
    return Policies(side, [(side, policy._text_of(source))])


#: What stands beside the layers in a folder of them.
_BESIDE = ("schema.json", "catalogue.json")


def _of_folder(folder: Path) -> Policies:
    """A bundle's folder, or one of layers: every JSON document that has rules; a schema.json beside them counts too."""
    if (folder / "policy").is_dir():
        names = ["schema.json", "catalogue.json"]
        names += [f"{under}/{path.name}" for under in ("policy", "tables") for path in sorted((folder / under).glob("*.json"))]
        return _of_parts(folder.name, {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()})
    parts = {path.name: path.read_bytes() for path in sorted(folder.glob("*.json"))}
    parts |= {f"tables/{path.name}": path.read_bytes() for path in sorted((folder / "tables").glob("*.json"))}
    layers = {f"policy/{name}": content for name, content in parts.items() if "/" not in name and name not in _BESIDE}
    return _of_parts(folder.name, {**parts, **layers})


def _of_parts(name: str, parts: Mapping[str, bytes]) -> Policies:
    documents = [(part, policy._text_of(content)) for part, content in parts.items() if part.startswith("policy/")]
    if not documents:
        raise PolicyError(
            f"{name} holds no policy document", code="policy.none", where=name, hint="give files, a folder of layers or a bundle"
        )
    schema = parts.get("schema.json")
    tables = [(Path(part).stem, policy._text_of(content)) for part, content in parts.items() if part.startswith("tables/")]
    return Policies(name, documents, schema.decode() if schema else None, parts.get("catalogue.json", b""), tables)


def _is_dated(schema: str) -> bool:
    """Whether the age of values matters, so that rows of one time must be read together."""
    return '"max_age"' in schema


def _guessed(before: Policies, after: Policies, tables: tuple[_core.LookupTables, _core.LookupTables], log: _Log) -> str:
    types = {**policy._guess(before.documents, tables[0]), **policy._guess(after.documents, tables[1])}
    tasks, candidates = log.sample()
    return policy._schema_of(policy._types_of_values(types, tasks, candidates))


# ---- records ----


class _Log:
    """Records as pieces of work; their rows are read by the core."""

    name = "records"

    def pieces(self, core: _core.PolicyDiff, dated: bool) -> Iterator[Callable[[], _core.PolicyDiffCounts]]:
        raise NotImplementedError

    def sample(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """A few tasks and candidates, for their types."""
        raise NotImplementedError

    @staticmethod
    def of(records: object, now: object) -> _Log:
        if isinstance(records, tuple) and len(records) == 2:
            return _Tables(*records, now)
        if isinstance(records, (str, Path)):
            return _Lines(lambda: Path(records).open("rb"), Path(records).name)
        if isinstance(records, (bytes, bytearray)):
            content = bytes(records)
            return _Lines(lambda: io.BytesIO(content))
        if hasattr(records, "read"):
            file = cast("IO[bytes]", records)
            return _Lines(lambda: file, getattr(file, "name", "records"), once=True)
        if isinstance(records, Iterable) and not isinstance(records, Mapping):
            lines = b"".join(encode(record, "records") + b"\n" for record in records)
            return _Lines(lambda: io.BytesIO(lines))
        raise UsageError(
            f"records of type {type(records).__name__}",
            code="usage.records",
            where="records",
            hint="give a path, bytes, a binary file, mappings, or (tasks, candidates)",
        )


class _Lines(_Log):
    def __init__(self, open_: Callable[[], IO[bytes]], name: object = "records", *, once: bool = False) -> None:
        self._open = open_
        self._once = once
        self.name = str(name)

    def pieces(self, core: _core.PolicyDiff, dated: bool) -> Iterator[Callable[[], _core.PolicyDiffCounts]]:
        del dated  # every line has its own time
        first, rest = 1, b""
        with self._open() as file:
            while block := file.read(_CHUNK_BYTES):
                end = block.rfind(b"\n") + 1
                if end == 0:
                    rest += block
                    continue
                lines, rest = rest + block[:end], block[end:]
                yield _lines_piece(core, lines, first)
                first += lines.count(b"\n")
        if rest:
            yield _lines_piece(core, rest, first)

    def sample(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        if self._once:
            raise UsageError(
                "a stream can be read once only", code="usage.no_schema", where="records", hint="give schema=… or a path"
            )
        tasks: list[dict[str, Any]] = []
        candidates: list[dict[str, Any]] = []
        with self._open() as file:
            for _, line in zip(range(_SAMPLE), file, strict=False):
                try:
                    row = json.loads(line)
                except ValueError:
                    continue  # the replay counts it
                if isinstance(row, dict):
                    tasks += policy._objects([row.get("fields" if row.get("type") == "decision" else "task")])
                    candidates += policy._objects(row.get("candidates"))
        return tasks, candidates


def _lines_piece(core: _core.PolicyDiff, lines: bytes, first: int) -> Callable[[], _core.PolicyDiffCounts]:
    return lambda: core.replay_lines(lines, first)


class _Tables(_Log):
    """Tasks with a column ``now``, and candidates with ``task_index``, both in the order of the tasks."""

    name = "tables"

    def __init__(self, tasks: object, candidates: object, now: object) -> None:
        self._tasks, self._candidates, self._now = tasks, candidates, now

    def pieces(self, core: _core.PolicyDiff, dated: bool) -> Iterator[Callable[[], _core.PolicyDiffCounts]]:
        if not _is_arrow(self._tasks) or not _is_arrow(self._candidates):
            tasks, times = self._rows()
            if dated and len(set(times)) > 1:
                raise UsageError(
                    "rows of several times, and a schema with max_age", code="usage.times", where="now", hint="give tables"
                )
            yield _rows_piece(core, tasks, self._candidates, times, 0)
            return
        first = 0
        candidates = _Ascending(_batches(self._candidates))
        for batch in _batches(self._tasks):
            for tasks, times in self._by_time(batch, dated):
                yield _rows_piece(core, tasks, candidates.up_to(first + tasks.num_rows), times, first)
                first += tasks.num_rows
        rest = candidates.up_to(None)
        if rest.num_rows:  # of tasks that do not exist: the core says which
            yield _rows_piece(
                core, batch.slice(0, 0).drop_columns(["now"] if "now" in batch.schema.names else []), rest, [0], first
            )

    def _rows(self) -> tuple[list[dict[str, Any]], list[int]]:
        given = self._tasks
        tasks = [dict(row) for row in given] if isinstance(given, Sequence) else policy._mappings(given, "tasks")
        times = [row.pop("now", self._now) for row in tasks]
        return tasks, [microseconds(time) if time is not None else _no_time() for time in times] or [0]

    def _by_time(self, batch: Any, dated: bool) -> Iterator[tuple[Any, list[int]]]:
        """A batch with its times; parts of one time each where the age of values matters."""
        import pyarrow

        if "now" not in batch.schema.names:
            yield batch, [microseconds(self._now) if self._now is not None else _no_time()]
            return
        column = batch.column(batch.schema.get_field_index("now"))
        if pyarrow.types.is_timestamp(column.type):
            column = column.cast(pyarrow.timestamp("us", column.type.tz), safe=False)
        times = column.cast(pyarrow.int64()).to_pylist()
        batch = batch.drop_columns(["now"])
        if not dated:
            yield batch, times
            return
        begin = 0
        for end in range(1, len(times) + 1):
            if end == len(times) or times[end] != times[begin]:
                yield batch.slice(begin, end - begin), [times[begin]]
                begin = end

    def sample(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        sampled = []
        for rows in (self._tasks, self._candidates):
            if _is_arrow(rows):
                head = next(iter(_batches(rows)), None)
                sampled.append(head.slice(0, _SAMPLE).to_pylist() if head is not None else [])
            else:
                sampled.append(policy._mappings(rows, "rows")[:_SAMPLE])
        for row in sampled[0]:
            row.pop("now", None)
        for row in sampled[1]:
            row.pop("task_index", None)
        return sampled[0], sampled[1]


def _no_time() -> int:
    raise UsageError(
        "no time of decision", code="usage.no_time", where="now", hint="give the tasks a column 'now', or pass now=…"
    )


def _rows_piece(
    core: _core.PolicyDiff, tasks: object, candidates: object, times: list[int], first: int
) -> Callable[[], _core.PolicyDiffCounts]:
    return lambda: core.replay_rows(tasks, candidates, times, first)


def _is_arrow(rows: object) -> bool:
    return isinstance(rows, (str, Path)) or hasattr(rows, "__arrow_c_stream__") or hasattr(rows, "__arrow_c_array__")


def _batches(rows: object) -> Iterator[Any]:
    """Record batches of a table, or of a Parquet file, which is read piece by piece."""
    import pyarrow

    if isinstance(rows, (str, Path)):
        import pyarrow.parquet

        with pyarrow.parquet.ParquetFile(rows) as file:
            yield from file.iter_batches(_CHUNK_TASKS)
        return
    table = pyarrow.table(rows)
    yield from table.to_batches(_CHUNK_TASKS)


class _Ascending:
    """Candidates in the order of their tasks, handed out task range by task range."""

    def __init__(self, batches: Iterator[Any]) -> None:
        self._batches = batches
        self._next = next(batches, None)

    def up_to(self, task: int | None) -> Any:
        """The candidates of the tasks before ``task``, or all that are left."""
        import numpy as np
        import pyarrow

        taken = []
        while self._next is not None:
            batch = self._next
            index = batch.schema.get_field_index("task_index")
            if index < 0:
                raise UsageError(
                    "candidates without task_index",
                    code="usage.no_task_index",
                    where="candidates",
                    hint="say by task_index, from 0, whose each candidate is",
                )
            end = (
                batch.num_rows if task is None else int(np.searchsorted(batch.column(index).to_numpy(zero_copy_only=False), task))
            )
            taken.append(batch.slice(0, end))
            if end < batch.num_rows:
                self._next = batch.slice(end)
                break
            self._next = next(self._batches, None)
        if not taken:
            return _no_candidates()
        return pyarrow.Table.from_batches(taken)


def _no_candidates() -> Any:
    import pyarrow

    return pyarrow.table({"task_index": pyarrow.array([], pyarrow.int64())})
