"""Examples of the wire form: messages that are valid, and ones that are not with the code and path of the fault."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from brody_agents.communication.message_protocol import MAX_BYTES, MAX_DEPTH

ORIGINAL: dict[str, Any] = {
    "agent_message": {
        "sender": "email_agent",
        "recipient": "task_agent",
        "message_type": "task_suggestion",
        "payload": {
            "email_id": "uuid",
            "suggested_tasks": [
                {"title": "Follow up with client", "priority": "high", "due_date": "2025-10-15T10:00:00Z"}
            ],
        },
        "context": {"user_id": "uuid", "workspace_id": "uuid", "timestamp": "2025-10-11T14:30:00Z"},
    }
}
"""The message that the protocol began with; its placeholders are valid, identifiers are texts."""

MAIL = "0b6f6f4e-3c52-5a3e-9d0c-5f5a0f6f1a01"
EVENT = "5c1d7c1e-2f0e-5a64-8b43-0a4f5e0f1a02"
DOCUMENT = "9a7e0f52-7e0d-5f3d-a1c8-3f2b7c0f1a03"
RUN = "e2c4b1aa-60a5-4c0b-8f57-1d9c2b0f1a04"
CONTEXT = {"user_id": "me", "workspace_id": "default", "timestamp": "2026-03-02T07:00:00+01:00"}

PAYLOADS: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "scan_inbox": ("coordinator", "*", {}),
    "email_received": (
        "coordinator",
        "*",
        {
            "email_id": MAIL,
            "version": "1",
            "account": "mail",
            "subject": "Offer for the north hall",
            "sender": "ines@atelier.example",
            "received_at": "2026-03-01T18:20:00+01:00",
        },
    ),
    "email_classified": (
        "email_agent",
        "coordinator",
        {
            "email_id": MAIL,
            "category": "needs_reply",
            "urgency": "high",
            "needs_reply": True,
            "reasons": ["It asks a question of you alone."],
            "thread_id": MAIL,
            "reply_state": "owed",
        },
    ),
    "task_suggestion": (
        "email_agent",
        "task_agent",
        {
            "email_id": MAIL,
            "suggested_tasks": [
                {
                    "title": "Send the floor plan",
                    "priority": "normal",
                    "due_date": "2026-03-04T17:00:00+01:00",
                    "kind": "request",
                    "requested_by": "ines@atelier.example",
                    "confidence": 0.9,
                    "reasons": ["“Please send the floor plan by Wednesday.”"],
                }
            ],
        },
    ),
    "meeting_request": (
        "email_agent",
        "calendar_agent",
        {
            "email_id": MAIL,
            "uid": "plan-7@atelier.example",
            "method": "REQUEST",
            "title": "Walk through the north hall",
            "start": "2026-03-03T10:00:00+01:00",
            "end": "2026-03-03T11:00:00+01:00",
            "location": "North hall",
            "organizer": "ines@atelier.example",
            "sender": "ines@atelier.example",
            "attendees": ["me@home.example"],
            "sequence": 1,
        },
    ),
    "meeting_scheduled": (
        "coordinator",
        "*",
        {
            "event_id": EVENT,
            "version": "2",
            "account": "calendar",
            "title": "Walk through the north hall",
            "start": "2026-03-03T10:00:00+01:00",
            "end": "2026-03-03T11:00:00+01:00",
        },
    ),
    "review_day": ("coordinator", "*", {"day": "2026-03-02"}),
    "conflict_found": (
        "calendar_agent",
        "coordinator",
        {
            "kind": "slot",
            "resource": "calendar/slots",
            "parties": [
                {"id": EVENT, "title": "Walk through the north hall"},
                {"id": "other", "title": "Dentist", "movable": False},
            ],
            "why": "Both are at ten on Tuesday.",
            "options": ["Move the walk to eleven.", "Decline the walk."],
        },
    ),
    "replan": (
        "coordinator",
        "coordinator",
        {"action_id": EVENT, "reason": "due_vs_block", "attempt": 1, "before": "2026-03-03T17:00:00+01:00"},
    ),
    "document_received": (
        "email_agent",
        "file_agent",
        {
            "document_id": DOCUMENT,
            "name": "floor-plan.pdf",
            "media_type": "application/pdf",
            "size": 48213,
            "account": "mail",
            "email_id": MAIL,
        },
    ),
    "find_documents": (
        "calendar_agent",
        "file_agent",
        {"subject_id": EVENT, "title": "Walk through the north hall", "people": ["ines@atelier.example"], "limit": 3},
    ),
    "documents_found": (
        "file_agent",
        "calendar_agent",
        {
            "subject_id": EVENT,
            "documents": [
                {"document_id": DOCUMENT, "name": "floor-plan.pdf", "score": 0.8, "reasons": ["Same sender."]}
            ],
        },
    ),
    "analyse_workload": ("coordinator", "*", {"day": "2026-03-02"}),
    "workload_report": (
        "analytics_agent",
        "coordinator",
        {
            "day": "2026-03-02",
            "figures": {
                "meeting_hours": {"value": 3.5, "unit": "h", "definition": "Hours in meetings, overlaps counted once."}
            },
        },
    ),
    "prepare_brief": ("coordinator", "coordinator", {"run_id": RUN, "playbook": "prepare-my-day"}),
    "brief_ready": ("coordinator", "*", {"run_id": RUN, "playbook": "prepare-my-day"}),
    "action_result": (
        "coordinator",
        "task_agent",
        {"action_id": "a1", "kind": "task.create", "state": "done", "result": {"task_id": "t1"}},
    ),
    "approval_response": (
        "coordinator",
        "email_agent",
        {"approval_id": "p1", "action_id": "a2", "kind": "mail.draft", "answer": "respond", "text": "Shorter, please."},
    ),
    "notification": (
        "analytics_agent",
        "*",
        {"text": "Two tasks are due today.", "level": "warning", "about": ["t1", "t2"]},
    ),
}
"""Sender, recipient and payload of one example for each message type."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """Text that is no message: the code and the JSON path of its fault, and whether a JSON Schema can see it."""

    text: str
    code: str
    path: str
    schema: bool = True

    @property
    def expected(self) -> dict[str, Any]:
        """Return what a decoder says of it."""
        return {"code": self.code, "path": self.path, "schema": self.schema}


def valid_examples() -> dict[str, dict[str, Any]]:
    """Return the valid messages by file name."""
    kinds = {name: _message(name, payload, *ends) for name, (*ends, payload) in PAYLOADS.items()}
    return {f"{name}.json": document for name, document in {"original": ORIGINAL, **kinds, **_SPECIAL}.items()}


def invalid_examples() -> dict[str, Invalid]:
    """Return the invalid ones by file name."""
    return {f"{name}.json": example for name, example in _INVALID.items()}


def made_examples() -> dict[str, dict[str, Any]]:
    """Return how to make the examples that are too large to keep: a file, padded with spaces to a length."""
    oversize = {"from": "valid/original.json", "pad_to": MAX_BYTES + 1}
    return {"too_large.json": oversize | {"code": "too_large", "path": "$", "schema": False}}


def _text(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _message(
    message_type: str, payload: object, sender: str = "email_agent", recipient: str = "task_agent", **more: object
) -> dict[str, dict[str, Any]]:
    head = {"sender": sender, "recipient": recipient, "message_type": message_type, "payload": payload}
    return {"agent_message": head | {"context": CONTEXT} | more}


def _without(document: dict[str, dict[str, Any]], name: str) -> dict[str, dict[str, Any]]:
    return {"agent_message": {key: value for key, value in document["agent_message"].items() if key != name}}


_SPECIAL = {
    "every_field": _message(
        "task_suggestion",
        {
            "event_id": EVENT,
            "suggested_tasks": [{"title": "見積もりを送る ✅", "priority": "medium", "x_tags": [1, None, {"a": True}]}],
            "x_unknown": "A field that this version does not know is kept.",
        },
        "calendar_agent",
        "task_agent",
        context=CONTEXT | {"x_device": "phone"},
        id="7d9d6a52-52f1-4e43-8b0a-6c0a1b0f1a05",
        correlation_id="4f2f1c2e-19ef-4d13-8b1a-2a0f3c0f1a06",
        causation_id="4f2f1c2e-19ef-4d13-8b1a-2a0f3c0f1a06",
        run_id=RUN,
        priority="urgent",
        deadline="2026-03-02T09:00:00.250000+01:00",
        not_before="2026-03-02T06:00:00Z",
        schema_version="1",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        provenance={
            "": {"origin": "self", "sources": [EVENT], "readers": "any"},
            "/suggested_tasks/0/title": {"origin": "untrusted", "sources": [EVENT], "readers": ["me"]},
        },
        x_unknown={"kept": True},
    ),
    "unknown_type": _message("weather_report", {"town": "Ghent", "outlook": ["rain", 0.8]}, "weather_agent", "*"),
}

_SCAN = _message("scan_inbox", {})
_MEETING = PAYLOADS["meeting_request"][2]
_FOUND = {"document_id": DOCUMENT, "name": "floor-plan.pdf"}

_INVALID: Mapping[str, Invalid] = {
    "not_json": Invalid('{"agent_message": {"sender": "email_agent",\n', "not_json", "$", schema=False),
    "not_json_nan": Invalid(
        _text(_message("weather_report", {"outlook": float("nan")})), "not_json", "$", schema=False
    ),
    "not_json_surrogate": Invalid(
        json.dumps(_message("notification", {"text": "half a character: \ud83d"})) + "\n", "not_json", "$", schema=False
    ),
    "not_a_message": Invalid(_text(_SCAN["agent_message"]), "not_a_message", "$"),
    "not_a_message_list": Invalid(_text([_SCAN]), "not_a_message", "$"),
    "too_deep": Invalid(
        json.dumps(_message("weather_report", {"deep": "…"}), ensure_ascii=False).replace(
            '"…"', "[" * (MAX_DEPTH - 2) + "]" * (MAX_DEPTH - 2)
        )
        + "\n",
        "too_deep",
        "$",
        schema=False,
    ),
    **{
        f"missing_{name}": Invalid(_text(_without(_SCAN, name)), "missing", f"$.agent_message.{name}")
        for name in ("sender", "recipient", "message_type", "payload", "context")
    },
    "missing_timestamp": Invalid(
        _text(_message("scan_inbox", {}, context={"user_id": "me", "workspace_id": "default"})),
        "missing",
        "$.agent_message.context.timestamp",
    ),
    "missing_payload_field": Invalid(
        _text(_message("documents_found", {"subject_id": EVENT, "documents": [_FOUND]})),
        "missing",
        "$.agent_message.payload.documents[0].score",
    ),
    "invalid_sender": Invalid(_text(_message("scan_inbox", {}, sender="")), "invalid", "$.agent_message.sender"),
    "invalid_recipient": Invalid(
        _text(_message("scan_inbox", {}, recipient="a" * 513)), "invalid", "$.agent_message.recipient"
    ),
    "invalid_message_type": Invalid(_text(_message("", {})), "invalid", "$.agent_message.message_type"),
    "invalid_payload": Invalid(_text(_message("scan_inbox", [])), "invalid", "$.agent_message.payload"),
    "invalid_context": Invalid(_text(_message("scan_inbox", {}, context="me")), "invalid", "$.agent_message.context"),
    "invalid_timestamp_number": Invalid(
        _text(_message("scan_inbox", {}, context=CONTEXT | {"timestamp": 1772431200})),
        "invalid",
        "$.agent_message.context.timestamp",
    ),
    "invalid_deadline_without_offset": Invalid(
        _text(_message("scan_inbox", {}, deadline="2026-03-02T09:00:00")), "invalid", "$.agent_message.deadline"
    ),
    "invalid_deadline_impossible": Invalid(
        _text(_message("scan_inbox", {}, deadline="2026-02-30T09:00:00Z")),
        "invalid",
        "$.agent_message.deadline",
        schema=False,
    ),
    "invalid_priority": Invalid(
        _text(_message("scan_inbox", {}, priority="asap")), "invalid", "$.agent_message.priority"
    ),
    "invalid_provenance": Invalid(
        _text(_message("notification", {"text": "Hello"}, provenance={"/text": {"origin": "trusted"}})),
        "invalid",
        "$.agent_message.provenance['/text'].origin",
    ),
    "invalid_payload_choice": Invalid(
        _text(_message("email_classified", {"email_id": MAIL, "category": "boring"})),
        "invalid",
        "$.agent_message.payload.category",
    ),
    "invalid_payload_boolean": Invalid(
        _text(_message("scan_inbox", {"everything": "yes"})), "invalid", "$.agent_message.payload.everything"
    ),
    "invalid_payload_integer": Invalid(
        _text(_message("meeting_request", _MEETING | {"sequence": "1"})), "invalid", "$.agent_message.payload.sequence"
    ),
    "invalid_payload_day": Invalid(
        _text(_message("review_day", {"day": "2 March 2026"})), "invalid", "$.agent_message.payload.day"
    ),
    "invalid_payload_nested": Invalid(
        _text(_message("documents_found", {"subject_id": EVENT, "documents": [_FOUND | {"score": 1.5}]})),
        "invalid",
        "$.agent_message.payload.documents[0].score",
    ),
}
