"""The rules by which conflicts between proposals are settled: one module a family, ``order.py`` has their order."""
