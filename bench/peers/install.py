"""Fetch the rivals, and the server behind them, into ``.peers/bench/NAME``.

``python -m bench.peers.install``. Not here: starting anything; the packages are
unpacked, never installed, so no maintainer's script runs and no service begins.
Invariant: a package that is unpacked already is left alone.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".peers" / "bench"
MARK = ".complete"  # holds the file names of the packages

# Name in this folder -> Debian packages; what they depend on comes along.
PACKAGES = {
    "vsftpd": ("vsftpd",),
    "ftp-proxy": ("ftp-proxy",),
    "mod_proxy": ("proftpd-core", "proftpd-mod-crypto", "proftpd-mod-proxy"),
    "squid": ("squid",),
    "haproxy": ("haproxy",),
    "tinyproxy": ("tinyproxy-bin",),
    "dante": ("dante-server",),
    "microsocks": ("microsocks",),
}


def missing() -> list[str]:
    """Return the names of what is not unpacked yet."""
    return [name for name in PACKAGES if not (FOLDER / name / MARK).exists()]


def version(name: str, package: str) -> str:
    """Return the upstream version of *package* as unpacked; empty if it is not."""
    try:
        names = (FOLDER / name / MARK).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    found = re.search(
        rf"^{re.escape(package)}_(?:\d+%3a)?([0-9.]+)", names, re.MULTILINE
    )
    return found.group(1) if found else ""


def _packages(name: str) -> list[str]:
    """Return what *name* is made of: its packages, and those this machine lacks."""
    words = ["apt-get", "-s", "-q", "--no-install-recommends", "install"]
    plan = subprocess.run(
        [*words, *PACKAGES[name]], check=True, capture_output=True, text=True
    )
    lacking = [
        line.split()[1] for line in plan.stdout.splitlines() if line.startswith("Inst ")
    ]
    return sorted({*PACKAGES[name], *lacking})


def install(name: str) -> None:
    """Unpack *name*. Raises CalledProcessError if a package cannot be had."""
    home = FOLDER / name
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as downloads:
        words = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download"]
        subprocess.run(
            [*words, *_packages(name)],
            check=True,
            capture_output=True,
            cwd=downloads,
        )
        packages = sorted(Path(downloads).glob("*.deb"))
        for package in packages:
            subprocess.run(["dpkg", "-x", package, home], check=True)
    names = "".join(f"{package.name}\n" for package in packages)
    (home / MARK).write_text(names, encoding="utf-8")


def install_all() -> list[str]:
    """Unpack what is missing; return what could not be had, with the reason."""
    wanted = missing()
    if not wanted:
        return []
    failures: list[str] = []
    if shutil.which("apt-get") is None:
        return [f"{name}: there is no apt-get here" for name in wanted]
    # Without fresh lists a download may ask for a version that is gone; that the
    # lists cannot be had says nothing yet, so its failure is not one of ours.
    subprocess.run(["apt-get", "-q", "update"], check=False, capture_output=True)
    for name in wanted:
        try:
            install(name)
        except (OSError, subprocess.CalledProcessError) as error:
            detail = getattr(error, "stderr", b"") or str(error)
            text = detail.decode() if isinstance(detail, bytes) else detail
            last = text.strip().splitlines()[-1:] or ["no reason given"]
            failures.append(f"{name}: {last[0]}")
    return failures


def main() -> int:
    """Install all; print what is missing."""
    failures = install_all()
    for failure in failures:
        print(f"bench.peers.install: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
