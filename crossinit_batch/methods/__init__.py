"""Methods: what is learned of a person and how, each in a folder of its own, behind one wall."""
