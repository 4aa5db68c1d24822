"""A blind user study as one static page, and what its participants preferred (paper, Table 2)."""
