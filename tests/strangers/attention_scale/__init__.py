"""A method whose artifact is no embedding: a few numbers that scale the output of one attention of the U-Net."""
