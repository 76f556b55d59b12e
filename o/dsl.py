"""Agents, tools and rules written in Python: what `o apply` reads."""
