"""Settings of each binary as frozen dataclasses: defaults and checks live here."""
