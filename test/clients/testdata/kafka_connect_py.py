"""kafka-connect-py: its library, and its command-line program as an operator types it."""

import json
import os
import subprocess
import sys

from kafka_connect import KafkaConnect

from waiting import FILE, TOPIC, URL, config, equal, eventually, lines

kc = KafkaConnect(URL)
info = kc.get_cluster_info()
equal(sorted(info), ["commit", "kafka_cluster_id", "version"])

name = f"{TOPIC}-py"
made = kc.create_connector({"name": name, "config": config(name)})
equal((made["name"], made["type"], made["config"]["file"]), (name, "sink", FILE))
equal(name in kc.list_connectors(), True)
eventually("two tasks run", lambda: [t["state"] for t in kc.get_connector_status(name)["tasks"]] == ["RUNNING", "RUNNING"])
eventually("all lines are delivered", lambda: len(lines()) == 10)
equal([t["id"]["task"] for t in kc.list_connector_tasks(name)], [0, 1])
equal(kc.get_connector_task_status(name, 1)["state"], "RUNNING")
equal(kc.list_connector_topics(name)[name]["topics"], [TOPIC])
kc.reset_connector_topics(name)

# It filters by what GET /connectors?expand=status says.
equal(list(kc.list_connectors(expand="status", pattern=name, state="RUNNING")), [name])

changed = kc.update_connector(name, config(name, **{"tasks.max": "1"}))
equal(changed["config"]["tasks.max"], "1")
eventually("one task is left", lambda: len(kc.get_connector_status(name)["tasks"]) == 1)
kc.pause_connector(name)
eventually("paused", lambda: kc.get_connector_status(name)["connector"]["state"] == "PAUSED")
kc.resume_connector(name)
eventually("resumed", lambda: kc.get_connector_status(name)["connector"]["state"] == "RUNNING")
kc.restart_connector(name)
kc.restart_connector(name, include_tasks=True)
eventually("runs again", lambda: [t["state"] for t in kc.get_connector_status(name)["tasks"]] == ["RUNNING"])
kc.restart_connector_task(name, 0)
kc.stop_connector(name)
eventually("stopped", lambda: kc.get_connector_status(name)["connector"]["state"] == "STOPPED")
equal("org.apache.kafka.connect.file.FileStreamSinkConnector" in [p["class"] for p in kc.list_connector_plugins()], True)
equal(kc.validate_connector_config("FileStreamSink", config(name))["error_count"], 0)
equal(kc.validate_connector_config("FileStreamSink", config(name, **{"tasks.max": "none"}))["error_count"] > 0, True)


def command(*args):
    program = os.path.join(os.path.dirname(sys.executable), "kafka-connect")
    done = subprocess.run([program, "--url", URL, *args], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        sys.exit(f"kafka-connect {args}: {done.stdout} {done.stderr}")
    return done.stdout


equal(json.loads(command("info"))["version"], info["version"])
equal(json.loads(command("get", name))["name"], name)
command("resume", name)
eventually("the program sees it run", lambda: json.loads(command("status", name))["connector"]["state"] == "RUNNING")
command("delete", name)
equal(name in json.loads(command("list")), False)
