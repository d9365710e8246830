"""Simulated lives of workflows on AWS's code path, with every kind of death and of bad day that fits into a seed: see docs/reliability.md."""
