"""How much it bears: long logs, many timers and signals, a full disk, a table that is throttled, workers that are killed."""
