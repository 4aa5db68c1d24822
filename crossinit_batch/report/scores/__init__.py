"""The scores of a run in tables: means with bootstrap intervals, paired comparisons, CSV, Markdown and HTML."""
