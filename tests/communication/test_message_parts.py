"""What a message is made of: payloads and their registry, provenance, ids."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from brody_agents.communication.message_protocol import (
    AgentMessage,
    Origin,
    Payload,
    PayloadRegistry,
    Priority,
    Provenance,
    UnknownPayload,
    new_context,
    stable_id,
)
from brody_agents.communication.payloads import BUILT_IN, Notification, ScanInbox, built_in_registry
from tests.communication.strategies import messages, patient


def notification(**fields: Any) -> AgentMessage:
    """Make a message to everyone."""
    return AgentMessage(
        sender="me", recipient="*", payload=Notification(text="Hello"), context=new_context("me"), **fields
    )


# -- payloads ----------------------------------------------------------------------------------------


def test_two_payloads_of_one_name_clash() -> None:
    class Other(Payload, message_type="scan_inbox"):
        pass

    with pytest.raises(ValueError, match="'scan_inbox' is taken by ScanInbox"):
        PayloadRegistry([ScanInbox, Other])


def test_the_same_payload_twice_is_the_same() -> None:
    assert PayloadRegistry([ScanInbox, ScanInbox]).models == {"scan_inbox": ScanInbox}


@pytest.mark.parametrize("name", ["", "x" * 513])
def test_a_payload_needs_a_name_that_fits(name: str) -> None:
    unnamed = type("Unnamed", (Payload,), {"message_type": name})

    with pytest.raises(ValueError, match="Unnamed needs a message_type"):
        PayloadRegistry([unnamed])
    with pytest.raises(ValidationError):
        UnknownPayload(type_name=name, data={})


def test_registries_share_nothing() -> None:
    class Mine(Payload, message_type="mine"):
        pass

    first = built_in_registry()
    first.add(Mine)

    assert "mine" not in built_in_registry().models


@pytest.mark.parametrize("model", BUILT_IN, ids=lambda model: model.message_type)
def test_payloads_cannot_be_changed(model: type[Payload]) -> None:
    payload = model.model_construct()

    with pytest.raises(ValidationError, match="frozen"):
        payload.__setattr__("x", 1)


# -- provenance --------------------------------------------------------------------------------------


def test_the_label_of_a_value_is_that_of_its_nearest_ancestor() -> None:
    whole, tasks, title = (Provenance(origin=origin) for origin in (Origin.SELF, Origin.RESOLVED, Origin.USER))
    message = notification(provenance={"": whole, "/tasks": tasks, "/tasks/0/title": title})

    assert message.label("/tasks/0/title") == title
    assert message.label("/tasks/0/title/deeper") == title
    assert message.label("/tasks/0/due") == tasks
    assert message.label("/tasks/1/title") == tasks
    assert message.label("/tasksandmore") == whole
    assert message.label() == whole


def test_what_nobody_vouches_for_is_untrusted() -> None:
    message = notification(provenance={"/text": Provenance(origin=Origin.USER)})

    assert message.label("/level").origin is Origin.UNTRUSTED
    assert message.label().origin is Origin.UNTRUSTED


@patient
@given(messages())
def test_untrusted_forgets_every_label_and_nothing_else(message: AgentMessage) -> None:
    believed = message.untrusted()

    assert all(believed.label(pointer) == Provenance() for pointer in ["", *message.provenance])
    assert believed.model_copy(update={"provenance": message.provenance}) == message


def test_joined_labels_are_as_untrusted_as_the_least_and_as_secret_as_the_strictest() -> None:
    mail = Provenance(origin=Origin.UNTRUSTED, sources=("mail",), readers=("ann", "ben"))
    card = Provenance(origin=Origin.DIRECTORY, sources=("card", "mail"), readers=("ben", "cleo"))
    own = Provenance(origin=Origin.USER)

    assert Provenance.joined([own, mail, card]) == Provenance(
        origin=Origin.UNTRUSTED, sources=("mail", "card"), readers=("ben",)
    )
    assert Provenance.joined([own]) == own
    assert Provenance.joined([]).origin is Origin.SELF


# -- ids ---------------------------------------------------------------------------------------------


def test_ids_are_the_same_in_every_home() -> None:
    assert stable_id("mail", "inbox/1") == stable_id("mail", "inbox/1") == "9e508373-4b5b-5f6d-b968-25d76848bb89"
    assert stable_id("mail", "inbox/2") != stable_id("mail", "inbox/1") != stable_id("mailinbox/1")


def test_a_new_context_carries_an_instant() -> None:
    at = datetime(2026, 3, 2, 9, tzinfo=timezone(timedelta(hours=1)))

    assert new_context("me", timestamp=at).timestamp == at
    assert new_context("me").timestamp.utcoffset() == timedelta(0)


def test_priorities_are_ranked_from_the_most_urgent() -> None:
    assert [p.rank for p in (Priority.URGENT, Priority.HIGH, Priority.NORMAL, Priority.LOW)] == [0, 1, 2, 3]
