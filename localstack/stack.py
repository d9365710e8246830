"""The stack: built and deployed with SAM, its outputs, and clients for its region. The endpoint is AWS_ENDPOINT_URL's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

ROOT = Path(__file__).resolve().parent.parent
REGION = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "eu-central-1"
_QUICK = Config(connect_timeout=3, read_timeout=70, retries={"total_max_attempts": 2})


def aws(service: str) -> Any:
    """With the credentials of whoever deploys."""
    return boto3.client(service, region_name=REGION, config=_QUICK)


class Stack:
    """`runtime`: of the functions, "python3.12" say. `directory`: where packages are built and the demos' imaginary companies
    keep their files."""

    def __init__(self, name: str, sam: str, runtime: str, directory: str) -> None:
        self.name = name
        self.runtime = runtime
        self.directory = directory
        self._sam = sam
        self.build = Path(directory) / "build"
        self._outputs: dict[str, str] = {}

    def deploy(self) -> None:
        """RuntimeError with what SAM says."""
        version = self.runtime.removeprefix("python")
        self._run("build", "--build-dir", str(self.build), PYTHON_VERSION=version, PYTHON=sys.executable)
        bucket = self._artifacts()
        self._run(
            "deploy", "--template", str(self.build / "template.yaml"), "--stack-name", self.name, "--region", REGION,
            "--s3-bucket", bucket, "--capabilities", "CAPABILITY_IAM", "--no-progressbar", "--no-fail-on-empty-changeset",
            "--parameter-overrides", f"Runtime={self.runtime}", f"DemoDirectory={self.directory}/systems", "RequireTls=false",
        )  # fmt: skip

    def _artifacts(self) -> str:
        """The bucket that packages are uploaded to. LocalStack's init script makes it too."""
        name, s3 = "durable-fn-artifacts", aws("s3")
        if name not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
            s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return name

    def _run(self, *arguments: str, **variables: str) -> None:
        environment = {**os.environ, "SAM_CLI_TELEMETRY": "0", **variables}
        run = subprocess.run(
            [self._sam, *arguments], check=False, capture_output=True, text=True, cwd=ROOT, env=environment
        )
        if run.returncode:
            raise RuntimeError(f"sam {arguments[0]} failed:\n{run.stdout[-4000:]}{run.stderr[-4000:]}")

    def sizes(self) -> dict[str, int]:
        """Bytes of each package before it is zipped."""
        return {
            folder.name: sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            for folder in sorted(self.build.iterdir())
            if folder.is_dir()
        }

    def output(self, key: str) -> str:
        if not self._outputs:
            (stack,) = aws("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
            self._outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        return self._outputs[key]

    def resource(self, logical: str) -> str:
        """The physical id."""
        detail = aws("cloudformation").describe_stack_resource(StackName=self.name, LogicalResourceId=logical)
        return str(detail["StackResourceDetail"]["PhysicalResourceId"])

    def callbacks(self) -> str:
        """Where the callback API answers, without the token: emulators have it below the endpoint."""
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "").rstrip("/")
        api = self.output("CallbackApiId")
        return f"{endpoint}/_aws/execute-api/{api}/v1/callbacks/" if endpoint else self.output("CallbackUrl")
