# Sourced: clean Debian systems to work in, each made once and kept under target/debian.
# All mounts are in a namespace of the run, and go with it.

# in_namespace COMMAND...: goes on in a mount namespace of its own.
in_namespace() {
	[ "${IN_NAMESPACE:-}" != yes ] || return 0
	[ "$(id -u)" = 0 ] || die "not root: chroots need it"
	IN_NAMESPACE=yes exec unshare --mount "$@"
}

# The release of this machine, in whose place another one is put.
codename() {
	sed -n 's/^VERSION_CODENAME=//p' /etc/os-release
}

# debian_base RELEASE: the folder of a minimal Debian, updates of security included.
# Mirrors are those of this machine.
debian_base() {
	base=$PWD/target/debian/$1
	[ ! -e "$base.ready" ] || return 0
	mkdir -p "$base"
	command -v debootstrap >/dev/null || apt-get install -y -q --no-install-recommends debootstrap >"$base.log" 2>&1 ||
		die "install debootstrap"
	lists=$(grep -ls "^\(deb\|Suites:\) .*$(codename)" /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
		/etc/apt/sources.list.d/*.sources) || true
	[ -n "$lists" ] ||
		die "no archive in apt's configuration"
	# Debian's own come first; those of others may not know the release.
	lists=$(grep -l -e 'debian-archive-keyring' -e '^deb [^[]*debian' $lists || echo "$lists")
	# shellcheck disable=SC2086
	archive=$(sed -n -e 's/^URIs: *\([^ ]*\).*/\1/p' -e 's/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' $lists | head -n 1)
	echo "making a clean Debian $1"
	debootstrap --variant=minbase "$1" "$base" "$archive" >>"$base.log" 2>&1 || die "debootstrap failed, see $base.log"
	rm -f "$base/etc/apt/sources.list"
	for list in $lists; do
		sed "s/\b$(codename)/$1/g" "$list" >"$base/etc/apt/sources.list.d/machine-$(basename "$list")"
	done
	cp /etc/apt/apt.conf.d/*proxy* "$base/etc/apt/apt.conf.d/" 2>/dev/null || true
	touch "$base.ready"
}

# debian_copy RELEASE: mounts a copy of it in memory, with the files of the project in /sipwarden:
# $root. What is done there is forgotten; loaded packages are kept for the next time.
debian_copy() {
	debian_base "$1"
	work=$(mktemp -d)
	root=$work/root
	mount -t tmpfs -o size=6g tmpfs "$work"
	mkdir "$work/upper" "$work/work" "$root"
	mount -t overlay overlay -o "lowerdir=$base,upperdir=$work/upper,workdir=$work/work" "$root"
	mount --rbind /proc "$root/proc"
	mount --rbind /dev "$root/dev"
	cp /etc/resolv.conf "$root/etc/resolv.conf"
	# A network may sign anew what is loaded: this machine knows with which certificate.
	[ ! -e "${SSL_CERT_FILE:-}" ] || cp "$SSL_CERT_FILE" "$root/srv/certificates"
	mkdir -p "$base.packages/partial" "$root/run/kamailio" "$root/sipwarden"
	mount --bind "$base.packages" "$root/var/cache/apt/archives"
	git ls-files | tar -cf - -T - | tar -xf - -C "$root/sipwarden"
}

debian_forget() {
	umount -R -l "$work" && rmdir "$work"
}

# inside COMMAND...: in the copy, with nothing of this machine's environment.
inside() {
	chroot "$root" env -C /sipwarden -i HOME=/root TERM=dumb LC_ALL=C.UTF-8 \
		PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
		${SSL_CERT_FILE:+CARGO_HTTP_CAINFO=/srv/certificates} "$@"
}

# quietly COMMAND...: what it prints goes to $log, and is shown if it fails.
quietly() {
	"$@" >>"$log" 2>&1 || { tail -n 30 "$log" >&2 && die "$*: see $log"; }
}

# What is built in the copy is kept, and what cargo has loaded here is not loaded again.
share_builds() {
	mkdir -p "$base.target" "$root/sipwarden/target"
	mount --bind "$base.target" "$root/sipwarden/target"
	loaded=${CARGO_HOME:-$HOME/.cargo}/registry
	[ ! -d "$loaded" ] || { mkdir -p "$root/root/.cargo/registry" && mount --bind "$loaded" "$root/root/.cargo/registry"; }
}

# debian_row WHAT: what was tried, as a row of the README's table of versions.
debian_row() {
	printf '| Debian %s | %s | %s | %s, %s |\n' "$(inside sh -c '. /etc/os-release && echo "$VERSION_ID"')" \
		"$(inside kamailio -v | sed -n 's/^version: kamailio \([^ ]*\).*/\1/p')" \
		"$(echo "$compiler" | cut -d' ' -f2)" "$1" "$(date +%F)"
}
