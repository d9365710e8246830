"""Runs ministack, an emulator of AWS without Docker, on loopback, with its IAM switched on: `python ministack.py PORT`.

IAM is enforced (`AUTH`), so what the roles in template.yaml do not allow fails here as it does on AWS. The scheduler looks
at the clock every quarter of a second instead of every ten seconds.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    os.environ |= {
        "AUTH": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "BIND_HOST": "127.0.0.1",  # without it the emulator listens on all interfaces
        "GATEWAY_PORT": sys.argv[1],
        "IOT_MTLS_ENABLED": "0",
        "LAMBDA_EXECUTOR": "local",
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": os.environ.get("AWS_REGION", "eu-central-1"),
    }
    sys.path = [
        path for path in sys.path if path != os.path.dirname(os.path.abspath(__file__))
    ]  # this file has its name
    sys.argv = sys.argv[:1]
    from ministack import app
    from ministack.services import scheduler

    scheduler._SCHEDULE_TICK_INTERVAL = 0.25
    app.main()


if __name__ == "__main__":
    main()
