"""The small world's judges: a network each for faces, identity, attributes and prompts, with training of their own."""
