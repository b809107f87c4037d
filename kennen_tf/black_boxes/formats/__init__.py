"""Formats of files that black boxes come in: told by content, opened one by one."""
