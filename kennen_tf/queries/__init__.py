"""Queries: what is sent, what comes back, its records, and what of it is read."""
