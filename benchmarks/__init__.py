"""`python -m benchmarks` prints them all. Requests and capacity are exact; times are this machine's, so look at ratios."""
