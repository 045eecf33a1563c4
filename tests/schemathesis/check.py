"""Validates a connection's OpenAPI document, then runs schemathesis against what it tells.

A fault is an answer that departs from the document, a 5xx, or a document that is not OpenAPI.
What schemathesis does not judge is listed in schemathesis.toml and repeated here with its reason.
The last line is `N passed, M failed`; the exit status is 0 only when M is 0.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import tomllib
import urllib.request

from openapi_spec_validator import OpenAPIV31SpecValidator

HERE = pathlib.Path(__file__).resolve().parent
CONFIGURATION = HERE / "schemathesis.toml"
PHASES = ["examples", "coverage", "fuzzing", "stateful"]
# Fewer cases mean that most of the document was never tried.
LEAST_CASES = {"coverage": 2000, "fuzzing": 250}


def document(url, token):
    request = urllib.request.Request(url + "/openapi.json", headers={"Authorization": "Bearer " + token})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def invalid(document):
    return [f"{'/'.join(map(str, fault.path))}: {fault.message[:300]}" for fault in OpenAPIV31SpecValidator(document).iter_errors()]


def say_what_is_left_out():
    """The exclusions, each with the comment that stands above it."""
    reason = []
    for line in CONFIGURATION.read_text().splitlines():
        if line.startswith("#"):
            reason.append(line.lstrip("# "))
            continue
        if "enabled = false" in line:
            print(f"left out: {line.strip()}: {' '.join(reason)}")
        if "expected-statuses" in line:
            print(f"judged so: {line.strip()}: {' '.join(reason)}")
        if not line.startswith(("[", "include")):
            reason = []


def not_offered(document):
    """Operations that the document itself says only refuse, as /Bulk where there is none."""
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    return [o["operationId"] for o in operations if not any(status.startswith("2") for status in o["responses"])]


def play(url, token, options, folder, left_out):
    """Runs schemathesis; what it found, as its own report says."""
    report = folder / "report.json"
    command = [
        str(pathlib.Path(sys.executable).with_name("schemathesis")),
        "--config-file", str(CONFIGURATION),
        "run", url + "/openapi.json",
        "--header", "Authorization: Bearer " + token,
        "--checks", "all",
        "--phases", ",".join(options.phases),
        "--max-examples", str(options.examples),
        "--seed", str(options.seed),
        "--report-json-path", str(report),
        "--no-color",
    ]
    for operation in left_out:
        command += ["--exclude-operation-id", operation]
    environment = os.environ | {"SCIM_URL": url, "SCIM_TOKEN": token, "PYTHONPATH": str(HERE), "NO_PROXY": "*"}
    subprocess.run(command, cwd=folder, env=environment, check=False)
    if not report.exists():
        return None
    return json.loads(report.read_text())


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("url")
    options.add_argument("token", nargs="?", default=os.environ.get("SCIM_TOKEN"), help="default: $SCIM_TOKEN")
    options.add_argument("--examples", type=int, default=30, help="for each operation and phase; default 30")
    options.add_argument("--phases", type=lambda text: text.split(","), default=PHASES, help="default: " + ",".join(PHASES))
    options.add_argument("--seed", type=int, default=7644)
    options = options.parse_args()
    if not options.token:
        print("schemathesis: give a token, as an argument or in SCIM_TOKEN", file=sys.stderr)
        return 2
    tomllib.loads(CONFIGURATION.read_text())

    passed, failed = 0, 0
    told = document(options.url, options.token)
    faults = invalid(told)
    for fault in faults:
        print(f"FAILED  the document is not OpenAPI 3.1: {fault}")
    failed += len(faults)
    passed += not faults

    say_what_is_left_out()
    left_out = not_offered(told)
    for operation in left_out:
        print(f"left out: {operation}: it is not offered, as the document says")
    with tempfile.TemporaryDirectory() as folder:
        report = play(options.url, options.token, options, pathlib.Path(folder), left_out)
    if report is None or not report["complete"]:
        print("FAILED  schemathesis did not come to its end")
        failed += 1
    else:
        cases = report["test_cases"]
        broken = cases["unique_failures"] + sum(error["count"] for error in report["errors"])
        passed += cases["generated"] - cases["with_failures"] - cases["errored"]
        failed += broken
        skipped = [name for name in options.phases if report["phases"][name]["status"] != "success"]
        if not broken and skipped:
            print(f"FAILED  not every phase succeeded: {report['phases']}")
            failed += 1
        least = max(LEAST_CASES.get(phase, 1) for phase in options.phases)
        if cases["generated"] < least:
            print(f"FAILED  only {cases['generated']} cases were tried, at least {least} are expected")
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
