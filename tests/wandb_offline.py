"""Read what wandb wrote: its transaction log, blocks of 32 KiB that hold protobuf records."""

import json
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2 as messages

BLOCK = 32768
CHECKSUM, LENGTH = 4, 7  # bytes of a piece's header
WHOLE, LAST = 1, 4  # kinds of pieces a record ends with


@dataclass
class Shown:
    """A run of wandb as a server would have it."""

    id: str = ""
    group: str = ""
    job_type: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    step_metrics: dict[str, str] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)  # what wandb adds left out
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None


def files(folder: Path) -> list[Path]:
    """Return the logs of all runs in a folder, in the order they were begun."""
    return sorted(folder.rglob("*.wandb"), key=lambda file: file.parent.name)


def read(file: Path) -> Shown:
    """Return what a log says."""
    shown = Shown()
    for record in _records(file.read_bytes()):
        match record.WhichOneof("record_type"):
            case "run":
                run = record.run
                shown.id, shown.group, shown.job_type = run.run_id, run.run_group, run.job_type
                shown.tags = list(run.tags)
                shown.config |= {k: v for k, v in _items(run.config.update) if k[0] != "_"}
            case "metric":
                name = record.metric.name or record.metric.glob_name
                shown.step_metrics[name] = record.metric.step_metric
            case "history":
                row = {k: v for k, v in _items(record.history.item) if k[0] != "_" or k == "_step"}
                shown.history.append(row)
            case "summary":
                shown.summary |= {k: v for k, v in _items(record.summary.update) if k[0] != "_"}
            case "exit":
                shown.exit_code = record.exit.exit_code
    return shown


def _items(items: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    for item in items:
        yield item.key or ".".join(item.nested_key), json.loads(item.value_json)


def _records(log: bytes) -> Iterator[Any]:
    at, record = 7, b""  # after the file's own header
    while at + LENGTH <= len(log):
        if (left := BLOCK - at % BLOCK) < LENGTH:
            at += left
            continue
        checksum, length, kind = struct.unpack_from("<IHB", log, at)
        piece = log[at + LENGTH : at + LENGTH + length]
        assert checksum == zlib.crc32(log[at + 6 : at + 7] + piece), "a torn log"
        record, at = record + piece, at + LENGTH + length
        if kind in (WHOLE, LAST):
            yield messages.Record.FromString(record)
            record = b""
