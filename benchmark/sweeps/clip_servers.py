"""Runs of a sweep that see the same training clips share them: one server for each set of clips."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from benchmark.recipes.dataset import clips_of
from benchmark.sweeps.jobs import Job
from datamodules.sharing import servers

GIB = 2**30


@contextmanager
def clip_servers(jobs: Sequence[Job]) -> Iterator[Mapping[str, Mapping[str, str]]]:
    """Serve clips for the block; give the variables of each job that shares, by its name.

    What jobs ask for in common is no more than a guess at whose clips are the same: runs tell the
    server which videos and versions theirs are of, and it refuses others than the first one's.
    """
    sharing = groups(jobs) if servers.possible() else []
    with ExitStack() as stack:
        variables = dict[str, Mapping[str, str]]()
        for group in sharing:
            size = max(job.recipe.sharing.gib for job in group) * GIB / len(sharing)
            address = stack.enter_context(servers.clip_server(size))
            variables |= {job.name: servers.variable(job.name, address) for job in group}
        yield variables


def groups(jobs: Sequence[Job]) -> list[list[Job]]:
    """Return the jobs that may share clips with others, those of the same clips together.

    Nothing is shared where `sharing.gib` is 0, nor where decoded videos are kept anyway (`cache`).
    """
    found = dict[str, list[Job]]()
    for job in jobs:
        recipe = job.recipe
        if recipe.cache or not recipe.sharing.gib:
            continue
        found.setdefault(clips_of(recipe), []).append(job)
    return [group for group in found.values() if len(group) > 1]
