"""Compute the figures of a day; every number with its unit and a definition that a person understands.

A figure is ``{"value", "unit", "definition"}``; one that counts what is slipping also has the ``"ids"``. A value that
cannot be known is ``None``, and the definition says why. Everything here is pure: the same facts, the same figures.
"""

from __future__ import annotations

from collections import Counter
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
    """Say whether an event takes the user's time together with others: timed, busy, not declined."""
    declined = any(a.address in own and a.status == "declined" for a in event.attendees)
    people = [*([event.organizer] if event.organizer else []), *event.attendees]
    others = any(p.address not in own and p.role != "none" and p.status != "declined" for p in people)
    return others and event.busy and event.status != "cancelled" and not event.all_day and not declined


# -- volume ------------------------------------------------------------------------------------------


def _volume(facts: Facts, mailbox: Mailbox) -> dict[str, Figure]:
    received = [h for h in mailbox.heads if not mailbox.is_own(h)]
    sent = [h for h in mailbox.heads if mailbox.is_own(h)]
    no_mail = "" if mailbox.heads else "Unknown: there is no mail."
    no_sent = no_mail or ("" if facts.own or sent else "Unknown: none of your own addresses is known.")
    days = _known_days(facts, mailbox)
    return {
        **_per_day("received", "Mails that others sent you", _dates(received, facts), facts.day, days, no_mail),
        **_per_day("sent", "Mails that you sent", _dates(sent, facts), facts.day, days, no_sent),
    }


def _per_day(
    name: str, what: str, dates: Sequence[date], today: date, days: Sequence[date], unknown: str
) -> dict[str, Figure]:
    per_day = Counter(dates)
    short = (
        "" if len(days) >= LEAST_DAYS else f"Unknown: your mail reaches back {len(days)} days, {LEAST_DAYS} are needed."
    )
    usual = None if unknown or short else float(median(per_day[day] for day in days))
    now = f"{what} today until now; without drafts and spam, each message once."
    before = f"{what}, median of the {len(days)} days before today."
    return {
        f"{name}_today": figure(None if unknown else per_day[today], "mails", unknown or now),
        f"{name}_usual": figure(usual, "mails a day", unknown or short or before),
    }


def _dates(heads: Iterable[MailHead], facts: Facts) -> list[date]:
    return [_local(head.received_at, facts) for head in heads]


def _known_days(facts: Facts, mailbox: Mailbox) -> list[date]:
    """Return the days before today, at most :data:`PAST_DAYS`, that the mailbox reaches back to."""
    first = _first_day((h.received_at for h in mailbox.heads), facts)
    past = (facts.day - timedelta(days=n) for n in range(1, PAST_DAYS + 1))
    return [day for day in past if first is not None and day >= first]


# -- replies -----------------------------------------------------------------------------------------


def _replies(
    facts: Facts, mailbox: Mailbox, answered: Sequence[Answer], still: Sequence[MailHead]
) -> dict[str, Figure]:
    if not mailbox.heads:
        unknown = figure(None, "hours", "Unknown: there is no mail.")
        return {"response_hours": unknown, "replies_owed": unknown | {"unit": "threads"}, "oldest_owed_hours": unknown}
    oldest = hours_between(still[0].received_at, facts.now) if still else None
    age = "Age of the oldest mail to which you owe a reply." if still else "You owe no reply."
    return {
        "response_hours": _response(facts, answered),
        "replies_owed": count((h.id for h in still), "threads", _OWED),
        "oldest_owed_hours": figure(oldest, "hours", age),
    }


def _response(facts: Facts, answered: Sequence[Answer]) -> Figure:
    since = facts.now - timedelta(days=PAST_DAYS)
    hours = [hours_between(a.asked.received_at, a.reply.received_at) for a in answered if a.reply.received_at >= since]
    if not hours:
        return figure(None, "hours", f"Unknown: you answered no personal mail in the last {PAST_DAYS} days.")
    definition = (
        "Median time from a personal mail to your reply in the same thread (from the first one, if several came), over "
        f"{len(hours)} replies of the last {PAST_DAYS} days."
    )
    return figure(float(median(hours)), "hours", definition)


# -- meetings ----------------------------------------------------------------------------------------


def _meetings(facts: Facts, meetings: Sequence[Event]) -> dict[str, Figure]:
    if not facts.calendars:
        unknown = figure(None, "hours", "Unknown: there is no calendar.")
        return dict.fromkeys(("meeting_hours_today", "meeting_hours_week", "meeting_hours_usual_week"), unknown)
    monday = monday_of(facts.day)
    what = "Timed, busy events with other people; overlaps count twice, declined and cancelled ones not at all"
    today, week = _hours(facts, meetings, facts.day, 1), _hours(facts, meetings, monday, 7)
    return {
        "meeting_hours_today": figure(today, "hours", f"{what}. Today."),
        "meeting_hours_week": figure(week, "hours", f"{what}. This week, Monday to Sunday."),
        "meeting_hours_usual_week": _usual_week(facts, meetings, monday, what),
    }


def _usual_week(facts: Facts, meetings: Sequence[Event], monday: date, what: str) -> Figure:
    first = _first_day((e.start for e in facts.events), facts)
    mondays = (monday - timedelta(weeks=n) for n in range(1, PAST_WEEKS + 1))
    weeks = [m for m in mondays if first is not None and m >= first]
    if len(weeks) < LEAST_WEEKS:
        why = f"Unknown: your calendar reaches back {len(weeks)} weeks, {LEAST_WEEKS} are needed."
        return figure(None, "hours a week", why)
    usual = float(median(_hours(facts, meetings, m, 7) for m in weeks))
    return figure(usual, "hours a week", f"{what}. Median of the last {len(weeks)} weeks.")


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
