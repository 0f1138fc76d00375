"""Records say who measured them: MEASURED_BY, else git's user.name."""

import subprocess

import pytest

from benchmark.training import provenance


@pytest.fixture
def git_says(monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess([], 0, stdout="A. Person\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)


@pytest.mark.usefixtures("git_says")
@pytest.mark.parametrize(
    ("said", "named"), [(None, "A. Person"), ("A lab", "A lab"), ("a\nb", "a b"), ("", None)]
)
def test_who_measured_is_what_the_environment_says_else_git(
    said: str | None, named: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if said is None:
        monkeypatch.delenv("MEASURED_BY", raising=False)
    else:
        monkeypatch.setenv("MEASURED_BY", said)
    assert provenance.measured_by() == named


def test_without_git_nobody_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEASURED_BY", raising=False)
    monkeypatch.setenv("PATH", "")
    assert provenance.measured_by() is None
