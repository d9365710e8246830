"""DynamoDB, SQS and Scheduler in the memory of the process, on virtual time: as strict as AWS where the journal depends on it,
right under concurrency, and quick enough for a million lives.

One lock goes around every request, and what is stored is replaced and never changed in place. Held to AWS's own rules by the
contract of all journals and by a comparison with moto (test_emulator.py).
"""
