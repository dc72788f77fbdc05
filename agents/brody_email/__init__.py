"""The email specialist of Brody Agents: triage, threads, tasks in mail, drafts of answers."""

from __future__ import annotations

from brody_email.agent import EmailAgent

__all__ = ["EmailAgent"]
