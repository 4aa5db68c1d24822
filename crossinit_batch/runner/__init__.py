"""One run from manifest to report: the plan is frozen, the batches are given to an engine, the run is closed."""
