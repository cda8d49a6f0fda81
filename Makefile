# make               builds what is shipped
# make install       installs it: PREFIX [/usr/local], LIBDIR, INCLUDEDIR, DESTDIR
# make uninstall     removes it, with the same variables

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
INSTALL ?= install

# What Cargo.toml and build.rs say.
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
DESCRIPTION := $(shell sed -n 's/^description = "\(.*\)"/\1/p' Cargo.toml)
SONAME := $(shell sed -n 's/.*-soname,\(libvconnpool\.so\.[0-9]*\).*/\1/p' build.rs)
SOURCES := Cargo.toml Cargo.lock build.rs cbindgen.toml $(shell find src -name '*.rs')

LIBRARY := libvconnpool.so.$(VERSION)
# Copies, so that "make install" needs no cargo (as root it often is not there) once "make" has run.
STAGE := target/stage

all: $(STAGE)/done

$(STAGE)/done: $(SOURCES) Makefile
	rm -rf $(STAGE) && mkdir -p $(STAGE)
	cargo rustc --release --lib --crate-type cdylib,staticlib
	target=$$(cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p') \
	    && cp "$$target/release/libvconnpool.so" "$$target/release/libvconnpool.a" $(STAGE)
	rustc --print native-static-libs --crate-type staticlib --crate-name empty -o $(STAGE)/empty.a - </dev/null 2>$(STAGE)/log
	sed -n 's/^note: native-static-libs: //p' $(STAGE)/log >$(STAGE)/static-libs
	grep -q -e -l $(STAGE)/static-libs
	rm $(STAGE)/empty.a
	touch $@

install: $(STAGE)/done
	$(INSTALL) -d "$(DESTDIR)$(INCLUDEDIR)" "$(DESTDIR)$(LIBDIR)/pkgconfig"
	$(INSTALL) -m 644 include/vconnpool.h include/vconnpool.hpp "$(DESTDIR)$(INCLUDEDIR)"
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

uninstall:
	rm -f "$(DESTDIR)$(INCLUDEDIR)/vconnpool.h" "$(DESTDIR)$(INCLUDEDIR)/vconnpool.hpp" "$(DESTDIR)$(LIBDIR)/libvconnpool.a" \
	    "$(DESTDIR)$(LIBDIR)/$(LIBRARY)" "$(DESTDIR)$(LIBDIR)/$(SONAME)" "$(DESTDIR)$(LIBDIR)/libvconnpool.so" \
	    "$(DESTDIR)$(LIBDIR)/pkgconfig/vconnpool.pc"

# Every rule with the test that shows it.
rules:
	@cargo test --quiet --test rules_table -- --print

.PHONY: all install uninstall rules
