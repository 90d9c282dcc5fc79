"""Cloudflare's own pricing examples, to the cent."""

from __future__ import annotations

from decimal import Decimal

import pytest

from coinswarm.cost.bill import Bill, Use, paid
from coinswarm.pricing import operations


def price(bill: Bill, name: str) -> Decimal:
    return next(line.price for line in bill.lines if line.name == name)


WORKERS = "https://developers.cloudflare.com/workers/platform/pricing/#example-pricing"
QUEUES = "https://developers.cloudflare.com/queues/platform/pricing/#examples"


@pytest.mark.parametrize(
    ("use", "requests", "cpu", "total"),
    [
        pytest.param(Use(requests=15_000_000, cpu_ms=7 * 15_000_000), "1.50", "1.50", "8.00", id="example 1"),
        pytest.param(Use(requests=3_000_000, cpu_ms=7 * 3_000_000), "0.00", "0.00", "5.00", id="example 2, assets"),
        pytest.param(Use(requests=720, cpu_ms=180_000 * 720), "0.00", "1.99", "6.99", id="example 3, hourly cron"),
        pytest.param(Use(requests=100_000_000, cpu_ms=700_000_000), "27.00", "13.40", "45.40", id="example 4"),
    ],
)
def test_the_examples_of_workers_pricing_come_out_to_the_cent(use: Use, requests: str, cpu: str, total: str) -> None:
    bill = paid(use)
    assert price(bill, "requests") == Decimal(requests), WORKERS
    assert price(bill, "CPU time") == Decimal(cpu), WORKERS
    assert bill.total == Decimal(total), WORKERS


@pytest.mark.parametrize(
    ("messages", "body_bytes", "expected"),
    [
        pytest.param(30 * 1_000_000, 63_000, "35.60", id="a million small messages a day"),
        pytest.param(100_000_000, 127_000, "239.60", id="a hundred million of 127 KB a month"),
    ],
)
def test_the_examples_of_queues_pricing_come_out_to_the_cent(messages: int, body_bytes: int, expected: str) -> None:
    bill = paid(Use(queue_operations=3 * messages * operations(body_bytes)))
    assert price(bill, "queue operations") == Decimal(expected), QUEUES


@pytest.mark.parametrize(("body_bytes", "expected"), [(0, 1), (63_900, 1), (63_901, 2), (65_000, 2), (127_000, 2)])
def test_every_started_64_kb_of_a_message_is_an_operation(body_bytes: int, expected: int) -> None:
    assert operations(body_bytes) == expected


def test_d1_bills_what_exceeds_the_allowance_and_says_how() -> None:
    bill = paid(Use(rows_read=26_000_000_000, rows_written=51_500_000, stored_bytes=7_000_000_000))
    assert [line.formula for line in bill.lines[3:]] == [
        "(26,000,000,000 − 25,000,000,000 rows) ÷ 1,000,000 × $0.001 = $1.00",
        "(51,500,000 − 50,000,000 rows) ÷ 1,000,000 × $1 = $1.50",
        "(7.000 GB − 5 GB) × $0.75 = $1.50",
    ]
    assert bill.total == Decimal("9.00")


def test_the_codes_of_the_seed_cost_what_its_guide_denied() -> None:
    """One point a message: 9,096 messages a run of 3 tokens, 1,440 runs."""
    bill = paid(Use(queue_operations=9_096 * 1_440 * 3))
    assert price(bill, "queue operations") == Decimal("15.32")
    assert bill.total == Decimal("20.32")
