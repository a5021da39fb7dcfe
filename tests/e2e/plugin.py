"""kubectl's plugin: the binary under test under the plugin's name, run as kubectl runs it.

Read first: `plugin`.
"""

import json
import os
import subprocess

import images

NAME = "kubectl-streamkeeper"


def plugin(namespace, *arguments, status=0, timeout=60):
    """What the plugin prints about a namespace, or why it fails; `status` is how it must end."""
    program = images.SCRATCH / NAME
    program.unlink(missing_ok=True)
    program.symlink_to(os.path.abspath(os.environ["STREAMKEEPER"]))
    command = [program, f"--namespace={namespace.name}", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)
    assert done.returncode == status, f"{NAME} {' '.join(arguments)}: {done.returncode}: {done.stdout}{done.stderr}"
    return done.stderr if status == 1 else done.stdout


def progress(namespace, ensemble="main"):
    """How far the rebalance is, asked of the agents themselves."""
    return json.loads(plugin(namespace, "rebalance", "status", ensemble, "-o", "json"))
