"""The small world's judges: where a face is, who it is, what is seen, and how well a text fits; each a network apart.

They learn from persons, pictures and captions of their own, drawn from a seed of their own, and know nothing of the
pipeline's weights. Each is kept in the layout that judges of real faces have, so that evaluation reads both alike.
"""
