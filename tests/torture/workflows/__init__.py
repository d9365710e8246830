"""A dozen hard workflows, each with a judge who reads the books of what happened outside and knows nothing of the SDK."""
