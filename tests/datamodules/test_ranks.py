"""Evaluation gives the same bits at any number of ranks and workers, and the same answers."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from augments import AS_IT_IS
from lightning import Trainer
from torch import Tensor, nn

from benchmark.training import evaluation
from benchmark.training.evaluation import Scores
from datamodules.datamodule import VideoDataModule, all_views, training_clips
from datamodules.dataset_info import DatasetInfo
from datamodules.loading.clips import sampling
from datamodules.loading.workers import fork_server

SETTINGS = ((0, 1), (0, 3), (0, 8), (2, 3))  # workers, and clips per forward
Found = dict[tuple[int, int], Scores]  # by setting


class Blind(nn.Module):
    """A model whose sums depend on what else is in a batch, as those of large matrices do."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(3 * 2 * 24 * 24, 64), nn.GELU(), nn.Linear(64, 6))

    def forward(self, video: Tensor) -> Tensor:
        return self.layers(video.flatten(1))


def evaluate(rank: int, world: int, data: DatasetInfo, folder: Path) -> None:
    """Score all videos as a rank of several, in all settings, and save what was gathered."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet{world}", world_size=world, rank=rank
    )
    model, found = Blind().eval(), {}
    choose = sampling("uniform", frames=2)
    shared: dict[str, Any] = {"size": 24, "interpolation": "bilinear"}
    for workers, clips in SETTINGS:
        module = VideoDataModule(
            data,
            training=training_clips(data, choose, AS_IT_IS, seed=0, **shared),
            testing=all_views(data, choose, clips=2, crops=3, **shared),
            batch=6,
            test_batch=clips,
            mean=[0.5] * 3,
            std=[0.2] * 3,
            workers=workers,
        )
        fit_loop = Trainer(logger=False, accelerator="cpu").fit_loop
        module.trainer = SimpleNamespace(  # type: ignore[assignment]
            world_size=world, global_rank=rank, fit_loop=fit_loop
        )
        scores = []
        for batch in module.test_dataloader():
            batch = module.on_after_batch_transfer(batch, 0)
            keys = (batch[key] for key in ("video", "label", "index"))
            scores.append(evaluation.score(model, *keys, clips=clips))
        found[workers, clips] = evaluation.gather(scores, expected=13)
    torch.save({key: vars(value) for key, value in found.items()}, folder / f"{world}-{rank}.pt")
    dist.destroy_process_group()


def load(folder: Path, world: int, rank: int) -> Found:
    saved: dict[tuple[int, int], dict[str, Any]] = torch.load(folder / f"{world}-{rank}.pt")
    return {key: Scores(**value) for key, value in saved.items()}


def same(one: Scores, other: Scores) -> bool:
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return all(a.equal(b) if isinstance(a, Tensor) else a == b for a, b in pairs)


@pytest.mark.slow
def test_scores_are_the_same_bits_at_any_number_of_ranks_and_workers(
    listed: DatasetInfo, tmp_path: Path
) -> None:
    fork_server()  # has imported all of it: ranks and their workers start from it
    for world in (1, 2, 3):
        arguments = (world, replace(listed), tmp_path)
        mp.start_processes(evaluate, arguments, nprocs=world, start_method="forkserver")
    alone = load(tmp_path, 1, 0)
    assert alone[0, 1].index.tolist() == list(range(13))
    assert len(alone[0, 1].scores.unique(dim=0)) == 13  # each video has scores of its own
    for world in (1, 2, 3):
        for rank in range(world):
            for (workers, clips), scores in load(tmp_path, world, rank).items():
                assert same(scores, alone[0, clips]), (world, rank, workers, clips)
    for clips in (1, 3, 8):  # another composition of forwards: the same answers, not the same bits
        scores = alone[0, clips].scores
        torch.testing.assert_close(scores, alone[0, 1].scores, rtol=0, atol=1e-5)
        assert scores.argmax(1).equal(alone[0, 1].scores.argmax(1))
