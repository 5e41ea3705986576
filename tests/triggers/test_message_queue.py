"""The example of files that arrive: S3's message in an SQS queue makes the event that starts the DAG."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import boto3
import pytest
from airflow.providers.common.messaging.triggers.msg_queue import MessageQueueTrigger
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
ARRIVED = {"Records": [{"s3": {"object": {"key": "amplitude-cohorts/187520_26umsb5_entering.csv"}}}]}


@pytest.fixture
def aws() -> Iterator[str]:
    """Run moto, and return its URL."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def test_a_file_that_arrives_makes_one_event_and_its_message_is_gone(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"endpoint_url": aws, "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": "a", "password": "b", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    sqs = boto3.client("sqs", endpoint_url=aws, **KEYS)
    queue = sqs.create_queue(QueueName="amplitude-cohort-files")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(ARRIVED))
    trigger = MessageQueueTrigger(scheme="sqs", sqs_queue=queue, aws_conn_id="aws_default", waiter_delay=1)

    event = asyncio.run(asyncio.wait_for(anext(aiter(trigger.run())), 60))

    (message,) = event.payload["message_batch"]
    assert json.loads(message["Body"]) == ARRIVED
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert attributes["ApproximateNumberOfMessages"] == "0"
    assert attributes["ApproximateNumberOfMessagesNotVisible"] == "0"
