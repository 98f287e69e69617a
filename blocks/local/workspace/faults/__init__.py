"""Faults on demand, for tests of clients, and the journal of what they asked.

``specs`` says what can be asked for, ``policy`` and ``effects`` decide and are pure, ``book`` keeps
count, ``middleware`` does it to requests, ``routes`` is the API of it all. The engine asks the book
whether a fault is due for a task. Nothing here is reachable unless the server was started with
``--faults``.
"""
