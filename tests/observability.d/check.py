"""Runs the example with each exporter, and checks what arrives at the other end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

MONITORING = Path("docs/monitoring")
LIMIT = 120  # seconds; a busy machine takes long
TASKS = 200  # of ten, one is ignored, and one fails once; more attempts than an exporter may keep until its next flush
ATTEMPTS = TASKS + TASKS // 10


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what: str, is_so):
    """Returns the first true answer."""
    end = time.monotonic() + LIMIT
    last = None
    while time.monotonic() < end:
        try:
            answer = is_so()
            if answer:
                return answer
        except OSError as error:
            last = error
        time.sleep(0.2)
    raise SystemExit(f"it never came to this: {what} ({last})")


def check(is_so: bool, what: str):
    if not is_so:
        raise SystemExit(f"failed: {what}")


def metric_names() -> set[str]:
    """The names in the docs, of which a test of tracker-core knows that they are all."""
    table = Path("docs/observability.md").read_text().split("| metric |")[1].split("\n\n")[0]
    names = set(re.findall(r"tracker_\w+", table))
    check(len(names) >= 20, f"the docs list few metrics: {names}")
    return names


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


class Prometheus:
    """A server that reads the metrics of the example every second."""

    def __init__(self, programs: Path, home: Path, target: int):
        self.port = free_port()
        config = home / "prometheus.yml"
        rules = (MONITORING / "alerts.yaml").resolve()
        config.write_text(
            f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: invoices
    static_configs: [{{targets: ["127.0.0.1:{target}"]}}]
"""
        )
        arguments = [
            str(programs / "prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={home / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=error",
        ]
        self.process = subprocess.Popen(arguments)

    def api(self, path: str, **query: str):
        encoded = urllib.parse.urlencode(query)
        answer = json.loads(fetch(f"http://127.0.0.1:{self.port}/api/v1/{path}?{encoded}"))
        check(answer["status"] == "success", str(answer))
        return answer["data"]

    def values(self, expression: str) -> list[dict]:
        return self.api("query", query=expression)["result"]


def check_prometheus(example: str, programs: Path):
    subprocess.run(
        [str(programs / "promtool"), "check", "rules", str(MONITORING / "alerts.yaml")],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    subprocess.run(
        [str(programs / "promtool"), "test", "rules", "tests/observability.d/rules.yaml"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    port = free_port()
    command = [example, "prometheus", "--listen", f"127.0.0.1:{port}"]
    with tempfile.TemporaryDirectory() as home:
        program = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        server = Prometheus(programs, Path(home), port)
        try:
            follow_prometheus(server, port)
        finally:
            program.send_signal(signal.SIGINT)
            server.process.terminate()
            status = program.wait(LIMIT)
            server.process.wait(LIMIT)
    check(status == 0, f"the example ended with status {status}")


def follow_prometheus(server: Prometheus, port: int):
    wait_for("Prometheus answers", lambda: server.api("query", query="1"))
    # Prometheus has read the counters when they were 0 or later, and the example goes on, so they grow.
    wait_for("tasks succeed", lambda: server.values("sum(increase(tracker_succeeded_total[1m])) > 10"))
    described = lambda: set(
        re.findall(r"^# TYPE (tracker_\w+)", fetch(f"http://127.0.0.1:{port}/metrics"), re.MULTILINE)
    )
    wait_for(f"all metrics are there, and no more: {metric_names()}", lambda: described() == metric_names())

    queries = 0
    for panel in json.loads((MONITORING / "dashboard.json").read_text())["panels"]:
        for target in panel["targets"]:
            expression = re.sub(r"\$(use_case_id|step)", ".*", target["expr"]).replace("$__rate_interval", "1m")
            wait_for(f"{panel['title']} shows something: {expression}", lambda: server.values(expression))
            queries += 1
    check(queries >= 25, f"the dashboard has few queries: {queries}")

    groups = lambda: server.api("rules")["groups"]
    rules = [rule for group in wait_for("the rules are loaded", groups) for rule in group["rules"]]
    check(len(rules) >= 10, f"there are few rules: {len(rules)}")
    healthy = lambda: all(rule["health"] == "ok" for group in groups() for rule in group["rules"])
    wait_for("each rule can be evaluated", healthy)
    firing = lambda: sorted(
        rule["name"] for group in groups() for rule in group["rules"] if rule["state"] == "firing"
    )
    wait_for("an alarm fires", firing)
    check(firing() == ["TasksIgnored"], f"these alarms fire: {firing()}")
    print(f"Prometheus: {len(described())} metrics, {queries} queries of the dashboard, {len(rules)} rules, 1 of them fires")


class Collector(BaseHTTPRequestHandler):
    """Receives what a collector would."""

    metrics: dict[str, float] = {}
    tasks: dict[str, float] = {}
    spans: list[tuple[str, dict[str, str]]] = []
    lock = threading.Lock()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.lock:
            if self.path == "/v1/metrics":
                self.take_metrics(ExportMetricsServiceRequest.FromString(body))
            elif self.path == "/v1/traces":
                self.take_spans(ExportTraceServiceRequest.FromString(body))
            else:
                return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def take_metrics(self, request):
        for metric in (m for r in request.resource_metrics for s in r.scope_metrics for m in s.metrics):
            kind = metric.WhichOneof("data")
            for point in getattr(metric, kind).data_points:
                labels = {label.key for label in point.attributes}
                check({"use_case_id", "step"} <= labels, f"{metric.name} has the labels {labels}")
                value = point.count if kind == "histogram" else point.as_int or point.as_double
                self.metrics[metric.name] = value
                if metric.name == "tracker_tasks":
                    self.tasks[next(of.value.string_value for of in point.attributes if of.key == "status")] = value

    def take_spans(self, request):
        for span in (s for r in request.resource_spans for scope in r.scope_spans for s in scope.spans):
            of = {attribute.key: str(attribute.value) for attribute in span.attributes}
            events = [event.name for event in span.events]
            self.spans.append((span.name, of | {"events": ",".join(events)}))

    def log_message(self, *_):
        pass


def check_otel(example: str):
    collector = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{collector.server_port}"
    subprocess.run(
        [example, "otel", "--endpoint", endpoint, "--tasks", str(TASKS)],
        check=True,
        timeout=LIMIT,
        stderr=subprocess.DEVNULL,
    )
    collector.shutdown()
    metrics, spans = Collector.metrics, Collector.spans
    check(set(metrics) == metric_names(), f"not all metrics arrived, or more: {set(metrics) ^ metric_names()}")
    counted = (metrics["tracker_created_total"], metrics["tracker_succeeded_total"], metrics["tracker_ignored_total"])
    check(counted == (TASKS, TASKS * 0.9, TASKS * 0.1), f"counted: {counted}")
    ended = {"Pending": 0, "InProgress": 0, "Failed": 0, "Succeeded": TASKS * 0.9, "Ignored": TASKS * 0.1}
    check(Collector.tasks == ended, f"the gauges at the end: {Collector.tasks}")
    # Each task once, and a tenth of them a second time.
    bodies = [of for name, of in spans if name == "task"]
    check(len(bodies) == ATTEMPTS, f"{len(bodies)} spans")
    check(all({"use_case_id", "task_id", "attempt"} <= set(of) for of in bodies), str(bodies[0]))
    print(f"OpenTelemetry: {len(metrics)} metrics, {len(bodies)} spans")


def check_emf(example: str):
    run = subprocess.run(
        [example, "emf", "--tasks", str(TASKS)],
        check=True,
        timeout=LIMIT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    counted: dict[str, float] = {}
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    for line in lines:
        of = line["_aws"]
        check(isinstance(of["Timestamp"], int), str(line))
        for directive in of["CloudWatchMetrics"]:
            check(directive["Namespace"] == "Tracker", str(line))
            for dimensions in directive["Dimensions"]:
                check(0 < len(dimensions) <= 30, str(line))
                check(all(isinstance(line[name], str) and line[name] for name in dimensions), str(line))
                check(tuple(dimensions[:2]) == ("use_case_id", "step"), str(line))
            check(0 < len(directive["Metrics"]) <= 100, str(line))
            for metric in directive["Metrics"]:
                name, value = metric["Name"], line[metric["Name"]]
                check(metric["Unit"] in ("Count", "Seconds"), str(line))
                values = value if isinstance(value, list) else [value]
                check(0 < len(values) <= 100, f"{name} has {len(values)} values in one line")
                is_counter = name.endswith("_total")
                counted[name] = counted.get(name, 0) + (values[0] if is_counter else len(values))
    check(set(counted) <= metric_names(), str(counted))
    ended = (counted["tracker_created_total"], counted["tracker_succeeded_total"], counted["tracker_ignored_total"])
    check(ended == (TASKS, TASKS * 0.9, TASKS * 0.1), f"counted: {ended}")
    check(counted["tracker_body_duration_seconds"] == ATTEMPTS, f"durations are missing: {counted}")
    check("tracker_wait_seconds" in counted and "tracker_tasks" in counted, str(counted))
    print(f"CloudWatch: {len(lines)} lines in the embedded metric format")


def main():
    example, programs = sys.argv[1:]
    os.environ["RUST_BACKTRACE"] = "0"
    check_emf(example)
    check_otel(example)
    if programs:
        check_prometheus(example, Path(programs))
    else:
        print("SKIPPED, the metrics were not read by Prometheus: there is none, and Debian's packages are not here to bring it")


main()
