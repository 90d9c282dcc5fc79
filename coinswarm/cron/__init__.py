"""When the producer runs, and that it runs: schedules, the runs there were, and what is missed."""
