"""Checks that each text is valid, and that all of them describe the same table."""

import json
import subprocess
import sys
from pathlib import Path

import hcl2
from cfnlint.decode import cfn_yaml

HOME, PROGRAM = Path(sys.argv[1]), sys.argv[2]
# The two tables: the arguments of the program, and the attribute of the time to live.
TABLES = {(): "expires_at", ("--own-names",): "task_expires_at"}
options: tuple = ()


def safe() -> dict:
    return {"ttl": {"AttributeName": TABLES[options], "Enabled": True}, "recovery": True, "protected": True}


def text(*arguments: str) -> str:
    return subprocess.run([PROGRAM, *arguments, *options], check=True, capture_output=True, text=True).stdout


def keys(schema: list) -> list:
    return [(part["AttributeName"], part["KeyType"]) for part in schema]


def of_template(table: dict) -> dict:
    """The table of a resource of CloudFormation, or of the input of the command line."""
    return {
        "name": table["TableName"],
        "on demand": table["BillingMode"] == "PAY_PER_REQUEST",
        "attributes": sorted((a["AttributeName"], a["AttributeType"]) for a in table["AttributeDefinitions"]),
        "key": keys(table["KeySchema"]),
        "indexes": sorted(
            (index["IndexName"], keys(index["KeySchema"]), list(index["Projection"]["NonKeyAttributes"]))
            for index in table["GlobalSecondaryIndexes"]
        ),
    }


def command_line() -> dict:
    table = json.loads(text("cli-json"))
    assert table["DeletionProtectionEnabled"] is True
    return of_template(table)


def cloudformation() -> tuple[dict, dict]:
    template = HOME / "table.yaml"
    template.write_text(text("cloudformation"))
    lint = [HOME / "venv/bin/cfn-lint", "--format", "json", "--", template]
    found = json.loads(subprocess.run(lint, capture_output=True, text=True).stdout or "[]")
    assert not found, f"cfn-lint: {found}"
    # cfn-lint's own reader knows the functions of CloudFormation.
    (resource,) = cfn_yaml.loads(template.read_text())["Resources"].values()
    assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"
    table = resource["Properties"]
    return of_template(table), {
        "ttl": dict(table["TimeToLiveSpecification"]),
        "recovery": table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"],
        "protected": table["DeletionProtectionEnabled"],
    }


def alarms() -> None:
    template = "docs/monitoring/alarms.yaml"
    lint = [HOME / "venv/bin/cfn-lint", "--format", "json", "--", template]
    found = json.loads(subprocess.run(lint, capture_output=True, text=True).stdout or "[]")
    assert not found, f"cfn-lint: {found}"
    resources = cfn_yaml.loads(Path(template).read_text())["Resources"].values()
    assert {resource["Type"] for resource in resources} == {"AWS::CloudWatch::Alarm"}
    print(f"alarms: {len(resources)}, all valid")


def plain(value: object) -> object:
    return value.strip('"') if isinstance(value, str) else value


def terraform() -> tuple[dict, dict]:
    (resource,) = hcl2.loads(text("terraform"))["resource"]
    ((kind, named),) = resource.items()
    assert plain(kind) == "aws_dynamodb_table"
    (table,) = named.values()
    described = {
        "name": plain(table["name"]),
        "on demand": plain(table["billing_mode"]) == "PAY_PER_REQUEST",
        "attributes": sorted((plain(a["name"]), plain(a["type"])) for a in table["attribute"]),
        "key": [
            (plain(table[part]), kind) for part, kind in (("hash_key", "HASH"), ("range_key", "RANGE")) if part in table
        ],
        "indexes": sorted(
            (
                plain(index["name"]),
                [(plain(index["hash_key"]), "HASH"), (plain(index["range_key"]), "RANGE")],
                [plain(name) for name in index["non_key_attributes"]],
            )
            for index in table["global_secondary_index"]
        ),
    }
    (ttl,), (recovery,), (lifecycle,) = table["ttl"], table["point_in_time_recovery"], table["lifecycle"]
    assert lifecycle["prevent_destroy"] is True
    return described, {
        "ttl": {"AttributeName": plain(ttl["attribute_name"]), "Enabled": ttl["enabled"]},
        "recovery": recovery["enabled"],
        "protected": table["deletion_protection_enabled"],
    }


def cdk() -> tuple[dict, dict]:
    (HOME / "table.ts").write_text(text("cdk"))
    (HOME / "app.ts").write_text(
        "import { App, Stack } from 'aws-cdk-lib';\n"
        "import { TasksTasksTable } from './table';\n"
        "const app = new App({ outdir: process.argv[2] });\n"
        "new TasksTasksTable(new Stack(app, 'Stack'), 'Tasks');\n"
        "app.synth();\n"
    )
    options = "--strict --noEmitOnError --skipLibCheck --module commonjs --target es2022 --types node --outDir js".split()
    subprocess.run(["node", "node_modules/typescript/bin/tsc", *options, "app.ts"], cwd=HOME, check=True)
    subprocess.run(["node", "js/app.js", "cdk.out"], cwd=HOME, check=True)
    resources = json.loads((HOME / "cdk.out/Stack.template.json").read_text())["Resources"].values()
    (resource,) = (resource for resource in resources if resource["Type"] == "AWS::DynamoDB::GlobalTable")
    assert resource["DeletionPolicy"] == "Retain"
    table = resource["Properties"]
    (replica,) = table["Replicas"]
    return of_template(table), {
        "ttl": table["TimeToLiveSpecification"],
        "recovery": replica["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"],
        "protected": replica["DeletionProtectionEnabled"],
    }


def main() -> None:
    global options
    for options in TABLES:
        expected = command_line()
        assert len(expected["key"]) == 1 + len(options), expected
        for made in (cloudformation, terraform, cdk):
            table, extras = made()
            assert table == expected, f"{made.__name__}: {table} is not {expected}"
            assert extras == safe(), f"{made.__name__}: {extras}"
            print(f"{made.__name__} {' '.join(options)}: valid, and the same table as that of the command line")
    for role in ("producer", "worker", "reader", "operator", "admin"):
        policy = json.loads(text("iam", "--role", role))
        assert policy["Version"] == "2012-10-17" and all(one["Effect"] == "Allow" for one in policy["Statement"])
    print("iam: five policies")
    alarms()


main()
