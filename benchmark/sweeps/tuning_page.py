"""The page of a protocol's tuning: what was tried of every method, what was chosen, a picture."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from benchmark.leaderboard.columns import MISSING
from benchmark.leaderboard.markdown import code, escape, table
from benchmark.leaderboard.pages import picture
from benchmark.leaderboard.statistics.expected_best import expected_best
from benchmark.results import record
from benchmark.results.tuning import FOLDER, Evidence, evidence, means
from datamodules.files import atomic_write, demand_folder
from datamodules.progress_bar import format_duration

NAME = "README.md"
PICTURE = "tuning"
TEXT = """\
Written when a sweep is tuned, never by hand. [The board](../README.md)

Every method of a table had the same number of trials, each trained as long as the others, and
scored once, with its last weights, on videos held out of the training split: the test split was not
read. The best one's settings stand in `recipes/protocols/`, and the runs of the board use them. Of
several that are equally right, the middle one was chosen. What lies at an **edge** is the lowest or
the highest value tried: a better one may lie beyond, and the board marks the row.
"""
LEGEND = """\
**best**: top-1 in percent on the holdout of what was chosen: too high, being the best of several.
**best of 1**: what to expect of a value drawn from those tried, their mean. **best of half**: of
the best of half as many draws as there were trials. The best of n draws from N trials is expected
at the sum over trials i, in order of accuracy v, of v_i ((i / N)^n - ((i - 1) / N)^n) (Dodge et
al., 2019, [Show Your Work](https://arxiv.org/abs/1909.03004)); a training that diverged counts as
0. **spread**: the standard deviation over trials. **time**: of all trials together.
"""


def write(protocol: str) -> Path:
    """Write the page of a protocol, and what is drawn on it; return the page.

    Raises:
        UserError: its evidence is broken, or nobody can write there.
    """
    from benchmark.leaderboard.pictures import theme  # matplotlib takes a second to import
    from benchmark.leaderboard.pictures import tuning as drawn

    tables: dict[str, list[Evidence]] = {}
    for each in evidence(protocol):
        tables.setdefault(each.name.rpartition("/")[0], []).append(each)
    folder = record.RESULTS / protocol / FOLDER
    demand_folder(folder)
    svg = drawn.draw(tables)
    files = {NAME: page(protocol, tables), f"{PICTURE}.svg": svg}
    for name, text in {**files, f"{PICTURE}-dark.svg": theme.dark(svg)}.items():
        if not (folder / name).is_file() or (folder / name).read_bytes() != text.encode():
            with atomic_write(folder / name) as stream:
                stream.write(text.encode())
    return folder / NAME


def page(protocol: str, tables: dict[str, list[Evidence]]) -> str:
    """Return the page of a protocol's evidence, by "protocol/data/backbone"."""
    parts = [f"# Tuning: {escape(protocol)}\n", TEXT]
    parts.append(picture(PICTURE, "accuracy on the holdout against what was tried"))
    parts.append(LEGEND)
    for name, found in tables.items():
        parts.append(f"## {' · '.join(map(escape, name.split('/')[1:]))}\n")
        first = found[0]
        count = len(means(first.trials))
        parts.append(
            f"{count} trials of {first.epochs} epochs, scored on {first.holdout.videos:,} videos "
            f"(SHA-256 of their list: {code(first.holdout.sha256[:16])}).\n"
        )
        parts += [_table(found), _trials(found)]
    return "\n".join(parts)


def _table(found: Sequence[Evidence]) -> str:
    rows = []
    for each in found:
        scores = [top1 or 0 for _, top1 in means(each.trials)]
        half = max(1, len(scores) // 2)
        times = [trial.device_seconds for trial in each.trials if trial.device_seconds is not None]
        rows.append(
            [
                code(each.name.rpartition("/")[2]),
                ", ".join(f"{code(key)} {value}" for key, value in each.chosen.items()),
                f"{100 * each.top1:.1f}",
                f"{100 * fmean(scores):.1f}",
                f"{100 * expected_best(scores, half):.1f}",
                f"{100 * stdev(scores):.1f}" if len(scores) > 1 else MISSING,
                ", ".join(map(code, each.edges)) or MISSING,
                format_duration(sum(times)) if times else MISSING,
            ]
        )
    header = ["method", "chosen", "best", "best of 1", "best of half", "spread", "edge", "time"]
    return table(header, rows, left=(0, 1, 6))


def _trials(found: Sequence[Evidence]) -> str:
    """Return all trials: a row per method, a column per settings, where all have the same."""
    every = [[settings for settings, _ in means(each.trials)] for each in found]
    if any(settings != every[0] for settings in every):
        return ""  # each method's own: the files beside this page have them
    header = [", ".join(str(value) for value in settings.values()) for settings in every[0]]
    rows = [
        [
            code(each.name.rpartition("/")[2]),
            *(MISSING if top1 is None else f"{100 * top1:.1f}" for _, top1 in means(each.trials)),
        ]
        for each in found
    ]
    keys = ", ".join(map(code, every[0][0]))
    return f"Top-1 in percent by {keys}:\n\n{table(['method', *header], rows)}"
