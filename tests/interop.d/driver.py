"""The Rust side: a process that is told by lines of JSON what to do (tests/integration/interop)."""

import json
import os
import subprocess


class Refused(Exception):
    """An error of the Rust side: the kind by its name, the attribute it is about, all that it says."""

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

    def tell(self, does, id="", kind="job", data=None, **more):
        """Sends a command, whose answer `hear` waits for."""
        command = {"do": does, "id": id, "kind": kind, **more}
        if data is not None:
            command["data"] = data
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def hear(self):
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

    def __call__(self, does, id="", kind="job", data=None, **more):
        self.tell(does, id, kind, data, **more)
        return self.hear()

    def refuses(self, refusal, does, id="", **more):
        """The refusal, which must be of this kind."""
        try:
            answer = self(does, id, **more)
        except Refused as refused:
            assert refused.kind == refusal, f"refused as {refused.kind} instead of {refusal}: {refused}"
            return refused
        raise AssertionError(f"{does} {id} was not refused as {refusal}: {answer}")

    def end(self):
        self.process.stdin.close()
        self.process.wait(30)
