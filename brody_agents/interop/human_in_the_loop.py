"""Cards in the shapes of inboxes that exist: LangChain's human-in-the-loop middleware, and Agent Inbox.

LangChain (``langchain.agents.middleware.human_in_the_loop``, 1.x): a request with ``action_requests`` and
``review_configs`` goes out, ``{"decisions": [...]}`` in the order of the requests comes back. Agent Inbox
(``HumanInterrupt``): one interrupt a card goes out, a list with one ``HumanResponse`` comes back, whose argument values
are all strings. Neither package has to be installed. What comes back is an :class:`InboxAnswer`, with the digest of
the card that was shown; ``await brody.approvals.decide(card.id, **answer.for_decide())`` gives it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Literal, NotRequired, TypedDict

import orjson
from pydantic import TypeAdapter, ValidationError

from brody_agents.action import CATALOGUE
from brody_agents.errors import InvalidArguments
from brody_agents.policy.answers import AnswerKind
from brody_agents.policy.canonical import digest
from brody_agents.policy.cards import Card

ALLOWED: tuple[AnswerKind, ...] = ("approve", "edit", "reject", "respond")
"""The decisions that every card allows."""


class Action(TypedDict):
    """LangChain: an action by name."""

    name: str
    args: dict[str, Any]


class ActionRequest(Action):
    """LangChain: an action that is asked for."""

    description: NotRequired[str]


class ReviewConfig(TypedDict):
    """LangChain: how an action may be answered."""

    action_name: str
    allowed_decisions: list[AnswerKind]
    args_schema: NotRequired[dict[str, Any]]


class HITLRequest(TypedDict):
    """LangChain: what an inbox is asked; one configuration a request, in the same order."""

    action_requests: list[ActionRequest]
    review_configs: list[ReviewConfig]


class Decision(TypedDict):
    """LangChain: one decision; ``edited_action`` for ``edit``, ``message`` for ``reject`` and ``respond``."""

    type: AnswerKind
    edited_action: NotRequired[Action]
    message: NotRequired[str]


class HITLResponse(TypedDict):
    """LangChain: what an inbox answers."""

    decisions: list[Decision]


class InboxAction(TypedDict):
    """Agent Inbox: an action by name."""

    action: str
    args: dict[str, Any]


class HumanInterruptConfig(TypedDict):
    """Agent Inbox: which responses are allowed."""

    allow_ignore: bool
    allow_respond: bool
    allow_edit: bool
    allow_accept: bool


class HumanInterrupt(TypedDict):
    """Agent Inbox: what a person is asked; the description is Markdown."""

    action_request: InboxAction
    config: HumanInterruptConfig
    description: str | None


class HumanResponse(TypedDict):
    """Agent Inbox: what a person answers."""

    type: Literal["accept", "ignore", "response", "edit"]
    args: str | InboxAction | None


@dataclass(frozen=True, slots=True)
class InboxAnswer:
    """An answer of an inbox to a card."""

    answer: AnswerKind
    digest: str
    arguments: dict[str, Any] | None = None
    text: str = ""

    def for_decide(self) -> dict[str, Any]:
        """Return the keyword arguments for ``brody.approvals.decide``."""
        return {"answer": self.answer, "arguments": self.arguments, "text": self.text, "digest": self.digest}


# -- LangChain ---------------------------------------------------------------------------------------


def to_langchain(cards: Sequence[Card]) -> HITLRequest:
    """Return one request for cards."""
    return {
        "action_requests": [
            {"name": card.kind, "args": card.arguments, "description": describe(card)} for card in cards
        ],
        "review_configs": [
            {
                "action_name": card.kind,
                "allowed_decisions": list(ALLOWED),
                "args_schema": CATALOGUE[card.kind].model.model_json_schema(),
            }
            for card in cards
        ],
    }


def from_langchain(cards: Sequence[Card], response: Mapping[str, Any]) -> list[InboxAnswer]:
    """Return the answers to the cards of a request, in their order; raise ``InvalidArguments``."""
    decisions = response.get("decisions")
    if not isinstance(decisions, list) or len(decisions) != len(cards):
        raise InvalidArguments(f"There are not {len(cards)} decisions.", "Give one a request, in the same order.")
    return [_decided(card, decision) for card, decision in zip(cards, decisions, strict=True)]


def _decided(card: Card, decision: Any) -> InboxAnswer:
    kind = decision.get("type") if isinstance(decision, Mapping) else None
    match kind:
        case "approve":
            return InboxAnswer("approve", card.digest)
        case "edit":
            edited = decision.get("edited_action")
            return InboxAnswer("edit", card.digest, _arguments(card, edited, "name"))
        case "reject" | "respond":
            return InboxAnswer(kind, card.digest, text=_text(decision.get("message")))
    raise InvalidArguments(f"{kind!r} is no decision.", f"Use one of: {', '.join(ALLOWED)}.")


# -- Agent Inbox -------------------------------------------------------------------------------------


def to_agent_inbox(card: Card) -> HumanInterrupt:
    """Return the interrupt that asks for a card's answer."""
    return {
        "action_request": {"action": card.kind, "args": card.arguments},
        "config": {"allow_ignore": True, "allow_respond": True, "allow_edit": True, "allow_accept": True},
        "description": describe(card),
    }


def from_agent_inbox(card: Card, response: Any) -> InboxAnswer:
    """Return the answer that a list with one response is; raise ``InvalidArguments``.

    Values of arguments are strings there. One that is just what the card's value becomes is that value; any other is
    read as the action's schema wants it. ``accept`` must come with the card's own arguments. ``ignore`` rejects.
    """
    if not isinstance(response, list) or len(response) != 1 or not isinstance(response[0], Mapping):
        raise InvalidArguments("The response is no list of one.", "Give [{'type': …, 'args': …}].")
    kind, args = response[0].get("type"), response[0].get("args")
    match kind:
        case "accept":
            if args is not None and not _same(card, _coerced(card, _arguments(card, args, "action"))):
                raise InvalidArguments("The accepted arguments are not the card's.", "Use the type 'edit'.")
            return InboxAnswer("approve", card.digest)
        case "edit":
            return InboxAnswer("edit", card.digest, _coerced(card, _arguments(card, args, "action")))
        case "response":
            return InboxAnswer("respond", card.digest, text=_text(args))
        case "ignore":
            return InboxAnswer("reject", card.digest)
    raise InvalidArguments(f"{kind!r} is no response.", "Use one of: accept, edit, response, ignore.")


def describe(card: Card) -> str:
    """Return what a person must know, as Markdown."""
    lines = [f"**{card.why}**" if card.why else "", card.reason, *card.changed]
    lines.append(f"Proposed by {card.proposed_by}; the words are {card.origin}.")
    lines += [f"Comes from: {', '.join(card.sources[:3])}" if card.sources else ""]
    lines += [f"Options: {'; '.join(card.options)}" if card.options else "", card.if_nothing]
    lines.append(f"Expires: {card.expires_at.astimezone(UTC).isoformat(timespec='minutes')}")
    return "\n\n".join(line for line in lines if line)


def _arguments(card: Card, action: Any, name: str) -> dict[str, Any]:
    """Return the arguments of an action that must be the card's kind."""
    if not isinstance(action, Mapping) or not isinstance(action.get("args"), Mapping):
        raise InvalidArguments("The edited action is not one.", f"Give {{'{name}': {card.kind!r}, 'args': {{…}}}}.")
    if action.get(name, card.kind) != card.kind:
        raise InvalidArguments(f"A card for {card.kind} cannot become {action[name]!r}.", "Reject it instead.")
    return dict(action["args"])


def _text(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidArguments("The message is no text.", "Give a string.")
    return value


def _coerced(card: Card, strings: dict[str, Any]) -> dict[str, Any]:
    """Return arguments that were all turned into strings as their own types again."""
    values = {}
    for name, value in strings.items():
        if name in card.arguments and value == _as_string(card.arguments[name]):
            values[name] = card.arguments[name]
        else:
            values[name] = _read(card, name, value) if isinstance(value, str) else value
    return values


def _as_string(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _read(card: Card, name: str, text: str) -> Any:
    """Read a string as a field's type: as it stands where that fits, else as JSON."""
    field = CATALOGUE[card.kind].model.model_fields.get(name)
    if field is None:
        return text  # the schema refuses it by name
    adapter: TypeAdapter[Any] = TypeAdapter[Any](field.annotation or Any)
    for value in _readings(text):
        try:
            adapter.validate_python(value)
        except ValidationError:
            continue
        return value
    return text


def _readings(text: str) -> list[Any]:
    try:
        return [text, orjson.loads(text)]
    except orjson.JSONDecodeError:
        return [text]


def _same(card: Card, arguments: dict[str, Any]) -> bool:
    model = CATALOGUE[card.kind].model
    try:
        return digest(model.model_validate(arguments).model_dump()) == digest(
            model.model_validate(card.arguments).model_dump()
        )
    except ValidationError:
        return False
