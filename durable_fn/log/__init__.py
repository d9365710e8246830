"""The log of an execution and its rules: entries, their folding, who wins a race for the header. No I/O, no clock."""
