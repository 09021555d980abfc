"""Speed limits: how fast lines may leave, and how long to wait before connecting again."""

from __future__ import annotations

import random
from typing import Tuple

# Lines at once, and seconds between those after them: what a server takes that says nothing of its limits, and the one
# that `fireclaw irc` runs. That one is known by the name of its network.
USUAL_PACE: Tuple[int, float] = (5, 1.0)
OUR_PACE: Tuple[int, float] = (100, 0.01)
OUR_NETWORK = "fireclaw"


class TokenBucket:
    """Allows `burst` events at once and one every `interval` seconds after that. Time is told by the caller."""

    def __init__(self, burst: int, interval: float, now: float) -> None:
        self._burst = float(burst)
        self._interval = interval
        self._tokens = float(burst)
        self._at = now

    def _refill(self, now: float) -> None:
        if now > self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) / self._interval)
            self._at = now

    def take(self, now: float) -> bool:
        """Takes a token if there is one."""
        self._refill(now)
        # The tolerance keeps the rounding of sums of fractions from costing a whole further interval.
        if self._tokens < 1.0 - 1e-9:
            return False
        self._tokens -= 1.0
        return True

    def charge(self, now: float) -> None:
        """Takes a token for something that cannot wait; later events pay for it."""
        self._refill(now)
        self._tokens = max(self._tokens - 1.0, -self._burst)

    def ready_at(self, now: float) -> float:
        """When take() will succeed."""
        self._refill(now)
        return now + max(0.0, 1.0 - self._tokens) * self._interval


class Pacer:
    """The pace of everything said on IRC. Survives reconnects: a server that once dropped us for flooding is
    spoken to more slowly, until an hour has passed without it happening again."""

    SLOWEST = 8.0
    FORGIVEN_AFTER = 3600.0

    def __init__(self, burst: int, interval: float, now: float) -> None:
        self._burst = burst
        self._interval = interval
        self._slowness = 1.0
        self._slowed_at = now
        self._bucket = TokenBucket(burst, interval, now)

    def _fill(self, now: float) -> None:
        burst = max(1, int(self._burst / self._slowness))
        self._bucket = TokenBucket(burst, self._interval * self._slowness, now)

    def set(self, burst: int, interval: float, now: float) -> None:
        """Another pace from now on, with a burst that is not used up; as slow as it has become."""
        self._burst, self._interval = burst, interval
        self.restart(now)

    def restart(self, now: float) -> None:
        """A new connection begins: the server's count of us is at zero."""
        if now - self._slowed_at > self.FORGIVEN_AFTER:
            self._slowness = 1.0
        self._fill(now)

    def slow_down(self, now: float) -> None:
        """The server dropped us for flooding."""
        self._slowness = min(self.SLOWEST, self._slowness * 2.0)
        self._slowed_at = now

    @property
    def slowness(self) -> float:
        return self._slowness

    def take(self, now: float) -> bool:
        return self._bucket.take(now)

    def charge(self, now: float) -> None:
        self._bucket.charge(now)

    def ready_at(self, now: float) -> float:
        return self._bucket.ready_at(now)


class Backoff:
    """Delays that double from `first` to `longest`, each shortened by chance by up to half, so that many agents
    whose server went away do not come back in the same instant."""

    def __init__(self, first: float, longest: float, rng: random.Random) -> None:
        self._first = first
        self._longest = longest
        self._rng = rng
        self._failures = 0

    def next(self) -> float:
        delay = min(self._longest, self._first * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return delay * self._rng.uniform(0.5, 1.0)

    def refused(self) -> float:
        """The server does not want us (a ban, wrong credentials): no use in asking often."""
        self._failures = max(self._failures, 32)
        return self.next()

    def reset(self) -> None:
        self._failures = 0
