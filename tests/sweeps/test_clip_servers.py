"""Which runs of a sweep share clips, and what tells them so."""

import os
from dataclasses import replace

import pytest

from benchmark.recipes import compose
from benchmark.sweeps.clip_servers import clip_servers, groups
from benchmark.sweeps.jobs import Job
from datamodules.sharing import servers


def job(name, *overrides):
    recipe = compose.load(f"quick/digits_motion/vit_digits/{name}", ["cache=false", *overrides])
    return Job(recipe.name, (), recipe)


@pytest.mark.slow
def test_runs_of_the_same_clips_are_grouped():
    jobs = [job("aim"), job("zeroi2v"), job("full"), job("aim", "seed=1"), job("full", "seed=1")]
    jobs.append(job("aim", "seed=2"))  # the only one of its seed
    assert groups(jobs) == [jobs[:3], jobs[3:5]]


@pytest.mark.slow
@pytest.mark.parametrize(
    "other", ["cache=true", "sharing.gib=0", "clip.size=64", "train.augment.scale=[0.5, 1]"]
)
def test_runs_of_other_clips_are_not(other):
    assert groups([job("aim"), job("full", other)]) == []
    if "=0" in other or "true" in other:
        assert groups([job("aim", other), job("full", other)]) == []


def test_rates_that_are_tried_share():
    jobs = [job("aim", f"optim.lr={rate}") for rate in (0.1, 0.2, 0.3)]
    assert groups(jobs) == [jobs]


@pytest.mark.slow
@pytest.mark.skipif(not servers.possible(), reason="memory without a name is Linux's")
def test_every_run_is_told_its_name_and_its_server(monkeypatch):
    jobs = [job("aim"), job("full"), job("aim", "seed=1")]
    with clip_servers(jobs) as told:
        assert told.keys() == {each.name for each in jobs[:2]}
        found = []
        for each in jobs[:2]:
            monkeypatch.setenv(*next(iter(told[each.name].items())))
            found.append(servers.told())
        assert [name for name, _ in found] == [each.name for each in jobs[:2]]
        (address,) = {address for _, address in found}
        assert os.path.exists(address)
    assert not os.path.exists(os.path.dirname(address))


def test_a_run_of_its_own_is_told_nothing(monkeypatch):
    monkeypatch.delenv(servers.VARIABLE, raising=False)
    assert servers.told() is None
    with clip_servers([replace(job("aim"))]) as told:
        assert told == {}
