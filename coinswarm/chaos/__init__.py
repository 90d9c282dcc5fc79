"""The whole pipeline killed and starved again and again by a plan, and an account of every candle afterwards.

`drawing` makes from a seed the `plan` of what goes wrong and where; `process` forks, kills and reaps; `jobs` is what
the children do: the product's own code; `evidence` reads the files they leave and `account` holds them against the
market; `episode` and `run` put these together.
"""
