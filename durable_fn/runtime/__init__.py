"""One invocation of one execution: take, load, run the handler, write down how it ended."""
