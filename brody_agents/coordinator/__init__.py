"""The coordinator: the turn, the order of work, budgets, conflicts, effects."""
