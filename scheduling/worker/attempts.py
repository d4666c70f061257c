"""The attempts that this worker has in hand, by their fence."""

import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

from scheduling.fence import Fence

Request = TypeVar("Request")


class Attempts(Generic[Request]):
    """Thread-safe. One request a fence: a second message of the same attempt is a duplicate."""

    def __init__(self) -> None:
        self._requests: dict[Fence, Request] = {}
        self._lock = threading.Lock()

    def enter(self, fence: Fence, request: Request) -> bool:
        """Take an attempt in hand; False if another message of it came first."""
        with self._lock:
            return self._requests.setdefault(fence, request) is request

    def leave(self, fence: Fence, request: Request) -> None:
        """Let go of an attempt that this request has in hand."""
        with self._lock:
            if self._requests.get(fence) is request:
                del self._requests[fence]

    def get(self, fence: Fence) -> Request | None:
        """Return the request that has the attempt in hand."""
        return self._requests.get(fence)

    def __iter__(self) -> Iterator[tuple[Fence, Request]]:
        with self._lock:
            return iter(list(self._requests.items()))

    def __len__(self) -> int:
        return len(self._requests)
