"""Timers of what a GPU does, used as timeit's are: launch to launch by events, and replayed from a CUDA graph."""

from typing import Any

import torch

from .harness import Run


class EventTimer:
    """Times calls from the first launch to the last kernel's end, by events on the current stream.

    Where the host takes longer to launch than the GPU to work, it is the host's time.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def timeit(self, number: int) -> float:
        """The seconds that ``calls`` calls take. One call before them keeps the GPU from waiting for the first."""
        self._run()
        return self._time(number)

    def repeat(self, repeat: int, number: int) -> list[float]:
        """The same, several times."""
        return [self.timeit(number) for _ in range(repeat)]

    def _time(self, number: int) -> float:
        event: Any = torch.cuda.Event
        begin, end = (event(enable_timing=True) for _ in range(2))
        begin.record()
        self._launch(number)
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1e3

    def _launch(self, number: int) -> None:
        for _ in range(number):
            self._run()


class GraphTimer(EventTimer):
    """Times calls as nodes of one CUDA graph: the GPU alone. The current stream must not be the default one.

    Raises:
        RuntimeError: If a call reads on the host what lies on the GPU, which a graph cannot hold.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._number = 0  # of calls in the graph

    def timeit(self, number: int) -> float:
        """The seconds that ``calls`` calls take. A replay before the timed one keeps the GPU from waiting for it."""
        self._capture(number)
        self._graph.replay()
        return self._time(number)

    def _launch(self, number: int) -> None:
        self._graph.replay()

    def _capture(self, number: int) -> None:
        if number == self._number:
            return
        torch.cuda.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        self._graph.capture_begin()
        try:
            for _ in range(number):
                self._run()
        finally:
            self._graph.capture_end()
        self._number = number
