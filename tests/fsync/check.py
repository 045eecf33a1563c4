"""Shows that no write is acknowledged before it is on disk (reliability: I-04, T-06).

    check.py PROGRAM

Runs PROGRAM's demo under strace, sends it writes from one client and then from eight at once, and
reads the trace: for every 2xx to a write there must be, after the last byte of the request was
received, a write to the store's log and then an fdatasync or fsync of that log which has ended
before the first byte of the answer is sent. The order is that in which the tracer saw the calls
begin and end; a thread is stopped at both, so what waits for a call cannot be seen before its end.
The reading of the trace is tried on traces with planted lies first. Standard library only.
"""

import bisect
import http.client
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections import namedtuple

ALONE = 10
ROUND = 7
CLIENTS = 8
EACH = 10
PATIENCE = 60.0

CALLS = "read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,pwritev,fsync,fdatasync"
Call = namedtuple("Call", "name text begin end result")
Answer = namedtuple("Answer", "received sent status request")

SOCKET = re.compile(r"\((\d+)<TCP:\[([^\]]*)\]>")
LOG = re.compile(r"\(\d+<[^>]*-wal>")
REQUEST = re.compile(r'"(POST|PUT|PATCH|DELETE) (\S*)')
STATUS = re.compile(r'"HTTP/1\.1 (\d{3})')
RESULT = re.compile(r"\)\s+= (-?\d+)[^=]*$")


def calls(lines):
    """The system calls of a trace, with where in it they begin and end."""
    begun = {}
    for place, line in enumerate(lines):
        thread, _, text = line.partition(" ")
        text = text.strip()
        if text.endswith("<unfinished ...>"):
            begun[thread] = (place, text.removesuffix("<unfinished ...>"))
            continue
        begin = place
        if text.startswith("<..."):
            begin, head = begun.pop(thread, (place, ""))
            text = head + text.partition("resumed>")[2]
        result = RESULT.search(text)
        if result:
            yield Call(text.partition("(")[0], text, begin, place, int(result[1]))


def answers(trace, port):
    """Every answer to a write, and when its request had been received."""
    requests, received = {}, {}
    for call in trace:
        socket = SOCKET.search(call.text)
        if not socket or f":{port}->" not in socket[2] or call.result <= 0:
            continue
        peer = socket[2]
        if call.name.startswith(("read", "recv")):
            received[peer] = call.end
            asked = REQUEST.search(call.text)
            if asked:
                requests[peer] = asked[0].strip('"')
        else:
            status = STATUS.search(call.text)
            if status and peer in requests:
                yield Answer(received[peer], call.begin, int(status[1]), requests.pop(peer))


def unsafe(acknowledged, log):
    """The acknowledgements before which nothing was made durable. One thread writes the log."""
    log = sorted((call for call in log if call.result >= 0 and LOG.search(call.text)), key=lambda c: c.begin)
    writes = [call for call in log if call.name.startswith("pwrite")]
    syncs = [call for call in log if call.name in ("fsync", "fdatasync")]

    def first(of, after):
        place = bisect.bisect_right(of, after, key=lambda call: call.begin)
        return of[place] if place < len(of) else None

    def is_safe(answer):
        write = first(writes, answer.received)
        sync = write and first(syncs, write.end)
        return sync is not None and sync.end < answer.sent

    return [answer for answer in acknowledged if not is_safe(answer)]


class Client:
    def __init__(self, port, token):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}

    def send(self, method, path, body=None):
        body = None if body is None else json.dumps(body)
        self.connection.request(method, f"/scim/v2{path}", body, self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if not 200 <= answer.status < 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]}")
        return json.loads(text) if text else {}

    def patch(self, path, *operations):
        schema = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
        self.send("PATCH", path, {"schemas": [schema], "Operations": operations})

    def round(self, name):
        """So many writes as a round has; each changes something."""
        email = f"{name}@example.com"
        core = "urn:ietf:params:scim:schemas:core:2.0"
        user = {"schemas": [f"{core}:User"], "userName": email, "emails": [{"value": email}],
                "name": {"givenName": "Given", "familyName": "Family"}, "active": True}
        user = self.send("POST", "/Users", user)["id"]
        group = {"schemas": [f"{core}:Group"], "displayName": f"group {name}"}
        path = "/Groups/" + self.send("POST", "/Groups", group)["id"]
        self.patch(path, {"op": "add", "path": "members", "value": [{"value": user}]})
        self.patch(path, {"op": "remove", "path": f'members[value eq "{user}"]'})
        self.send("PUT", path, group | {"members": [{"value": user}]})
        self.patch(f"/Users/{user}", {"op": "replace", "path": "active", "value": False})
        self.send("DELETE", path)
        return ROUND


def traffic(port, token):
    """How many writes were acknowledged."""
    client = Client(port, token)
    done = [client.round(f"alone{n}") for n in range(ALONE)]

    def work(number):
        client = Client(port, token)
        done.extend(client.round(f"crowd{number}x{n}") for n in range(EACH))

    crowd = [threading.Thread(target=work, args=[number]) for number in range(CLIENTS)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    return sum(done)


def traced(program, folder):
    """The trace of a bridge under writes, its port, and how many it acknowledged."""
    token, file = secrets.token_hex(24), os.path.join(folder, "trace")
    demo = [program, "demo", "--empty", "--listen", "127.0.0.1:0", "--upstream-listen", "127.0.0.1:0"]
    strace = ["strace", "-f", "-qq", "-yy", "-s", "64", "-e", f"trace={CALLS}", "-e", "signal=none", "-o", file]
    process = subprocess.Popen([*strace, *demo, "--token", token], stdout=subprocess.PIPE, text=True)
    try:
        port = None
        for line in process.stdout:
            port = re.search(r"http://127\.0\.0\.1:(\d+)\S*/scim/v2", line)
            if port:
                break
        if not port:
            sys.exit("the demo did not come up\n0 passed, 1 failed")
        acknowledged = traffic(int(port[1]), token)
    finally:
        end(process)
    with open(file, errors="replace") as trace:
        return list(calls(trace)), int(port[1]), acknowledged


def end(strace):
    """Ends the program; the tracer ends with it."""
    with open(f"/proc/{strace.pid}/task/{strace.pid}/children") as children:
        for child in children.read().split():
            os.kill(int(child), signal.SIGTERM)
    try:
        strace.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        strace.kill()
        strace.communicate()


def planted(acknowledged, log):
    """Lies that must be seen: what is done, and whether it was."""
    syncs = [call for call in log if "sync" in call.name]
    others = [call for call in log if "sync" not in call.name]
    never = max(call.end for call in log) * 2
    everywhere = [
        ("no sync", []),
        ("syncs that end later", [call._replace(end=never) for call in syncs]),
        ("syncs that fail", [call._replace(result=-1) for call in syncs]),
        ("syncs of another file", [call._replace(text=call.text.replace("-wal>", ">")) for call in syncs]),
    ]
    for what, instead in everywhere:
        yield what, unsafe(acknowledged, others + instead) == acknowledged
    # While one client was alone, an answer without its syncs is the only one.
    for one in acknowledged[: ALONE * ROUND]:
        kept = [call for call in syncs if not one.received < call.begin < one.sent]
        yield f"no sync before the answer to {one.request}", unsafe(acknowledged, others + kept) == [one]


def main(program):
    with tempfile.TemporaryDirectory() as folder:
        trace, port, sent = traced(program, folder)
    acknowledged = [answer for answer in answers(trace, port) if 200 <= answer.status < 300]
    log = [call for call in trace if "-wal>" in call.text]
    wrong = unsafe(acknowledged, log)
    lies = list(planted(acknowledged, log))
    missed = [what for what, seen in lies if not seen]
    for answer in wrong:
        print(f"{answer.status} was sent before {answer.request} was on disk (line {answer.sent} of the trace)")
    for what in missed:
        print(f"the check does not see: {what}")
    syncs = sum(1 for call in log if "sync" in call.name)
    print(f"{sent} writes acknowledged, {len(acknowledged)} of them found in the trace, {syncs} syncs of the log")
    print(f"{len(lies)} planted lies, {len(lies) - len(missed)} seen")
    lost = abs(sent - len(acknowledged))
    failed = len(wrong) + len(missed) + lost
    print(f"{len(acknowledged) - len(wrong)} passed, {failed} failed")
    return 1 if failed or not acknowledged else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
