"""Checks the queue file and D1 files for what should not be there, and moves it out of the way on demand.

Knows SQLite files, not stores: it reads what a running consumer or wrangler has open,
and what the original system left.
"""
