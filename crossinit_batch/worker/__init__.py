"""One device at work: it learns, draws and scores the batches that it gets, and saves the results."""
