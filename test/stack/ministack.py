"""Runs ministack with an Aurora cluster whose statements run on a PostgreSQL of ours.

ministack's RDS Data API runs SQL on what a cluster's record points to; it makes such records only for containers
that it starts itself. This launcher makes one: it and all below touch private names of ministack, so the version
is pinned with the rest of the test stack.

  CLUSTER    name of the cluster, in REGION and ministack's account
  POSTGRES   host:port that the cluster's statements run on
  EVENTS     file to which each entry that PutEvents has taken is appended as a line of JSON, before the caller
             learns of it: AWS would deliver it however ministack ends afterwards
"""
import json
import os
import threading

from jsonata.functions import Functions
from ministack import app
from ministack.services import eventbridge, rds, stepfunctions

ACCOUNT = "000000000000"
REGION = os.environ["MINISTACK_REGION"]


def seed_cluster(name, address):
    host, port = address.rsplit(":", 1)
    arn = f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:{name}"
    rds._clusters.set_scoped(ACCOUNT, REGION, name, {
        "DBClusterIdentifier": name, "DBClusterArn": arn, "Engine": "aurora-postgresql", "EngineMode": "provisioned",
        "Status": "available", "HttpEndpointEnabled": True, "DBClusterMembers": [{"DBInstanceIdentifier": name, "IsClusterWriter": True}],
    })
    rds._instances.set_scoped(ACCOUNT, REGION, name, {
        "DBInstanceIdentifier": name, "DBClusterIdentifier": name, "DBInstanceStatus": "available", "Engine": "aurora-postgresql",
        "Endpoint": {"Address": host, "Port": int(port)},
        "_docker_container_id": "none: the launcher's",  # what tells a database from a stub
    })


def witnessed(put_events, path):
    """Writes what PutEvents has taken."""
    lock = threading.Lock()

    def wrapper(data, *rest, **named):
        status, headers, body = put_events(data, *rest, **named)
        if status == 200:
            taken = [e for e, r in zip(data.get("Entries", []), json.loads(body)["Entries"]) if "EventId" in r]
            with lock, open(path, "a", encoding="utf-8") as f:
                f.writelines(json.dumps(e) + "\n" for e in taken)
        return status, headers, body

    return wrapper


def forgotten(start_sync_execution):
    """Drops the record of an Express execution once its caller has the answer, as AWS has none either."""

    def wrapper(data):
        answer = start_sync_execution(data)
        if answer[0] == 200:
            stepfunctions._executions.pop(json.loads(answer[2])["executionArn"], None)
        return answer

    return wrapper


def fifteen(value):
    """Numbers as the reference implementation's $string writes them: 15 digits of a double (jsonata.js,
    toPrecision(15)). The Python port writes all of them when they are inside an array or an object."""
    if isinstance(value, float):
        return float(f"{value:.15g}")
    if isinstance(value, dict):
        return {k: fifteen(v) for k, v in value.items()}
    if isinstance(value, list):
        return [fifteen(v) for v in value]
    return value


def patient(jsonata):
    """Gives expressions more than the second that AWS allows: this interpreter is in Python, and shares two cores with all else."""

    def wrapper(expression, *rest, timeout=None, **named):
        return jsonata(expression, *rest, timeout=timeout and 60 * timeout, **named)

    return wrapper


exact_string = Functions._string
Functions._string = staticmethod(lambda value, prettify: exact_string(fifteen(value), prettify))
stepfunctions.jsonata.Jsonata.jsonata = staticmethod(patient(stepfunctions.jsonata.Jsonata.jsonata))
stepfunctions._start_sync_execution = forgotten(stepfunctions._start_sync_execution)
if os.environ.get("EVENTS"):
    eventbridge._put_events = witnessed(eventbridge._put_events, os.environ["EVENTS"])
if os.environ.get("CLUSTER"):
    seed_cluster(os.environ["CLUSTER"], os.environ["POSTGRES"])
app.main()
