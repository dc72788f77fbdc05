"""Posts in a chat, found again by an id made from the action's key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brody_agents.action import CATALOGUE
from brody_agents.coordinator.account_effects.base import Done, Effect, Finding, Job, NotDone, Step


class Post:
    """``chat.post``."""

    domain = "chat"
    inverse: Step | str = CATALOGUE["chat.post"].inverse

    async def plan(self, job: Job) -> dict[str, Any]:
        """Choose the post's id, and see that there is such a channel."""
        post_id = job.action.key[:40]
        await job.provider.find(job.arguments.channel, post_id)
        return {"id": post_id}

    async def apply(self, job: Job) -> dict[str, Any]:
        """Post it."""
        where = await job.provider.post(job.arguments.channel, job.arguments.text, job.intent["id"])
        return {"id": job.intent["id"], "where": where}

    async def reconcile(self, job: Job) -> Finding:
        """Look for the id."""
        where = await job.provider.find(job.arguments.channel, job.intent["id"])
        return NotDone() if where is None else Done({"id": job.intent["id"], "where": where})


EFFECTS: Mapping[str, Effect] = {"chat.post": Post()}
