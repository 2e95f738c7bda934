#!/bin/sh
# Installs what is missing, with apt-get when it may, else says in one line what to install.
#
#   integration/setup.sh build   what a build needs: Rust, a C compiler and cmake (for the TLS library and the allocator)
#   integration/setup.sh test    that, and the programs that the tests talk to
#   integration/setup.sh show    that, and what decodes what is sent in `make show-variants`
set -eu

# Debian keeps servers in the sbin folders, which are not in everybody's path.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

for_build="cmake:cmake cc:gcc"
for_test="nginx:nginx haproxy:haproxy varnishd:varnish redis-server:redis-server slowhttptest:slowhttptest wrk:wrk
h2load:nghttp2-client chromium:chromium valgrind:valgrind faketime:faketime strace:strace openssl:openssl curl:curl
ss:iproute2 brotli:brotli zstd:zstd dwebp:webp systemd-analyze:systemd groff:groff-base goaccess:goaccess fail2ban-regex:fail2ban logrotate:logrotate"
for_show="node:nodejs"

die() {
    echo "$1" >&2
    exit 1
}

# The packages of which the program is not there.
missing() {
    for pair in $1; do
        command -v "${pair%%:*}" >/dev/null || printf ' %s' "${pair#*:}"
    done
}

# How to become root without being asked, or nothing.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        echo env
    elif sudo -n true 2>/dev/null; then
        echo "sudo -n env"
    fi
}

# Servers come with a start script; the tests start their own, and nothing of this machine should change its ports.
quiet_install() {
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | $root tee $policy >/dev/null
        $root chmod +x $policy
        trap '$root rm -f $policy' EXIT INT TERM
    fi
    $root apt-get -qq -o DPkg::Lock::Timeout=600 update
    # shellcheck disable=SC2086 # a list of packages
    $root DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -y -o DPkg::Lock::Timeout=600 install --no-install-recommends $packages >/dev/null
}

case "${1:-}" in
    build) packages=$(missing "$for_build") ;;
    test)
        packages=$(missing "$for_build $for_test")
        # A library without a program of its own.
        ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 || packages="$packages libfaketime"
        ;;
    show)
        "$0" test
        packages=$(missing "$for_show")
        # Libraries for Debian's own Python, which another in the path would not find.
        for library in brotli:python3-brotli zstandard:python3-zstandard; do
            /usr/bin/python3 -c "import ${library%%:*}" 2>/dev/null || packages="$packages ${library#*:}"
        done
        ;;
    *) die "usage: integration/setup.sh build|test|show" ;;
esac

command -v cargo >/dev/null || die "Rust is missing: install it with rustup (https://rustup.rs), then run this again"

[ -n "$packages" ] || exit 0
command -v apt-get >/dev/null || die "missing, install with your package manager (Debian's names):$packages"
root=$(as_root)
[ -n "$root" ] || die "missing, install with: sudo apt-get install$packages"
echo "installing:$packages"
quiet_install
