"""Where independent pieces of work run: in this process, in processes of this machine, or on a Dask cluster.

The pieces and the order of their results are the same in all three, so the place changes the time and nothing else.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from retail_assets.core.errors import RetailError

Task = TypeVar("Task")
Result = TypeVar("Result")
CONNECT_S = "30s"


class FanoutError(RetailError):
    """The Dask cluster that work was sent to does not answer."""


class Fanout(BaseModel):
    """`scheduler` is the address of a Dask scheduler; without one, work runs in `processes` of this machine.

    Workers of a cluster need this package at the same version and the same `RETAIL_HOME`; what is sent to them is code,
    so the scheduler belongs in a closed network or behind TLS (`tls://`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    processes: int = Field(default=1, ge=1)
    scheduler: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether everything runs in this process."""
        return self.scheduler is None and self.processes == 1

    def map(
        self,
        function: Callable[[Task], Result],
        tasks: Sequence[Task],
        progress: Callable[[int], None] | None = None,
    ) -> list[Result]:
        """`function` of each task, in the order of `tasks`; `progress` hears how many are done.

        `function` is importable by name, tasks and results can be pickled. An error of a task is raised here.
        Raises FanoutError when no scheduler answers.
        """
        return list(_heard(self.each(function, tasks), progress))

    def each(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Generator[Result, None, None]:
        """The results of `map` one by one, as they come; who stops asking (and closes it) stops the work that is left.

        Raises what `map` raises.
        """
        if self.scheduler is not None:
            return _on_dask(self.scheduler, function, tasks)
        if self.processes == 1 or len(tasks) < 2:
            return (function(task) for task in tasks)
        return _in_processes(min(self.processes, len(tasks)), function, tasks)


HERE = Fanout()


def _heard(results: Iterable[Result], progress: Callable[[int], None] | None) -> Iterator[Result]:
    for done, result in enumerate(results, start=1):
        if progress is not None:
            progress(done)
        yield result


def _in_processes(
    count: int, function: Callable[[Task], Result], tasks: Sequence[Task]
) -> Generator[Result, None, None]:
    """Spawned, never forked: the threads of delta-rs and DuckDB do not survive a fork."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        yield from pool.map(function, tasks)


def _on_dask(address: str, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Generator[Result, None, None]:
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT_S)
    except (OSError, TimeoutError) as error:
        raise FanoutError(
            f"no Dask scheduler answers at {address}",
            where="RETAIL_DASK",
            todo="start one (`dask scheduler`, `dask worker`), or unset RETAIL_DASK to work in this process",
        ) from error
    with client:
        futures: list[Any] = client.map(function, tasks, pure=False)
        for future in futures:
            yield future.result()
