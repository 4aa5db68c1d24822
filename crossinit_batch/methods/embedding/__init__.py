"""Methods whose result is an embedding: its start, its training, and its files."""
