"""Tokens of SoftHSM, a real PKCS #11 module: made by its own program, in a folder of the tests' own.

The module sees the tokens that are there when a process first uses it, so they are all made before that.
"""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connector.vc.pkcs11 import Token

MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")
PIN = "pin-of-tests"
_NUMBER = 24
_labels: Iterator[str] = iter(())


@dataclass
class SoftHsm:
    """A token's label, and the file with its PIN."""

    label: str
    pin_file: Path

    @property
    def module(self) -> Path:
        return next(path for path in map(Path, MODULES) if path.exists())

    @property
    def settings(self) -> dict[str, Any]:
        return {"module": str(self.module), "token": self.label, "pin_file": str(self.pin_file)}

    def open(self) -> Token:
        return Token(self.module, self.label, self.pin_file)


def fresh(folder: Path, everything: Path) -> SoftHsm:
    """A token that nobody has used; its PIN in a file in `folder`. `everything`: where tokens can be kept."""
    global _labels  # noqa: PLW0603  # the module behind them is one for the process as well
    if "SOFTHSM2_CONF" not in os.environ:
        (everything / "tokens").mkdir()
        settings = (
            f"directories.tokendir = {everything}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        (everything / "softhsm2.conf").write_text(settings)
        os.environ["SOFTHSM2_CONF"] = str(everything / "softhsm2.conf")
        names = [f"{os.getpid()}-{number}" for number in range(_NUMBER)]
        for name in names:
            command = ["softhsm2-util", "--init-token", "--free", "--label", name, "--pin", PIN]
            subprocess.run([*command, "--so-pin", "so-pin"], check=True, capture_output=True, timeout=30)
        _labels = iter(names)
    (folder / "pkcs11.pin").write_text(f"{PIN}\n")
    (folder / "pkcs11.pin").chmod(0o600)
    return SoftHsm(next(_labels), folder / "pkcs11.pin")
