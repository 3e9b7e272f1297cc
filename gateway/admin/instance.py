"""What the admin listener asks of the instance that it shows."""

from collections.abc import Iterable
from typing import Protocol

from ..control.status import StatusReport
from ..metrics.exposed import ExposedFamily
from ..settings import AdminSettings
from .health import HealthFacts


class AdminInstance(Protocol):
    @property
    def admin_settings(self) -> AdminSettings:
        """The settings as they are now; a reload may have changed them."""
        ...

    def health(self) -> HealthFacts: ...

    async def status(self) -> StatusReport: ...

    async def families(self) -> Iterable[ExposedFamily]:
        """All metrics, of the instance and of its app. They are not changed afterwards."""
        ...
