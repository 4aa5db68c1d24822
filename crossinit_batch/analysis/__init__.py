"""What learning does to an embedding: its scale and orientation, measured, drawn and explained on a page."""
