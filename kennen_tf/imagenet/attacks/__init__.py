"""Attacks: norms, objectives, the ascent, and grades of what it made."""
