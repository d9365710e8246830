"""`def` handlers: operations by direct calls, branches on threads."""
