"""What the committed sweeps of real videos will take, a line each, in a page: recipes/README.md."""

from collections.abc import Mapping, Sequence
from statistics import mean

from benchmark import lookup
from benchmark.cost.forecast.foresee import device_hours, foresee, foresee_trials
from benchmark.cost.forecast.hardware import Hardware, Range, gpus
from benchmark.leaderboard.markdown import code, rewritten, table
from benchmark.recipes import compose
from benchmark.recipes.schema import Recipe
from datamodules.files import atomic_write

GPU = "h100"  # by the vendor's peak: the same wherever the table is made
PAGE = compose.RECIPES / "README.md"
BEGIN, END = "<!-- written by `benchmark forecast --all --save` -->\n", "<!-- end -->\n"
HEADER = ("sweep", "methods", "runs", "GPU hours", "tuning", "both", "from … to", "GB", "cores")


def names() -> list[str]:
    """Return the sweeps of real videos; those of drawn ones take minutes of a CPU."""

    def is_drawn(data: str) -> bool:
        kind = compose.read(f"data/{data}")["data"]["name"]
        return bool(lookup.fact(compose.PACKAGES["data"], kind, "DRAWN"))

    found = compose.names("sweeps")
    data = (compose.read(f"sweeps/{name}").get("data", []) for name in found)
    return [name for name, own in zip(found, data, strict=True) if not any(map(is_drawn, own))]


def sweeps_table(sweeps: Mapping[str, Sequence[Recipe]]) -> str:
    """Return a table with a line for each sweep.

    Args:
        sweeps: Of real videos, by name: the recipes of their runs.
    """
    hardware = gpus(GPU, 1, None, {})
    rows = [_row(name, recipes, hardware) for name, recipes in sweeps.items()]
    return table(HEADER, rows)


def _row(name: str, recipes: Sequence[Recipe], hardware: Hardware) -> list[str]:
    runs = foresee(recipes, hardware)
    own = device_hours((run, 1) for run in runs)
    tuning = device_hours(foresee_trials(recipes, hardware, tuned=True))
    low, middle, high = own.plus(tuning)
    methods = {each.name.rpartition("/")[0] for each in recipes}
    return [
        code(name),
        str(len(methods)),
        str(len(runs)),
        _hours(own),
        _hours(tuning),
        f"{middle:,.0f}",
        f"{low:,.0f} … {high:,.0f}",
        f"{max(run.memory for run in runs) / 1e9:.0f}",
        f"{mean(run.cores for run in runs):.0f}",
    ]


def _hours(hours: Range) -> str:
    return f"{hours.middle:,.1f}" if hours.middle < 100 else f"{hours.middle:,.0f}"


def page(text: str, own: str) -> str:
    """Return the page `text` with the table `own` in its place.

    Raises:
        UserError: it does not say where that is.
    """
    return rewritten(text, BEGIN, END, own, PAGE.name)


def write(own: str) -> None:
    """Write the table to the page."""
    with atomic_write(PAGE) as file:
        file.write(page(PAGE.read_text(encoding="utf-8"), own).encode())
