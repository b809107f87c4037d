"""Images by the name of their dataset, as arrays."""
