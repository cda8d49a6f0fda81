"""The Conan package of libvconnpool, built from the tree that this recipe lies in: needs make, cargo and a C compiler."""

import os
import shutil

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.files import copy, rm, rmdir

# The machines that the library is for, by Conan's names and by Rust's.
MACHINES = {"x86_64": "x86_64-unknown-linux-gnu", "armv8": "aarch64-unknown-linux-gnu"}


class Vconnpool(ConanFile):
    name = "vconnpool"
    version = "0.1.0"
    license = "MIT OR Apache-2.0"
    description = "A connection pool and dialer for C and C++"
    topics = ("connection-pool", "dialer", "networking")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False]}
    default_options = {"shared": True}

    def validate(self):
        if self.settings.os != "Linux":
            raise ConanInvalidConfiguration("vconnpool is for Linux")
        if str(self.settings.arch) not in MACHINES:
            raise ConanInvalidConfiguration(f"vconnpool is for {' and '.join(MACHINES)}")

    def configure(self):
        # C outside: the compiler's C++ library does not matter.
        self.settings.rm_safe("compiler.cppstd")
        self.settings.rm_safe("compiler.libcxx")

    def package_id(self):
        # "make" builds one library, whatever the program is built with.
        del self.info.settings.build_type
        del self.info.settings.compiler

    def export_sources(self):
        tree = os.path.join(self.recipe_folder, "..", "..")
        # Cargo.toml names programs in tests, which need not be complete.
        for folder in (".", "tests"):
            self._export_files(os.path.join(tree, folder), os.path.join(self.export_sources_folder, folder))
        for folder in ("abi", "docs", "examples", "include", "packaging/install", "src"):
            to = os.path.join(self.export_sources_folder, folder)
            copy(self, "*", src=os.path.join(tree, folder), dst=to, excludes="*/build/*")

    @staticmethod
    def _export_files(folder, to):
        os.makedirs(to, exist_ok=True)
        for entry in os.scandir(folder):
            if entry.is_file() and not entry.name.startswith("."):
                shutil.copy2(entry.path, to)

    def _make(self, what):
        # Always said: for another machine than this one "make" takes the compilers of that one.
        self.run(f"make CARGO_BUILD_TARGET={MACHINES[str(self.settings.arch)]} {what}")

    def build(self):
        self._make("all")

    def package(self):
        self._make(f'install PREFIX=/ DESTDIR="{self.package_folder}" MANIFEST=')
        copy(self, "LICENSE-*", src=self.source_folder, dst=os.path.join(self.package_folder, "licenses"))
        library = os.path.join(self.package_folder, "lib")
        rm(self, "*.a" if self.options.shared else "*.so*", library)
        # Conan writes its own.
        rmdir(self, os.path.join(library, "pkgconfig"))
        rmdir(self, os.path.join(library, "cmake"))

    def package_info(self):
        self.cpp_info.libs = ["vconnpool"]
        self.cpp_info.set_property("cmake_file_name", "vconnpool")
        self.cpp_info.set_property("cmake_target_name", "vconnpool::vconnpool")
        self.cpp_info.set_property("cmake_target_aliases", [] if self.options.shared else ["vconnpool::static"])
        self.cpp_info.set_property("pkg_config_name", "vconnpool")
        if not self.options.shared:
            self.cpp_info.system_libs = ["gcc_s", "util", "rt", "pthread", "m", "dl"]
