"""kafkaconnect: the client of the Rubin observatory, which shows what it got as text."""

import json

from kafkaconnect.connect import Connect

from waiting import TOPIC, URL, config, equal, eventually, lines

connect = Connect(URL)
name = f"{TOPIC}-rubin"

equal(name in json.loads(connect.list()), False)
equal(json.loads(connect.validate("FileStreamSink", json.dumps(config(name))))["error_count"], 0)
made = json.loads(connect.validate_and_create(name, json.dumps(config(name))))
equal((made["name"], made["config"]["tasks.max"]), (name, "2"))
refused = json.loads(connect.validate_and_create(name, json.dumps(config(name, topics=""))))
equal(refused["error_count"] > 0, True)
eventually("runs", lambda: [t["state"] for t in json.loads(connect.status(name))["tasks"]] == ["RUNNING", "RUNNING"])
eventually("all lines are delivered", lambda: len(lines()) == 10)
equal(json.loads(connect.topics(name))[name]["topics"], [TOPIC])
equal(json.loads(connect.info(name))["type"], "sink")
equal(len(json.loads(connect.tasks(name))), 2)
connect.restart(name)
connect.pause(name)
eventually("paused", lambda: json.loads(connect.status(name))["connector"]["state"] == "PAUSED")
connect.resume(name)
equal(json.loads(connect.config(name))["topics"], TOPIC)
equal(any(p["type"] == "sink" for p in json.loads(connect.plugins())), True)
equal(connect.remove(name), "")
equal(connect.info(name), f"Resource {URL}/connectors/{name} not found.")
