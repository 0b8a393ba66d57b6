"""What the class of every product's service inherits: a desk that answers, started and stopped with the process."""

from collections.abc import Callable
from typing import Any, ClassVar

import bentoml
from fastapi import FastAPI

from retail_assets.resources.environments import Environment, current
from retail_assets.serving.processes.tether import StartedBy
from retail_assets.serving.service_app import attach, detach, refuse_exposed


class Served:
    """Holds the desk of this process; BentoML brings /livez and /readyz.

    A subclass names its `application` and what opens its `desk`: an object with a `runtime` (Runtime). Routes find the
    desk as `request.app.state.desk`.
    """

    application: ClassVar[FastAPI]
    open_desk: ClassVar[Callable[[Environment], Any]]

    @bentoml.on_deployment
    def check() -> None:
        """Refuses to answer the network without keys."""
        refuse_exposed()

    def __init__(self) -> None:
        StartedBy().tie()
        self.desk = type(self).open_desk(current())
        attach(self.application, self.desk.runtime)
        self.application.state.desk = self.desk
        self.desk.runtime.start()

    def __is_ready__(self) -> bool:
        return bool(self.desk.runtime.ready())

    @bentoml.on_shutdown
    def close(self) -> None:
        """Moves the last decisions to the lake."""
        detach(self.application)
