"""One device at work: it learns, draws and scores the batches that it gets, and saves what comes out."""
