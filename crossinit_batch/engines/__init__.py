"""Engines: they only decide which worker does which batch of a plan, and where."""
