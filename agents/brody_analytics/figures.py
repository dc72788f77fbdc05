"""Compute the figures of a day; every number with its unit and a definition that a person understands.

A figure is ``{"value", "unit", "definition"}``; one that counts what is slipping also has the ``"ids"``. A value that
cannot be known is ``None``, and the definition says why. Everything here is pure: the same facts, the same figures.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from statistics import median

from brody_agents.integrations.calendar.base import Event
from brody_agents.items import MailHead, TaskItem
from brody_analytics.days import hours_between, minutes_within, monday_of, span_of
from brody_analytics.figure import Figure, count, figure
from brody_analytics.load import LEAST_WEEKS, Component, load
from brody_analytics.mailbox import Answer, Mailbox, answers, owed, owed_at, waiting

PAST_DAYS = 28
LEAST_DAYS = 7
PAST_WEEKS = 8
REACH = timedelta(weeks=PAST_WEEKS + 1)
"""How far back mail, events and completed tasks are looked at."""
OWED_DAYS = 2
WAITING_DAYS = 3

_TASK_HOURS = 0.5
_REPLY_HOURS = 0.25
_FOCUS = re.compile(r"^\W*(?:focus|fokus|deep work|blocker?\b|blocked|time block)", re.IGNORECASE)
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_OWED = (
    'Threads that triage marked as "a reply is owed"; where triage has not run, threads in which you wrote and a '
    f"person wrote last. The last {REACH.days // 7} weeks."
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a user on a day; instants are aware.

    Mail, events and completed tasks reach :data:`REACH` back; events go on to the end of the day's week.
    """

    day: date
    now: datetime
    zone: tzinfo
    own: frozenset[str]
    heads: Sequence[MailHead] = ()
    events: Sequence[Event] = ()
    open_tasks: Sequence[TaskItem] = ()
    completed_tasks: Sequence[TaskItem] = ()
    calendars: bool = True
    """Whether there is a calendar at all."""


def figures(facts: Facts) -> dict[str, Figure]:
    """Return all figures of a day by name."""
    mailbox = Mailbox.of((head for head in facts.heads if head.received_at <= facts.now), facts.own)
    threads = mailbox.threads()
    answered, still = answers(mailbox, threads), owed(mailbox, threads)
    meetings = [event for event in facts.events if is_meeting(event, facts.own)]
    return {
        **_volume(facts, mailbox),
        **_replies(facts, mailbox, answered, still),
        **_meetings(facts, meetings),
        **load(_components(facts, mailbox, meetings, answered, still), _WEEKDAYS[facts.day.weekday()]),
        **_slipping(facts, still, waiting(threads)),
    }


def is_meeting(event: Event, own: Collection[str]) -> bool:
    """Say whether an event takes the user's time together with others, or elsewhere: no focus block, no whole day."""
    declined = any(a.address in own and a.status == "declined" for a in event.attendees)
    taken = event.busy and event.status != "cancelled" and not event.all_day and not declined
    return taken and not _FOCUS.match(event.title)


# -- volume ------------------------------------------------------------------------------------------


def _volume(facts: Facts, mailbox: Mailbox) -> dict[str, Figure]:
    received = [h for h in mailbox.heads if not mailbox.is_own(h)]
    sent = [h for h in mailbox.heads if mailbox.is_own(h)]
    unknown = "" if mailbox.heads else "Unknown: there is no mail."
    unsent = unknown or ("" if facts.own or sent else "Unknown: none of your own addresses is known.")
    return {
        **_per_day(facts, mailbox, "received", received, "Mails that others sent you", unknown),
        **_per_day(facts, mailbox, "sent", sent, "Mails that you sent", unsent),
    }


def _per_day(
    facts: Facts, mailbox: Mailbox, name: str, heads: Sequence[MailHead], what: str, unknown: str
) -> dict[str, Figure]:
    dates = [_local(head.received_at, facts) for head in heads]
    first = _first_day((h.received_at for h in mailbox.heads), facts)
    past = [facts.day - timedelta(days=n) for n in range(1, PAST_DAYS + 1)]
    days = [day for day in past if first is not None and day >= first]
    usual: Figure = figure(
        float(median(dates.count(day) for day in days)) if len(days) >= LEAST_DAYS else None,
        "mails a day",
        f"{what}, median of the {len(days)} days before today." if len(days) >= LEAST_DAYS else _too_short(len(days)),
    )
    if unknown:
        nothing = figure(None, "mails", unknown)
        return {f"{name}_today": nothing, f"{name}_usual": {**nothing, "unit": "mails a day"}}
    definition = f"{what} today until now; without drafts and spam, each message once."
    return {f"{name}_today": figure(dates.count(facts.day), "mails", definition), f"{name}_usual": usual}


def _too_short(days: int) -> str:
    return f"Unknown: your mail reaches back {days} days, {LEAST_DAYS} are needed."


# -- replies -----------------------------------------------------------------------------------------


def _replies(
    facts: Facts, mailbox: Mailbox, answered: Sequence[Answer], still: Sequence[MailHead]
) -> dict[str, Figure]:
    since = facts.now - timedelta(days=PAST_DAYS)
    hours = [hours_between(a.asked.received_at, a.reply.received_at) for a in answered if a.reply.received_at >= since]
    definition = (
        "Median time from a personal mail to your reply in the same thread (from the first one, if several came), over "
        f"{len(hours)} replies of the last {PAST_DAYS} days."
        if hours
        else f"Unknown: you answered no personal mail in the last {PAST_DAYS} days."
    )
    oldest = hours_between(still[0].received_at, facts.now) if still else None
    none_owed = "You owe no reply." if mailbox.heads else "Unknown: there is no mail."
    return {
        "response_hours": figure(float(median(hours)) if hours else None, "hours", definition),
        "replies_owed": count((h.id for h in still), "threads", _OWED)
        if mailbox.heads
        else figure(None, "threads", none_owed),
        "oldest_owed_hours": figure(
            oldest, "hours", "Age of the oldest mail to which you owe a reply." if still else none_owed
        ),
    }


# -- meetings ----------------------------------------------------------------------------------------


def _meetings(facts: Facts, meetings: Sequence[Event]) -> dict[str, Figure]:
    if not facts.calendars:
        unknown = figure(None, "hours", "Unknown: there is no calendar.")
        return dict.fromkeys(("meeting_hours_today", "meeting_hours_week", "meeting_hours_usual_week"), unknown)
    monday = monday_of(facts.day)
    mondays = [monday - timedelta(weeks=n) for n in range(1, PAST_WEEKS + 1)]
    first = _first_day((e.start for e in facts.events), facts)
    weeks = [m for m in mondays if first is not None and m + timedelta(days=6) >= first]
    enough = len(weeks) >= LEAST_WEEKS
    what = "Busy events with a time, overlaps counted once; without focus blocks, declined and cancelled ones"
    return {
        "meeting_hours_today": figure(_hours(facts, meetings, facts.day, 1), "hours", f"{what}. Today."),
        "meeting_hours_week": figure(
            _hours(facts, meetings, monday, 7), "hours", f"{what}. This week, Monday to Sunday."
        ),
        "meeting_hours_usual_week": figure(
            float(median(_hours(facts, meetings, m, 7) for m in weeks)) if enough else None,
            "hours a week",
            f"{what}. Median of the last {len(weeks)} weeks."
            if enough
            else f"Unknown: your calendar reaches back {len(weeks)} weeks, {LEAST_WEEKS} are needed.",
        ),
    }


def _hours(facts: Facts, meetings: Sequence[Event], first: date, days: int) -> float:
    return minutes_within(((e.start, e.end) for e in meetings), span_of(first, days, facts.zone)) / 60


# -- load --------------------------------------------------------------------------------------------


def _components(
    facts: Facts, mailbox: Mailbox, meetings: Sequence[Event], answered: Sequence[Answer], still: Sequence[MailHead]
) -> list[Component]:
    """Return the parts of the load that can be counted, each with the past weeks that are known of it."""
    tasks = [*facts.open_tasks, *facts.completed_tasks]

    def meeting_hours(day: date) -> float:
        return _hours(facts, meetings, day, 1)

    def task_hours(day: date) -> float:
        counted = facts.open_tasks if day == facts.day else tasks
        return _TASK_HOURS * sum(t.due is not None and not t.assignee and _local(t.due, facts) == day for t in counted)

    def reply_hours(day: date) -> float:
        moment = facts.now.astimezone(facts.zone) - timedelta(days=(facts.day - day).days)
        return _REPLY_HOURS * (len(still) if day == facts.day else owed_at(moment, answered, still))

    parts: list[tuple[str, Iterable[datetime], Callable[[date], float]]] = [
        ("meetings", (e.start for e in facts.events), meeting_hours),
        ("tasks", (t.created_at for t in tasks), task_hours),
        ("replies owed", (h.received_at for h in mailbox.heads), reply_hours),
    ]
    known = [(name, _first_day(instants, facts), hours) for name, instants, hours in parts]
    return [Component(name, hours(facts.day), _past(facts, first, hours)) for name, first, hours in known if first]


def _past(facts: Facts, first: date, hours: Callable[[date], float]) -> tuple[float, ...]:
    days = [facts.day - timedelta(weeks=n) for n in range(1, PAST_WEEKS + 1)]
    return tuple(hours(day) for day in days if day >= first)


# -- slipping ----------------------------------------------------------------------------------------


def _slipping(facts: Facts, still: Sequence[MailHead], awaited: Sequence[MailHead]) -> dict[str, Figure]:
    overdue = sorted(
        (t for t in facts.open_tasks if not t.assignee and t.due and t.due < facts.now),
        key=lambda t: (t.due or facts.now, t.id),
    )
    late = [h for h in still if hours_between(h.received_at, facts.now) > 24 * OWED_DAYS]
    silent = [h for h in awaited if hours_between(h.received_at, facts.now) > 24 * WAITING_DAYS]
    parts = {
        "tasks_overdue": count((t.id for t in overdue), "tasks", "Open tasks of yours whose due date has passed."),
        "replies_late": count(
            (h.id for h in late), "threads", f"Replies that you have owed for over {OWED_DAYS} days."
        ),
        "answers_missing": count(
            (h.id for h in silent),
            "threads",
            f"Threads in which you have waited for an answer over {WAITING_DAYS} days.",
        ),
    }
    ids = [i for part in parts.values() for i in part["ids"]]
    return {**parts, "slipping": count(ids, "items", "Overdue tasks, late replies and missing answers together.")}


def _local(moment: datetime, facts: Facts) -> date:
    return moment.astimezone(facts.zone).date()


def _first_day(instants: Iterable[datetime], facts: Facts) -> date | None:
    """Return the first local day of which something is known."""
    first = min(instants, default=None)
    return None if first is None else _local(first, facts)
