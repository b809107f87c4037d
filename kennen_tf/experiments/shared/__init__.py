"""What experiments share: runs, sections, curves, the report."""
