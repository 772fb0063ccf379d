"""Runs ministack as an interpreter of the states language whose tasks are ours.

Every task of a state machine (its resource and its arguments) is posted to TASKS_URL, which answers
{"result": ...} or {"error": name, "cause": text}. This replaces a private function of ministack,
so the version is pinned with the rest of the test stack.
"""
import json
import os
import urllib.request

from jsonata.functions import Functions
from ministack import app
from ministack.services import stepfunctions

TASKS_URL = os.environ["TASKS_URL"]
# Loopback only: no proxy of the machine's.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def invoke(resource, input_data):
    body = json.dumps({"resource": resource, "arguments": input_data}).encode()
    request = urllib.request.Request(TASKS_URL, body, {"Content-Type": "application/json"})
    with OPENER.open(request, timeout=60) as response:
        answer = json.load(response)
    if "error" in answer:
        raise stepfunctions._ExecutionError(answer["error"], answer.get("cause", ""))
    return answer["result"]


def reported(execute):
    """Reports the states inside a Map, which are in no history of ministack's."""

    def wrapper(state_def, raw_input, *rest):
        ctx = rest[-1]
        output, following = execute(state_def, raw_input, *rest)
        if "Map" in ctx:
            sizes = [len(json.dumps(v, ensure_ascii=False).encode()) for v in (raw_input, output)]
            invoke("test:state", {"execution": ctx["Execution"]["Id"], "name": ctx["State"]["Name"], "bytes": max(sizes)})
        return output, following

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


stepfunctions.jsonata.Jsonata.jsonata = staticmethod(patient(stepfunctions.jsonata.Jsonata.jsonata))
exact_string = Functions._string
Functions._string = staticmethod(lambda value, prettify: exact_string(fifteen(value), prettify))
stepfunctions._invoke_resource = invoke
stepfunctions._execute_task = reported(stepfunctions._execute_task)
stepfunctions._execute_pass = reported(stepfunctions._execute_pass)
app.main()
