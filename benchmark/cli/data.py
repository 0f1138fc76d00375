"""Verbs about data: look at videos, encode or pack them anew, and how fast they are decoded."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.cli.verb import Verb, existing_folder
from benchmark.errors import UserError, nearest
from benchmark.recipes import compose, validation
from datamodules.dataset_info import DatasetInfo

MOST = 1024  # of processes


def some_data(parser: ArgumentParser) -> None:
    """Add the names of datasets; overrides may stand among them."""
    parser.add_argument(
        "words", nargs="+", metavar="DATA", help="a dataset, a file in recipes/data"
    )


def audit(args: Namespace) -> int:
    """Check every video of datasets before training on them; list and note the broken ones.

    benchmark audit ucf101 data.root=/data/ucf101
    """
    from benchmark.recipes import dataset
    from benchmark.sweeps.devices import cores
    from datamodules.preparation.audit import audit, summary  # imports torch

    words = [*args.words, *args.overrides]
    names, overrides, own = split_words(words, {"workers": cores()})
    broken = 0
    for data in [dataset.load(name, overrides) for name in names]:
        rows = audit(data, workers=own["workers"])
        print(f"{summary(data, rows)}\n")
        broken += sum(row["problem"] is not None for row in rows.values())
    return 1 if broken else 0


def prepare_arguments(parser: ArgumentParser) -> None:
    """Add what `prepare` takes."""
    some_data(parser)
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", required=True, help="a new folder"
    )
    parser.add_argument(
        "--shards",
        action="store_true",
        help="pack the videos as they are into tar files, each of at most shard_mib=N MiB",
    )


def prepare(args: Namespace) -> int:
    """Re-encode the videos of a dataset, small and quick to decode, into a folder of their own.

    benchmark prepare ucf101 data.root=/data/ucf101 -o /data/ucf101_256 short_side=256
    benchmark prepare ucf101 data.root=/data/ucf101_256 -o /data/ucf101_shards --shards
    """
    if args.shards:
        return _pack(args)
    from benchmark.sweeps.devices import cores
    from datamodules.preparation.prepare import (  # imports torch
        GROUP,
        QUALITY,
        RANGES,
        SHORT_SIDE,
        prepare,
        speed_up,
        summary,
    )

    known = {"workers": cores(), "short_side": SHORT_SIDE, "group": GROUP, "quality": QUALITY}
    data, own = _one_dataset([*args.words, *args.overrides], known, RANGES)
    rows = prepare(data, args.output, **own)
    print(summary(data, args.output, rows, speed_up(data, args.output, rows)))
    return 1 if any(row["problem"] is not None for row in rows.values()) else 0


def _pack(args: Namespace) -> int:
    from benchmark.sweeps.devices import cores
    from datamodules.preparation import prepare
    from datamodules.preparation.pack import MIB, RANGES, pack, summary

    words = [*args.words, *args.overrides]
    if encoding := next((word for word in words if word.partition("=")[0] in prepare.RANGES), None):
        raise UserError(
            f"{encoding}: --shards packs videos as they are; prepare them without it first, then "
            "pack what came of it"
        )
    data, own = _one_dataset(words, {"workers": cores(), "shard_mib": MIB}, RANGES)
    rows = pack(data, args.output, **own)
    print(summary(data, args.output, rows))
    return 1 if any(row["problem"] is not None for row in rows.values()) else 0


def _one_dataset(
    words: Sequence[str], known: Mapping[str, int], ranges: Mapping[str, tuple[int, int]]
) -> tuple[DatasetInfo, dict[str, int]]:
    """Return the dataset that a command speaks of, and the command's own numbers."""
    from benchmark.recipes import dataset

    names, overrides, own = split_words(words, known, ranges)
    if len(names) > 1:
        raise UserError(f"one dataset per folder: prepare {names[0]!r} and {names[1]!r} apart")
    return dataset.load(names[0], overrides), own


def bench_data_arguments(parser: ArgumentParser) -> None:
    """Add what `bench-data` takes."""
    parser.add_argument(
        "folder", nargs="?", type=Path, help="of videos; default: four that it writes"
    )


def bench_data(args: Namespace) -> None:
    """Compare the speed of decoders on the videos of a folder, or on some that it writes.

    benchmark bench-data
    """
    from datamodules.speed.decoding import compare  # imports torch

    print(compare(existing_folder(args.folder)))


def split_words(
    words: Sequence[str],
    known: Mapping[str, int] | None = None,
    ranges: Mapping[str, tuple[int, int]] | None = None,
) -> tuple[list[str], list[str], dict[str, int]]:
    """Sort the words of a command: names of data, overrides of data, and the command's own numbers.

    Args:
        words: As typed.
        known: The command's own keys, with the numbers they have if they are not given.
        ranges: Least and most of some of them; of the others 1 and `MOST`.

    Raises:
        UserError: there is no name, or a key is unknown or no number in its range.
    """
    names, overrides, numbers = [], [], dict(known or {})
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            names.append(word)
        elif key.startswith("data."):
            overrides.append(word)
        elif key not in numbers:
            near = nearest(key, [*numbers, "data.root"])
            raise UserError(f"{validation.COMMAND_LINE}: unknown key {key!r}{near}")
        else:
            least, most = (ranges or {}).get(key, (1, MOST))
            number = int(text) if text.isdecimal() and len(text) < 10 else 0
            if not least <= number <= most:
                right = f"a number between {least} and {most}"
                raise UserError(f"{validation.COMMAND_LINE}: {key} is {text!r}, not {right}")
            numbers[key] = number
    if not names:
        raise UserError(f"name the data, one of recipes/data: {', '.join(compose.names('data'))}")
    return names, overrides, numbers


VERBS = {
    "audit": Verb(audit, some_data, overrides=True),
    "prepare": Verb(prepare, prepare_arguments, overrides=True),
    "bench-data": Verb(bench_data, bench_data_arguments),
}
