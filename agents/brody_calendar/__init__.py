"""The calendar agent: the day, its overlaps and gaps, invitations, focus blocks, what a meeting needs."""

from brody_calendar.agent import CalendarAgent

__all__ = ["CalendarAgent"]
