"""The file by which the system starts a watching process when its user logs in: a systemd unit or a launchd agent."""

from __future__ import annotations

import os
import plistlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from kosearch import resident, system

NAME = "kosearch"


def install(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> tuple[Path, str]:
    """Write the file; where it is, and the command that makes the system use it. Raises OSError.

    `arguments` are those of `kosearch` that the system runs. Settings in the environment, and how servers are reached,
    go with them, but no keys and passwords.
    """
    command = [sys.executable, "-P", "-m", "kosearch", *arguments]
    kept = {name: value for name, value in environ.items() if name.startswith("KOSEARCH_") and "KEY" not in name}
    kept |= resident.ways_to_servers(environ)
    home = Path(environ.get("HOME") or Path.home())
    if sys.platform == "darwin":
        place = home / "Library/LaunchAgents" / f"{NAME}.plist"
        data, then = agent(command, kept), f"launchctl bootstrap gui/{os.getuid()} {place}"
    else:
        config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
        place = config / "systemd/user" / f"{NAME}.service"
        data = unit(command, kept).encode()
        then = f"systemctl --user daemon-reload && systemctl --user enable --now {NAME}"
    system.make_private(place.parent)
    with system.replacing(place) as file:
        Path(file.name).chmod(0o600)
        file.write(data)
    return place, then


def unit(command: Sequence[str], environ: Mapping[str, str]) -> str:
    """A unit of systemd, see systemd.service(5)."""
    lines = [
        "[Unit]",
        "Description=kosearch keeps its index up to date, and answers at once",
        "",
        "[Service]",
        f"ExecStart={' '.join(_quoted(word).replace('$', '$$') for word in command)}",
        *(f"Environment={_quoted(f'{name}={value}')}" for name, value in sorted(environ.items())),
        "Restart=on-failure",
        "Nice=5",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def agent(command: Sequence[str], environ: Mapping[str, str]) -> bytes:
    """An agent of launchd, see launchd.plist(5)."""
    return plistlib.dumps(
        {
            "Label": NAME,
            "ProgramArguments": list(command),
            "EnvironmentVariables": dict(environ),
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "LowPriorityIO": True,
        }
    )


def _quoted(word: str) -> str:
    """A word as systemd reads it: % means something there, quotes, backslashes and line feeds are as in C."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    return f'"{escaped}"'
