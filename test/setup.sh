# What the commands in test/ share.  They source it and from then on run in a scratch copy of the tree.
#
# Servers refuse to run as root, and the tree may be read-only or lie where nobody else may look.  So the tree is copied to a scratch
# directory and the command starts again there, as the user postgres where root called it.  Packages that are missing are installed;
# the extension is not: it is staged in the scratch directory, and the servers find it there.
#
# PG_CONFIG chooses the version of PostgreSQL; KEEP=1 leaves the scratch directory and its server behind; SANITIZE=1 builds with
# AddressSanitizer and UndefinedBehaviorSanitizer, whose reports are in the scratch directory.
# shellcheck shell=bash

cleanup()
{
	cd /
	if [ -n "${KEEP:-}" ]; then
		echo "kept: $CRD_SCRATCH"
		return
	fi
	find "$CRD_SCRATCH" -name postmaster.pid -printf '%h\n' 2> /dev/null | while read -r pgdata; do
		pg_ctl stop --silent --mode=immediate --pgdata="$pgdata" || true
	done
	rm -rf "$CRD_SCRATCH"
}

as_root()
{
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# The newest server that is installed here, else the distribution's.
default_pg_config()
{
	local version

	version=$(find /usr/lib/postgresql -path '*/bin/postgres' 2> /dev/null | cut -d / -f 5 | sort -n | tail -n 1)
	if [ -z "$version" ]; then
		as_root apt-get -qq update
		version=$(apt-cache depends postgresql | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p')
	fi
	echo "/usr/lib/postgresql/$version/bin/pg_config"
}

# Installs what the suites that are named need and this machine has not.
install_missing()
{
	local packages=() package version

	command -v make > /dev/null || packages+=(make)
	command -v gcc > /dev/null || packages+=(gcc libc6-dev)
	command -v prove > /dev/null || packages+=(perl)
	perl -MIPC::Run -e 1 2> /dev/null || packages+=(libipc-run-perl)
	perl -MDBD::Pg -e 1 2> /dev/null || packages+=(libdbd-pg-perl)
	if [[ " $* " =~ \ lint\  ]]; then
		for package in clang clang-tidy cppcheck shellcheck; do
			command -v "$package" > /dev/null || packages+=("$package")
		done
		command -v scan-build > /dev/null || packages+=(clang-tools)
		[ -x "${PG_CONFIG%/*}/pg_bsd_indent" ] || command -v pg_bsd_indent > /dev/null || packages+=(pg-bsd-indent)
	fi
	if [[ $PG_CONFIG =~ ^/usr/lib/postgresql/([0-9]+)/ ]]; then
		version=${BASH_REMATCH[1]}
		[ -x "${PG_CONFIG%/*}/initdb" ] || packages+=("postgresql-$version")
		[ -f "/usr/include/postgresql/$version/server/postgres.h" ] || packages+=("postgresql-server-dev-$version")
	fi
	if [ "${#packages[@]}" -gt 0 ]; then
		echo "installing ${packages[*]}"
		as_root apt-get -qq update
		as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 --no-install-recommends install "${packages[@]}" > /dev/null
	fi
}

# Starts the calling script again in a copy of its tree.  /var/tmp, as a tmpfs may be too small and is no disk to measure.
#
# Where root may mount, there is a small file system for tests that fill a disk, in a mount namespace of the script's own: nobody else
# sees it, and it goes with the last process in there, however that ends.
move_to_scratch()
{
	local script tree as_user=()

	script=$(realpath "$0")
	tree=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")
	CRD_SCRATCH=$(mktemp -d /var/tmp/connections_redesign.XXXXXX)
	export CRD_SCRATCH
	mkdir "$CRD_SCRATCH"/{source,build,stage,tmp}
	tar -C "$tree" --mode=u+rwX --exclude-vcs --exclude='*.o' --exclude='*.bc' --exclude='*.so' --exclude=./results --exclude='./tmp_check*' -cf - . |
		tar -C "$CRD_SCRATCH/source" -xf -
	if [ "$(id -u)" = 0 ]; then
		chown -R postgres: "$CRD_SCRATCH"
		as_user=(runuser -u postgres --)
		if unshare --mount mount -t tmpfs tmpfs /mnt 2> /dev/null; then
			# shellcheck disable=SC2016 # the inner shell expands it
			as_user=(env CRD_SMALL_DISK=/mnt unshare --mount sh -c
				'mount -t tmpfs -o size=32m,mode=1777 tmpfs "$CRD_SMALL_DISK" && exec "$@"' sh "${as_user[@]}")
		fi
	fi
	cd "$CRD_SCRATCH" || exit 1
	exec "${as_user[@]}" "$CRD_SCRATCH/source${script#"$tree"}" "$@"
}

# Compiles, where a warning is an error, and stages what "make install" installs.  No bitcode: it doubles the time and
# tests nothing.
build()
{
	local make=(make --silent -C "$CRD_SCRATCH/build" -f "$CRD_SCRATCH/source/Makefile" VPATH="$CRD_SCRATCH/source" with_llvm=no)

	if [ -n "${SANITIZE:-}" ]; then
		sanitize
	else
		"${make[@]}" -j "$(nproc)" PG_CFLAGS="$CRD_CFLAGS"
	fi && "${make[@]}" install DESTDIR="$CRD_SCRATCH/stage"
}

# Compiles with the sanitizers, and has what is started from now on find their library first, as servers without it cannot load ours.
# The server leaks when it exits, and measures its stack, which therefore has to stay in one place.
sanitize()
{
	local flags='-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g' wrap

	wrap=$(sed -n 's/^WRAP(\([A-Za-z0-9]*\), .*/-Wl,--wrap=\1/p' "$CRD_SCRATCH/source/test/sanitize.c" | tr '\n' ' ')
	# shellcheck disable=SC2086
	gcc $flags -O1 -fPIC -D_GNU_SOURCE -I"$("$PG_CONFIG" --includedir-server)" \
		-c "$CRD_SCRATCH/source/test/sanitize.c" -o "$CRD_SCRATCH/build/sanitize.o" || return
	"${make[@]}" -j "$(nproc)" PG_CFLAGS="$CRD_CFLAGS -Wno-error $flags" \
		SHLIB_LINK="$CRD_SCRATCH/build/sanitize.o $wrap -Wl,--wrap=pstrdup -fsanitize=address,undefined" || return
	# without initfirst it would start inside a library's bindtextdomain, ask for a message, and never give back the lock of gettext
	gcc -shared -fPIC -Wl,-z,initfirst -x c - -o "$CRD_SCRATCH/build/first.so" \
		<<< '__attribute__((constructor)) static void start(void) { void *volatile p = __builtin_malloc(1); __builtin_free(p); }' || return
	LD_PRELOAD="$(gcc -print-file-name=libasan.so) $CRD_SCRATCH/build/first.so"
	export LD_PRELOAD
	export ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0:abort_on_error=1:log_path=$CRD_SCRATCH/sanitizer
	export UBSAN_OPTIONS=print_stacktrace=1:abort_on_error=1:log_path=$CRD_SCRATCH/sanitizer
}

# Starts a server in the directory PGHOST that listens on a Unix socket in there only; each argument is a line for its postgresql.conf.
start_server()
{
	mkdir -p "$PGHOST"
	initdb --pgdata="$PGHOST/pgdata" --username=postgres --auth=trust --encoding=UTF8 --no-sync > /dev/null
	printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$PGHOST'" "$@" |
		cat - "$TEMP_CONFIG" >> "$PGHOST/pgdata/postgresql.conf"
	pg_ctl start --silent --wait --pgdata="$PGHOST/pgdata" --log="$PGHOST/server.log"
}

# Creates the database $1 with the legacy schema and $2 connections.
create_legacy()
{
	createdb "$1"
	psql --quiet --set=rows="$2" --dbname="$1" --file="$fixtures/legacy.sql" --file="$fixtures/rows.sql"
}

# Runs the plain SQL of the migrations $2 (as 1.up) and so on in the database $1, all in one transaction.
migrate_in_plain_sql()
{
	local database=$1

	shift
	psql --quiet --single-transaction --dbname="$database" "${@/#/--file=$fixtures/typeorm/}"
}

# Starts the old application in the database $1, whose first $2 rows are those of rows.sql, and returns once it is connected: four
# sessions that make $application_rate writes a second in all, at moments that do not depend on how fast they are served.
start_application()
{
	local scripts=$fixtures/old_application

	rm -f "$CRD_SCRATCH"/application.*
	pgbench --no-vacuum --client=4 --jobs=2 --rate="$application_rate" --time=86400 --random-seed=1 --define=rows="$(($2 > 0 ? $2 : 1))" \
		--log --log-prefix="$CRD_SCRATCH/application.log" \
		--file="$scripts/rename.pgbench@7" --file="$scripts/insert.pgbench@2" --file="$scripts/repoint.pgbench@1" \
		"$1" > "$CRD_SCRATCH/application.out" 2>&1 &
	application=$!
	until [ "$(psql --no-align --tuples-only --dbname=postgres --command="SELECT count(*) FROM pg_stat_activity
			WHERE datname = '$1' AND application_name = 'pgbench'")" = 4 ]; do
		kill -0 "$application" || { cat "$CRD_SCRATCH/application.out"; return 1; }
	done
}

# Stops it, and prints a line for every transaction: when it ended, in seconds since 1970, how long it took, in microseconds, and whether
# it failed.  A session that met an error other than a deadlock has ended there, and its last transaction was not logged: it has only
# "- - t".
#
# How long is from when the transaction was due, not from when a session had time for it: while four of them wait, others that come
# would wait, too.
stop_application()
{
	# as when --time is over, so that pgbench ends its transactions and writes its log
	kill -ALRM "$application"
	wait "$application" || true
	cat "$CRD_SCRATCH"/application.log.* | awk '{
		failed = $3 !~ /^[0-9]+$/
		printf "%s.%06d %s %s\n", $5, $6, failed ? "-" : $3, failed ? "t" : "f"
	}'
	sed -n 's/.*client [0-9]* .*aborted.*/- - t/p' "$CRD_SCRATCH/application.out"
}

PG_CONFIG=${PG_CONFIG:-$(default_pg_config)}
if [ -z "${CRD_SCRATCH:-}" ]; then
	install_missing "$@"
	trap cleanup EXIT
	move_to_scratch "$@"
fi
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

# Nothing of the caller's environment may lead to another server or another output.
pg_config=$PG_CONFIG
unset "${!PG@}" "${!LC_@}" LANGUAGE MAKEFLAGS
PATH=$("$pg_config" --bindir):$PATH
export PATH PG_CONFIG=$pg_config HOME="$CRD_SCRATCH" TMPDIR="$CRD_SCRATCH/tmp" LANG=C.UTF-8
export PGHOST="$CRD_SCRATCH" PGUSER=postgres
echo '\set ON_ERROR_STOP on' > ~/.psqlrc

fixtures=$CRD_SCRATCH/source/test/fixtures
application_rate=200

# the warnings that the project wants to be free of, without those that the server's headers give
export CRD_CFLAGS='-Wall -Wextra -Wshadow -Wstrict-prototypes -Werror -Wno-unused-parameter -Wno-sign-compare'

# How a server finds what is staged; the TAP tests' own servers read the same file.
export TEMP_CONFIG="$CRD_SCRATCH/staged.conf"
{
	if [ "$("$PG_CONFIG" --version | grep -oE '[0-9]+' | head -n 1)" -ge 18 ]; then
		echo "extension_control_path = '$CRD_SCRATCH/stage$("$PG_CONFIG" --sharedir):\$system'"
	else
		echo "extension_destdir = '$CRD_SCRATCH/stage'"
	fi
	echo "dynamic_library_path = '$CRD_SCRATCH/stage$("$PG_CONFIG" --pkglibdir):\$libdir'"
} > "$TEMP_CONFIG"
