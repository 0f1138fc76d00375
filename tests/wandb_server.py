"""As much of a wandb server as a run talks to, on this machine."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OWNER = {"id": "entity", "name": "me"}


class Server:
    """A server of one project.

    Attributes:
        url: where it is.
        runs: by id, what was uploaded: "history" rows by line, "summary", "config".
        views: the workspaces that were saved.
    """

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.views: list[dict[str, Any]] = []
        handler = type("Handler", (_Handler,), {"server_": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Go away: nobody answers any more."""
        self._http.shutdown()
        self._http.server_close()

    def steps(self, run: str) -> list[int]:
        """Return the steps of a run's history, in the order of its lines."""
        lines = self.runs[run]["history"]
        return [lines[number]["step"] for number in sorted(lines)]

    def stream(self, run: str, files: dict[str, Any]) -> None:
        """Take lines of a run's files, each where it says it stands."""
        known = self.runs[run]
        if lines := files.get("wandb-history.jsonl"):
            rows = [json.loads(line) for line in lines["content"]]
            known["history"] |= {lines["offset"] + i: row for i, row in enumerate(rows)}
        if lines := files.get("wandb-summary.json"):
            known["summary"] = json.loads(lines["content"][-1])

    def answer(self, name: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Return the data of a GraphQL operation."""
        match name:
            case "UpsertBucket":
                run = variables["name"]
                known = self.runs.setdefault(run, {"history": {}, "summary": {}, "config": {}})
                if variables.get("config"):
                    known["config"] = json.loads(variables["config"])
                project = {"id": "project", "name": variables["project"], "entity": OWNER}
                bucket = {"id": run, "name": run, "config": "{}", "project": project}
                return {"upsertBucket": {"bucket": bucket, "inserted": True}}
            case "RunResumeStatus":
                known = self.runs.get(variables["name"])
                return {"model": {"id": "project", "bucket": known and _bucket(known, variables)}}
            case "Viewer":
                return {"viewer": {"id": "me", "entity": "me", "username": "me", "flags": "{}"}}
            case "UpsertView2":
                self.views.append(variables)
                view = {"id": "view", "name": "nw-board-v"}
                return {"upsertView": {"view": view, "inserted": True}}
            case "ArtifactType":
                return {"project": None}
            case "CreateArtifact":  # it has this one already
                sequence = {"id": "sequence", "latestArtifact": {"id": "it", "versionIndex": 0}}
                artifact = {"id": "it", "state": "COMMITTED", "artifactSequence": sequence}
                return {"createArtifact": {"artifact": artifact}}
            case "CreateRunFiles":
                return {"createRunFiles": {"runID": "x", "uploadHeaders": [], "files": []}}
            case _:
                return {}


def _bucket(known: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
    rows = [known["history"][number] for number in sorted(known["history"])]
    return {
        "id": variables["name"],
        "name": variables["name"],
        "tags": [],
        "summaryMetrics": json.dumps(known["summary"]),
        "historyLineCount": len(rows),
        "eventsLineCount": 0,
        "logLineCount": 0,
        "historyTail": json.dumps([json.dumps(row) for row in rows[-1:]]),
        "eventsTail": "[]",
        "config": json.dumps(known["config"]),
        "wandbConfig": '{"t": 1}',
    }


class _Handler(BaseHTTPRequestHandler):
    server_: Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._reply({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "graphql" in self.path:
            asked = json.loads(body)
            name = re.search(r"(?:query|mutation)\s+(\w+)", asked["query"])
            data = self.server_.answer(name[1] if name else "", asked.get("variables") or {})
            self._reply({"data": data})
            return
        if self.path.endswith("/file_stream"):
            self.server_.stream(self.path.split("/")[-2], json.loads(body).get("files", {}))
        self._reply({})

    def _reply(self, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
