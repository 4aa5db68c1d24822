"""Pictures of drawn persons: who somebody is, the scene they are in, and the painting of both."""
