"""The task agent: one list of what is to be done, from mail, calendar and files."""

from brody_task.agent import TaskAgent

__all__ = ["TaskAgent"]
