"""What will be done: jobs with digests of all that decides their results, batches, shards, and what is done already."""
