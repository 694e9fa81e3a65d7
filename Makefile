# connections_redesign: a PGXS build; see README.md for the targets.

EXTENSION = connections_redesign
MODULE_big = connections_redesign
OBJS = $(patsubst $(srcdir)/%.c,%.o,$(sort $(wildcard $(srcdir)/src/*.c $(srcdir)/src/*/*.c)))

# Queries of more than a few lines are files, which the C files include as string literals.
QUERIES = $(patsubst $(srcdir)/%,%.h,$(sort $(wildcard $(srcdir)/src/*/*.sql)))
EXTRA_CLEAN = $(QUERIES)

# The version stands in the control file only.
PG_CPPFLAGS = -I$(srcdir)/src -Isrc -DCRD_VERSION='"$(shell sed -n "s/^default_version = '\(.*\)'/\1/p" $(srcdir)/$(EXTENSION).control)"'

DATA = sql/connections_redesign--1.0.sql

REGRESS = $(patsubst $(srcdir)/test/sql/%.sql,%,$(sort $(wildcard $(srcdir)/test/sql/*.sql)))
REGRESS_OPTS = --inputdir=$(srcdir)/test --load-extension=$(EXTENSION)

ISOLATION = $(patsubst $(srcdir)/test/specs/%.spec,%,$(sort $(wildcard $(srcdir)/test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=$(srcdir)/test --outputdir=. --load-extension=$(EXTENSION)

TAP_TESTS = 1
PROVE_TESTS = test/t/*.pl

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# Packaged servers come without --enable-depend.
$(OBJS) $(OBJS:.o=.bc): $(wildcard $(srcdir)/src/*.h $(srcdir)/src/*/*.h) $(QUERIES)

src/%.sql.h: $(srcdir)/src/%.sql
	sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/"&\\n"/' $< > $@

# A build outside the source tree needs the directories that make writes to or reads from.
ifneq ($(abspath $(srcdir)),$(CURDIR))
$(OBJS) $(OBJS:.o=.bc) $(QUERIES): | $(addprefix $(CURDIR)/,$(sort $(dir $(OBJS))))
installcheck: $(CURDIR)/expected
$(addprefix $(CURDIR)/,$(sort $(dir $(OBJS)))): ; $(MKDIR_P) $@
$(CURDIR)/expected: ; ln -s $(abspath $(srcdir))/expected $@
endif
