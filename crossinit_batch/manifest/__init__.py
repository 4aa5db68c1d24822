"""What the user wants: the manifest read from YAML, every mistake reported at once with its position."""
