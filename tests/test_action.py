"""The catalogue of actions: its names, what each kind claims, how arguments are checked, and the key of a wish."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brody_agents.action import (
    CATALOGUE,
    ActionState,
    AgentAction,
    Claim,
    ClaimMode,
    Risk,
    action_id,
    idempotency_key,
)
from brody_agents.communication.message_protocol import Priority
from brody_agents.errors import InvalidArguments, Terminal, UnknownAction

NAMES = [
    *(f"mail.{verb}" for verb in ("draft", "send", "reply", "forward", "label", "unlabel", "archive", "delete")),
    *(f"calendar.{verb}" for verb in ("create", "update", "cancel", "respond", "invite")),
    *(f"task.{verb}" for verb in ("create", "update", "complete", "merge", "delete")),
    *(f"file.{verb}" for verb in ("create", "append", "move", "share", "unshare", "delete")),
    "chat.post",
    "notify",
]
NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
TEN = NINE + timedelta(hours=1)
SLOT = {"start": NINE.isoformat(), "end": TEN.isoformat()}
MAIL = {"account": "post", "email_id": "e1"}
EVENT = {"account": "cal", "event_id": "v1"}
FILE = {"account": "disk", "document_id": "d1"}

EXAMPLES: dict[str, dict[str, Any]] = {
    "mail.draft": MAIL | {"thread_id": "t1", "to": ["ann@home.example"], "subject": "Hello", "text": "Hello"},
    "mail.send": MAIL | {"thread_id": "t1", "to": ["ann@home.example"], "subject": "Hello", "text": "Hello"},
    "mail.reply": MAIL | {"thread_id": "t1", "text": "Hello"},
    "mail.forward": MAIL | {"to": ["ben@home.example"]},
    "mail.label": MAIL | {"label": "later"},
    "mail.unlabel": MAIL | {"label": "later"},
    "mail.archive": MAIL,
    "mail.delete": MAIL,
    "calendar.create": {"account": "cal", "title": "Lunch"} | SLOT,
    "calendar.update": EVENT | SLOT,
    "calendar.cancel": EVENT,
    "calendar.respond": {"account": "cal", "uid": "u1", "answer": "accepted"} | SLOT,
    "calendar.invite": EVENT | {"attendees": ["ann@home.example"]},
    "task.create": {"title": "Send  the PLAN", "root": "r1", "assignee": "ann@home.example"},
    "task.update": {"task_id": "k1"},
    "task.complete": {"task_id": "k1"},
    "task.merge": {"task_id": "k1", "into": "k2"},
    "task.delete": {"task_id": "k1"},
    "file.create": {"account": "disk", "path": "a/b.txt", "text": "Hello"},
    "file.append": FILE | {"text": "Hello"},
    "file.move": FILE | {"path": "a/b.txt"},
    "file.share": FILE | {"person": "ann@home.example"},
    "file.unshare": FILE | {"person": "ann@home.example"},
    "file.delete": FILE,
    "chat.post": {"channel": "c1", "text": "Hello"},
    "notify": {"text": "Hello"},
}
INTERVAL = Claim("cal/slots", "interval", NINE, TEN)
THREAD = Claim("post/thread/t1", "exclusive")
ANSWER = Claim("post/answer/e1", "exclusive")
PLACE = Claim("post/place/e1", "exclusive")
ON_MAIL = Claim("post/mail/e1", "add")
ON_EVENT = Claim("cal/event/v1", "exclusive")
ON_INVITATION = Claim("cal/event/u1", "exclusive")
ON_TASK = Claim("me/task/k1", "exclusive")
ON_FILE = Claim("disk/file/d1", "exclusive")
PATH = Claim("disk/path/a/b.txt", "exclusive")
ACCESS = Claim("disk/file/d1", "add")
CLAIMS: dict[str, list[Claim]] = {
    "mail.draft": [THREAD, ANSWER],
    "mail.send": [THREAD, ANSWER],
    "mail.reply": [THREAD, ANSWER],
    "mail.forward": [Claim("post/mail/e1", "read")],
    "mail.label": [ON_MAIL],
    "mail.unlabel": [ON_MAIL],
    "mail.archive": [PLACE],
    "mail.delete": [PLACE],
    "calendar.create": [INTERVAL],
    "calendar.update": [INTERVAL, ON_EVENT],
    "calendar.cancel": [ON_EVENT],
    "calendar.respond": [INTERVAL, ON_INVITATION],
    "calendar.invite": [ON_EVENT],
    "task.create": [Claim("me/task-key/r1|send the plan|ann@home.example", "exclusive")],
    "task.update": [ON_TASK],
    "task.complete": [ON_TASK],
    "task.merge": [ON_TASK, Claim("me/task/k2", "exclusive")],
    "task.delete": [ON_TASK],
    "file.create": [PATH],
    "file.append": [ON_FILE],
    "file.move": [PATH, ON_FILE],
    "file.share": [ACCESS],
    "file.unshare": [ACCESS],
    "file.delete": [ON_FILE],
    "chat.post": [],
    "notify": [],
}


def claims(kind: str, **changed: Any) -> list[Claim]:
    """Return what an action claims for the user ``me``."""
    row, arguments = AgentAction(kind=kind, arguments=EXAMPLES[kind] | changed).checked()
    return row.claims("me", arguments)


def clash(first: list[Claim], second: list[Claim]) -> bool:
    """Say whether two actions cannot hold together."""
    return any(one.clashes(other) for one in first for other in second)


# -- the catalogue -----------------------------------------------------------------------------------


def test_the_catalogue_has_the_names_of_the_public_contract_in_their_order() -> None:
    assert list(CATALOGUE) == NAMES
    assert [row.name for row in CATALOGUE.values()] == NAMES


@pytest.mark.parametrize("kind", NAMES)
def test_every_kind_takes_its_arguments_and_has_a_target(kind: str) -> None:
    row, arguments = AgentAction(kind=kind, arguments=EXAMPLES[kind]).checked()

    assert isinstance(arguments, row.model)
    assert row.target(arguments)
    assert row.target(arguments) == row.target(row.model.model_validate(arguments.model_dump(mode="json")))


@pytest.mark.parametrize("kind", NAMES)
def test_every_kind_has_an_inverse_or_says_why_not(kind: str) -> None:
    inverse = CATALOGUE[kind].inverse

    assert inverse in CATALOGUE or re.fullmatch(r"[A-Z].{20,}\.", inverse)


def test_what_destroys_and_what_widens_access_is_marked() -> None:
    risks = {risk: [kind for kind, row in CATALOGUE.items() if row.risk is risk] for risk in Risk}

    assert risks[Risk.DESTROY] == ["mail.delete", "calendar.cancel", "file.delete"]
    assert risks[Risk.WIDEN] == ["file.share"]
    assert risks[Risk.INTERNAL] == [name for name in NAMES if name.startswith("task.")] + ["notify"]


def test_only_states_of_an_open_action_hold_claims() -> None:
    held = [state.value for state in ActionState if state.holds_claims]

    assert held == ["proposed", "awaiting_approval", "approved", "executing", "unknown"]
    assert [state.value for state in ActionState if state.final] == [s for s in ActionState if s not in held]


# -- claims ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NAMES)
def test_every_kind_claims_what_it_touches(kind: str) -> None:
    assert claims(kind) == CLAIMS[kind]


@pytest.mark.parametrize(
    ("kind", "changed", "expected"),
    [
        ("calendar.create", {"all_day": True}, []),
        ("calendar.update", {"start": None}, [Claim("cal/event/v1", "exclusive")]),
        ("calendar.respond", {"answer": "declined"}, [Claim("cal/event/u1", "exclusive")]),
        ("calendar.respond", {"answer": "tentative"}, [INTERVAL, Claim("cal/event/u1", "exclusive")]),
        ("calendar.respond", {"recurrence_id": "r2"}, [INTERVAL, Claim("cal/event/u1/r2", "exclusive")]),
        ("mail.draft", {"thread_id": None, "email_id": None}, []),
        ("mail.draft", {"thread_id": None}, [ANSWER]),
        ("mail.reply", {"account": ""}, [Claim("me/thread/t1", "exclusive"), Claim("me/answer/e1", "exclusive")]),
        ("task.create", {"normalised": "plan"}, [Claim("me/task-key/r1|plan|ann@home.example", "exclusive")]),
    ],
)
def test_what_is_claimed_depends_on_the_arguments(kind: str, changed: dict[str, Any], expected: list[Claim]) -> None:
    assert claims(kind, **changed) == expected


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ("mail.draft", "mail.reply", False),
        ("mail.label", "mail.unlabel", True),
        ("mail.label", "mail.archive", True),
        ("mail.archive", "mail.delete", False),
        ("mail.forward", "mail.forward", True),
        ("calendar.create", "calendar.respond", False),
        ("calendar.cancel", "calendar.update", False),
        ("task.complete", "task.merge", False),
        ("task.create", "task.create", False),
        ("file.share", "file.share", True),
        ("file.share", "file.move", False),
        ("file.create", "file.move", False),
        ("notify", "notify", True),
    ],
)
def test_kinds_that_go_together_and_kinds_that_do_not(first: str, second: str, together: bool) -> None:
    assert clash(claims(first), claims(second)) is not together


def test_intervals_that_only_touch_go_together() -> None:
    after = claims("calendar.create", start=TEN.isoformat(), end=(TEN + timedelta(hours=1)).isoformat())
    across = claims("calendar.create", start=(TEN - timedelta(seconds=1)).isoformat(), end=after[0].end)

    assert not clash(claims("calendar.create"), after)
    assert clash(claims("calendar.create"), across)


moments = st.none() | st.integers(0, 4).map(lambda hours: NINE + timedelta(hours=hours))
drawn_claims = st.builds(
    Claim, resource=st.sampled_from(["a", "b"]), mode=st.sampled_from(get_args(ClaimMode)), start=moments, end=moments
)


@settings(deadline=None)
@given(drawn_claims, drawn_claims)
def test_a_clash_is_one_from_both_sides(one: Claim, other: Claim) -> None:
    assert one.clashes(other) == other.clashes(one)


@settings(deadline=None)
@given(drawn_claims, drawn_claims)
def test_an_exclusive_claim_clashes_with_all_of_its_resource_and_none_of_another(one: Claim, other: Claim) -> None:
    exclusive = Claim(one.resource, "exclusive")

    assert exclusive.clashes(other) == (one.resource == other.resource)


# -- arguments ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "changed", "field"),
    [
        ("task.create", {"title": ""}, "title"),
        ("task.create", {"colour": "red"}, "colour"),
        ("task.create", {"sources": [{"type": "email"}]}, "sources.0.id"),
        ("task.create", {"due": "2026-03-02T09:00:00"}, "due"),
        ("task.update", {"status": "lost"}, "status"),
        ("mail.label", {"label": ""}, "label"),
        ("calendar.create", {"start": 7}, "start"),
        ("calendar.respond", {"answer": "maybe"}, "answer"),
        ("file.share", {"role": "owner"}, "role"),
        ("notify", {"text": "x" * 2001}, "text"),
    ],
)
def test_a_wrong_argument_is_named(kind: str, changed: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArguments, match=rf"^{re.escape(kind)}: {re.escape(field)}: ") as caught:
        AgentAction(kind=kind, arguments=EXAMPLES[kind] | changed).checked()
    assert CATALOGUE[kind].model.__name__ in caught.value.remedy
    assert isinstance(caught.value, Terminal)
    assert caught.value.code == "invalid_arguments"


@pytest.mark.parametrize("kind", NAMES)
def test_an_argument_that_is_absent_is_named(kind: str) -> None:
    needed = [name for name, field in CATALOGUE[kind].model.model_fields.items() if field.is_required()]
    for name in needed:
        with pytest.raises(InvalidArguments, match=f"{name}: Field required"):
            AgentAction(kind=kind, arguments={k: v for k, v in EXAMPLES[kind].items() if k != name}).checked()
    assert needed


def test_an_unknown_kind_is_refused_with_the_names_of_all() -> None:
    with pytest.raises(UnknownAction, match=r"There is no action 'mail\.burn'") as caught:
        AgentAction(kind="mail.burn").checked()
    assert all(name in caught.value.remedy for name in NAMES)


def test_medium_is_read_as_normal_in_actions_too() -> None:
    row, arguments = AgentAction(kind="task.create", arguments={"title": "Plan", "priority": "medium"}).checked()

    assert row.name == "task.create"
    assert arguments.model_dump()["priority"] is Priority.NORMAL


# -- the key -----------------------------------------------------------------------------------------


def test_the_key_of_a_wish_is_the_same_for_ever() -> None:
    """A changed key would repeat what was already done: this one must never change."""
    key = "a27506b01eae2818d0abc38a60bc6ec533a84fd0b8320af4c70830b0a6f6e087"

    assert idempotency_key("me", "task.create", "plan", "e1@1") == key
    assert action_id(key) == "ad241302-a558-540c-a017-1c2befe5c546"


parts = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)


@settings(deadline=None)
@given(st.tuples(parts, parts, parts, parts, st.none() | parts.filter(bool)), st.data())
def test_the_same_wish_has_one_key_and_another_wish_another(wish: tuple[Any, ...], data: st.DataObject) -> None:
    other = data.draw(st.tuples(parts, parts, parts, parts, st.none() | parts.filter(bool)) | st.just(wish))

    assert (idempotency_key(*wish) == idempotency_key(*other)) == (wish == other)


@settings(deadline=None)
@given(st.text(max_size=5))
def test_any_text_has_a_key(text: str) -> None:
    assert re.fullmatch("[0-9a-f]{64}", idempotency_key(text, text, text, text, text))


@pytest.mark.parametrize("kind", NAMES)
def test_the_target_does_not_depend_on_how_the_wish_is_explained(kind: str) -> None:
    first = AgentAction(kind=kind, arguments=EXAMPLES[kind], why="because", priority=Priority.HIGH).checked()
    second = AgentAction(kind=kind, arguments=EXAMPLES[kind], why="therefore", confidence=0.5).checked()

    assert first[0].target(first[1]) == second[0].target(second[1])
