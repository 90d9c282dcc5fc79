"""A forecast as values: what is used, where every number comes from, the bill on Paid, and what Free would allow."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from coinswarm.cost.bill import Bill, Use, paid
from coinswarm.cost.free import Cap, Storage
from coinswarm.pricing import READ

PRICES: Final = (
    "https://developers.cloudflare.com/workers/platform/pricing/",
    "https://developers.cloudflare.com/queues/platform/pricing/",
    "https://developers.cloudflare.com/d1/platform/pricing/",
)
PlanName = Literal["free", "paid"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number, how it was reckoned, and from what."""

    name: str
    value: float
    formula: str
    """With its numbers."""
    origins: tuple[str, ...] = ()
    """`FILE: key` for what is configured."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What so many days use and cost."""

    source: Literal["config", "usage"]
    first_day: str
    """UTC."""
    days: int
    use: Use
    figures: tuple[Figure, ...]
    caps: tuple[Cap, ...]
    """Of the Free plan."""
    storage: Storage
    """Of one database on the Free plan."""
    notes: tuple[str, ...] = ()

    @property
    def bill(self) -> Bill:
        return paid(self.use)

    @property
    def fits_free(self) -> bool:
        return not self.storage.exceeded and not any(cap.exceeded for cap in self.caps)

    def as_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "prices_read": READ,
            "prices": list(PRICES),
            "first_day": self.first_day,
            "days": self.days,
            "use": asdict(self.use),
            "figures": [asdict(figure) for figure in self.figures],
            "paid": self.bill.as_json(),
            "free": {
                "fits": self.fits_free,
                "total": 0.0,
                "caps": [cap.as_json() for cap in self.caps],
                "storage": self.storage.as_json(),
            },
            "notes": list(self.notes),
        }
