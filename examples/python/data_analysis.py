#!/usr/bin/python3
"""Answers a question about a data file with a program that a language model writes and a microVM runs.

usage: data_analysis.py [--llm URL] [--model NAME] [--image NAME] [--out FOLDER] DATA QUESTION
e.g.   data_analysis.py sales.csv "Which month was the best? Draw them all."

The model is told the file's name and first lines. The program in its reply runs in a machine of its own, which has the
file, no network, so much memory, and so much time; what it prints is the answer, what it writes to /out is copied to
the --out folder, which is made. When the program fails, the model is shown the error and may try again.

--llm is any server that speaks OpenAI's protocol (Ollama does, too). The image needs Python; pandas and matplotlib
make for better answers:

    fireclaw image build analysis --debian --package python3-pandas,python3-matplotlib
    fireclaw snapshot create --image analysis --memory 512     # from now on it starts from memory
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import urllib.request
from pathlib import Path
from typing import Optional

import fireclaw

ATTEMPTS = 3
SECONDS = 60
MEMORY_MIB = 512
ANSWER_BYTES = 64 << 10
ASK_SECONDS = 300

INSTRUCTIONS = """You answer questions about a data file by writing one Python 3 program. Reply with the program in a
```python block and nothing after it. It finds the file at {path}, prints the answer in a few lines, and writes plots
and other files to /out. It has no network. Installed beside the standard library: {modules}."""

#: What a model may want to know of; the machine is asked which of them there are.
MODULES = ["numpy", "pandas", "matplotlib", "scipy"]


class Model:
    """A conversation with a language model."""

    def __init__(self, url: str, name: str, instructions: str) -> None:
        self._url = url.rstrip("/") + "/v1/chat/completions"
        self._name = name
        self._messages = [{"role": "system", "content": instructions}]

    def ask(self, text: str) -> str:
        self._messages.append({"role": "user", "content": text})
        body = json.dumps({"model": self._name, "messages": self._messages, "stream": False}).encode()
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=ASK_SECONDS) as response:
            reply = str(json.load(response)["choices"][0]["message"]["content"])
        self._messages.append({"role": "assistant", "content": reply})
        return reply


def program_in(reply: str) -> Optional[str]:
    """The last block of code in a model's reply."""
    blocks = re.findall(r"```(?:python|py)?\s*\n(.*?)```", reply, re.DOTALL)
    return blocks[-1] if blocks else None


def run_program(vm: fireclaw.VM, program: str) -> tuple[bool, str]:
    """Whether it succeeded, and its output."""
    result = vm.exec(["python3", "-"], input=program, cwd="/tmp", user="nobody", env={"MPLCONFIGDIR": "/tmp"},
                     timeout=SECONDS, max_output_bytes=ANSWER_BYTES)
    if result.timed_out:
        return False, f"It did not end within {SECONDS} seconds."
    return result.ok, result.text if result.ok else f"It failed:\n{result.err_text[-2000:]}"


def prepare(vm: fireclaw.VM, data: Path) -> str:
    """Puts the data in its place; the modules that programs may use."""
    look = "import importlib.util as i, sys; print(*filter(i.find_spec, sys.argv[1:]), sep=', ')"
    found = vm.exec(["python3", "-c", look, *MODULES])
    if not found.ok:
        sys.exit(f"the image has no Python: {found.err_text.strip()}")
    vm.exec("mkdir /data; mkdir -m 777 /out")
    vm.copy_in(data, f"/data/{data.name}")
    return found.text.strip() or "nothing"


def analyse(vm: fireclaw.VM, model: Model, data: Path, question: str) -> Optional[str]:
    """The answer; None if no program worked."""
    with data.open("rb") as file:
        head = file.read(1000).decode(errors="replace")
    request = f"/data/{data.name} begins like this:\n\n{head}\n\n{question}"
    for _ in range(ATTEMPTS):
        program = program_in(model.ask(request))
        if program is None:
            request = "There is no ```python block in your reply."
            continue
        succeeded, said = run_program(vm, program)
        if succeeded:
            return said
        print(f"an attempt failed: {said.strip().splitlines()[-1]}", file=sys.stderr)
        request = f"{said}\nCorrect the program and give all of it again."
    return None


def fetch(vm: fireclaw.VM, folder: Path) -> None:
    """Copies the plain files of /out. Others, such as links, could lead their reader anywhere, and are left out."""
    vm.copy_out("/out", folder)
    for path in list(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            path.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--llm", default="http://127.0.0.1:11434", metavar="URL")
    parser.add_argument("--model", default="qwen2.5-coder:7b", metavar="NAME")
    parser.add_argument("--image", default="analysis", metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("out"), metavar="FOLDER")
    parser.add_argument("data", type=Path)
    parser.add_argument("question")
    given = parser.parse_args()
    if given.out.exists():
        parser.error(f"{given.out} exists; name another folder with --out")
    machine = fireclaw.VMConfig(image=given.image, memory_mib=MEMORY_MIB, network="none")
    with fireclaw.Host.open().vms().run(machine) as vm:
        modules = prepare(vm, given.data)
        model = Model(given.llm, given.model, INSTRUCTIONS.format(path=f"/data/{given.data.name}", modules=modules))
        answer = analyse(vm, model, given.data, given.question)
        fetch(vm, given.out)
    print(answer.rstrip() if answer is not None else f"no program worked, of {ATTEMPTS}")
    return 0 if answer is not None else 1


if __name__ == "__main__":
    sys.exit(main())
