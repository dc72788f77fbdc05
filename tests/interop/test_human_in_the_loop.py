"""Cards in the shapes of LangChain's middleware and of Agent Inbox, and their answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from brody_agents import AgentAction, Brody
from brody_agents.errors import InvalidArguments
from brody_agents.interop import human_in_the_loop as inbox
from brody_agents.policy.cards import Card
from brody_agents.settings import Settings

MAIL = {"to": ["ines@atelier.example"], "subject": "Floor plan", "text": "Here it is.", "cc": []}
TASK = {"title": "Call Ada", "priority": "high", "due": "2026-03-06T17:00:00Z", "reasons": ["She asked."]}


def members(required: str, optional: Any = "", **types: Any) -> dict[str, Any]:
    """Return the schema of an object with these members and no others."""
    names = required.split()
    properties = dict.fromkeys([*names, *optional.split()], True) | types
    return {"type": "object", "required": names, "properties": properties, "additionalProperties": False}


TEXT, OBJECT = {"type": "string"}, {"type": "object"}
DECISIONS = {"type": "array", "items": {"enum": ["approve", "edit", "reject", "respond"]}, "minItems": 1}
LANGCHAIN = members(
    "action_requests review_configs",
    action_requests={"type": "array", "items": members("name args", "description", name=TEXT, args=OBJECT)},
    review_configs={
        "type": "array",
        "items": members("action_name allowed_decisions", "args_schema", action_name=TEXT, allowed_decisions=DECISIONS),
    },
)
"""``HITLRequest`` as LangChain's reference documents it."""
AGENT_INBOX = members(
    "action_request config description",
    action_request=members("action args", action=TEXT, args=OBJECT),
    config=members(
        "allow_ignore allow_respond allow_edit allow_accept",
        **{f"allow_{what}": {"type": "boolean"} for what in ("ignore", "respond", "edit", "accept")},
    ),
)
"""``HumanInterrupt`` as Agent Inbox's README documents it."""


@pytest.fixture
async def brody(settings: Settings) -> AsyncIterator[Brody]:
    """Give a ``Brody`` where everything waits for the person."""
    async with Brody(agents=[], settings=settings) as opened:
        await opened.autonomy.set("*", "suggest")
        yield opened


async def card_of(brody: Brody, kind: str, arguments: dict[str, Any], why: str = "") -> Card:
    """Return the card of an action that is proposed."""
    result = await brody.execute(AgentAction(kind=kind, arguments=arguments, why=why))
    return next(c for c in await brody.approvals.list() if c.action_id == result.action_id)


def as_strings(arguments: dict[str, Any]) -> dict[str, str]:
    """Return what Agent Inbox makes of arguments: strings stay, all else becomes its JSON."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        for name, value in arguments.items()
    }


async def test_a_request_has_the_shape_that_langchain_documents(brody: Brody) -> None:
    """A request an action and its configuration in the same order, with what a person must know."""
    cards = [await card_of(brody, "mail.send", MAIL, "She asked."), await card_of(brody, "task.create", TASK)]
    request = inbox.to_langchain(cards)
    Draft202012Validator(LANGCHAIN).validate(json.loads(json.dumps(request)))
    assert [(a["name"], a["args"]) for a in request["action_requests"]] == [(c.kind, c.arguments) for c in cards]
    assert [c["action_name"] for c in request["review_configs"]] == ["mail.send", "task.create"]
    assert request["review_configs"][0]["allowed_decisions"] == ["approve", "edit", "reject", "respond"]
    assert "due" in request["review_configs"][1]["args_schema"]["properties"]
    assert "She asked." in request["action_requests"][0]["description"]
    assert "Nothing leaves, and the proposal expires on" in request["action_requests"][0]["description"]


async def test_decisions_come_back_in_the_order_of_the_requests(brody: Brody) -> None:
    """The four documented decisions, each to its card."""
    cards = [await card_of(brody, "task.create", TASK | {"title": t}) for t in ("Pay", "Ring Ben", "Sow", "Walk")]
    edited = {"name": "task.create", "args": TASK | {"title": "Pay the rent"}}
    decisions: list[dict[str, Any]] = [
        {"type": "edit", "edited_action": edited},
        {"type": "approve"},
        {"type": "reject", "message": "Too early."},
        {"type": "respond", "message": "Where to?"},
    ]
    for card, answer in zip(cards, inbox.from_langchain(cards, {"decisions": decisions}), strict=True):
        await brody.approvals.decide(card.id, **answer.for_decide())
    await brody.drain()
    actions = [await brody.actions.show(card.action_id) for card in cards]
    assert [a.state for a in actions] == ["done", "done", "rejected", "superseded"]
    assert actions[0].arguments["title"] == "Pay the rent"
    assert actions[2].reason == "You rejected it. Too early."


@pytest.mark.parametrize(
    "decisions",
    [
        None,
        [],
        [{"type": "approve"}, {"type": "approve"}],
        [{"type": "accept"}],
        ["approve"],
        [{"type": "edit"}],
        [{"type": "edit", "edited_action": {"name": "mail.delete", "args": {}}}],
        [{"type": "reject", "message": 7}],
    ],
)
async def test_what_is_no_decision_is_refused(brody: Brody, decisions: Any) -> None:
    card = await card_of(brody, "task.create", TASK)
    with pytest.raises(InvalidArguments):
        inbox.from_langchain([card], {"decisions": decisions})


async def test_an_interrupt_has_the_shape_that_agent_inbox_documents(brody: Brody) -> None:
    card = await card_of(brody, "mail.send", MAIL)
    interrupt = inbox.to_agent_inbox(card)
    Draft202012Validator(AGENT_INBOX).validate(json.loads(json.dumps(interrupt)))
    assert interrupt["action_request"] == {"action": "mail.send", "args": card.arguments}
    assert set(interrupt["config"]) == {"allow_ignore", "allow_respond", "allow_edit", "allow_accept"}


async def test_an_accepted_interrupt_comes_back_as_strings_and_is_approved(brody: Brody) -> None:
    """Accepted is what the card says; the same type with other arguments is refused."""
    card = await card_of(brody, "mail.send", MAIL)
    strings = {"action": "mail.send", "args": as_strings(card.arguments)}
    answer = inbox.from_agent_inbox(card, [{"type": "accept", "args": strings}])
    assert (answer.answer, answer.arguments, answer.digest) == ("approve", None, card.digest)
    strings["args"] = strings["args"] | {"to": '["eve@b.example"]'}  # type: ignore[operator]
    with pytest.raises(InvalidArguments, match="not the card's"):
        inbox.from_agent_inbox(card, [{"type": "accept", "args": strings}])


async def test_strings_are_read_as_the_schema_wants_them(brody: Brody) -> None:
    """Lists, times and names of one of a few come back as what they are."""
    card = await card_of(brody, "task.create", TASK)
    strings = as_strings(card.arguments)
    changed = {"reasons": '["She asked.","Twice."]', "due": "2026-03-07T17:00:00Z", "priority": "low"}
    edit = {"action": "task.create", "args": strings | changed}
    answer = inbox.from_agent_inbox(card, [{"type": "edit", "args": edit}])
    assert answer.arguments is not None
    assert answer.arguments["reasons"] == ["She asked.", "Twice."]
    await brody.approvals.decide(card.id, **answer.for_decide())
    await brody.drain()
    action = await brody.actions.show(card.action_id)
    assert action.state == "done"
    assert (action.arguments["priority"], action.arguments["due"]) == ("low", "2026-03-07T17:00:00Z")


async def test_a_string_that_fits_no_type_is_refused_by_the_schema(brody: Brody) -> None:
    card = await card_of(brody, "mail.send", MAIL)
    edit = {"action": "mail.send", "args": as_strings(card.arguments) | {"to": "a@b.example, c@d.example"}}
    answer = inbox.from_agent_inbox(card, [{"type": "edit", "args": edit}])
    with pytest.raises(InvalidArguments, match="to"):
        await brody.approvals.decide(card.id, **answer.for_decide())
    assert (await brody.approvals.show(card.id)).state == "open"


async def test_words_and_nothing_are_answers_too(brody: Brody) -> None:
    card = await card_of(brody, "task.create", TASK)
    assert inbox.from_agent_inbox(card, [{"type": "response", "args": "Later."}]).for_decide() == {
        "answer": "respond",
        "arguments": None,
        "text": "Later.",
        "digest": card.digest,
    }
    assert inbox.from_agent_inbox(card, [{"type": "ignore", "args": None}]).answer == "reject"


@pytest.mark.parametrize("response", [None, {}, [], [{"type": "approve"}], [{"type": "edit", "args": "x"}], ["accept"]])
async def test_what_is_no_response_is_refused(brody: Brody, response: Any) -> None:
    card = await card_of(brody, "task.create", TASK)
    with pytest.raises(InvalidArguments):
        inbox.from_agent_inbox(card, response)
