"""coinswarm: Cloudflare's Queues and D1 on your machine, and candles collected through them."""

__version__ = "0.1.0"
