"""An agent: a model and its tools in a loop that survives its process, asks before it does harm, and keeps to a budget."""
