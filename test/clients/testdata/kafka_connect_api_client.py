"""kafka-connect-api: objects whose properties are read and written over REST."""

from kafka_connect_api.kafka_connect_api import Api, Cluster, Connector

from waiting import TOPIC, URL, config, equal, eventually, lines

cluster = Cluster(Api(url=URL))
equal(bool(cluster.version and cluster.kafka_cluster), True)

name = f"{TOPIC}-api"
connector = Connector(cluster, name)
equal(name in cluster.connectors, False)
connector.config = config(name)
equal(connector.exists(), True)
equal(repr(cluster.connectors[name]), name)
equal(connector.connector_class, "FileStreamSink")
eventually("runs", lambda: connector.state == "RUNNING" and [t.state for t in connector.tasks] == ["RUNNING", "RUNNING"])
eventually("all lines are delivered", lambda: len(lines()) == 10)
connector.pause()
eventually("paused", lambda: connector.state == "PAUSED")
connector.resume()
connector.restart()
connector.restart_all_tasks()
connector.cycle_connector()
eventually("all its tasks run", lambda: connector.tasks and all(t.is_running() for t in connector.tasks))
connector.config = {**connector.config, "tasks.max": "1"}
eventually("one task is left", lambda: len(connector.tasks) == 1)

cluster.root_logger = "DEBUG"
equal(cluster.root_logger["level"], "DEBUG")
cluster.root_logger = "INFO"

connector.delete()
eventually("gone", lambda: name not in cluster.connectors)
