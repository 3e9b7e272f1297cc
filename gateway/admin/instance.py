"""What the admin listener asks of the instance that it shows."""

from typing import Protocol

from ..control.status import StatusReport
from ..settings import AdminSettings
from .health import HealthFacts


class AdminInstance(Protocol):
    @property
    def admin_settings(self) -> AdminSettings:
        """The settings as they are now; a reload may have changed them."""
        ...

    def health(self) -> HealthFacts: ...

    async def status(self) -> StatusReport: ...
