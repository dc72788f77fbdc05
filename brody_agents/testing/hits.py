"""What happens to a process at a crash point: it is killed or stopped, an answer is lost, its clock jumps."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Literal

from brody_agents.testing.points import CrashPoint

When = Literal["before", "after"]
"""Before what is awaited has begun, or after it has given its result and before that is used."""


@dataclass(frozen=True, slots=True)
class Hit:
    """What happens the ``nth`` time that a process comes to a point."""

    point: str
    when: When
    nth: int
    what: Literal["kill", "stop", "lose", "jump"]
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.what} {self.when} {self.point}, visit {self.nth}"

    def as_json(self) -> dict[str, Any]:
        """Return it for another process."""
        return asdict(self)


def kill_at(point: CrashPoint | str, nth: int = 1, when: When = "before") -> Hit:
    """End the process with SIGKILL."""
    return Hit(str(point), when, nth, "kill")


def stop_at(point: CrashPoint | str, nth: int = 1, when: When = "before") -> Hit:
    """Stop the process with SIGSTOP, so that something can be done to the world before it goes on."""
    return Hit(str(point), when, nth, "stop")


def lose_answer_at(point: CrashPoint | str, nth: int = 1, when: When = "after") -> Hit:
    """Raise ``TimeoutError`` in place of a result: what was awaited has taken place, and nobody is told."""
    return Hit(str(point), when, nth, "lose")


def jump_clock_at(point: CrashPoint | str, by: timedelta, nth: int = 1, when: When = "before") -> Hit:
    """Let the wall clock jump, forwards or back.

    It is the clock that the framework and the modules under test ask by ``datetime.now()``, ``datetime.utcnow()``,
    ``date.today()`` and ``time.time()``, written so; not the monotonic clock, which never jumps, nor that of servers.
    """
    return Hit(str(point), when, nth, "jump", by.total_seconds())
