"""Pack the videos of a dataset into shards, as they are: for disks that are slow to find files.

Of an interrupted packing whole shards stay, and what they hold is noted in `.packing`; typed again
it goes on there. Readers see a folder of shards once `shards.json` is written, which comes last,
and is taken away first where anything is to be packed anew.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datamodules.dataset_info import DatasetInfo
from datamodules.errors import UserError
from datamodules.files import atomic_write, demand_folder, exclusive
from datamodules.preparation.prepare import PATIENCE, demand_apart, demand_within, take_lists
from datamodules.preparation.resumable import Row, no_room
from datamodules.preparation.shard_plan import Packed, ShardPlan, plan_shards
from datamodules.preparation.workers import map_in_processes
from datamodules.preparation.write_shard import LEFT_OUT, Written, write_shard
from datamodules.progress_bar import ProgressBar
from datamodules.shards.index import FACTS, NAMES, PACKING, VERSION, Index, Member, read_facts

MEBI = 2**20
MIB = 2048  # of a shard: a thousand videos of Kinetics, ten thousand of Something-Something
RANGES = {"shard_mib": (1, 2**20)}
SLOWEST = 2**19  # bytes per second: a shard that takes longer is given up
SHARD = re.compile(r"\.?(train|test|holdout)-\d{6}\.tar(\.partial)?")
SHOWN = 20  # videos left out that are listed


def pack(data: DatasetInfo, out: Path, *, workers: int, shard_mib: int = MIB) -> dict[str, Row]:
    """Pack every video of a dataset into shards in `out`; return a row for each by its name.

    Typed again it goes on where it was stopped, and packs shards anew of which a video, a name or
    a label has changed. What cannot be read is left out and noted: it is as missing as it was.

    Args:
        data: The dataset.
        out: Folder of the shards.
        workers: Processes, each at one shard.
        shard_mib: Of a shard at most, unless a single video is larger.

    Raises:
        UserError: The videos do not lie in one folder, or `out` is that folder, in it, around it,
            full, or being written.
    """
    root, names = Path(data.splits["train"].root), demand_within(data)
    demand_apart(root, out, {os.path.dirname(name) for name in names})
    demand_folder(out)
    take_lists(root, out, names)  # before the index, which says that all is there
    plans = plan_shards(data, shard_mib * MEBI)
    with exclusive(out / PACKING):
        try:
            if _is_whole(out, plans):
                problems = {each.name: each.problem for plan in plans for each in plan.videos}
            else:
                problems = _pack(data.name, root, out, plans, workers, shard_mib * MEBI / SLOWEST)
        except OSError as error:
            raise no_room(out / FACTS, error) from None
    return {name: {"name": name, "problem": problems[name]} for name in problems}


def _is_whole(out: Path, plans: Sequence[ShardPlan]) -> bool:
    """Return whether all is there, of these plans."""
    return not (out / PACKING).exists() and [*_standing(out)] == [
        (plan.file, plan.key) for plan in plans
    ]


def _standing(out: Path) -> Iterator[tuple[str, str]]:
    """Yield the shards that are there as the index says, and the keys of their plans."""
    if (out / FACTS).exists():
        for file, size, key in read_facts(str(out))["shards"]:
            if _size(out / file) == size:
                yield file, key


def _pack(
    title: str, root: Path, out: Path, plans: Sequence[ShardPlan], workers: int, patience: float
) -> dict[str, str | None]:
    """Write what is missing of the shards, then their index; return each video's problem."""
    notes = out / PACKING
    notes.mkdir(exist_ok=True)
    _keep(out, plans)
    (out / FACTS).unlink(missing_ok=True)
    todo = [plan for plan in plans if not _is_done(out, plan)]
    needed, free = sum(plan.size for plan in todo), shutil.disk_usage(out).free
    if needed > free:
        raise UserError(
            f"{out}: the shards take {needed / 1e9:,.3g} GB more, but {free / 1e9:,.3g} GB are free"
        )
    for plan in todo:
        _write_json(notes / f"{plan.file}.plan", plan.videos)
    work = Packer(str(root), str(out))
    with ProgressBar(f"packing {title}", len(todo)) as told:
        files = [plan.file for plan in todo]
        for file, found, death in map_in_processes(
            work, files, workers=min(workers, len(files)), patience=max(PATIENCE, patience)
        ):
            if death is not None:
                raise UserError(f"{out / file}: {death}; type the same again")
            if found is not None:
                raise found
            told.advance(broken=False)
    return _finish(title, out, plans)


@dataclass(frozen=True)
class Packer:
    """How the shards of one folder are written; called with a shard's name."""

    root: str
    out: str

    def __call__(self, file: str) -> OSError | None:
        """Write a shard and what came of it; return why it cannot be written."""
        out = Path(self.out)
        try:
            videos = json.loads((out / PACKING / f"{file}.plan").read_bytes())
            plan = ShardPlan(file, tuple(Packed.of(each) for each in videos))
            written = write_shard(plan, self.root, out)
            _note(out, plan, written)
        except OSError as error:
            return OSError(error.errno, error.strerror)
        return None


def _note(out: Path, plan: ShardPlan, written: Written) -> None:
    """Note what came of a shard: from here on it is done."""
    size = _size(out / plan.file)
    _write_json(out / PACKING / f"{plan.file}.done", [plan.key, size, *written])


def _read_note(out: Path, plan: ShardPlan) -> tuple[str, int, Written]:
    key, size, members, problems, again = json.loads(
        (out / PACKING / f"{plan.file}.done").read_bytes()
    )
    places = {name: Member(*each) for name, each in members.items()}
    return key, size, Written(places, problems, again)


def _is_done(out: Path, plan: ShardPlan) -> bool:
    try:
        key, size, written = _read_note(out, plan)
    except (OSError, ValueError, TypeError):
        return False
    return key == plan.key and size == _size(out / plan.file) and not written.again


def _keep(out: Path, plans: Sequence[ShardPlan]) -> None:
    """Note what an index says of shards that stay as they are."""
    standing = dict(_standing(out))
    if kept := [plan for plan in plans if standing.get(plan.file) == plan.key]:
        index = Index(str(out))
        for plan in kept:
            names = [file.name for video in plan.videos for file in video.files]
            found = {name: index.find(name) or LEFT_OUT for name in names}
            left = {each.name: each.problem for each in plan.videos if each.problem is not None}
            _note(out, plan, Written(found | dict.fromkeys(left, LEFT_OUT), left, False))


def _finish(title: str, out: Path, plans: Sequence[ShardPlan]) -> dict[str, str | None]:
    """Write the index, and remove what is no part of it."""
    lines, shards = list[tuple[bytes, Member]](), list[tuple[str, int, str]]()
    problems: dict[str, str | None] = {}
    for number, plan in enumerate(plans):
        key, size, written = _read_note(out, plan)
        shards.append((plan.file, size, "" if written.again else key))
        for name, member in written.members.items():
            own = member if member == LEFT_OUT else member._replace(shard=number)
            lines.append((name.encode(errors="surrogateescape"), own))
        problems |= {each.name: written.problems.get(each.name) for each in plan.videos}
    lines.sort()
    with atomic_write(out / NAMES) as file:
        for encoded, member in lines:
            file.write(encoded + b"".join(b"\t%d" % each for each in member) + b"\n")
    facts = {"version": VERSION, "dataset": title, "videos": len(problems)}
    _write_json(out / FACTS, facts | {"bytes": _size(out / NAMES), "shards": shards})
    for each in out.iterdir():
        if SHARD.fullmatch(each.name) and each.name not in {file for file, _, _ in shards}:
            each.unlink()
    shutil.rmtree(out / PACKING)
    return problems


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else -1


def _write_json(file: Path, content: object) -> None:
    with atomic_write(file) as stream:
        stream.write(json.dumps(content).encode())


def summary(data: DatasetInfo, out: Path, rows: Mapping[str, Row]) -> str:
    """Return what came of it, for reading."""
    shards = read_facts(str(out))["shards"]
    left = [row for row in rows.values() if row["problem"] is not None]
    size = sum(bytes_ for _, bytes_, _ in shards) / 1e9
    said = [
        f"{data.name}: {len(rows):,} videos in {len(shards):,} shards of {size:.3g} GB in all, "
        f"{len(left):,} left out, in {out}"
    ]
    said += [f"  left out: {row['name']}: {row['problem']}" for row in left[:SHOWN]]
    if len(left) > SHOWN:
        said.append(f"  and {len(left) - SHOWN:,} more: -1 in {out / NAMES}")
    return "\n".join([*said, "", f"use it with data.root={out}"])
