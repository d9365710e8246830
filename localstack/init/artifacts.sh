#!/bin/bash
# Run by LocalStack once it is ready: the bucket that `sam deploy` uploads packages to.
set -euo pipefail
region="${AWS_DEFAULT_REGION:-eu-central-1}"
awslocal s3api head-bucket --bucket durable-fn-artifacts --region "$region" 2>/dev/null ||
  awslocal s3api create-bucket --bucket durable-fn-artifacts --region "$region" \
    --create-bucket-configuration "LocationConstraint=$region"
