"""What a value may be, how it becomes JSON, and how the same value is made of it again. No I/O."""
