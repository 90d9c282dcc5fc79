"""Alerts: rules over what a look at the stack found, told once when they begin and once when they end."""
