"""One run of the producer: the newest candles of every series of the plan, into the queue."""
