"""One invocation of one execution: take it, load it, run the handler, and store how that ended."""
