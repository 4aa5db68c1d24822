"""Methods: what is learned of an identity and how, each in a folder of its own, behind one wall."""
