"""scripts/get_data.py on a small origin made here: what each event becomes, and that nothing unverified is written."""

from __future__ import annotations

import csv
import gzip
import hashlib
import importlib.util
import io
import json
import sys
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "get_data.py"


@pytest.fixture(scope="module")
def data() -> ModuleType:
    spec = importlib.util.spec_from_file_location("get_data", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["get_data"] = module
    spec.loader.exec_module(module)
    return module


def act(agent: str, action: str, t: int | None, **more: Any) -> dict[str, Any]:
    return {"Agent": agent, "Action": action, **({} if t is None else {"UnixTime": 1000 + t}), **more}


def dialogue(number: int, events: list[dict[str, Any]], wizard: str = "w") -> bytes:
    document = {
        "AnonymizedUserWorkerID": "someone",
        "AnonymizedWizardWorkerID": wizard,
        "BatchID": "b",
        "CompletionLevel": "Complete",
        "DialogueID": number,
        "Events": events,
        "FORMAT-VERSION": 7,
        "IntroducesConflicts": False,
        "Scenario": {
            "Domains": ["bank"],
            "Happy": number == 7,
            "MultiTask": False,
            "UserTask": "say so",
            "WizardTask": "help",
            "WizardCapabilities": [{"Task": "bank_balance"}, {"Task": "weather"}],
        },
        "UserQuestionnaire": [],
        "WizardQuestionnaire": [{"Question": "...become aggressive or annoyed during the dialogue?", "Answer": True}],
    }
    return json.dumps(document).encode()


EVENTS = [
    act("User", "utter", 0, Text="hello, é"),
    act("User", "utter", 4, Text="my balance"),
    act("Wizard", "request_suggestions", 5, Text="first try"),
    act("Wizard", "request_suggestions", 6, Text="who are you"),
    act("Wizard", "pick_suggestion", 9, ActionLabel="ask_name", ActionLabelOptions=["hello", "ask_name"], Text="Name?"),
    act("UserGuide", "instruct", 10, Text="hidden from the operator"),
    act(
        *("Wizard", "query", 20),
        APIName="bank_balance",
        Constraints=[{"RequestType": '"Check"'}, {"RequestType": '"Book"'}, {"Name": '"Jo"'}],
    ),
    act("KnowledgeBase", "return_item", None, APIName="bank_balance", Item={"Balance": 5}, TotalItems=1),
    act("Wizard", "select_task", 25, Task="weather", PrimaryItem={"Balance": 5}),
    act("Wizard", "select_task", 26, Task="weather"),
    act("User", "utter", 30, Text="and?"),
    act("Wizard", "utter", 33, Text="own words"),
    act("Wizard", "pick_suggestion", 40, ActionLabel="custom", ActionLabelOptions=["custom"], Text="x"),
    act("Wizard", "select_primary", 41, PrimaryItem={}),
    act("User", "complete", 42),
]


@pytest.fixture
def origin() -> dict[str, bytes]:
    return {
        "dialogues/12.json": dialogue(12, [], wizard="other"),
        "dialogues/7.json": dialogue(7, EVENTS),
        "tasks/weather/weather.json": b'{"task": "weather", "graph": {"hello": "query"}}',
        "tasks/weather/responses.json": b'{"hello": "Hi \xc3\xa9"}',
        "apis/apis/weather.json": b'{"input": []}',
        "LICENSE.txt": b"MIT",
    }


def test_every_event_and_every_decision(data: ModuleType, origin: dict[str, bytes]) -> None:
    out = data.convert(origin)
    first, second = (json.loads(line) for line in out["dialogues.jsonl"].decode().splitlines())
    assert (first["id"], second["id"], first["wizard"], second["wizard"], second["user"]) == (7, 12, "w0", "w1", "u0")
    assert first["start_unix"] == 1000 and second["start_unix"] == 0 and second["events"] == []
    assert first["wizard_says"] == {"user_upset": True} and first["tasks"] == ["bank_balance", "weather"]
    assert [event[:2] for event in first["events"]] == [
        *(["u", 0], ["u", 4], ["r", 5], ["r", 6], ["p", 9], ["i", 10], ["q", 20], ["k", 20], ["t", 25], ["t", 26]),
        *(["u", 30], ["w", 33], ["p", 40], ["s", 41], ["c", 42]),
    ]
    assert first["events"][6][2:] == ["bank_balance", "query_check", {"RequestType": '"Book"', "Name": '"Jo"'}]
    assert first["events"][7][2:] == ["bank_balance", {"Balance": 5}, 1]
    assert (first["events"][8][2], first["events"][9][2]) == ({"Balance": 5}, "weather")

    rows = list(csv.DictReader(io.StringIO(out["decisions.csv"].decode())))
    names = (
        "turn",
        "t",
        "kind",
        "prev_action",
        "user_text",
        "typed_text",
        "n_requests",
        "options",
        "chosen",
        "rank",
        "latency_s",
    )
    assert [[row[name] for name in names] for row in rows] == [
        ["0", "9", "pick", "<start>", "hello, é / my balance", "who are you", "2", "hello|ask_name", "ask_name", "1", "5"],
        ["1", "20", "query", "ask_name", "", "", "0", "", "query_check:bank_balance", "-1", "11"],
        ["2", "33", "utter", "query_check", "and?", "own words", "0", "", "custom_utterance", "-1", "3"],
        ["3", "40", "pick", "custom_utterance", "", "", "0", "custom", "custom", "0", "7"],
    ]
    assert {(row["happy"], row["complete"], row["tasks"], row["dialogue_id"]) for row in rows} == {
        ("1", "1", "bank_balance|weather", "7")
    }
    assert json.loads(out["tasks.json"])["weather"] == {
        "task": "weather",
        "graph": {"hello": "query"},
        "responses": {"hello": "Hi é"},
        "api": {"input": []},
    }


def test_labels_of_back_end_calls(data: ModuleType) -> None:
    assert data.label_of_query([]) == "query"
    assert data.label_of_query([{"RequestType": '"Book"'}]) == "query_book"
    assert data.label_of_query([{"RequestType": '"Book"'}, {"RequestType": '"Check"'}]) == "query_check"


def test_the_split_is_the_documented_hash(data: ModuleType) -> None:
    # The first dialogues of the reference files.
    assert [data.split_of(i) for i in (1, 2, 44)] == ["train", "test", "test"]


def archive_of(files: dict[str, bytes], extra: tarfile.TarInfo | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"STAR-abc/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if extra is not None:
            archive.addfile(extra)
    return out.getvalue()


def test_archives_and_checkouts_give_the_same_files(data: ModuleType, origin: dict[str, bytes], tmp_path: Path) -> None:
    for name, content in {**origin, "tasks/weather/notes.md": b"not wanted", "dialogues/x.json": b"{}"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    link = tarfile.TarInfo("STAR-abc/dialogues/99.json")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    unpacked = data.from_archive(io.BytesIO(archive_of({**origin, "../dialogues/3.json": b"{}"}, link)))
    assert unpacked == data.from_folder(tmp_path) == origin
    assert data.content_sha256(unpacked) == data.content_sha256(dict(reversed(origin.items())))


def test_too_large_a_member_is_refused(data: ModuleType, origin: dict[str, bytes]) -> None:
    with pytest.raises(data.WrongContent, match=r"dialogues/5\.json"):
        data.from_archive(io.BytesIO(archive_of({**origin, "dialogues/5.json": b" " * (data._MOST_BYTES + 1)})))


def test_nothing_is_written_when_a_checksum_is_wrong(
    data: ModuleType,
    origin: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    archive, target = tmp_path / "a.tar.gz", tmp_path / "out"
    archive.write_bytes(archive_of(origin))
    assert data.main([str(target), "--archive", str(archive)]) == 3
    assert "origin: SHA-256" in capsys.readouterr().err and not target.exists()

    monkeypatch.setattr(data, "ORIGIN_SHA256", data.content_sha256(origin))
    assert data.main([str(target), "--archive", str(archive)]) == 3
    assert "decisions.csv: SHA-256" in capsys.readouterr().err and not target.exists()

    expected = {name: hashlib.sha256(content).hexdigest() for name, content in data.convert(origin).items()}
    monkeypatch.setattr(data, "WRITTEN_SHA256", expected)
    assert data.main([str(target), "--archive", str(archive)]) == 0
    assert sorted(p.name for p in target.iterdir()) == ["LICENSE.txt", "decisions.csv.gz", "dialogues.jsonl.gz", "tasks.json"]
    assert hashlib.sha256(gzip.decompress((target / "decisions.csv.gz").read_bytes())).hexdigest() == expected["decisions.csv"]
    assert data.main([str(target), "--archive", str(tmp_path / "absent")]) == 4
    whole = archive_of(origin)
    for broken in (b"no archive", whole[: len(whole) // 2], whole[:40] + b"\0" * 40 + whole[80:]):
        archive.write_bytes(broken)
        assert data.main([str(target), "--archive", str(archive)]) in (3, 4)
