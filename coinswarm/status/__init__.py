"""How the stack is doing: what the queues hold, how fast they empty, what ran, and how old the newest candles are.

`gather` looks, once; the screen, the alerts and `/metrics` are views of what it found.
"""
