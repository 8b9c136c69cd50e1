"""The Python side: classes as users of pynamodb_mate write them. The codes and shards must be those of the Rust side,
in tests/integration/interop/types.rs and tests/integration/support/types.rs."""

import os

from pynamodb.attributes import UnicodeAttribute
from pynamodb_mate.patterns.status_tracker.api import BaseTask, StatusAndUpdateTimeIndex, TrackerConfig

TABLE = "interop"
EXPIRE = 300

PENDING, IN_PROGRESS, FAILED, SUCCEEDED, IGNORED = 10, 12, 14, 16, 18
MAIL_PENDING, MAIL_IN_PROGRESS, MAIL_FAILED, MAIL_SUCCEEDED, MAIL_IGNORED = 20, 22, 24, 26, 28


class Index(StatusAndUpdateTimeIndex):
    pass


class Base(BaseTask):
    class Meta:
        table_name = TABLE
        region = os.environ.get("AWS_REGION", "us-east-1")
        host = os.environ["TRACKER_DYNAMODB_ENDPOINT"]
        billing_mode = "PAY_PER_REQUEST"

    status_and_update_time_index = Index()


class Job(Base):
    """The first step. It declares the attribute that Rust keeps beside `data`, because `save` drops others."""

    customer = UnicodeAttribute(null=True)

    config = TrackerConfig.make(
        use_case_id="interop",
        pending_status=PENDING,
        in_progress_status=IN_PROGRESS,
        failed_status=FAILED,
        succeeded_status=SUCCEEDED,
        ignored_status=IGNORED,
        n_pending_shard=5,
        n_in_progress_shard=5,
        n_failed_shard=5,
        n_succeeded_shard=10,
        n_ignored_shard=5,
        max_retry=3,
        lock_expire_seconds=EXPIRE,
    )


class Mail(Base):
    """The second step."""

    config = TrackerConfig.make(
        use_case_id="interop",
        pending_status=MAIL_PENDING,
        in_progress_status=MAIL_IN_PROGRESS,
        failed_status=MAIL_FAILED,
        succeeded_status=MAIL_SUCCEEDED,
        ignored_status=MAIL_IGNORED,
        n_pending_shard=1,
        n_in_progress_shard=1,
        n_failed_shard=1,
        n_succeeded_shard=1,
        n_ignored_shard=1,
        more_pending_status=SUCCEEDED,
        max_retry=3,
        lock_expire_seconds=EXPIRE,
    )


class OtherTable(Base):
    """A table that Python creates and Rust verifies."""

    class Meta(Base.Meta):
        table_name = TABLE + "-python"

    config = Job.config


def key(id):
    return Job.make_key(id)


def get(id, of=Job):
    """Reads the task with Python's class."""
    return of.get_one_or_none(id, consistent_read=True)


def raw(id):
    """Reads the stored item, in DynamoDB's own JSON."""
    return Job._get_connection().get_item(key(id), consistent_read=True).get("Item")


def client():
    return Job._get_connection().connection.client


def put_raw(item):
    client().put_item(TableName=TABLE, Item=item)


def set_raw(id, **attributes):
    """Sets attributes of an item to values in DynamoDB's JSON; None removes one."""
    names = {f"#{name}": name for name in attributes}
    sets = [f"#{name} = :{name}" for name, value in attributes.items() if value is not None]
    removes = [f"#{name}" for name, value in attributes.items() if value is None]
    update = ("SET " + ", ".join(sets) if sets else "") + (" REMOVE " + ", ".join(removes) if removes else "")
    values = {f":{name}": value for name, value in attributes.items() if value is not None}
    more = {"ExpressionAttributeValues": values} if values else {}
    client().update_item(
        TableName=TABLE,
        Key={"key": {"S": key(id)}},
        UpdateExpression=update,
        ExpressionAttributeNames=names,
        **more,
    )
