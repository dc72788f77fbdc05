"""Agents: the type of a handler's parameter is its route, and a wrong signature fails when the class is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, List, Union  # noqa: UP035

import pytest

from brody_agents.agent import AgentTrigger, BrodyAgent, Handler, handles, trigger_of
from brody_agents.communication.message_protocol import AgentMessage, Payload, UnknownPayload, new_context
from brody_agents.communication.payloads import EmailReceived, Notification, ReviewDay, ScanInbox
from brody_agents.context import Context
from brody_agents.errors import AgentDefinitionError, BrodyError


class Greeting(Payload, message_type="greeting"):
    """A payload of this module."""

    text: str


class Greeter(BrodyAgent):
    """Handle one payload singly and another in batches."""

    @handles
    async def on_greeting(self, message: Greeting, ctx: Context) -> None:
        """Take one."""

    @handles
    async def on_mails(self, messages: list[EmailReceived], ctx: Context) -> None:
        """Take many."""

    async def helper(self, message: ScanInbox, ctx: Context) -> None:
        """Be no handler."""


# -- routes ------------------------------------------------------------------------------------------


def test_the_parameter_type_is_the_route() -> None:
    assert Greeter.handlers == {
        Greeting: Handler("on_greeting", Greeting, batch=False),
        EmailReceived: Handler("on_mails", EmailReceived, batch=True),
    }


def test_a_sequence_is_a_batch_too() -> None:
    class Reader(BrodyAgent):
        @handles
        async def on_mails(self, messages: Sequence[EmailReceived], ctx: Context) -> None: ...

    assert Reader.handlers[EmailReceived].batch


def test_payloads_and_agents_may_live_inside_a_function() -> None:
    class Local(Payload, message_type="local"):
        pass

    class Inner(BrodyAgent):
        @handles
        async def on(self, messages: list[Local], ctx: Context) -> None: ...

    assert Inner.handlers == {Local: Handler("on", Local, batch=True)}


def test_annotations_that_are_no_texts_are_read_as_they_are() -> None:
    async def on(self: Any, message: Any, ctx: Any) -> None: ...

    on.__annotations__["message"] = Greeting
    agent = type("Made", (BrodyAgent,), {"on": handles(on)})

    assert agent.handlers == {Greeting: Handler("on", Greeting, batch=False)}  # type: ignore[attr-defined]


def test_an_agent_without_handlers_has_no_routes() -> None:
    class Silent(BrodyAgent):
        pass

    assert Silent.handlers == BrodyAgent.handlers == {}


# -- inheritance -------------------------------------------------------------------------------------


def test_routes_are_inherited_and_the_parent_keeps_its_own() -> None:
    class Reviewer(Greeter):
        @handles
        async def on_day(self, message: ReviewDay, ctx: Context) -> None: ...

    assert Reviewer.handlers.keys() == {Greeting, EmailReceived, ReviewDay}
    assert Greeter.handlers.keys() == {Greeting, EmailReceived}


def test_a_method_that_is_overridden_keeps_its_route_without_a_mark() -> None:
    class Polite(Greeter):
        async def on_greeting(self, message: Greeting, ctx: Context) -> None:
            """Bow first."""

    assert Polite.handlers == Greeter.handlers
    assert Polite.on_greeting is not Greeter.on_greeting


def test_a_method_that_is_overridden_with_a_mark_has_only_its_new_route() -> None:
    class Changed(Greeter):
        @handles
        async def on_greeting(self, message: ReviewDay, ctx: Context) -> None: ...  # type: ignore[override]

    class Same(Greeter):
        @handles
        async def on_greeting(self, message: Greeting, ctx: Context) -> None: ...

    assert Changed.handlers.keys() == {EmailReceived, ReviewDay}
    assert Same.handlers == Greeter.handlers


def test_another_method_may_take_over_a_payload_of_the_parent() -> None:
    class Batching(Greeter):
        @handles
        async def on_greetings(self, messages: list[Greeting], ctx: Context) -> None: ...

    assert Batching.handlers[Greeting] == Handler("on_greetings", Greeting, batch=True)


def test_routes_of_all_parents_are_inherited_in_python_order() -> None:
    class Other(BrodyAgent):
        @handles
        async def on_greeting_too(self, message: Greeting, ctx: Context) -> None: ...

        @handles
        async def on_day(self, message: ReviewDay, ctx: Context) -> None: ...

    class Both(Greeter, Other):
        pass

    assert Both.handlers.keys() == {Greeting, EmailReceived, ReviewDay}
    assert Both.handlers[Greeting].method == "on_greeting"


# -- wrong signatures --------------------------------------------------------------------------------


async def no_annotation(self: Any, message, ctx: Any) -> None: ...  # type: ignore[no-untyped-def]


async def no_payload(self: Any, message: str, ctx: Any) -> None: ...


async def base_payload(self: Any, message: Payload, ctx: Any) -> None: ...


async def unknown_payload(self: Any, message: UnknownPayload, ctx: Any) -> None: ...


async def bare_list(self: Any, message: list, ctx: Any) -> None: ...  # type: ignore[type-arg]


async def bare_typing_list(self: Any, message: List, ctx: Any) -> None: ...  # type: ignore[type-arg]  # noqa: UP006


async def list_of_texts(self: Any, message: list[str], ctx: Any) -> None: ...


async def two_types(self: Any, message: Union[Greeting, ReviewDay], ctx: Any) -> None: ...  # noqa: UP007


async def means_nothing(self: Any, message: NoSuchPayload, ctx: Any) -> None: ...  # type: ignore[name-defined]  # noqa: F821


async def too_few(self: Any, message: Greeting) -> None: ...


async def too_many(self: Any, message: Greeting, ctx: Any, more: int = 0) -> None: ...


async def any_number(self: Any, *messages: Greeting) -> None: ...


async def by_keyword(self: Any, message: Greeting, *, ctx: Any) -> None: ...


def not_async(self: Any, message: Greeting, ctx: Any) -> None: ...


async def generator(self: Any, message: Greeting, ctx: Any) -> Any:
    yield message


@pytest.mark.parametrize(
    ("method", "what"),
    [
        (no_annotation, "does not say which payload it takes"),
        (no_payload, "takes <class 'str'>, which is no payload type"),
        (base_payload, "which is no payload type"),
        (unknown_payload, "which is no payload type"),
        (bare_list, "which is no payload type"),
        (bare_typing_list, "which is no payload type"),
        (list_of_texts, "which is no payload type"),
        (two_types, "which is no payload type"),
        (means_nothing, "the annotation 'NoSuchPayload' means nothing here"),
        (too_few, "takes 2 parameters, not (self, message, ctx)"),
        (too_many, "takes 4 parameters, not (self, message, ctx)"),
        (any_number, "takes 2 parameters"),
        (by_keyword, "takes 3 parameters, not (self, message, ctx)"),
        (not_async, "is not `async def`"),
        (generator, "is not `async def`"),
    ],
    ids=lambda it: getattr(it, "__name__", ""),
)
def test_a_wrong_signature_fails_when_the_class_is_made_and_says_the_remedy(
    method: Callable[..., Any], what: str
) -> None:
    with pytest.raises(AgentDefinitionError) as caught:
        type("Wrong", (BrodyAgent,), {"on": handles(method)})

    assert caught.value.what.startswith("Wrong.on")
    assert what in caught.value.what
    assert "async def name(self, message: SomePayload, ctx: Context) -> None" in caught.value.remedy
    assert isinstance(caught.value, BrodyError)
    assert isinstance(caught.value, TypeError)


def test_two_methods_for_one_payload_fail_when_the_class_is_made() -> None:
    with pytest.raises(AgentDefinitionError, match=r"Torn\.second and Torn\.first both take Greeting\. Keep one"):

        class Torn(BrodyAgent):
            @handles
            async def first(self, message: Greeting, ctx: Context) -> None: ...

            @handles
            async def second(self, messages: list[Greeting], ctx: Context) -> None: ...


def test_a_handler_says_what_it_returns() -> None:
    """A payload, or one of several, or nothing; whatever else is said when the class is made."""

    class Answering(BrodyAgent):
        @handles
        async def one(self, message: Greeting, ctx: Context) -> Notification:
            return Notification(text="")

        @handles
        async def perhaps(self, message: ScanInbox, ctx: Context) -> Notification | Greeting | None: ...

        @handles
        async def never(self, message: EmailReceived, ctx: Context) -> None: ...

    assert {h.method: h.answers for h in Answering.handlers.values()} == {"one": True, "perhaps": True, "never": False}
    with pytest.raises(AgentDefinitionError, match="returns <class 'str'>, which is no payload type"):

        class Text(BrodyAgent):
            @handles  # type: ignore[type-var]
            async def on_greeting(self, message: Greeting, ctx: Context) -> str:
                return ""

    with pytest.raises(AgentDefinitionError, match="takes a batch and returns an answer, but to which of them"):

        class Batch(BrodyAgent):
            @handles
            async def on_greetings(self, messages: list[Greeting], ctx: Context) -> Notification:
                return Notification(text="")


# -- names and triggers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("class_name", "name"),
    [("EmailAgent", "email_agent"), ("Greeter", "greeter"), ("Area51Agent", "area51_agent"), ("lower", "lower")],
)
def test_the_name_is_the_class_name_in_snake_case(class_name: str, name: str) -> None:
    assert type(class_name, (BrodyAgent,), {})().name == name


def test_a_name_may_be_given_by_the_class_or_to_the_agent() -> None:
    class Named(BrodyAgent):
        name = "front_desk"
        capabilities = ("greeting",)

    assert (Named().name, Named().capabilities) == ("front_desk", ("greeting",))
    assert (Named("night_desk", ["sleep"]).name, Named("night_desk", ["sleep"]).capabilities) == (
        "night_desk",
        ("sleep",),
    )


def test_only_an_agent_that_overrides_a_trigger_method_takes_triggers() -> None:
    class Deciding(BrodyAgent):
        def decide_action(self, trigger: AgentTrigger, context: Any) -> None: ...

    class Processing(BrodyAgent):
        async def process_trigger(self, trigger: AgentTrigger) -> Any: ...

    assert [agent().takes_triggers for agent in (Greeter, Deciding, Processing)] == [False, True, True]


@pytest.mark.parametrize(
    ("payload", "kind", "data"),
    [
        (Notification.model_validate({"text": "Hello", "x": 1}), "notification", {"text": "Hello", "x": 1}),
        (UnknownPayload(type_name="tide_table", data={"high": "06:12"}), "tide_table", {"high": "06:12"}),
    ],
)
def test_a_message_is_a_trigger(payload: Payload, kind: str, data: dict[str, Any]) -> None:
    now = datetime(2026, 3, 2, 9, tzinfo=UTC)
    message = AgentMessage(sender="a", recipient="b", payload=payload, context=new_context("me"), id="m1")

    assert trigger_of(message, now) == AgentTrigger(user_id="me", kind=kind, payload=data, message_id="m1", now=now)
