"""The classes that the original document's Custom Agent Development Kit names.

Inside a handler they work on the handler's own context. Outside of one a small in-memory ``Brody`` serves them, and
no disk is touched.
"""

from __future__ import annotations

from brody_agents.action import ActionResult, ActionState, AgentAction
from brody_agents.brody import Brody
from brody_agents.context import UserContext, current


class ContextManager:
    """Give what all agents know of a user."""

    async def get_context(self, user_id: str) -> UserContext:
        """Return the user's context; a handler sees its own user only and gets ``LookupError`` for another."""
        context = current.get()
        if context is None:
            async with Brody(home=None, agents=[]) as brody:
                return await brody.context(user_id)
        if user_id != context.user_id:
            raise LookupError(f"this handler works for {context.user_id!r}, not for {user_id!r}")
        return await context.user_context()


class ActionExecutor:
    """Have an action carried out from an agent's own code.

    Inside a handler, ``execute`` records a proposal and returns its state: the coordinator decides, once the
    handler has ended.
    """

    async def execute(self, action: AgentAction, *, user_id: str = "me") -> ActionResult:
        """Return what became of the action; raise ``UnknownAction`` or ``InvalidArguments``."""
        context = current.get()
        if context is None:
            async with Brody(home=None, agents=[]) as brody:
                return await brody.execute(action, user_id=user_id)
        context.propose(action)
        action_id = action.id_for(context.user_id, context.message.id)
        return ActionResult(action_id=action_id, kind=action.kind, state=ActionState.PROPOSED)
