"""The papers' numbers: `results/published.yaml`, typed and checked, and whose run is like ours."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import yaml

from benchmark.errors import UserError, nearest
from benchmark.recipes.name import RunName
from benchmark.results.record import Record
from benchmark.results.schema import parse
from datamodules.files import ROOT

PUBLISHED = ROOT / "results" / "published.yaml"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where libyaml is
PROTOCOLS = ("paper", "paper_16f", "paper_32f")  # trained and tested as the authors did
COUNTS = ("gmacs", "trained_m", "total_m")  # what our models can be counted for, too
Percent = Annotated[float, (0, 100)]
Amount = Annotated[float, (0, 1e6)]


@dataclass(frozen=True, kw_only=True)
class Paper:
    """Who proposed which methods."""

    title: str
    url: str
    methods: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Data:
    """What methods are compared on."""

    title: str
    classes: int | None = None  # None: of several tasks, whose heads no count includes
    about: str | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where numbers were read."""

    title: str
    url: str | None = None
    doubt: str | None = None  # of everything in it


@dataclass(frozen=True, kw_only=True)
class Row:
    """One printed result. `results/published.yaml` says what each key means."""

    method: str
    backbone: str
    data: str
    source: str
    where: str | None = None
    frames: int | None = None
    views: int | None = None
    top1: Percent | None = None
    top5: Percent | None = None
    gmacs: Amount | None = None
    trained_m: Amount | None = None
    total_m: Amount | None = None
    reproduced: bool = False
    chosen: str | None = None
    doubts: tuple[str, ...] = ()
    differences: dict[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Published:
    """The sections of the file; papers, backbones, data and sources by the keys of rows."""

    papers: dict[str, Paper]
    backbones: dict[str, str]
    data: dict[str, Data]
    sources: dict[str, Source]
    rows: tuple[Row, ...]

    def paper(self, method: str) -> Paper | None:
        """Return the paper that proposed `method`, None for what is nobody's."""
        return next((each for each in self.papers.values() if method in each.methods), None)

    def citation(self, row: Row) -> str:
        """Return where a row was read, as text."""
        source = self.sources[row.source]
        where = "" if row.where is None else f", {row.where}"
        return f"{source.title}{where}{f' ({source.url})' if source.url else ''}"


def read(file: Path = PUBLISHED) -> Published:
    """Return what `file` holds.

    Raises:
        UserError: it cannot be read, or a key is missing, unknown or wrong; a row is named with it.
    """
    try:
        found = yaml.load(file.read_text(encoding="utf-8"), LOADER)
        if not isinstance(found, Mapping) or not isinstance(found.get("rows"), list):
            raise ValueError("rows is no list")
        rows = tuple(parse(Row, each, label(i, each)) for i, each in enumerate(found["rows"]))
        published: Published = parse(Published, {**found, "rows": []})
        published = replace(published, rows=rows)
        for i, row in enumerate(rows):
            _check(published, row, label(i, asdict(row)))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{file}: {' '.join(str(error).split())}") from None
    return published


def same_configuration(row: Row, run: RunName, *, frames: int, views: int) -> bool:
    """Return whether `row` is about what a run trains: method, backbone, data, frames and views.

    A method with options of its own ("st_adapter,width=128") is another one.
    """
    keys = [option.partition("=")[0] for option in run.options]
    other = any("." not in key or key.startswith("method.") for key in keys)
    ours = (run.method, run.backbone, run.data, frames, views)
    return not other and ours == (row.method, row.backbone, row.data, row.frames, row.views)


def like(rows: Iterable[Row], name: str, *, frames: int, views: int) -> Row | None:
    """Return the first row whose configuration the run `name` has, not one of somebody's rerun."""
    run = RunName.parse(name)
    found = (row for row in rows if same_configuration(row, run, frames=frames, views=views))
    return next((row for row in found if not row.reproduced), None)


def published(rows: Iterable[Row], record: Record) -> Row | None:
    """Return what its authors print for a run that was trained and tested as theirs was, if any."""
    run = RunName.parse(record.name)
    clip = record.recipe.get("clip")
    frames = clip.get("frames") if isinstance(clip, Mapping) else None
    if run.protocol not in PROTOCOLS or run.scratch or frames is None:
        return None
    return like(rows, record.name, frames=frames, views=record.cost.views)


def label(index: int, row: object) -> str:
    """Return how errors call a row: by its place, from 0, and what it is about."""
    if not isinstance(row, Mapping):
        return f"rows[{index}]"
    return f"rows[{index}] ({row.get('method')} on {row.get('data')})"


def _check(published: Published, row: Row, name: str) -> None:
    """Raise a ValueError where a row refers to what is not there, or prints nothing."""
    sections: dict[str, Mapping[str, object]] = {
        "backbone": published.backbones,
        "data": published.data,
        "source": published.sources,
    }
    for key, section in sections.items():
        if (value := getattr(row, key)) not in section:
            raise ValueError(f"{name}.{key}: no {value!r}{nearest(value, section)}")
    if all(getattr(row, key) is None for key in ("top1", *COUNTS)):
        raise ValueError(f"{name} prints nothing: it has none of top1, {', '.join(COUNTS)}")
    for key in row.differences or {}:
        if key not in COUNTS:
            raise ValueError(f"{name}.differences: no {key!r}{nearest(key, COUNTS)}")
