"""What is chosen of trials, and the evidence that is kept of it."""

import pytest
from places import set_places

from benchmark.errors import UserError
from benchmark.results import tuning
from benchmark.results.schema import SplitChecksum
from benchmark.results.tuning import Evidence, Trial, choose, edges, means


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    set_places(monkeypatch, tmp_path)


def tried(*scores, seed=0):
    return [
        Trial(settings={"optim.lr": 10.0**i}, seed=seed, top1=top1) for i, top1 in enumerate(scores)
    ]


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ((0.1, 0.5, 0.2), 1),
        ((0.5, 0.5, 0.2), 0),
        ((0.5, 0.5, 0.5), 1),  # the farthest from where it may get worse
        ((0.5, 0.5, 0.5, 0.5), 1),
        ((None, 0.1, None), 1),
    ],
)
def test_the_best_is_chosen_and_of_equals_the_one_in_the_middle(scores, best):
    assert choose(tried(*scores)) == {"optim.lr": 10.0**best}
    assert choose(tried(*scores)[::-1]) == {"optim.lr": 10.0**best}


def test_seeds_are_taken_together_and_one_that_diverged_counts_for_all():
    trials = [*tried(0.4, 0.5, 0.9), *tried(0.4, 0.6, None, seed=1)]
    assert [top1 for _, top1 in means(trials)] == [0.4, 0.55, None]
    assert choose(trials) == {"optim.lr": 10.0}


def test_nothing_is_chosen_where_everything_diverged():
    with pytest.raises(UserError, match="lower the range"):
        choose(tried(None, None))


@pytest.mark.parametrize(
    ("scores", "ends"),
    [((0.9, 0.1, 0.1), (True, False)), ((0.1, 0.1, 0.9), (False, True)), ((0.1, 0.9, 0), None)],
)
def test_an_edge_is_the_lowest_or_the_highest_value_tried(scores, ends):
    trials = tried(*scores)
    found = edges(trials, choose(trials), ["optim.lr"])
    assert found == ({} if ends is None else {"optim.lr": ends})
    assert edges(trials[:1], trials[0].settings, ["optim.lr"]) == {}  # of one value: no range


def evidence(name="fair/digits_motion/vit_digits/aim", scores=(0.1, 0.5, None)):
    trials = tuple(tried(*scores))
    return Evidence(
        name=name,
        recipe={"seed": 0},
        space={"optim.lr": {"low": 1, "high": 100}},
        widened={"optim.lr": (0, 1)},
        clips=300,
        epochs=1,
        holdout=SplitChecksum(videos=8, sha256="f" * 64),
        trials=trials,
        chosen=choose(trials),
        edges=(),
    )


def test_evidence_is_read_as_it_was_written():
    first, second = evidence(), evidence("fair/digits_motion/vit_digits/full")
    assert tuning.read(first.write()) == first and first.top1 == 0.5
    second.write()
    assert tuning.evidence("fair") == [first, second] and tuning.evidence("quick") == []
    assert tuning.read(tuning.path("fair/a/b/c")) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', '{"version": 99}'])
def test_what_is_no_evidence_is_told_with_its_file(text):
    file = evidence().write()
    file.write_text(text)
    with pytest.raises(UserError, match=r"aim\.json: no evidence .*remove it to tune anew"):
        tuning.read(file)
