"""Scores of pictures by judges: who is in them (identity), what they show (prompt), and the tables of that."""
