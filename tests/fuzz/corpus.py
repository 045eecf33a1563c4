"""A corpus as one readable file, an input a line as a JSON string, and as libFuzzer's folder of files.

    corpus.py unpack FILE FOLDER
    corpus.py pack FOLDER FILE     adds to the file, the shortest first, up to its bound
"""

import json
import pathlib
import sys

MOST_INPUTS = 150
MOST_BYTES = 16_384


def unpack(file, folder):
    folder.mkdir(parents=True)
    for number, line in enumerate(file.read_text().splitlines()):
        (folder / f"{number:04}").write_bytes(json.loads(line).encode())


def pack(folder, file):
    lines = file.read_text().splitlines()
    known = set(lines)
    size = sum(map(len, lines))
    for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_size):
        try:
            line = json.dumps(path.read_bytes().decode())
        except UnicodeDecodeError:
            continue
        if line in known or len(lines) >= MOST_INPUTS or size + len(line) > MOST_BYTES:
            continue
        lines.append(line)
        size += len(line)
    file.write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    way, source, destination = sys.argv[1:]
    {"unpack": unpack, "pack": pack}[way](pathlib.Path(source), pathlib.Path(destination))
