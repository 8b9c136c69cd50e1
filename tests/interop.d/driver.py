"""The Rust side: a process that executes commands, each a line of JSON (tests/integration/interop)."""

import json
import os
import subprocess


class Refused(Exception):
    """An error of the Rust side: the name of its kind, its attribute, its text, and the task that it carries."""

    def __init__(self, answer):
        super().__init__(answer["text"])
        self.kind = answer["error"]
        self.attribute = answer["attribute"]
        self.head = answer["head"]


class Rust:
    def __init__(self, program, endpoint):
        self.process = subprocess.Popen(
            [program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "TRACKER_TEST_INTEROP": endpoint},
            encoding="utf-8",
        )

    def send(self, operation, id="", kind="job", data=None, **more):
        """Sends a command; `receive` waits for its answer."""
        command = {"do": operation, "id": id, "kind": kind, **more}
        if data is not None:
            command["data"] = data
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def receive(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the Rust side has ended with status {self.process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise Refused(answer)
        answer = answer["ok"]
        if isinstance(answer, dict) and isinstance(answer.get("data"), str):
            answer["data"] = json.loads(answer["data"])
        return answer

    def __call__(self, operation, id="", kind="job", data=None, **more):
        self.send(operation, id, kind, data, **more)
        return self.receive()

    def refuses(self, refusal, operation, id="", **more):
        """Returns the refusal of an operation, which must be of the kind `refusal`."""
        try:
            answer = self(operation, id, **more)
        except Refused as refused:
            assert refused.kind == refusal, f"refused as {refused.kind} instead of {refusal}: {refused}"
            return refused
        raise AssertionError(f"{operation} {id} was not refused as {refusal}: {answer}")

    def end(self):
        self.process.stdin.close()
        self.process.wait(30)
