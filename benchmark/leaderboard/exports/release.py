"""Releases: the tables of the committed boards as a version of the suite prints them, frozen.

`results/releases/VERSION/` holds, of every board, tables.csv, .json, .tex and .md; what they were
made of, records.tar.xz: each record, its answers, the splits, the papers' numbers and what the
methods claimed; and manifest.json, with the checksum of all of it. A release needs nothing else to
be made again: the records of `results/` may be replaced by newer ones, and the history of git may
be cut.
"""

import hashlib
import io
import json
import lzma
import platform
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.leaderboard import board, pages
from benchmark.leaderboard.exports import forms
from benchmark.leaderboard.tables import Kind, kind_of, tables
from benchmark.results import answers, published, record, splits, staleness
from benchmark.results.verification import verify
from datamodules.files import build_once, display_path

FORMAT = 2  # of the tables; raised where their columns, formulas or layout change
FOLDER, MANIFEST, ARCHIVE, PAPERS = "releases", "manifest.json", "records.tar.xz", "published.yaml"
CLAIMS = "methods.json"  # of the archive: what each method is, by its section of a recipe
PACKAGES = ("numpy", "scipy")  # that compute what is printed


def path(version: str) -> Path:
    """Return where the release `version` lies."""
    return record.RESULTS / FOLDER / version


def versions() -> list[str]:
    """Return the releases that there are, sorted by name."""
    return sorted(each.name for each in (record.RESULTS / FOLDER).glob("[!.]*") if each.is_dir())


def freeze(version: str, code: tuple[str, bool]) -> Path:
    """Freeze the committed boards as a version, and return the folder that holds them.

    Args:
        version: Of the suite.
        code: The commit of the code, and whether the code differs from it.

    Raises:
        UserError: the version is there already; the code, or a record, is not committed; a record
            was made by code that was not, is stale, fails `verify`, or has no answers beside it.
    """
    place = path(version)
    if place.exists():
        raise UserError(f"{display_path(place)}: is frozen already; a release never changes")
    commit, dirty = code
    if dirty:
        raise UserError(f"the code differs from its commit, {commit}: commit it before a release")
    found = _evidence()
    for what, problem in _refused(found):
        raise UserError(f"cannot freeze {version}: {what}: {problem}")
    held = {name: file.read_bytes() for name, file in found.items()}
    held[CLAIMS] = _claims(file for name, file in found.items() if file.suffix == ".json")
    archive = _packed(held)
    made = _made_again(version, archive)
    manifest = {
        "version": version,
        "format": FORMAT,
        "commit": commit,
        "packages": {"python": platform.python_version(), **{p: installed(p) for p in PACKAGES}},
        "archive": _sha256(archive),
        "records": {name: _sha256(content) for name, content in held.items()},
        "tables": {name: _sha256(text.encode()) for name, text in made.items()},
    }

    def build(folder: Path) -> None:
        (folder / ARCHIVE).write_bytes(archive)
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        for name, text in made.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(text.encode())

    build_once(place, build, wait=f"waiting for another process that writes {version}")
    return place


def check(version: str) -> list[str]:
    """Return what of a release is not as it was frozen, a line each.

    Its tables are made again from its own records and compared byte for byte; those of another
    FORMAT, which other code must make again, are held to their checksums.

    Raises:
        UserError: there is no such release.
    """
    if not path(version).is_dir():
        raise UserError(f"no release {version!r}; there are: {', '.join(versions()) or 'none'}")
    try:
        return list(_differences(version))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UserError) as error:
        return [f"{display_path(path(version))}: cannot be read: {' '.join(str(error).split())}"]
    except (lzma.LZMAError, tarfile.TarError, EOFError) as error:
        return [f"{display_path(path(version) / ARCHIVE)}: not an archive: {error}"]


def _manifest(version: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path(version) / MANIFEST).read_text(encoding="utf-8"))
    return found


def _differences(version: str) -> Iterator[str]:
    place, manifest = path(version), _manifest(version)
    if manifest["version"] != version:
        yield f"{display_path(place / MANIFEST)}: is of version {manifest['version']}"
    frozen = {name: (place / name) for name in manifest["tables"]}
    there = {f.relative_to(place).as_posix() for f in place.rglob("*") if f.is_file()}
    for name in sorted(there - frozen.keys() - {MANIFEST, ARCHIVE}):
        yield f"{display_path(place / name)}: is not in the manifest"
    archive = (place / ARCHIVE).read_bytes()
    if _sha256(archive) != manifest["archive"]:
        yield f"{display_path(place / ARCHIVE)}: its checksum is not that of the manifest"
    held = {name: _sha256(content) for name, content in _unpacked(archive).items()}
    for name in sorted(held.keys() | manifest["records"].keys()):
        if held.get(name) != manifest["records"].get(name):
            yield f"{display_path(place / ARCHIVE)}: {name} is not that of the manifest"
    made = _made_again(version, archive) if manifest["format"] == FORMAT else None
    for name, file in frozen.items():
        content = file.read_bytes() if file.is_file() else None
        if content is None:
            yield f"{display_path(file)}: is missing"
        elif _sha256(content) != manifest["tables"][name]:
            yield f"{display_path(file)}: its checksum is not that of the manifest"
        elif made is not None and content != made.get(name, "").encode():
            yield f"{display_path(file)}: {_first_difference(content, made.get(name, ''))}"
    for name in sorted((made or {}).keys() - frozen.keys()):
        yield f"{display_path(place / name)}: its records make it, the manifest lacks it"


def _first_difference(content: bytes, made: str) -> str:
    old, new = content.decode(errors="replace").splitlines(), made.splitlines()
    for number, (one, two) in enumerate(zip(old, new, strict=False), 1):
        if one != two:
            where = next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), 0)
            start = max(0, where - 20)
            both = f"{one[start : where + 30]!r} is {two[start : where + 30]!r} when made again"
            return f"line {number}: {both}"
    return f"has {len(old)} lines, {len(new)} when made again"


def _evidence() -> dict[str, Path]:
    """Return the files that the committed boards are made of, by the names they are kept under."""
    protocols: dict[str, list[Path]] = {}
    for file in record.files():
        protocols.setdefault(file.relative_to(record.RESULTS).parts[0], []).append(file)
    found = {PAPERS: published.PUBLISHED}
    for protocol in protocols.keys() - board.out_of_git(protocols):
        for file in protocols[protocol]:
            listed = sorted((record.RESULTS / protocol / splits.FOLDER).glob("*.npz"))
            for each in (file, answers.path(file), *listed):
                found[each.relative_to(record.RESULTS).as_posix()] = each
    return dict(sorted(found.items()))


def _refused(found: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    """Yield why the committed boards cannot be frozen: of what, and what is wrong with it."""
    runs = [file for file in found.values() if file.suffix == ".json"]
    if not runs:
        yield display_path(record.RESULTS), "no committed board has a record"
    for verdict in verify(runs):
        name = display_path(verdict.file)
        if verdict.record and verdict.record.environment.dirty:
            yield name, "was made by code with changes that were not committed"
        yield from ((name, f"fails verify: {problem}") for problem in verdict.problems)
    for file in found.values():
        if not file.is_file():
            yield display_path(file), "is missing"
    yield from ((display_path(each), "is not committed") for each in _uncommitted(found.values()))
    for protocol in {name.partition("/")[0] for name, file in found.items() if file in runs}:
        for name, changed in staleness.stale(record.RESULTS / protocol):
            yield name, f"is stale: {'; '.join(changed)}"


def _uncommitted(files: Iterable[Path]) -> list[Path]:
    """Return those of `files` that git has not as they are, none where there is no git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(record.RESULTS), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    try:
        top = Path(git("rev-parse", "--show-toplevel").strip())
        said = git("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", ".")
    except (OSError, subprocess.CalledProcessError):
        return []
    changed = {(top / line[3:]).resolve() for line in said.split("\0") if line}
    return [each for each in files if each.resolve() in changed]


def _made_again(version: str, archive: bytes) -> dict[str, str]:
    """Return the tables of an archive's records, by their names in the release."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        for name, content in _unpacked(archive).items():
            place = (folder / name).resolve()
            if not place.is_relative_to(folder):
                raise ValueError(f"{ARCHIVE} holds {name!r}, which leads out of it")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        runs = [record.read(file) for file in record.files(folder)]
        printed = published.read(folder / PAPERS)
        claims = json.loads((folder / CLAIMS).read_bytes())

        def kind(section: Mapping[str, Any] | None) -> Kind | None:
            return Kind(*said) if (said := claims.get(_section(section))) else None

        found: dict[str, str] = {}
        for protocol, own in pages.by_protocol(runs).items():
            shown = tables(
                (run for run in own if run.metrics.split == "test"),
                lambda run: answers.evidence(run, folder / f"{run.name}.json"),
                kind,
            )
            title = f"# Release {version}: {protocol}\n"
            page = "\n".join([title, f"{FROZEN}\n", *pages.sections(shown, printed)])
            texts = {"csv": forms.as_csv(shown), "json": forms.as_json(shown)}
            texts |= {"tex": forms.as_latex(shown), "md": page}
            found |= {f"{protocol}/tables.{form}": text for form, text in texts.items()}
        return found


def _claims(files: Iterable[Path]) -> bytes:
    """Return as JSON what the methods of records are: their files may say otherwise one day."""
    sections = [record.read(file).recipe.get("method") for file in files]
    found = {_section(each): kind_of(each) for each in sections}
    return (json.dumps(found, indent=0, sort_keys=True) + "\n").encode()


def _section(section: Mapping[str, Any] | None) -> str:
    return json.dumps(section, sort_keys=True)


FROZEN = """\
Frozen by `benchmark freeze`, never edited; `benchmark freeze --check` makes it again from the
records beside it. What the columns and marks mean, [the board](../../../README.md) says."""


def _packed(held: Mapping[str, bytes]) -> bytes:
    """Return files as a tar.xz; the same files give the same bytes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:xz", format=tarfile.PAX_FORMAT) as tar:
        for name, content in held.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    return stream.getvalue()


def _unpacked(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:xz") as tar:
        opened = {each.name: tar.extractfile(each) for each in tar.getmembers() if each.isfile()}
        return {name: stream.read() for name, stream in opened.items() if stream is not None}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def summary(version: str) -> str:
    """Return in a line how a release is whose check found nothing."""
    manifest = _manifest(version)
    tables = len(manifest["tables"])
    if manifest["format"] == FORMAT:
        return f"{version}: {tables} tables, made again byte for byte"
    how = f"of format {manifest['format']}, which the code of {manifest['commit'][:10]} makes again"
    return f"{version}: {tables} tables as frozen, {how}"
