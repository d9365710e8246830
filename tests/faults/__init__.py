"""Bad days: throttling, lost replies, outages, skewed clocks, deaths and frozen owners, around the journal on a local cloud."""
