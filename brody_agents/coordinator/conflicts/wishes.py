"""Tasks that are open or proposed, indexed for the search of the one that a new wish repeats."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from rapidfuzz import fuzz, process

from brody_agents.arguments import TaskCreate


@dataclass(frozen=True, slots=True)
class Wish:
    """Something to do: a task, or the proposal of one."""

    id: str
    title: str
    root: str
    action: str
    is_task: bool


@dataclass(slots=True)
class _Group:
    wishes: list[Wish] = field(default_factory=list)
    sorted_words: list[str] = field(default_factory=list)


_Key = tuple[str, str, frozenset[str]]


class Wishes:
    """Group wishes by user, assignee and the numbers in them: others are never the same.

    Within a group the comparison is ``token_sort_ratio``, done as ``ratio`` of words that are sorted once.
    """

    def __init__(self) -> None:
        self._groups: defaultdict[_Key, _Group] = defaultdict(_Group)

    def add(self, user_id: str, assignee: str, wish: Wish) -> None:
        """Take a wish into account."""
        group = self._groups[user_id, assignee, _numbers(wish.action)]
        group.wishes.append(wish)
        group.sorted_words.append(_sorted(wish.action))

    def propose(self, action_id: str, user_id: str, made: TaskCreate) -> None:
        """Take a proposed task into account."""
        self.add(user_id, made.assignee, Wish(action_id, made.title, made.root, made.action, False))

    def like(self, user_id: str, wanted: TaskCreate, at_least: float) -> Iterator[tuple[Wish, float]]:
        """Give the wishes that are so much alike (0 to 100), in the order in which they were added."""
        group = self._groups.get((user_id, wanted.assignee, _numbers(wanted.action)))
        if group is not None:
            words = _sorted(wanted.action)
            for _, score, n in process.extract_iter(
                words, group.sorted_words, scorer=fuzz.ratio, score_cutoff=at_least
            ):
                yield group.wishes[n], score


def _sorted(action: str) -> str:
    return " ".join(sorted(action.split()))


def _numbers(action: str) -> frozenset[str]:
    """Return the words with digits: invoice 17 is not invoice 18, however alike the rest is."""
    return frozenset(word for word in action.split() if any(c.isdigit() for c in word))
