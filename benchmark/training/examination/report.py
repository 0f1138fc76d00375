"""An examination as a short text, in percent."""

from collections.abc import Callable, Iterator
from typing import Any

from benchmark.results.examination import Examination

Rows = Iterator[tuple[str, str]]


def report(found: Examination) -> str:
    """Return what an examination found, a line for each number."""
    plain = found.plain["top1"]
    lines = [
        f"{found.name}: {found.videos:,} of {found.of:,} {found.split} videos; in percent, and "
        "beside it how far from plain",
        _line("top-1, plain", f"{100 * plain:6.2f}"),
    ]
    for name, test in found.tests.items():
        if "left_out" in test:
            lines.append(f"{name}: left out: {test['left_out']}")
            continue
        lines.append(f"{name} ({test['seconds']:.1f} s)")
        lines += [_line(f"  {label}", said) for label, said in ROWS[name](test, plain)]
    return "\n".join(lines)


def _time(test: dict[str, Any], plain: float) -> Rows:
    yield "frames shuffled", _beside(test["shuffled"], plain)
    yield "frames reversed", _beside(test["reversed"], plain)
    yield "one frame repeated", _beside(test["one_repeated"], plain)
    if (ceiling := test["order_blind_ceiling"]) is not None:
        yield "most without the order of frames", f"{100 * ceiling:6.2f}"
        yield (
            "",
            "  reversed, a video is its twin, which has another label: who sees the order gives"
            " that one, and counts as wrong",
        )


def _views(test: dict[str, Any], plain: float) -> Rows:
    for each in test["clips"]:
        number = each["clips"]
        yield f"{number} clip{'' if number == 1 else 's'}", _beside(each["top1"], plain)


def _corruptions(test: dict[str, Any], plain: float) -> Rows:
    for name, found in test.items():
        if isinstance(found, dict):
            for severity, top1 in found.items():
                yield f"{name.replace('_', ' ')}, severity {severity}", _beside(top1, plain)


def _calibration(test: dict[str, Any], plain: float) -> Rows:
    yield "expected calibration error", f"{100 * test['ece']:6.2f}"
    yield "mean confidence", _beside(test["confidence"], plain)
    yield "negative log-likelihood, nats", f"{test['nll']:8.4f}"
    yield "Brier score, 0 to 2", f"{test['brier']:8.4f}"


def _classes(test: dict[str, Any], plain: float) -> Rows:
    yield "the linear probe", _beside(test["probe_top1"], plain)
    classes = test["classes"]
    for each in classes if len(classes) <= 6 else [*classes[:3], *classes[-3:]]:
        gain = f"gains {100 * each['gain']:+.2f}"
        yield f"{each['class']} ({each['videos']:,})", f"{100 * each['top1']:6.2f}  {gain}"


def _drift(test: dict[str, Any], plain: float) -> Rows:
    yield "cosine to the frozen backbone, mean", f"{test['cosine']:8.4f}"
    yield "a tenth of the stills below", f"{test['cosine_p10']:8.4f}"
    if head := test.get("stills"):
        yield "digits named right by the frozen backbone", f"{100 * head['before']:6.2f}"
        yield "by this one, through the same head", _beside(head["after"], head["before"])


ROWS: dict[str, Callable[[dict[str, Any], float], Rows]] = {
    "time": _time,
    "views": _views,
    "corruptions": _corruptions,
    "calibration": _calibration,
    "classes": _classes,
    "drift": _drift,
}


def _beside(value: float, plain: float) -> str:
    return f"{100 * value:6.2f}  {100 * (value - plain):+7.2f}"


def _line(label: str, said: str) -> str:
    return f"{label:40}{said}"
