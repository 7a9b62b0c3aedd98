#!/usr/bin/env python3
"""Fetches the STAR operator logs and writes them as the demo reads them.

    get_data.py DIR                      downloads the origin and converts it into DIR
    get_data.py DIR --origin FOLDER      the same from a checkout of the origin
    get_data.py DIR --archive FILE       the same from a .tar.gz of it

Origin: RasaHQ/STAR at the commit below ("STAR: A Schema-Guided Dialog Dataset for Transfer Learning", Mosig, Mehri and
Kober 2020, arXiv 2010.11853), MIT licence, copied along.  Nothing of an archive is unpacked: the files wanted are read by
name, with limits on their number and size.

What is verified, every time: the content of the files read (one SHA-256 over names and contents, independent of how the
archive was compressed) before anything is written, and the SHA-256 of what was written (before compression) afterwards.
The conversion was checked byte for byte against the reference files from which the demo's figures come; the download
itself is only as tested as the checksum makes it: a wrong one is refused.

Written: decisions.csv.gz (one row per operator decision), dialogues.jsonl.gz (every event), tasks.json (flow charts,
replies and back-end calls of 24 tasks), LICENSE.txt.  Exit 0 fine, 3 wrong content, 4 read or write failed.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import io
import json
import re
import sys
import tarfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

COMMIT: Final = "3058975092cdd09798e4a3a9e4ae135755824545"
ADDRESS: Final = f"https://codeload.github.com/RasaHQ/STAR/tar.gz/{COMMIT}"
ORIGIN_SHA256: Final = "12258072a596591bd8c78e8cfc11f8eba0d3d4e1d01da903b19b75dff832b1ef"
#: SHA-256 of each file written, before compression.
WRITTEN_SHA256: Final = {
    "decisions.csv": "7ac8a295686b5ef6ec3daaa337a14eba728b5e1feb15c67716bc981ae30df5e0",
    "dialogues.jsonl": "5ab5bbf0c638a39a872e41aca7bb979bc709c247fd847b2fccc9c19f49c515a0",
    "tasks.json": "23e90665b812fd93ce21b0f5536b9537228b119500d541edc9faaa3c9403429e",
}
_WANTED: Final = re.compile(r"LICENSE\.txt|dialogues/\d+\.json|tasks/(\w+)/(?:\1|responses)\.json|apis/apis/\w+\.json")
_MOST_FILES: Final = 20_000
_MOST_BYTES: Final = 4 << 20
_MOST_ARCHIVE: Final = 256 << 20

COLUMNS: Final = (
    *("dialogue_id", "split", "turn", "t", "wizard", "happy", "multitask", "complete", "tasks", "kind", "prev_action"),
    *("user_text", "typed_text", "n_requests", "options", "chosen", "rank", "latency_s"),
)
#: (agent, action) of the origin -> the letter of the event.
EVENTS: Final = {
    ("UserGuide", "instruct"): "i",
    ("User", "utter"): "u",
    ("User", "complete"): "c",
    ("Wizard", "request_suggestions"): "r",
    ("Wizard", "pick_suggestion"): "p",
    ("Wizard", "utter"): "w",
    ("Wizard", "query"): "q",
    ("Wizard", "select_task"): "t",
    ("Wizard", "select_primary"): "s",
    ("Wizard", "select_secondary"): "s",
    ("KnowledgeBase", "return_item"): "k",
}
#: What each question of the operator's questionnaire asks, by words in it.
QUESTIONS: Final = {
    "seem confused": "user_confused",
    "change his/her mind": "user_changed_mind",
    "aggressive or annoyed": "user_upset",
    "unsure about what to do": "unsure",
}

Json = dict[str, Any]


class WrongContent(Exception):
    """The origin, or what came of it, is not what it should be."""


def from_folder(folder: Path) -> dict[str, bytes]:
    """The wanted files of a checkout by name."""
    paths = (path for top in ("dialogues", "tasks", "apis/apis") for path in (folder / top).rglob("*.json"))
    names = ["LICENSE.txt", *(path.relative_to(folder).as_posix() for path in paths)]
    return {name: (folder / name).read_bytes() for name in names if _WANTED.fullmatch(name)}


def from_archive(stream: io.BufferedIOBase) -> dict[str, bytes]:
    """The wanted files of a compressed tar archive by name, without its top folder."""
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=stream, mode="r|gz") as archive:
        for member in archive:
            name = member.name.partition("/")[2]
            if not member.isfile() or not _WANTED.fullmatch(name):
                continue
            if member.size > _MOST_BYTES or len(files) >= _MOST_FILES:
                raise WrongContent(f"{member.name}: more than {_MOST_FILES} files, or one over {_MOST_BYTES} bytes")
            content = archive.extractfile(member)
            assert content is not None
            files[name] = content.read()
    return files


def download(address: str) -> dict[str, bytes]:
    """The wanted files of the archive at an address."""
    with urllib.request.urlopen(address, timeout=60) as response:
        content = response.read(_MOST_ARCHIVE + 1)
    if len(content) > _MOST_ARCHIVE:
        raise WrongContent(f"{address}: over {_MOST_ARCHIVE} bytes")
    return from_archive(io.BytesIO(content))


def content_sha256(files: Mapping[str, bytes]) -> str:
    """One SHA-256 over sorted names and contents."""
    total = hashlib.sha256()
    for name in sorted(files):
        total.update(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n".encode())
    return total.hexdigest()


def split_of(dialogue: int) -> str:
    """train, dev or test, by a hash of the id."""
    bucket = int(hashlib.sha256(f"star:{dialogue}".encode()).hexdigest(), 16) % 10
    return "train" if bucket < 7 else "dev" if bucket == 7 else "test"


def label_of_query(constraints: list[Json]) -> str:
    """A back-end call checks, books, or just asks; one that says both is a check."""
    kinds = [c["RequestType"] for c in constraints if "RequestType" in c]
    return "query_check" if '"Check"' in kinds else "query_book" if '"Book"' in kinds else "query"


def event_of(event: Json, t: int) -> list[Any]:
    """One event as [letter, seconds, ...]."""
    letter = EVENTS[event["Agent"], event["Action"]]
    row: list[Any] = [letter, t]
    if letter in "uirw":
        row.append(event["Text"])
    elif letter == "p":
        row += [event["ActionLabel"], event["ActionLabelOptions"], event["Text"]]
    elif letter == "q":
        constraints: Json = {}
        for constraint in event["Constraints"]:
            constraints.update(constraint)
        row += [event["APIName"], label_of_query(event["Constraints"]), constraints]
    elif letter == "k":
        row += [event["APIName"], event.get("Item"), event["TotalItems"]]
    elif letter == "t":
        row.append(event.get("PrimaryItem") or event["Task"])
    elif letter == "s":
        row.append(event["Action"])
    return row


def dialogues_of(files: Mapping[str, bytes]) -> Iterator[Json]:
    """All dialogues in the order of their ids, workers numbered as they first appear."""
    wizards: dict[str, str] = {}
    users: dict[str, str] = {}
    raw = [json.loads(content) for name, content in files.items() if name.startswith("dialogues/")]
    for origin in sorted(raw, key=lambda d: int(d["DialogueID"])):
        scenario, events = origin["Scenario"], origin["Events"]
        start = t = events[0]["UnixTime"] if events else 0
        rows = []
        for event in events:
            t = event.get("UnixTime", t)
            rows.append(event_of(event, t - start))
        says = {
            key: answer["Answer"]
            for answer in origin["WizardQuestionnaire"]
            for words, key in QUESTIONS.items()
            if words in answer["Question"]
        }
        yield {
            "id": origin["DialogueID"],
            "split": split_of(origin["DialogueID"]),
            "batch": origin["BatchID"],
            "completion": origin["CompletionLevel"],
            "happy": scenario["Happy"],
            "multitask": scenario["MultiTask"],
            "conflicts": origin["IntroducesConflicts"],
            "domains": scenario["Domains"],
            "tasks": [capability["Task"] for capability in scenario["WizardCapabilities"]],
            "wizard": wizards.setdefault(origin["AnonymizedWizardWorkerID"], f"w{len(wizards)}"),
            "user": users.setdefault(origin["AnonymizedUserWorkerID"], f"u{len(users)}"),
            "wizard_says": says,
            "user_task": scenario["UserTask"],
            "wizard_task": scenario["WizardTask"],
            "start_unix": start,
            "events": rows,
        }


def decisions_of(dialogue: Json) -> Iterator[list[Any]]:
    """The operator's decisions of one dialogue as rows of COLUMNS."""
    turn, previous, last = 0, "<start>", 0
    said: list[str] = []
    typed: list[str] = []
    for event in dialogue["events"]:
        letter, t = event[0], event[1]
        if letter == "u":
            said.append(event[2])
            last = t
        elif letter == "r":
            typed.append(event[2])
        if letter not in "pqw":
            continue
        options, rank, text = "", -1, typed[-1] if typed else ""
        if letter == "p":
            kind, chosen = "pick", event[2]
            options, rank = "|".join(event[3]), event[3].index(chosen) if chosen in event[3] else -1
        elif letter == "q":
            kind, chosen = "query", f"{event[3]}:{event[2]}"
        else:
            kind, chosen, text = "utter", "custom_utterance", event[2]
        yield [
            *(dialogue["id"], dialogue["split"], turn, t, dialogue["wizard"], int(dialogue["happy"])),
            *(int(dialogue["multitask"]), int(dialogue["completion"] == "Complete"), "|".join(dialogue["tasks"])),
            *(kind, previous, " / ".join(said), text, len(typed), options, chosen, rank, t - last),
        ]
        turn, last = turn + 1, t
        previous = event[3] if letter == "q" else chosen
        said, typed = [], []


def tasks_of(files: Mapping[str, bytes]) -> Json:
    """Flow chart, replies, responses and back-end call of each task."""
    tasks: Json = {}
    for name in sorted(n for n in files if n.startswith("tasks/") and not n.endswith("/responses.json")):
        task = name.split("/")[1]
        api = files.get(f"apis/apis/{task}.json")
        tasks[task] = {
            **json.loads(files[name]),
            "responses": json.loads(files[f"tasks/{task}/responses.json"]),
            "api": json.loads(api) if api is not None else None,
        }
    return tasks


def convert(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The three files of the demo by name, uncompressed."""
    dialogues = list(dialogues_of(files))
    lines = (json.dumps(d, ensure_ascii=False, separators=(",", ":")) + "\n" for d in dialogues)
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for dialogue in dialogues:
        writer.writerows(decisions_of(dialogue))
    return {
        "decisions.csv": table.getvalue().encode(),
        "dialogues.jsonl": "".join(lines).encode(),
        "tasks.json": json.dumps(tasks_of(files), ensure_ascii=False, indent=1).encode(),
    }


def write(folder: Path, converted: Mapping[str, bytes], licence: bytes) -> None:
    """Writes the files, large ones compressed, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {**converted, "LICENSE.txt": licence}.items():
        small = name in ("tasks.json", "LICENSE.txt")
        target = folder / (name if small else f"{name}.gz")
        part = target.with_name(target.name + ".part")
        part.write_bytes(content if small else gzip.compress(content, 9, mtime=0))
        part.replace(target)


def verify(what: str, found: str, expected: str) -> None:
    if found != expected:
        raise WrongContent(f"{what}: SHA-256 {found}, expected {expected}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="fetches the STAR operator logs and converts them")
    parser.add_argument("folder", type=Path, metavar="DIR")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--origin", type=Path, help="a checkout of the origin instead of the download")
    source.add_argument("--archive", type=Path, help="a .tar.gz of the origin instead of the download")
    options = parser.parse_args(arguments)
    try:
        if options.origin:
            files = from_folder(options.origin)
        elif options.archive:
            with options.archive.open("rb") as stream:
                files = from_archive(stream)
        else:
            print(f"downloading {ADDRESS}", file=sys.stderr)
            files = download(ADDRESS)
        verify("origin", content_sha256(files), ORIGIN_SHA256)
        converted = convert(files)
        for name, content in converted.items():
            verify(name, hashlib.sha256(content).hexdigest(), WRITTEN_SHA256[name])
        write(options.folder, converted, files["LICENSE.txt"])
    except WrongContent as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    except (OSError, EOFError, urllib.error.URLError, tarfile.TarError, zlib.error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 4
    print(f"{options.folder}: 6,652 dialogues, 76,092 decisions, 24 tasks; checksums as expected")
    return 0


if __name__ == "__main__":
    sys.exit(main())
