#!/usr/bin/env python3
"""Derives the contracts beside it from OpenAPI documents of the applications.

    tests/data/contracts/derive.py DIRECTORY            writes them anew
    tests/data/contracts/derive.py DIRECTORY --compare  says which one differs, and ends with 1

The documents (opsera.openapi.yaml, hydden-groups.openapi.yaml, snyk-groups.openapi.yaml) restate
what the vendors publish and are not kept here. Of every operation everything is taken that a call
can be judged by: method, path, the schemas of its parameters, body and good answers, and what it
may be refused with. References are replaced by what they lead to; left out are only texts for
readers (description, title, example, default, deprecated) and where a fact is from (x-...).
Needs PyYAML.
"""

import json
import pathlib
import sys

import yaml

HERE = pathlib.Path(__file__).resolve().parent
JSON = "application/json"
# The document, what stands before its paths, its media type, how a credential is presented, and
# the schema of its refusals.
CONTRACTS = {
    "opsera": ("opsera", "", JSON, ["bearer"], "Error"),
    "hydden": ("hydden-groups", "", JSON, ["bearer"], "ErrorBody"),
    "snyk": ("snyk-groups", "/rest", "application/vnd.api+json", ["token", "bearer"], "ErrorDocument"),
}
FOR_READERS = {"description", "title", "summary", "example", "examples", "default", "deprecated"}
METHODS = ["get", "post", "put", "patch", "delete"]


class Document:
    def __init__(self, path):
        self.whole = yaml.safe_load(path.read_text())

    def followed(self, value):
        """Without references."""
        while isinstance(value, dict) and "$ref" in value:
            found = self.whole
            for part in value["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            value = found
        return value

    def schema(self, value):
        value = self.followed(value)
        if isinstance(value, list):
            return [self.schema(item) for item in value]
        if not isinstance(value, dict):
            return value
        kept = {}
        for key, item in value.items():
            if key == "properties":
                kept[key] = {name: self.schema(of) for name, of in item.items()}
            elif key not in FOR_READERS and not key.startswith("x-"):
                kept[key] = self.schema(item)
        return kept

    def content(self, message):
        """Its media type and schema."""
        for media, content in (message.get("content") or {}).items():
            return media, self.schema(content["schema"])
        return None, None

    def operation(self, method, path, item, base, media):
        operation = item[method]
        of = {"operation": operation["operationId"], "method": method.upper(), "path": path}
        for server in operation.get("servers", item.get("servers", [])):
            of["base"] = "/" + server["url"].partition("://")[2].partition("/")[2]
        parameters = item.get("parameters", []) + operation.get("parameters", [])
        parameters = [self.followed(it) for it in parameters]
        for place in ("path", "query"):
            found = {
                it["name"]: {"required": it.get("required", False)} | self.schema(it["schema"])
                for it in parameters
                if it["in"] == place
            }
            if found:
                of["in_path" if place == "path" else "query"] = found
        medias = set()
        if "requestBody" in operation:
            kind, of["body"] = self.content(self.followed(operation["requestBody"]))
            medias.add(kind)
        of["answers"], of["refusals"] = {}, []
        for status, answer in operation["responses"].items():
            if str(status).startswith("2"):
                kind, of["answers"][str(status)] = self.content(self.followed(answer))
                medias.add(kind)
            else:
                of["refusals"].append(int(status))
        medias -= {None, media}
        if medias:
            (of["media"],) = medias
        return of


def contract(directory, name):
    file, base, media, schemes, refusal = CONTRACTS[name]
    document = Document(directory / f"{file}.openapi.yaml")
    operations = [
        document.operation(method, path, item, base, media)
        for path, item in document.whole["paths"].items()
        for method in METHODS
        if method in item
    ]
    head = {
        "base": base,
        "media": media,
        "schemes": schemes,
        "refusal": document.schema(document.whole["components"]["schemas"][refusal]),
    }
    lines = [f" {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
    rows = ",\n".join(f"  {json.dumps(operation)}" for operation in operations)
    return "{\n" + "\n".join(lines) + '\n "operations": [\n' + rows + "\n ]\n}\n"


def main():
    directory, differing = pathlib.Path(sys.argv[1]), 0
    for name in CONTRACTS:
        file, text = HERE / f"{name}.json", contract(directory, name)
        if sys.argv[2:] != ["--compare"]:
            file.write_text(text)
        elif file.read_text() != text:
            print(f"{file.name} is not what its document says")
            differing = 1
    return differing


if __name__ == "__main__":
    sys.exit(main())
