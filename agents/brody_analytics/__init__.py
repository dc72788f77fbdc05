"""The analytics agent: figures of a day and of the weeks before it, each with its definition."""

from brody_analytics.agent import AnalyticsAgent

__all__ = ["AnalyticsAgent"]
