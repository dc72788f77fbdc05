"""The analytics agent: it answers ``analyse_workload`` with the figures of the day."""

from __future__ import annotations

from datetime import date, timedelta

from brody_agents import BrodyAgent, Context, handles
from brody_agents.communication.payloads import AnalyseWorkload, WorkloadReport
from brody_analytics.days import monday_of, start_of
from brody_analytics.figures import REACH, Facts, figures


class AnalyticsAgent(BrodyAgent):
    """Measure the user's days against the user's own past."""

    name = "analytics_agent"
    capabilities = ("analytics",)

    @handles
    async def analyse(self, request: AnalyseWorkload, ctx: Context) -> None:
        """Remember the figures of the day and report them to whoever listens."""
        found = await ctx.compute(figures, await _facts(request.day, ctx))
        await ctx.remember(f"workload:{request.day.isoformat()}", found)
        ctx.tell("*", WorkloadReport(day=request.day, figures=found))


async def _facts(day: date, ctx: Context) -> Facts:
    since = start_of(day, ctx.timezone) - REACH
    sunday = monday_of(day) + timedelta(days=7)
    return Facts(
        day=day,
        now=ctx.now,
        zone=ctx.timezone,
        own=await ctx.mail.own_addresses(),
        heads=await ctx.mail.heads(since),
        events=await ctx.calendar.events(since, start_of(sunday, ctx.timezone)),
        open_tasks=await ctx.tasks.open(),
        completed_tasks=await ctx.tasks.completed(since),
        calendars=bool(await ctx.calendar.accounts()),
    )
