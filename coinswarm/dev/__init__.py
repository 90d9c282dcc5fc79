"""The whole stack in one process: what `coinswarm dev` runs, and what its HTTP routes do."""
