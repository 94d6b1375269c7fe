"""When to leave a backend that fails, and when to try it again. It has no clock: the caller says what time it is."""

from __future__ import annotations

from collections.abc import Sequence

# The wait before the preferred backend is tried again doubles with each failed attempt, up to so many times the first.
LARGEST_BACKOFF = 16


class FallbackPolicy:
    """Walks down a list of backends, the preferred one first, and back up to it after a back-off.

    At the end of the list it waits for that too, and does not walk again before.

    `retry_after` is the first back-off in seconds; times are monotonic seconds.
    """

    def __init__(self, backends: Sequence[str], max_consecutive_failures: int, retry_after: float) -> None:
        self._backends = tuple(dict.fromkeys(backends))
        self._limit = max_consecutive_failures
        self._retry_after = retry_after
        self._index = 0
        self._failures = 0
        self._attempts = 0
        self._wait = 0.0
        self._retry_at: float | None = None
        self._returned_at: float | None = None
        self._exhausted = False

    @property
    def current(self) -> str:
        """The backend that serves."""
        return self._backends[self._index]

    @property
    def fallen_back(self) -> bool:
        """Whether that is not the preferred one."""
        return self._index > 0

    @property
    def exhausted(self) -> bool:
        """Whether the end of the list was reached, and nothing has gone well since."""
        return self._exhausted

    def succeeded(self) -> None:
        """A pass went well."""
        self._failures = 0
        if self._exhausted:
            self._exhausted = False
            if not self.fallen_back:
                self._retry_at = None

    def failed(self) -> bool:
        """A pass failed. Returns whether that was one too many."""
        self._failures += 1
        return self._failures >= self._limit

    def next_backend(self, after: str) -> str | None:
        """The backend to try when `after` failed or could not be loaded; None at the end of the list."""
        place = self._backends.index(after) + 1
        return self._backends[place] if place < len(self._backends) else None

    def moved_to(self, backend: str, now: float) -> None:
        """That backend serves now."""
        left, self._index = self._index, self._backends.index(backend)
        self._failures, self._exhausted = 0, False
        if self._index == 0:
            self._retry_at, self._returned_at = None, now
        elif left == 0:
            self._leave_preferred(now)
        else:
            self._back_off(now)

    def found_none(self, now: float) -> None:
        """The backend that serves fails and none that follows could be loaded: it stays.

        The preferred one is loaded anew after the back-off, also where it serves itself.
        """
        self._exhausted = True
        if self._retry_at is None:
            self._leave_preferred(now)

    def retry_failed(self, now: float) -> None:
        """The preferred backend could not be loaded again."""
        self._attempts += 1
        self._exhausted = False
        self._back_off(now)

    def should_retry(self, now: float) -> bool:
        """Whether it is time to try the preferred backend again."""
        return self._retry_at is not None and now >= self._retry_at

    def _leave_preferred(self, now: float) -> None:
        """One that loads well but fails or hangs in its passes is not to be tried for ever at the same pace: a return
        counts as a failed attempt unless it lasted as long as it was waited for.
        """
        relapsed = self._returned_at is not None and now - self._returned_at < self._wait
        self._attempts = self._attempts + 1 if relapsed else 0
        self._back_off(now)

    def _back_off(self, now: float) -> None:
        self._wait = self._retry_after * min(2**self._attempts, LARGEST_BACKOFF)
        self._retry_at = now + self._wait
