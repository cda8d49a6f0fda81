# make help lists the targets.
# PREFIX [/usr/local], LIBDIR, INCLUDEDIR and DESTDIR say where to install.

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
INSTALL ?= install
OBJCOPY ?= objcopy
comma := ,

# What Cargo.toml and build.rs say.
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
DESCRIPTION := $(shell sed -n 's/^description = "\(.*\)"/\1/p' Cargo.toml)
LINK_ARGS := $(shell sed -n 's/.*rustc-cdylib-link-arg=\([^"]*\).*/\1/p' build.rs)
SONAME := $(patsubst -Wl$(comma)-soname$(comma)%,%,$(filter -Wl$(comma)-soname%,$(LINK_ARGS)))
# Which function came with which version.
VERSION_SCRIPT := abi/vconnpool.map
SOURCES := Cargo.toml Cargo.lock build.rs cbindgen.toml $(VERSION_SCRIPT) $(shell find src -name '*.rs')

LIBRARY := libvconnpool.so.$(VERSION)
# Copies, so that "make install" needs no cargo (as root it often is not there) once "make" has run.
STAGE := target/stage

# Headers for drivers, in a directory of their own.
ADAPTERS := $(notdir $(wildcard include/vconnpool/*.h*))

# The C and C++ that clang-format keeps; the header is generated.
FORMATTED = $(filter-out %/vconnpool.h,$(shell git ls-files '*.c' '*.h' '*.cpp' '*.hpp'))
# Packages of their own, which "cargo fmt" of the library does not reach.
PACKAGES = . benches fuzz tests/coverage tests/handoffs tests/scale tests/simulation

all: $(STAGE)/done ## builds what is shipped

# The archive is one object that shows vcp_* alone: Rust's standard library stays inside, so that two such archives can be
# linked into one program, and what vcp_* does not reach is left out, as is the bitcode that Rust's own objects carry.
# Inlining by a third of the compiler's usual threshold: a seventh smaller. The hit says itself what is to be inlined.
# The shared library is that object too, linked by $(CC) with a version for each symbol: rustc hands the linker a version
# script of its own, which has no versions, and GNU ld takes no second one (lld ignores it).
$(STAGE)/done: $(SOURCES) Makefile
	rm -rf $(STAGE) && mkdir -p $(STAGE)
	cargo rustc --release --lib --no-default-features --crate-type staticlib -- -C llvm-args=-inline-threshold=75
	target=$$(cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p') \
	    && cp "$$target/release/libvconnpool.a" $(STAGE)/all.a
	sed -n 's/^ *\(vcp_.*\);/-u \1/p' $(VERSION_SCRIPT) >$(STAGE)/entries
	$(LD) -r --gc-sections -o $(STAGE)/all.o --whole-archive $(STAGE)/all.a @$(STAGE)/entries
	$(OBJCOPY) --wildcard --keep-global-symbol='vcp_*' --strip-debug \
	    --remove-section=.llvmbc --remove-section=.llvmcmd $(STAGE)/all.o $(STAGE)/vconnpool.o
	$(AR) rcs $(STAGE)/libvconnpool.a $(STAGE)/vconnpool.o
	rustc --print native-static-libs --crate-type staticlib --crate-name empty -o $(STAGE)/empty.a - </dev/null 2>$(STAGE)/log
	sed -n 's/^note: native-static-libs: //p' $(STAGE)/log >$(STAGE)/static-libs
	grep -q -e -l $(STAGE)/static-libs
	$(CC) $(LDFLAGS) -shared -nodefaultlibs -o $(STAGE)/libvconnpool.so $(STAGE)/vconnpool.o $(LINK_ARGS) \
	    -Wl,--version-script=$(VERSION_SCRIPT),--no-undefined-version -Wl,-z,defs,-z,relro,-z,now,-z,noexecstack \
	    -Wl,-O1,--gc-sections,--as-needed $$(cat $(STAGE)/static-libs)
	rm $(STAGE)/empty.a $(STAGE)/all.a $(STAGE)/all.o $(STAGE)/vconnpool.o
	touch $@

install: $(STAGE)/done ## installs it, with headers and pkg-config file
	$(INSTALL) -d "$(DESTDIR)$(INCLUDEDIR)/vconnpool" "$(DESTDIR)$(LIBDIR)/pkgconfig"
	$(INSTALL) -m 644 include/vconnpool.h include/vconnpool.hpp "$(DESTDIR)$(INCLUDEDIR)"
	$(INSTALL) -m 644 $(ADAPTERS:%=include/vconnpool/%) "$(DESTDIR)$(INCLUDEDIR)/vconnpool"
	$(INSTALL) -m 644 $(STAGE)/libvconnpool.a "$(DESTDIR)$(LIBDIR)/libvconnpool.a"
	$(INSTALL) -m 755 $(STAGE)/libvconnpool.so "$(DESTDIR)$(LIBDIR)/$(LIBRARY)"
	ln -sf $(LIBRARY) "$(DESTDIR)$(LIBDIR)/$(SONAME)"
	ln -sf $(SONAME) "$(DESTDIR)$(LIBDIR)/libvconnpool.so"
	{ echo 'prefix=$(PREFIX)'; \
	  echo 'libdir=$(LIBDIR)'; \
	  echo 'includedir=$(INCLUDEDIR)'; \
	  echo; \
	  echo 'Name: vconnpool'; \
	  echo "Description: $(DESCRIPTION)"; \
	  echo 'Version: $(VERSION)'; \
	  echo 'Cflags: -I$${includedir}'; \
	  echo 'Libs: -L$${libdir} -lvconnpool'; \
	  echo "Libs.private: $$(cat $(STAGE)/static-libs)"; \
	} >"$(DESTDIR)$(LIBDIR)/pkgconfig/vconnpool.pc"
	chmod 644 "$(DESTDIR)$(LIBDIR)/pkgconfig/vconnpool.pc"

uninstall: ## removes what "make install" installed
	rm -f "$(DESTDIR)$(INCLUDEDIR)/vconnpool.h" "$(DESTDIR)$(INCLUDEDIR)/vconnpool.hpp" "$(DESTDIR)$(LIBDIR)/libvconnpool.a" \
	    "$(DESTDIR)$(LIBDIR)/$(LIBRARY)" "$(DESTDIR)$(LIBDIR)/$(SONAME)" "$(DESTDIR)$(LIBDIR)/libvconnpool.so" \
	    "$(DESTDIR)$(LIBDIR)/pkgconfig/vconnpool.pc" \
	    $(ADAPTERS:%="$(DESTDIR)$(INCLUDEDIR)/vconnpool/%")
	-rmdir "$(DESTDIR)$(INCLUDEDIR)/vconnpool"

test: ## all that needs only Rust and a C compiler
	cargo test

lint: format-check ## format and clippy, warnings are errors
	cargo clippy --quiet --all-targets -- -D warnings

format-check:
	@for package in $(PACKAGES); do cargo fmt --check --manifest-path $$package/Cargo.toml || exit 1; done
	@clang-format --dry-run --Werror $(FORMATTED)

fmt: ## formats Rust, C and C++
	@for package in $(PACKAGES); do cargo fmt --manifest-path $$package/Cargo.toml || exit 1; done
	@clang-format -i $(FORMATTED)

rules: ## prints every rule with the test that shows it
	@cargo test --quiet --test rules_table -- --print

coverage: ## which lines and branches of src the tests run
	.ci/coverage.sh

bench: ## measures, beside other pools: docs/performance.md
	cargo run --release --quiet --manifest-path benches/Cargo.toml

docs: ## the inside of the library, for those who work on it: target/doc
	RUSTDOCFLAGS='-D warnings' cargo doc --quiet --no-deps --lib --document-private-items

ci: ## everything that must hold before a change lands
	.ci/run

hooks: ## lets git run .githooks/pre-commit before each commit
	git config core.hooksPath .githooks

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1 /p' Makefile | while read -r target what; do printf '%-10s %s\n' "$$target" "$$what"; done

.PHONY: all install uninstall test lint format-check fmt rules coverage bench docs ci hooks help
