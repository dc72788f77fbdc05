"""Local days and weeks as instants; safe across changes of clocks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, tzinfo

Span = tuple[datetime, datetime]


def start_of(day: date, zone: tzinfo) -> datetime:
    """Return the first instant of a local day, in UTC."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def span_of(first: date, days: int, zone: tzinfo) -> Span:
    """Return the instants between which ``days`` local days lie, in UTC; a day may have 23 or 25 hours."""
    return start_of(first, zone), start_of(first + timedelta(days=days), zone)


def monday_of(day: date) -> date:
    """Return the Monday of a day's week (ISO 8601)."""
    return day - timedelta(days=day.weekday())


def minutes_within(spans: Iterable[Span], within: Span) -> int:
    """Return how many minutes of ``within`` the spans take together; where two overlap, both count."""
    first, last = within
    inside = ((max(start.astimezone(UTC), first), min(end.astimezone(UTC), last)) for start, end in spans)
    taken = sum((end - start for start, end in inside if start < end), timedelta())
    return round(taken / timedelta(minutes=1))


def hours_between(earlier: datetime, later: datetime) -> float:
    """Return the hours that passed between two instants."""
    return (later.astimezone(UTC) - earlier.astimezone(UTC)) / timedelta(hours=1)
