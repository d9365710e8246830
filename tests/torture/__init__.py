"""Simulated lives of workflows on the code path of AWS, with every kind of death and bad day that fits into a seed."""
