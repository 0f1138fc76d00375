"""Whether a model is as sure as it is right."""

import torch
from torch.nn import functional as F
from torchmetrics.functional.classification import multiclass_calibration_error

from benchmark.errors import UserError
from benchmark.training.evaluation import Scores

BINS = 15


def calibration(scores: Scores) -> dict[str, float]:
    """Return how far scores, as probabilities, are from what happened; videos not broken count.

    Returns:
        "ece": Expected calibration error (Guo et al. 2017, arXiv:1706.04599), 15 equal bins.
        "nll": Negative log-likelihood of the right class, in nats.
        "brier": Squared distance to the right answer, summed over classes: 0 to 2.
        "confidence": Mean of the highest probability; above top-1 it is overconfident.

    Raises:
        UserError: All videos are broken.
    """
    p, label = scores.scores[~scores.broken].double(), scores.label[~scores.broken]
    if not len(label):
        raise UserError("no video could be decoded")
    classes = p.shape[1]
    error = multiclass_calibration_error(p.float(), label, classes, n_bins=BINS, norm="l1")
    # float32 rounds the least probabilities to 0, whose logarithm is no number
    log = p.clamp(min=torch.finfo(torch.float32).tiny).log()
    return {
        "ece": float(error),
        "nll": float(F.nll_loss(log, label)),
        "brier": float((p - F.one_hot(label, classes)).square().sum(dim=1).mean()),
        "confidence": float(p.amax(dim=1).mean()),
    }
