"""How much happens a second and how busy something is, of late, by the caller's clock."""

import math
from collections.abc import Sequence

HORIZON = 10.0  # seconds after which what happened counts 1 / e


class Rate:
    """How often something happens a second."""

    def __init__(self, now: float) -> None:
        self._since, self._last, self._sum = now, now, 0.0

    def add(self, now: float) -> None:
        """Count that it happened."""
        self._sum = self._decayed(now) + 1
        self._last = now

    def at(self, now: float) -> float:
        """Return how often a second it has happened of late."""
        seen = 1 - math.exp((self._since - now) / HORIZON)  # of a horizon, so far
        return self._decayed(now) / (HORIZON * seen) if seen else 0.0

    def _decayed(self, now: float) -> float:
        return self._sum * math.exp((self._last - now) / HORIZON)


class Level:
    """A number that changes at times, and what it has been on average."""

    def __init__(self, now: float) -> None:
        self._since, self._last, self._sum = now, now, 0.0
        self.value = 0

    def add(self, change: int, now: float) -> None:
        """Change the number."""
        self._sum, self._last = self._decayed(now), now
        self.value += change

    def at(self, now: float) -> float:
        """Return what it has been of late."""
        seen = 1 - math.exp((self._since - now) / HORIZON)  # of a horizon, so far
        return self._decayed(now) / seen if seen else float(self.value)

    def _decayed(self, now: float) -> float:
        kept = math.exp((self._last - now) / HORIZON)
        return self._sum * kept + self.value * (1 - kept)


def fair_share(demands: Sequence[float], capacity: float) -> float:
    """Return the most that anyone gets of `capacity` where nobody gets more than he demands.

    Who demands less than an equal share leaves the rest to the others (max-min fairness);
    infinite, where all demands are met.
    """
    left = capacity
    for served, demand in enumerate(sorted(demands)):
        share = left / (len(demands) - served)
        if demand > share:
            return share
        left -= demand
    return math.inf
