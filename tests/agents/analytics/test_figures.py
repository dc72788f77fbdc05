"""Every figure has a value, a unit and a definition; it compares the user with the user's own past."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from brody_agents.integrations.calendar.base import Attendee, Event
from brody_agents.integrations.mail.base import Address
from brody_agents.items import MailHead, TaskItem
from brody_analytics.figures import Facts, figures, is_meeting

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 5, 11, 9, tzinfo=BERLIN)
ME, ANNA = "me@home.example", "anna@kern.example"
NOTHING = Facts(NOW.date(), NOW, BERLIN, frozenset({ME}))


def head(
    key: str, sender: str, ago: timedelta, *, answers: str = "", state: str = "none", category: str = ""
) -> MailHead:
    return MailHead(
        id=key,
        account="eml:x",
        key=key,
        version="1",
        message_id=f"{key}@x",
        subject="",
        sender=Address(sender),
        to=(Address(ANNA if sender == ME else ME),),
        received_at=NOW - ago,
        in_reply_to=f"{answers}@x" if answers else "",
        reply_state=state,
        category=category,
    )


def meeting(start: datetime, hours: float = 1, title: str = "Weekly", **more: Any) -> Event:
    event = Event(
        id=start.isoformat(),
        account="ics:x",
        uid="u",
        recurrence_id="",
        title=title,
        start=start,
        end=start + timedelta(hours=hours),
        attendees=(Attendee(ME), Attendee(ANNA)),
    )
    return replace(event, **more)


def task(key: str, due: datetime | None, *, age: int = 1, assignee: str = "") -> TaskItem:
    return TaskItem(id=key, title=key, due=due, created_at=NOW - timedelta(days=age), assignee=assignee)


def value(facts: Facts, name: str) -> object:
    return figures(facts)[name]["value"]


# -- volume


def test_volume_is_counted_by_local_days_against_the_median_of_28() -> None:
    mails = [head(f"d{n}", ANNA, timedelta(days=n)) for n in range(1, 29)]
    today = [head(f"t{n}", ANNA, timedelta(hours=n)) for n in range(3)]
    yesterday = [head("late", ANNA, timedelta(hours=10))]
    facts = replace(NOTHING, heads=[*mails, *today, *yesterday])
    assert value(facts, "received_today") == 3
    assert value(facts, "received_usual") == 1
    assert value(facts, "sent_today") == value(facts, "sent_usual") == 0


def test_a_mailbox_of_a_few_days_has_no_usual_volume_and_says_so() -> None:
    usual = figures(replace(NOTHING, heads=[head("a", ANNA, timedelta(days=3))]))["received_usual"]
    assert usual["value"] is None
    assert "reaches back 3 days, 7 are needed" in usual["definition"]


# -- replies


def test_response_time_is_the_median_of_the_last_28_days() -> None:
    heads = [head(f"q{n}", ANNA, timedelta(days=n)) for n in (1, 2, 3, 40)]
    for n, hours in ((1, 1), (2, 3), (3, 20), (40, 200)):
        heads.append(head(f"r{n}", ME, timedelta(days=n) - timedelta(hours=hours), answers=f"q{n}"))
    figure = figures(replace(NOTHING, heads=heads))["response_hours"]
    assert figure["value"] == 3
    assert "3 replies" in figure["definition"]


def test_owed_replies_have_their_age_and_become_late_after_two_days() -> None:
    heads = [
        head("old", ANNA, timedelta(days=3), state="owed", category="needs_reply"),
        head("new", ANNA, timedelta(hours=5), state="owed", category="needs_reply"),
        head("mine", ME, timedelta(days=4), state="waiting", category="waiting"),
    ]
    found = figures(replace(NOTHING, heads=heads))
    assert found["replies_owed"]["ids"] == ["old", "new"]
    assert found["oldest_owed_hours"]["value"] == 72
    assert found["replies_late"]["ids"] == ["old"]
    assert found["answers_missing"]["ids"] == ["mine"]
    assert (found["slipping"]["value"], found["slipping"]["ids"]) == (2, ["old", "mine"])


# -- meetings


def test_meeting_hours_are_of_timed_events_with_others_that_the_user_goes_to() -> None:
    events = [
        meeting(NOW),
        meeting(NOW + timedelta(minutes=30)),
        meeting(NOW + timedelta(hours=3), attendees=()),
        meeting(NOW + timedelta(hours=4), busy=False),
        meeting(NOW + timedelta(hours=5), status="cancelled"),
        meeting(NOW.replace(hour=0), 24, all_day=True),
        meeting(NOW + timedelta(hours=6), attendees=(Attendee(ME, status="declined"), Attendee(ANNA))),
        meeting(NOW + timedelta(hours=7), attendees=(Attendee(ME), Attendee(ANNA, status="declined"))),
        meeting(NOW + timedelta(days=6), 2),
        meeting(NOW + timedelta(days=7)),
    ]
    facts = replace(NOTHING, events=events)
    meant = [True, True, False, False, False, False, False, False, True, True]
    assert [is_meeting(e, facts.own) for e in events] == meant
    assert value(facts, "meeting_hours_today") == 2
    assert value(facts, "meeting_hours_week") == 4


def test_the_usual_week_needs_four_weeks() -> None:
    weeks = [meeting(NOW - timedelta(weeks=n), n) for n in range(1, 5)]
    assert value(replace(NOTHING, events=weeks), "meeting_hours_usual_week") == 2.5
    figure = figures(replace(NOTHING, events=weeks[:3]))["meeting_hours_usual_week"]
    assert figure["value"] is None
    assert "reaches back 3 weeks, 4 are needed" in figure["definition"]


# -- load


def test_load_is_compared_with_the_same_weekday_of_past_weeks() -> None:
    past = [meeting(NOW - timedelta(weeks=n)) for n in range(1, 7)]
    other_days = [meeting(NOW - timedelta(weeks=n, days=1), 8) for n in range(1, 6)]
    facts = replace(
        NOTHING,
        events=[*past, *other_days, meeting(NOW, 2)],
        open_tasks=[task("today", NOW), task("theirs", NOW, assignee=ANNA), task("later", NOW + timedelta(days=2))],
    )
    found = figures(facts)
    assert found["load_today"]["value"] == 2.5
    assert found["load_usual"]["value"] == 1
    assert "last 6 Mondays, from meetings; without tasks" in found["load_usual"]["definition"]
    assert found["load_against_usual"]["value"] == 2


def test_an_owed_reply_weighs_a_quarter_hour_then_and_now() -> None:
    heads = []
    for week in range(1, 7):
        asked = timedelta(weeks=week, hours=2)
        heads.append(head(f"q{week}", ANNA, asked, state="answered", category="fyi"))
        heads.append(head(f"r{week}", ME, asked - timedelta(hours=5), answers=f"q{week}", category="fyi"))
    heads.append(head("open", ANNA, timedelta(hours=1), state="owed", category="needs_reply"))
    found = figures(replace(NOTHING, heads=heads))
    assert [found[name]["value"] for name in ("load_today", "load_usual", "load_against_usual")] == [0.25, 0.25, 1]


# -- tasks


def test_tasks_of_the_user_whose_date_has_passed_are_overdue() -> None:
    tasks = [
        task("b", NOW - timedelta(hours=1)),
        task("a", NOW - timedelta(days=1)),
        task("later", NOW + timedelta(hours=1)),
        task("never", None),
        task("theirs", NOW - timedelta(days=1), assignee=ANNA),
    ]
    assert figures(replace(NOTHING, open_tasks=tasks))["tasks_overdue"]["ids"] == ["a", "b"]


# -- all of them


def test_without_any_data_a_figure_is_none_or_zero_and_says_why() -> None:
    found = figures(replace(NOTHING, calendars=False))
    unknown = {name for name, figure in found.items() if figure["value"] is None}
    assert unknown == found.keys() - {"tasks_overdue", "replies_late", "answers_missing", "slipping"}
    assert all("nknown" in found[name]["definition"] or "no " in found[name]["definition"].lower() for name in unknown)


_HEADS = st.lists(
    st.builds(
        lambda key, sender, hours, answers, state, category: head(
            key, sender, timedelta(hours=hours), answers=answers, state=state, category=category
        ),
        st.integers(0, 50).map(str),
        st.sampled_from([ME, ANNA]),
        st.integers(-10, 1500),
        st.integers(0, 50).map(str),
        st.sampled_from(["none", "owed", "waiting", "answered"]),
        st.sampled_from(["", "needs_reply", "newsletter"]),
    ),
    max_size=20,
    unique_by=lambda h: h.id,
)
_EVENTS = st.lists(
    st.builds(lambda h, n: meeting(NOW + timedelta(hours=h), n), st.integers(-1500, 150), st.integers(0, 30))
)
_DUE = st.none() | st.integers(-2000, 500).map(lambda hours: NOW + timedelta(hours=hours))
_TASKS = st.lists(st.builds(lambda key, due: task(key, due), st.integers().map(str), _DUE), unique_by=lambda t: t.id)


@settings(deadline=None)
@given(_HEADS, _EVENTS, _TASKS, _TASKS, st.booleans(), st.randoms())
def test_figures_are_whole_plain_json_and_independent_of_order(
    heads: Sequence[MailHead],
    events: Sequence[Event],
    tasks: Sequence[TaskItem],
    done: Sequence[TaskItem],
    calendars: bool,
    random: Random,
) -> None:
    facts = replace(
        NOTHING, heads=heads, events=events, open_tasks=tasks, completed_tasks=done, calendars=calendars or bool(events)
    )
    found = figures(facts)
    assert json.loads(json.dumps(found)) == found
    assert found.keys() == figures(NOTHING).keys()
    for figure in found.values():
        assert figure.keys() - {"ids"} == {"value", "unit", "definition"}
        assert figure["definition"].endswith(".")
        assert figure["value"] is None or figure["value"] >= 0
        assert "ids" not in figure or len(figure["ids"]) == figure["value"]
    shuffled = replace(
        facts, heads=random.sample(heads, len(heads)), events=random.sample(events, len(events)), open_tasks=tasks[::-1]
    )
    assert figures(shuffled) == found


@settings(deadline=None)
@given(st.dates(date(2026, 1, 1), date(2026, 12, 31)), st.integers(0, 23))
def test_any_day_can_be_measured_also_when_clocks_change(day: date, hour: int) -> None:
    now = datetime(day.year, day.month, day.day, hour, tzinfo=BERLIN)
    weeks = [meeting(now.replace(hour=12) - timedelta(weeks=n)) for n in range(9)]
    found = figures(replace(NOTHING, day=day, now=now, events=weeks))
    assert [found[name]["value"] for name in ("load_today", "load_usual", "load_against_usual")] == [1, 1, 1]
