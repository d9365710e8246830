"""One agent in three frameworks: what it costs, and whether it survives SIGKILL."""
