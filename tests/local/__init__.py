"""`durable-fn dev` and `worker`, and what they are made of."""
