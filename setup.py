"""Carry the root's bench.toml inside the wheel; everything else is declared in pyproject.toml."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithDefaults(build_py):
    def run(self) -> None:
        super().run()
        if not self.editable_mode:  # an editable install reads the checkout's own file
            self.copy_file("bench.toml", str(Path(self.build_lib) / "bench" / "bench.toml"))


setup(cmdclass={"build_py": BuildWithDefaults})
