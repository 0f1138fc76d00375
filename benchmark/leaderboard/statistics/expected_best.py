"""The accuracy to expect of the best of n trials: what a method gives to who tunes less.

After Dodge et al., 2019, "Show Your Work: Improved Reporting of Experimental Results"
(https://arxiv.org/abs/1909.03004), section 3.1.
"""

from collections.abc import Sequence


def expected_best(scores: Sequence[float], n: int) -> float:
    """Return the expected maximum of `n` draws, with replacement, from `scores`.

    With the N scores in order v_1 <= ... <= v_N, of which each is drawn as likely as any other, the
    largest of n draws is at most v_i with probability (i / N) ** n. So it is expected to be

        sum over i of v_i * ((i / N) ** n - ((i - 1) / N) ** n)

    Args:
        scores: Of all trials, at least one.
        n: How many are drawn, at least 1.

    Raises:
        ValueError: there are no scores, or no draws.
    """
    if not scores or n < 1:
        raise ValueError(f"the best of {n} of {len(scores)} scores is none")
    total = len(scores)
    ordered = enumerate(sorted(scores), 1)
    return sum(score * ((i / total) ** n - ((i - 1) / total) ** n) for i, score in ordered)
