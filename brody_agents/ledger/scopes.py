"""Scopes of write transactions: who keeps within some may write beside those who keep within others.

A partition has its users' messages with what is handled of them, dead letters and audit; a run its state and steps.
What settles claims, moves actions or draws on budgets crosses them, and is the only writer.
"""

from __future__ import annotations

from collections.abc import Iterable

from brody_agents.communication.bus.base import partition_of


def scopes(user_ids: Iterable[str], run_ids: Iterable[str] = ()) -> frozenset[str]:
    """Return the scopes of users and runs."""
    partitions = {f"brody partition {partition_of(user_id)}" for user_id in user_ids}
    return frozenset(partitions | {f"brody run {run_id}" for run_id in run_ids})
