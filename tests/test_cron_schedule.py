"""Cron expressions in Cloudflare's dialect: when they fire, held against a search of every minute."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinswarm.cron.schedule import Schedule
from coinswarm.errors import ConfigError

WEDNESDAY = datetime(2023, 11, 15, 10, 7, 30, tzinfo=UTC)
WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


def ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def fires(expression: str, count: int = 3, after: datetime = WEDNESDAY) -> list[str]:
    found = Schedule.parse(expression).fires(ms(after), count)
    return [datetime.fromtimestamp(fire / 1000, UTC).strftime("%a %Y-%m-%d %H:%M") for fire in found]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/30 * * * *", ["Wed 2023-11-15 10:30", "Wed 2023-11-15 11:00", "Wed 2023-11-15 11:30"]),
        ("* * * * *", ["Wed 2023-11-15 10:08", "Wed 2023-11-15 10:09", "Wed 2023-11-15 10:10"]),
        ("45 * * * *", ["Wed 2023-11-15 10:45", "Wed 2023-11-15 11:45", "Wed 2023-11-15 12:45"]),
        ("0 17 * * sun", ["Sun 2023-11-19 17:00", "Sun 2023-11-26 17:00", "Sun 2023-12-03 17:00"]),
        ("0 17 * * 1", ["Sun 2023-11-19 17:00", "Sun 2023-11-26 17:00", "Sun 2023-12-03 17:00"]),
        ("10 7 * * mon-fri", ["Thu 2023-11-16 07:10", "Fri 2023-11-17 07:10", "Mon 2023-11-20 07:10"]),
        ("10 7 * * 2-6", ["Thu 2023-11-16 07:10", "Fri 2023-11-17 07:10", "Mon 2023-11-20 07:10"]),
        ("0 15 1 * *", ["Fri 2023-12-01 15:00", "Mon 2024-01-01 15:00", "Thu 2024-02-01 15:00"]),
        ("0 18 * * 6L", ["Fri 2023-11-24 18:00", "Fri 2023-12-29 18:00", "Fri 2024-01-26 18:00"]),
        ("59 23 LW * *", ["Thu 2023-11-30 23:59", "Fri 2023-12-29 23:59", "Wed 2024-01-31 23:59"]),
    ],
)
def test_the_examples_of_cloudflares_documentation_fire_as_it_says(expression: str, expected: list[str]) -> None:
    assert fires(expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 L * *", ["Thu 2023-11-30 00:00", "Sun 2023-12-31 00:00", "Wed 2024-01-31 00:00"]),
        ("0 0 L-3 * *", ["Mon 2023-11-27 00:00", "Thu 2023-12-28 00:00", "Sun 2024-01-28 00:00"]),
        ("0 0 L-3W * *", ["Mon 2023-11-27 00:00", "Thu 2023-12-28 00:00", "Mon 2024-01-29 00:00"]),
        ("0 0 1W * *", ["Fri 2023-12-01 00:00", "Mon 2024-01-01 00:00", "Thu 2024-02-01 00:00"]),
        ("0 0 31W * *", ["Fri 2023-12-29 00:00", "Wed 2024-01-31 00:00", "Fri 2024-03-29 00:00"]),
        ("0 0 1W 6 *", ["Mon 2024-06-03 00:00", "Mon 2025-06-02 00:00", "Mon 2026-06-01 00:00"]),
        ("0 0 * * L", ["Sat 2023-11-18 00:00", "Sat 2023-11-25 00:00", "Sat 2023-12-02 00:00"]),
        ("0 0 * * tue#3", ["Tue 2023-11-21 00:00", "Tue 2023-12-19 00:00", "Tue 2024-01-16 00:00"]),
        ("0 0 * * 6#5", ["Fri 2023-12-29 00:00", "Fri 2024-03-29 00:00", "Fri 2024-05-31 00:00"]),
        ("0 22-1/2 * * *", ["Wed 2023-11-15 22:00", "Thu 2023-11-16 00:00", "Thu 2023-11-16 22:00"]),
        ("0 0 29 feb *", ["Thu 2024-02-29 00:00", "Tue 2028-02-29 00:00", "Sun 2032-02-29 00:00"]),
    ],
)
def test_last_nearest_and_nth_days_fire_where_the_calendar_has_them(expression: str, expected: list[str]) -> None:
    assert fires(expression) == expected


def test_a_leap_day_is_found_across_a_century_without_one() -> None:
    assert fires("0 0 29 2 *", 2, datetime(2096, 3, 1, tzinfo=UTC)) == ["Fri 2104-02-29 00:00", "Wed 2108-02-29 00:00"]


def test_either_of_day_and_weekday_is_enough_and_a_stepped_star_counts_as_given() -> None:
    assert fires("0 0 20 * fri", 4) == [
        "Fri 2023-11-17 00:00",
        "Mon 2023-11-20 00:00",
        "Fri 2023-11-24 00:00",
        "Fri 2023-12-01 00:00",
    ]
    assert fires("0 0 */10 * fri", 3) == ["Fri 2023-11-17 00:00", "Tue 2023-11-21 00:00", "Fri 2023-11-24 00:00"]


def test_a_fire_is_strictly_after_the_moment_asked_from() -> None:
    schedule = Schedule.parse("*/30 * * * *")
    half_past = ms(datetime(2023, 11, 15, 10, 30, tzinfo=UTC))
    assert schedule.next_ms(half_past - 1) == half_past
    assert schedule.next_ms(half_past) == half_past + 1_800_000
    assert list(schedule.between(half_past - 1, half_past + 1_800_000)) == [half_past, half_past + 1_800_000]


def test_a_month_of_half_hours_has_1440_fires() -> None:
    start = ms(datetime(2023, 11, 1, tzinfo=UTC))
    assert len(list(Schedule.parse("*/30 * * * *").between(start - 1, start + 30 * 86_400_000 - 1))) == 1440


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("", "must have five fields"),
        ("* * * *", "must have five fields (minute hour day month weekday), not 4"),
        ("0 * * * * *", "not 6"),
        ("@daily", "not 1"),
        ("60 * * * *", "the minute field of the cron expression, '60': 60 is not 0 to 59"),
        ("* 24 * * *", "24 is not 0 to 23"),
        ("* * 0 * *", "0 is not 1 to 31"),
        ("* * * 13 *", "13 is not 1 to 12"),
        ("* * * * 0", "0 is not 1 to 7; 1 is Sunday, 7 is Saturday"),
        ("* * * * 8", "8 is not 1 to 7"),
        ("* * * * 6#6", "#6 must lie between #1 and #5"),
        ("* * * * FRIDAY", "'FRIDAY' is not a value"),
        ("*/0 * * * *", "the step '0' must be 1 to 59"),
        ("*/60 * * * *", "the step '60' must be 1 to 59"),
        ("*,5 * * * *", "* stands alone"),
        ("5,,6 * * * *", "a value is missing"),
        ("1-2-3 * * * *", "'2-3' is not a value"),
        ("5/2/2 * * * *", "the step '2/2' must be"),
        ("* * ? * *", "'?' is not a value"),
        ("* * L,15 * *", "'L' is not a value"),
        ("* * 15W,16 * *", "'15W' is not a value"),
        ("* * L-31 * *", "L-31 must lie between"),
        ("* * L-0 * *", "L-0 must lie between"),
        ("²/5 * * * *", "'²' is not a value"),
        ("* * 31 11 *", "none of the months 11 has such a day"),
        ("* * 30W feb *", "none of the months FEB has such a day"),
        ("* * L-30 4,6 *", "none of the months 4,6 has such a day"),
    ],
)
def test_what_is_wrong_and_what_is_allowed_is_told(expression: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Schedule.parse(expression)
    assert told in caught.value.message
    assert caught.value.hint


def entries(low: int, high: int, names: list[str] = []) -> st.SearchStrategy[str]:  # noqa: B006  # never changed
    values = st.integers(low, high).map(lambda n: names[n - low] if names and n % 2 else str(n))
    steps = st.integers(1, high - low)
    one = st.one_of(
        values,
        st.builds("{}-{}".format, values, values),
        st.builds("{}/{}".format, values, steps),
        st.builds("{}-{}/{}".format, values, values, steps),
        st.builds("*/{}".format, steps),
    )
    return st.one_of(st.just("*"), st.lists(one, min_size=1, max_size=3).map(",".join))


MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
days = st.one_of(
    entries(1, 31),
    st.just("L"),
    st.just("LW"),
    st.builds("L-{}".format, st.integers(1, 30)),
    st.builds("L-{}W".format, st.integers(1, 30)),
    st.builds("{}W".format, st.integers(1, 31)),
)
weekdays = st.one_of(
    entries(1, 7, WEEKDAYS),
    st.just("L"),
    st.builds("{}L".format, st.sampled_from([*WEEKDAYS, "1", "4", "7"])),
    st.builds("{}#{}".format, st.sampled_from([*WEEKDAYS, "1", "4", "7"]), st.integers(1, 5)),
)


def member(text: str, value: int, low: int, high: int, names: list[str]) -> bool:
    """Whether a value is in a list, found by walking each range one value at a time."""

    def number(word: str) -> int:
        return names.index(word) + low if word in names else int(word)

    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        start = low if first == "*" else number(first)
        end = number(last) if last else high if step or first == "*" else start
        at, steps = start, 0
        while True:
            if at == value and steps % int(step or 1) == 0:
                return True
            if at == end:
                break
            at, steps = (low if at == high else at + 1), steps + 1
    return False


def nearest(moment: datetime, wanted: int) -> bool:
    """Whether the day is the weekday nearest to `wanted` within its month: the least way off, the earlier one first."""
    last = monthrange(moment.year, moment.month)[1]
    if not 1 <= wanted <= last:
        return False
    weekdays = [day for day in range(1, last + 1) if moment.replace(day=day).weekday() < 5]
    return moment.day == min(weekdays, key=lambda day: abs(day - wanted))


def day_fits(text: str, moment: datetime) -> bool:
    last = monthrange(moment.year, moment.month)[1]
    if text[0] == "L":
        wanted = last - int(text.strip("LW-") or 0)
        return nearest(moment, wanted) if text.endswith("W") else moment.day == wanted
    if text.endswith("W"):
        return nearest(moment, int(text[:-1]))
    return member(text, moment.day, 1, 31, [])


def weekday_fits(text: str, moment: datetime) -> bool:
    today = (moment.weekday() + 1) % 7 + 1
    if text == "L":
        return today == 7
    if text.endswith("L"):
        return member(text[:-1], today, 1, 7, WEEKDAYS) and (moment + timedelta(days=7)).month != moment.month
    if "#" in text:
        day, nth = text.split("#")
        return member(day, today, 1, 7, WEEKDAYS) and 7 * (int(nth) - 1) < moment.day <= 7 * int(nth)
    return member(text, today, 1, 7, WEEKDAYS)


def fits(expression: str, moment: datetime) -> bool:
    """The whole expression against one minute, field by field."""
    minute, hour, day, month, weekday = expression.split()
    if not member(minute, moment.minute, 0, 59, []) or not member(hour, moment.hour, 0, 23, []):
        return False
    if not member(month, moment.month, 1, 12, MONTHS):
        return False
    if day == "*" or weekday == "*":
        return (day == "*" or day_fits(day, moment)) and (weekday == "*" or weekday_fits(weekday, moment))
    return day_fits(day, moment) or weekday_fits(weekday, moment)


@given(
    minute=entries(0, 59),
    hour=entries(0, 23),
    after=st.datetimes(WEDNESDAY.replace(tzinfo=None), WEDNESDAY.replace(tzinfo=None, year=2029)),
)
@settings(max_examples=60)
def test_minutes_and_hours_fire_exactly_where_a_search_of_every_minute_finds_them(
    minute: str, hour: str, after: datetime
) -> None:
    expression = f"{minute} {hour} * * *"
    after = after.replace(tzinfo=UTC)
    midnight = after.replace(hour=0, minute=0, second=0, microsecond=0)
    expected = [
        moment
        for offset in range(2 * 1440)
        if (moment := midnight + timedelta(minutes=offset)) > after and fits(expression, moment)
    ]
    until = midnight + timedelta(minutes=2 * 1440 - 1)
    found = Schedule.parse(expression).between(ms(after), ms(until))
    assert [datetime.fromtimestamp(fire / 1000, UTC) for fire in found] == expected


@given(day=days, month=entries(1, 12, MONTHS), weekday=weekdays, year=st.integers(2023, 2027))
@settings(max_examples=150)
def test_days_fire_exactly_where_a_search_of_every_day_finds_them(
    day: str, month: str, weekday: str, year: int
) -> None:
    expression = f"30 12 {day} {month} {weekday}"
    noon = datetime(year, 1, 1, 12, 30, tzinfo=UTC)
    expected = [moment for offset in range(2 * 366) if fits(expression, moment := noon + timedelta(days=offset))]
    try:
        schedule = Schedule.parse(expression)
    except ConfigError:
        assert expected == []  # it never fires, and is refused for that
        return
    found = schedule.between(ms(noon) - 1, ms(noon + timedelta(days=2 * 366 - 1)))
    assert [datetime.fromtimestamp(fire / 1000, UTC) for fire in found] == expected


@given(st.text(alphabet="0123456789*,-/LW#?JANFRISU ", max_size=30) | st.text(max_size=40))
def test_any_text_is_a_schedule_or_refused_with_a_reason(expression: str) -> None:
    try:
        schedule = Schedule.parse(expression)
    except ConfigError as error:
        assert error.message
        assert error.hint
    else:
        assert schedule.next_ms(ms(WEDNESDAY)) > ms(WEDNESDAY)
