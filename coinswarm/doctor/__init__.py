"""`coinswarm doctor`: the thirteen steps of the original's test script, asking before it changes anything.

What it looks at are the checks of `verify`; this adds the order, the repairs, one import, and what to do next.
"""
