"""Celeb Basis (Yuan et al., NeurIPS 2023): a person as a point in the space that well-known names span."""
