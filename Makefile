# make help lists the targets. The variables, by the GNU Coding Standards (in lower case they do, too):
#   PREFIX [/usr/local] EXEC_PREFIX LIBDIR INCLUDEDIR DATAROOTDIR MANDIR DOCDIR   where to install
#   DESTDIR                              what to put before them while a package is made
#   MANIFEST [install-manifest in DOCDIR]  what was installed, for "make uninstall"; a package needs none: MANIFEST=
#   CARGO RUSTC CC LD AR OBJCOPY CFLAGS LDFLAGS                                   how to build
#   CARGO_BUILD_TARGET                   the machine to build for, as Rust names it
#   CROSS_COMPILE                        what the names of its C tools begin with
#                                        [of aarch64-unknown-linux-gnu: aarch64-linux-gnu-]

PREFIX ?= $(or $(prefix),/usr/local)
EXEC_PREFIX ?= $(or $(exec_prefix),$(PREFIX))
LIBDIR ?= $(or $(libdir),$(EXEC_PREFIX)/lib)
INCLUDEDIR ?= $(or $(includedir),$(PREFIX)/include)
DATAROOTDIR ?= $(or $(datarootdir),$(PREFIX)/share)
MANDIR ?= $(or $(mandir),$(DATAROOTDIR)/man)
DOCDIR ?= $(or $(docdir),$(DATAROOTDIR)/doc/vconnpool)
MANIFEST ?= $(DOCDIR)/install-manifest
# A .pc file cannot name such a directory, and no list of make. DESTDIR may have blanks.
empty :=
$(foreach name,PREFIX EXEC_PREFIX LIBDIR INCLUDEDIR DATAROOTDIR MANDIR DOCDIR MANIFEST,\
    $(if $(findstring $(empty) ,$($(name))),$(error $(name) has a blank: "$($(name))")))
INSTALL ?= install
INSTALL_PROGRAM ?= $(INSTALL) -m 755
INSTALL_DATA ?= $(INSTALL) -m 644

CARGO ?= cargo
RUSTC ?= rustc
ifdef CARGO_BUILD_TARGET
    export CARGO_BUILD_TARGET
    HOST := $(shell $(RUSTC) -vV | sed -n 's/^host: //p')
    ifneq ($(CARGO_BUILD_TARGET),$(HOST))
        # Rust's name says more of RISC-V.
        CROSS_COMPILE ?= $(subst riscv64gc,riscv64,$(subst -unknown-,-,$(CARGO_BUILD_TARGET)))-
    endif
endif
ifdef CROSS_COMPILE
    # What make itself presets is this machine's.
    default_tool = $(if $(filter default undefined,$(origin $(1))),$(CROSS_COMPILE)$(2),$($(1)))
    CC := $(call default_tool,CC,gcc)
    LD := $(call default_tool,LD,ld)
    AR := $(call default_tool,AR,ar)
    OBJCOPY := $(call default_tool,OBJCOPY,objcopy)
endif
OBJCOPY ?= objcopy

# What Cargo.toml and build.rs say.
of_package = $(shell sed -n 's/^$(1) = "\(.*\)"/\1/p' Cargo.toml)
VERSION := $(call of_package,version)
DESCRIPTION := $(call of_package,description)
URL := $(or $(call of_package,homepage),$(call of_package,repository))
comma := ,
LINK_ARGS := $(shell sed -n 's/.*rustc-cdylib-link-arg=\([^"]*\).*/\1/p' build.rs)
SONAME := $(patsubst -Wl$(comma)-soname$(comma)%,%,$(filter -Wl$(comma)-soname%,$(LINK_ARGS)))
# Which function came with which version.
VERSION_SCRIPT := abi/vconnpool.map
SOURCES := Cargo.toml Cargo.lock build.rs cbindgen.toml $(VERSION_SCRIPT) $(shell find src -name '*.rs')

LIBRARY := libvconnpool.so.$(VERSION)
# Copies, so that "make install" needs no cargo (as root it often is not there) once "make" has run.
STAGE ?= target/stage$(CARGO_BUILD_TARGET:%=-%)

# What is installed beside the libraries. Adapters for drivers have a directory of their own.
HEADERS := vconnpool.h vconnpool.hpp $(patsubst include/%,%,$(wildcard include/vconnpool/*.h*))
PKG_CONFIG_DIR = $(LIBDIR)/pkgconfig
CMAKE_DIR = $(LIBDIR)/cmake/vconnpool
DOCUMENTS := $(shell packaging/install/documents --list)
# Of "make docs", if it has run. vcp-probe is an example, and is not installed; nor is its page.
DOCS := target/docs
MAN_PAGES = $(patsubst $(DOCS)/man/%,%,$(wildcard $(DOCS)/man/man[37]/*.?))
SITE = $(shell cd $(DOCS) 2>/dev/null && find html -type f ! -name '.*' 2>/dev/null)

# The C and C++ that clang-format keeps; the header is generated.
FORMATTED = $(filter-out %/vconnpool.h,$(shell git ls-files '*.c' '*.h' '*.cpp' '*.hpp'))
# Packages of their own, which "cargo fmt" of the library does not reach.
PACKAGES = . benches fuzz tests/coverage tests/handoffs tests/scale tests/simulation

all: $(STAGE)/done $(STAGE)-documents/done ## builds what is shipped

# The archive is one object that shows vcp_* alone: Rust's standard library stays inside, so that two such archives can be
# linked into one program, and what vcp_* does not reach is left out, as is the bitcode that Rust's own objects carry.
# No section groups: of two archives with a group of one name the linker keeps one, and here the symbol in it is hidden.
# Inlining by a third of the compiler's usual threshold: a seventh smaller. The hit says itself what is to be inlined.
# The shared library is that object too, linked by $(CC) with a version for each symbol: rustc hands the linker a version
# script of its own, which has no versions, and GNU ld takes no second one (lld ignores it).
$(STAGE)/done: $(SOURCES) Makefile
	rm -rf $(STAGE) && mkdir -p $(STAGE)
	$(CARGO) rustc --release --lib --no-default-features --crate-type staticlib \
	    --message-format json-render-diagnostics -- -C llvm-args=-inline-threshold=75 >$(STAGE)/messages
	cp "$$(sed -n 's/.*"\([^"]*libvconnpool\.a\)".*/\1/p' $(STAGE)/messages)" $(STAGE)/all.a
	sed -n 's/^ *\(vcp_.*\);/-u \1/p' $(VERSION_SCRIPT) >$(STAGE)/entries
	$(LD) -r --gc-sections --force-group-allocation -o $(STAGE)/all.o --whole-archive $(STAGE)/all.a @$(STAGE)/entries
	$(OBJCOPY) --wildcard --keep-global-symbol='vcp_*' --strip-debug \
	    --remove-section=.llvmbc --remove-section=.llvmcmd $(STAGE)/all.o $(STAGE)/vconnpool.o
	$(AR) rcs $(STAGE)/libvconnpool.a $(STAGE)/vconnpool.o
	$(RUSTC) $(CARGO_BUILD_TARGET:%=--target %) --print native-static-libs --crate-type staticlib \
	    --crate-name empty -o $(STAGE)/empty.a - </dev/null 2>$(STAGE)/log
	sed -n 's/^note: native-static-libs: //p' $(STAGE)/log >$(STAGE)/static-libs
	grep -q -e -l $(STAGE)/static-libs
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -nodefaultlibs -o $(STAGE)/libvconnpool.so $(STAGE)/vconnpool.o $(LINK_ARGS) \
	    -Wl,--version-script=$(VERSION_SCRIPT),--no-undefined-version -Wl,-z,defs,-z,relro,-z,now,-z,noexecstack \
	    -Wl,-O1,--gc-sections,--as-needed $$(cat $(STAGE)/static-libs)
	rm $(STAGE)/empty.a $(STAGE)/all.a $(STAGE)/all.o $(STAGE)/vconnpool.o
	touch $@

# Without the links that lead into the repository only.
$(STAGE)-documents/done: $(DOCUMENTS) packaging/install/documents packaging/install/links
	rm -rf $(STAGE)-documents
	packaging/install/documents $(STAGE)-documents
	touch $@

install: install-libraries install-headers install-packages install-documents ## installs all that is built

# First, so that what a part alone, or an install that failed, has left is in it, too.
install-manifest:
	$(if $(MANIFEST),$(write_manifest))

install-libraries: $(STAGE)/done install-manifest
	$(INSTALL) -d "$(DESTDIR)$(LIBDIR)"
	$(INSTALL_DATA) $(STAGE)/libvconnpool.a "$(DESTDIR)$(LIBDIR)/libvconnpool.a"
	$(INSTALL_PROGRAM) $(STAGE)/libvconnpool.so "$(DESTDIR)$(LIBDIR)/$(LIBRARY)"
	ln -sf $(LIBRARY) "$(DESTDIR)$(LIBDIR)/$(SONAME)"
	ln -sf $(SONAME) "$(DESTDIR)$(LIBDIR)/libvconnpool.so"

# each FILES, FROM, TO: installs every FROM/file as TO/file.
each = $(if $(1),@echo "$(words $(1)) files of $(2) go to $(DESTDIR)$(3)"; for file in $(1); do \
    $(INSTALL_DATA) -D "$(2)/$$file" "$(DESTDIR)$(3)/$$file" || exit 1; done)

install-headers: install-manifest
	$(call each,$(HEADERS),include,$(INCLUDEDIR))

# The directory as a .pc file names it: below ${exec_prefix} or ${prefix}, if it lies there.
in_prefix = $(patsubst $(PREFIX)/%,\$${prefix}/%,$(1))
in_exec_prefix = $(call in_prefix,$(patsubst $(EXEC_PREFIX)/%,\$${exec_prefix}/%,$(1)))
# render FILE, TO: fills in packaging/install/FILE.in.
define render
@echo "$(1) goes to $(DESTDIR)$(2)"
@sed -e "s|@PREFIX@|$(PREFIX)|; s|@EXEC_PREFIX@|$(patsubst $(PREFIX),\$${prefix},$(EXEC_PREFIX))|" \
    -e "s|@LIBDIR@|$(call in_exec_prefix,$(LIBDIR))|; s|@INCLUDEDIR@|$(call in_prefix,$(INCLUDEDIR))|" \
    -e "s|@HEADERS_FROM_HERE@|$$(realpath -ms --relative-to="$(CMAKE_DIR)" "$(INCLUDEDIR)")|" \
    -e "s|@DESCRIPTION@|$(DESCRIPTION)|; s|@URL@|$(URL)|; s|@VERSION@|$(VERSION)|" \
    -e "s|@LIBRARY@|$(LIBRARY)|; s|@SONAME@|$(SONAME)|; s|@SYSTEM_LIBS@|$$(cat $(STAGE)/static-libs)|" \
    -e '/^URL: $$/d' packaging/install/$(1).in >"$(DESTDIR)$(2)/$(1)"
@chmod 644 "$(DESTDIR)$(2)/$(1)"
endef

install-packages: $(STAGE)/done install-manifest
	$(INSTALL) -d "$(DESTDIR)$(PKG_CONFIG_DIR)" "$(DESTDIR)$(CMAKE_DIR)"
	$(call render,vconnpool.pc,$(PKG_CONFIG_DIR))
	$(call render,vconnpool-static.pc,$(PKG_CONFIG_DIR))
	$(call render,vconnpoolConfig.cmake,$(CMAKE_DIR))
	$(call render,vconnpoolConfigVersion.cmake,$(CMAKE_DIR))

install-documents: $(STAGE)-documents/done install-manifest
	$(call each,$(DOCUMENTS),$(STAGE)-documents,$(DOCDIR))
	$(call each,$(SITE),$(DOCS),$(DOCDIR))
	$(call each,$(MAN_PAGES),$(DOCS)/man,$(MANDIR))
	$(if $(SITE)$(MAN_PAGES),,@echo 'no man pages and no site: "make docs" builds them')

# tree FILES, TO: every TO/file, and the directories between, which end with a slash.
tree = $(addprefix $(2)/,$(1) $(call between,$(call parents,$(1))))
between = $(if $(1),$(1) $(call between,$(call parents,$(1))))
parents = $(filter-out ./,$(sort $(dir $(1:%/=%))))
INSTALLED = $(addprefix $(LIBDIR)/,libvconnpool.a $(LIBRARY) $(SONAME) libvconnpool.so) \
    $(call tree,$(HEADERS),$(INCLUDEDIR)) $(addprefix $(PKG_CONFIG_DIR)/,vconnpool.pc vconnpool-static.pc) \
    $(addprefix $(CMAKE_DIR)/,vconnpoolConfig.cmake vconnpoolConfigVersion.cmake) $(CMAKE_DIR)/ \
    $(call tree,$(DOCUMENTS) $(SITE),$(DOCDIR)) $(DOCDIR)/ $(call tree,$(MAN_PAGES),$(MANDIR))
# A path a line, without DESTDIR. What an earlier "make install" has left there stays in it.
define write_manifest
@$(INSTALL) -d "$(DESTDIR)$(dir $(MANIFEST))"
@touch "$(DESTDIR)$(MANIFEST)" && chmod 644 "$(DESTDIR)$(MANIFEST)"
@printf '%s\n' $(INSTALLED) | LC_ALL=C sort -u -o "$(DESTDIR)$(MANIFEST)" "$(DESTDIR)$(MANIFEST)" -
endef

# The directories last, those inside others first. One that has other files stays.
uninstall: ## removes what "make install" has installed
	@[ -f "$(DESTDIR)$(MANIFEST)" ] || \
	    { echo 'no list of what was installed: "make install" writes $(DESTDIR)$(MANIFEST)' >&2; exit 1; }
	@grep -v '/$$' "$(DESTDIR)$(MANIFEST)" | while read -r file; do rm -f "$(DESTDIR)$$file" || exit 1; done
	@directories=$$(grep '/$$' "$(DESTDIR)$(MANIFEST)" | LC_ALL=C sort -r); rm "$(DESTDIR)$(MANIFEST)"; \
	    for directory in $$directories; do \
	    rmdir --ignore-fail-on-non-empty "$(DESTDIR)$$directory" 2>/dev/null || true; done

test: ## all that needs only Rust and a C and C++ compiler
	$(CARGO) test

check: test ## the same, by its GNU name

lint: format-check ## format and clippy, warnings are errors
	$(CARGO) clippy --quiet --all-targets -- -D warnings

format-check:
	@for package in $(PACKAGES); do $(CARGO) fmt --check --manifest-path $$package/Cargo.toml || exit 1; done
	@clang-format --dry-run --Werror $(FORMATTED)

fmt: ## formats Rust, C and C++
	@for package in $(PACKAGES); do $(CARGO) fmt --manifest-path $$package/Cargo.toml || exit 1; done
	@clang-format -i $(FORMATTED)

rules: ## prints every rule with the test that shows it
	@$(CARGO) test --quiet --test rules_table -- --print

coverage: ## which lines and branches of src the tests run
	.ci/coverage.sh

bench: ## measures, beside other pools: docs/performance.md
	$(CARGO) run --release --quiet --manifest-path benches/Cargo.toml

docs: ## man pages (python3 is enough) and the site (Doxygen; by pip, in a venv) into target/docs
	docs/build

site: ## the site alone
	docs/build html

internals: ## the inside of the library, for those who work on it: target/doc
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --quiet --no-deps --lib --document-private-items

ci: ## everything that must hold before a change lands
	.ci/run

deb: ## Debian packages
	packaging/deb

dist: ## tarballs: the source, with and without the crates it needs, and a binary one
	packaging/dist

clean: ## removes what was built
	$(CARGO) clean
	rm -rf target
	$(MAKE) -C examples/c clean

hooks: ## lets git run .githooks/pre-commit before each commit
	git config core.hooksPath .githooks

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1 /p' Makefile | while read -r target what; do printf '%-10s %s\n' "$$target" "$$what"; done

.PHONY: all install install-manifest install-libraries install-headers install-packages install-documents uninstall \
    test check lint format-check fmt rules coverage bench docs site internals deb dist clean ci hooks help
