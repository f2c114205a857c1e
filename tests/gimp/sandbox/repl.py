"""Runs in GIMP's Python batch interpreter: takes Python snippets over a unix socket, answers with JSON.

One request a connection: the snippet's text up to the end of the sender's half; the answer is
`{"output": what it printed, "error": null or the traceback}`. The text QUIT ends it.
The path of the socket is in the environment variable SAMA_REPL. All snippets share one set of globals.
"""

import contextlib
import io
import json
import os
import socket
import traceback

import gi  # pyright: ignore[reportMissingImports]

gi.require_version("Gimp", "3.0")
gi.require_version("Gegl", "0.4")
from gi.repository import (  # noqa: E402  # pyright: ignore[reportMissingImports]
    Babl,
    Gegl,
    Gimp,
    Gio,
    GLib,
    GObject,
)

STATUS = {
    int(getattr(Gimp.PDBStatusType, name.upper())): name
    for name in ("success", "execution_error", "calling_error", "pass_through", "cancel")
}


def call(procedure_name, **arguments):
    """Run a PDB procedure and return {"status": name, "error": text, "values": [what follows the status]}.

    Arguments are named with _ for -; `drawables` takes a list; `run_mode` is NONINTERACTIVE unless given. An
    argument that the procedure does not have raises ValueError, for GIMP itself would only warn.
    """
    procedure = Gimp.get_pdb().lookup_procedure(procedure_name)
    if procedure is None:
        raise ValueError("GIMP has no procedure named " + procedure_name)
    known = {argument.get_name() for argument in procedure.get_arguments()}
    config = procedure.create_config()
    if "run-mode" in known:
        arguments.setdefault("run_mode", Gimp.RunMode.NONINTERACTIVE)
    for name, value in arguments.items():
        name = name.replace("_", "-")
        if name not in known:
            raise ValueError(procedure_name + " has no argument " + name + ", only " + ", ".join(sorted(known)))
        if isinstance(value, (list, tuple)) and name == "drawables":
            config.set_core_object_array(name, list(value))
        else:
            config.set_property(name, value)
    result = procedure.run(config)
    status = STATUS[int(result.index(0))]
    error = "" if status == "success" else Gimp.get_pdb().get_last_error()
    return {"status": status, "error": error, "values": [result.index(i) for i in range(1, result.length())]}


def serve(path):
    """Answer until told to QUIT."""
    names = {"call": call, "json": json, "os": os, "Babl": Babl, "Gegl": Gegl, "Gimp": Gimp, "Gio": Gio}
    names.update({"GLib": GLib, "GObject": GObject, "pdb": Gimp.get_pdb(), "__name__": "snippet"})
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(4)
    while True:
        connection, _ = listener.accept()
        with connection:
            parts = []
            while True:
                part = connection.recv(1 << 20)
                if not part:
                    break
                parts.append(part)
            code = b"".join(parts).decode()
            if code.strip() == "QUIT":
                return
            output = io.StringIO()
            error = None
            with contextlib.redirect_stdout(output):
                try:
                    exec(compile(code, "<snippet>", "exec"), names)
                except BaseException:
                    error = traceback.format_exc()
            with contextlib.suppress(OSError):
                connection.sendall(json.dumps({"output": output.getvalue(), "error": error}).encode())


serve(os.environ["SAMA_REPL"])
