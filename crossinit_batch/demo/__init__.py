"""The bundled small world: drawn faces of known identity, a small pipeline, small judges, and their examination."""
