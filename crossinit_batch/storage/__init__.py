"""Where bytes live: addresses, files on disks and in buckets, retries, locks, and the points where tests kill us."""
