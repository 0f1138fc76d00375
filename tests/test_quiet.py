"""Lightning's hints, tables of devices and deprecations stay out of what we print."""

import warnings
from pathlib import Path

import pytest

from benchmark.terminal import quiet


def test_a_trainer_that_is_made_and_used_says_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from lightning import Trainer
    from lightning.pytorch.demos.boring_classes import BoringModel

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        quiet()
        trainer = Trainer(
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_checkpointing=False,
            default_root_dir=tmp_path,
        )
        trainer.test(BoringModel(), verbose=False)
    assert capfd.readouterr() == ("", "")
