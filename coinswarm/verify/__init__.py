"""Proof that a stack works: nineteen checks of behaviour, each a value.

`runner.verify` runs them, `formats` shows what they found. They are those of the original's shell script, which read
source text with grep where these send, store and compare.
"""
