"""A month's use of the Workers Paid plan, priced line by line. Pure arithmetic over `coinswarm.pricing`."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from coinswarm.pricing import GB, PAID

MILLION: Final = 1_000_000
_CENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Use:
    """What Cloudflare bills, over some days."""

    requests: int = 0
    """Invocations of Workers: cron fires, and batches handed to a consumer."""
    cpu_ms: int = 0
    queue_operations: int = 0
    rows_read: int = 0
    rows_written: int = 0
    stored_bytes: int = 0
    """At the end of these days."""

    def __add__(self, other: Use) -> Use:
        """Both, one after the other: what is stored in the end is what the later one stores."""
        return Use(
            self.requests + other.requests,
            self.cpu_ms + other.cpu_ms,
            self.queue_operations + other.queue_operations,
            self.rows_read + other.rows_read,
            self.rows_written + other.rows_written,
            max(self.stored_bytes, other.stored_bytes),
        )


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the bill; prices are US dollars."""

    name: str
    used: float
    unit: str
    included: float
    price: Decimal
    """To the cent."""
    formula: str
    """With its numbers."""

    @property
    def share(self) -> float:
        """Of what the plan includes, 1 being all of it."""
        return self.used / self.included

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "used": self.used,
            "unit": self.unit,
            "included": self.included,
            "price": float(self.price),
            "formula": self.formula,
        }


@dataclass(frozen=True, slots=True)
class Bill:
    """A month on the Paid plan."""

    lines: tuple[Line, ...]

    @property
    def base(self) -> Decimal:
        return _cents(Decimal(str(PAID.base)))

    @property
    def total(self) -> Decimal:
        return self.base + sum((line.price for line in self.lines), Decimal(0))

    def as_json(self) -> dict[str, Any]:
        return {
            "base": float(self.base),
            "lines": [line.as_json() for line in self.lines],
            "total": float(self.total),
        }


def paid(use: Use) -> Bill:
    """What a month of this use costs on Workers Paid, if the account uses nothing else."""
    return Bill(
        (
            _counted("requests", use.requests, "requests", PAID.requests_included, PAID.per_million_requests),
            _counted("CPU time", use.cpu_ms, "CPU ms", PAID.cpu_ms_included, PAID.per_million_cpu_ms),
            _counted(
                "queue operations",
                use.queue_operations,
                "operations",
                PAID.queue_operations_included,
                PAID.per_million_queue_operations,
            ),
            _counted("rows read", use.rows_read, "rows", PAID.rows_read_included, PAID.per_million_rows_read),
            _counted(
                "rows written", use.rows_written, "rows", PAID.rows_written_included, PAID.per_million_rows_written
            ),
            _stored(use.stored_bytes),
        )
    )


def rows_read_price(rows: int) -> Decimal:
    """What reading so many rows costs on Paid once the allowance is used up, unrounded."""
    return Decimal(rows) / MILLION * Decimal(str(PAID.per_million_rows_read))


def _counted(name: str, used: int, unit: str, included: int, per_million: float) -> Line:
    over = max(0, used - included)
    price = _cents(Decimal(over) / MILLION * Decimal(str(per_million)))
    if over:
        formula = f"({used:,} − {included:,} {unit}) ÷ 1,000,000 × ${per_million:g} = ${price}"
    else:
        formula = f"{used:,} of {included:,} {unit} included = $0.00"
    return Line(name, used, unit, included, price, formula)


def _stored(stored_bytes: int) -> Line:
    gigabytes = Decimal(stored_bytes) / GB
    over = max(Decimal(0), gigabytes - Decimal(str(PAID.storage_gb_included)))
    price = _cents(over * Decimal(str(PAID.per_gb_month)))
    included = f"{PAID.storage_gb_included:g} GB"
    if over:
        formula = f"({gigabytes:.3f} GB − {included}) × ${PAID.per_gb_month:g} = ${price}"
    else:
        formula = f"{gigabytes:.3f} GB of {included} included = $0.00"
    return Line("storage", round(float(gigabytes), 6), "GB", PAID.storage_gb_included, price, formula)


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, ROUND_HALF_UP)
