"""botocore clients. boto3 is a layer over them that this package has no use for, and that costs time at every cold start."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

import botocore.session
from botocore.config import Config
from botocore.loaders import Loader

from .requests import explained

_SERVICES: Final = ("dynamodb", "kms", "s3", "scheduler", "sqs")


def factory() -> Callable[[str], Any]:
    """Makes clients that share one session. Timeouts are short: a journal that does not answer within seconds must not eat
    the invocation, which is only repeated then."""
    session = botocore.session.get_session()
    paths = session.get_config_variable("data_path")
    session.register_component("data_loader", _Loader(paths.split(os.pathsep) if paths else None))
    config = Config(
        connect_timeout=2,
        read_timeout=4,
        retries={"mode": "standard", "total_max_attempts": 4},
        tcp_keepalive=True,
    )

    def client(service: str) -> Any:
        try:
            return session.create_client(service, region_name=os.environ.get("AWS_REGION"), config=config)
        except Exception as error:
            raise explained(error, service) from error

    return client


class _Loader(Loader):  # type: ignore[misc]
    """Knows its services instead of looking through the folders of all 400: that is a fifth of making a client."""

    def list_available_services(self, type_name: str) -> list[str]:
        return list(_SERVICES)
