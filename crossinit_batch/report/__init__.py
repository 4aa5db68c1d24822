"""What came out: gallery, report and exports, made from what is stored, and the check of every stored file."""
