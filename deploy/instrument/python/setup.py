# SPDX-License-Identifier: Apache-2.0
"""The extension; everything else is in pyproject.toml."""

import platform
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

DESCRIPTORS = "-mtls-dialect=gnu2"  # x86-64: the short way to a thread-local variable of a library


class BuildExt(build_ext):
    def build_extensions(self):
        if platform.machine() == "x86_64" and self.knows(DESCRIPTORS):
            for extension in self.extensions:
                extension.extra_compile_args.append(DESCRIPTORS)
        super().build_extensions()

    def knows(self, flag):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text("int main(void) { return 0; }\n")
            try:
                self.compiler.compile([str(source)], output_dir=folder, extra_postargs=[flag])
            except Exception:
                return False
        return True


setup(
    cmdclass={"build_ext": BuildExt},
    ext_modules=[
        Extension(
            "spanwise_context._writer",
            ["native/writer.c", "native/spanwise_context.c"],
            include_dirs=["native"],
            depends=["native/spanwise_context.h"],
            extra_compile_args=["-std=gnu11", "-O2", "-fvisibility=hidden"],
        )
    ],
)
