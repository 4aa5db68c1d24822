"""Training of the small world: its pictures and captions, its tokenizer, and its pipeline, network by network."""
