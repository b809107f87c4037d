"""Numbers, tables and figures, the paper's beside ours."""
