"""The calendar agent: it answers invitations, reviews the day and prepares its meetings, all as proposals."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from brody_agents import BrodyAgent, Context, handles
from brody_agents.communication.payloads import DocumentsFound, MeetingRequest, ReviewDay
from brody_agents.integrations.calendar.base import Event
from brody_agents.integrations.calendar.expansion import invite_occurrences
from brody_calendar import invites
from brody_calendar.day import Day, minutes_of, review, whole_day
from brody_calendar.focus import Block, due_soon
from brody_calendar.focus import blocks as new_blocks
from brody_calendar.invites import Slot
from brody_calendar.occasion import FOCUS
from brody_calendar.options import conflict_of, free_slot, span
from brody_calendar.preparation import merged, needs_preparation, nothing_found, question

SERIES_AHEAD = timedelta(weeks=8)
"""How far an invited series is compared with the calendar."""
_ALTERNATIVES = 5
_KEPT = timedelta(days=60)
_KNOW_DOCUMENTS = ("file_agent", "email_agent")


class CalendarAgent(BrodyAgent):
    """Look after the user's time."""

    name = "calendar_agent"
    capabilities = ("calendar",)

    @handles
    async def answer_invitation(self, request: MeetingRequest, ctx: Context) -> None:
        """Propose an answer to an invitation; what is not the organizer's word changes nothing."""
        own = await ctx.mail.own_addresses()
        request = invites.in_zone(request, ctx.timezone)
        known, slots = await ctx.calendar.find(request.uid), await _slots(request, ctx)
        decision = invites.screened(request, known, own, over=not slots)
        if gone := invites.answers_gone(request):
            ctx.withdraw("calendar.respond", gone, why="The organizer has cancelled the meeting.")
        if isinstance(decision, invites.Tell):
            _notify(decision.text, request, ctx)
        elif isinstance(decision, invites.Remove):
            _propose_removal(decision, request, ctx)
        elif decision is None:
            await _propose_answer(request, known, slots, own, ctx)

    @handles
    async def review_day(self, message: ReviewDay, ctx: Context) -> None:
        """Report overlaps, share the day's gaps, propose focus blocks, ask for what its meetings need."""
        own = await ctx.mail.own_addresses()
        day, key = await _day(message.day, own, ctx), f"day:{message.day.isoformat()}"
        for overlap in day.overlaps:
            ctx.tell("coordinator", conflict_of(overlap, day, own, ctx.now))
        earlier = [Block.of(value) for value in (await ctx.recall(key, {})).get("blocks", [])]
        blocks = [*earlier, *await _propose_blocks(day, earlier, ctx)]
        await ctx.remember(key, day.value() | {"blocks": [block.value() for block in blocks]}, ttl=_KEPT)
        for event in day.agenda:
            if needs_preparation(event, own):
                await ctx.remember(f"meeting:{event.id}", nothing_found(), ttl=_KEPT)
                for agent in _KNOW_DOCUMENTS:
                    ctx.tell(agent, question(event, own))

    @handles
    async def gather_documents(self, answers: list[DocumentsFound], ctx: Context) -> None:
        """Join what was found for each meeting, whatever the order of the answers."""
        for subject in dict.fromkeys(answer.subject_id for answer in answers):
            found = [document for a in answers if a.subject_id == subject for document in a.documents]
            known = await ctx.recall(f"meeting:{subject}", nothing_found())
            await ctx.remember(f"meeting:{subject}", merged(known, found), ttl=_KEPT)


async def _day(day: date, own: frozenset[str], ctx: Context) -> Day:
    events = await ctx.calendar.events(*whole_day(day, ctx.timezone))
    return review(day, events, own, ctx.timezone)


async def _propose_blocks(day: Day, earlier: Sequence[Block], ctx: Context) -> list[Block]:
    accounts, tasks = await ctx.calendar.accounts(), due_soon(await ctx.tasks.open(), ctx.now)
    if not accounts or not tasks:
        return []
    last = max(task.due for task in tasks if task.due)
    planned = await ctx.calendar.events(whole_day(day.date, ctx.timezone)[0], last)
    blocks = await ctx.compute(new_blocks, day, tasks, planned, earlier, ctx.now)
    for block in blocks:
        _propose_block(block, day.date, accounts[0], ctx)
    return blocks


def _propose_block(block: Block, day: date, account: str, ctx: Context) -> None:
    ctx.propose(
        "calendar.create",
        {
            "account": account,
            "title": block.title,
            "start": block.start,
            "end": block.end,
            "movable": True,
            "task_id": block.task_id,
        },
        why=f"“{block.title.removeprefix(FOCUS)[:120]}” is due {block.due:%a %d %b %H:%M}; this time is free.",
        cause=f"{block.task_id}@{day.isoformat()}",
    )


# -- invitations ----------------------------------------------------------------------------------------


async def _propose_answer(
    request: MeetingRequest, known: Sequence[Event], slots: Sequence[Slot], own: frozenset[str], ctx: Context
) -> None:
    mine = invites.component(known, request.recurrence_id)
    accounts = [mine.account] if mine else await ctx.calendar.accounts()
    if not accounts:
        _notify(invites.without_calendar(request), request, ctx)
        return
    around = await ctx.calendar.events(min(s for s, _ in slots), max(e for _, e in slots))
    respond = invites.answer(request, slots, around, own)
    other = await _other_time(request, own, ctx) if respond.answer == "declined" else ""
    ctx.propose(
        "calendar.respond",
        {
            "account": accounts[0],
            "uid": request.uid,
            "recurrence_id": request.recurrence_id,
            "answer": respond.answer,
            "title": request.title,
            "start": request.start,
            "end": request.end,
            "organizer": request.organizer,
            "comment": respond.comment,
            "email_id": request.email_id,
            "sequence": request.sequence,
        },
        why=f"{respond.why}{other}",
        cause=invites.key_of(request),
    )


async def _slots(request: MeetingRequest, ctx: Context) -> list[Slot]:
    """Return the times to come that a request is about; those of a series stand in the mail, or in the calendar."""
    until = max(request.start, ctx.now) + SERIES_AHEAD
    series = await _series(request, until, ctx)
    if not series and request.end <= ctx.now:
        found = await ctx.calendar.events(ctx.now, until)
        series = [(e.start, e.end) for e in found if e.uid == request.uid and not request.recurrence_id]
    return [(start, end) for start, end in series or [(request.start, request.end)] if end > ctx.now]


async def _series(request: MeetingRequest, until: datetime, ctx: Context) -> list[Slot]:
    if request.email_id is None or request.recurrence_id:
        return []
    text = next((mail.invite for mail in await ctx.mail.get([request.email_id])), "")
    if "RRULE" not in text and "RDATE" not in text:
        return []
    start = max(request.start, ctx.now)
    found = await ctx.compute(invite_occurrences, text, request.uid, start, until, ctx.timezone)
    return [(event.start, event.end) for event in found]


async def _other_time(request: MeetingRequest, own: frozenset[str], ctx: Context) -> str:
    """Return the next working time of the same length that is free, in words."""
    length, after = timedelta(minutes=minutes_of(request.start, request.end)), max(request.start, ctx.now)
    for days in range(_ALTERNATIVES):
        day = await _day(after.date() + timedelta(days=days), own, ctx)
        if day.date.weekday() < 5 and (slot := free_slot(day.gaps, length, after)):
            return f" Free instead: {slot[0]:%a %d %b} {span(*slot)}."
    return ""


def _propose_removal(decision: invites.Remove, request: MeetingRequest, ctx: Context) -> None:
    event = decision.event
    ctx.propose(
        "calendar.cancel",
        {"account": event.account, "event_id": event.id, "version": event.version},
        why=decision.why,
        cause=invites.key_of(request),
    )


def _notify(text: str, request: MeetingRequest, ctx: Context) -> None:
    about = [request.email_id] if request.email_id else []
    cause = f"{invites.key_of(request)}/{request.method}/{request.sender}"
    ctx.propose("notify", {"text": text[:2000], "level": "warning", "about": about}, why=text[:500], cause=cause)
