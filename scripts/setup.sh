# Prerequisites, for ./demo and ./check to source. Everything it says goes to standard error.
#
# Before sourcing: the working directory is the repository, and assume_yes is 1 where nothing is to be asked.
# shellcheck shell=sh

target=${CARGO_TARGET_DIR:-target}
tools=target/tools

say() { printf '%s\n' "$*" >&2; }

stop() {
    say "error: $*"
    exit 2
}

# approve WHAT COMMAND…: whether COMMAND may be run. Without a terminal and without --yes it prints the command
# and ends with 2.
approve() {
    approve_what=$1
    shift
    say "$approve_what"
    say "    $*"
    if [ "$assume_yes" = 1 ]; then return 0; fi
    if [ -t 0 ] && [ -t 2 ]; then
        printf 'Run it now? [y/N] ' >&2
        read -r approve_answer || approve_answer=n
        case $approve_answer in [yY]*) return 0 ;; esac
    fi
    say "Run it yourself, or run this again with --yes."
    exit 2
}

# provided FILE…: whether one of these programs or files is there.
provided() {
    for provided_name; do
        case $provided_name in
        /*) [ -e "$provided_name" ] && return 0 ;;
        *) command -v "$provided_name" >/dev/null 2>&1 && return 0 ;;
        esac
    done
    return 1
}

# require PACKAGE FILE…: notes PACKAGE as missing unless one of these programs or files is there.
missing=
as_root=
require() {
    require_package=$1
    shift
    provided "$@" || missing="$missing $require_package"
}

# install_missing: installs what require noted, asking first.
install_missing() {
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null 2>&1 || stop "needed:$missing; hint: no apt-get here, install them your way"
    if [ "$(id -u)" = 0 ]; then
        approve "To be installed:$missing" "apt-get install -y --no-install-recommends$missing"
        as_root=
        # shellcheck disable=SC2086
        apt_install $missing
    elif may_sudo; then
        approve "To be installed:$missing" "sudo apt-get install -y --no-install-recommends$missing"
        as_root=sudo
        # shellcheck disable=SC2086
        apt_install $missing
    else
        unpack_missing
    fi
    missing=
}

# A password can be typed at a terminal only.
may_sudo() {
    command -v sudo >/dev/null 2>&1 || return 1
    sudo -n true 2>/dev/null || { [ -t 0 ] && [ "$assume_yes" != 1 ]; }
}

# apt_install PACKAGE…: installs, and lets no service start because of it.
apt_install() {
    policy=/usr/sbin/policy-rc.d
    guard=
    if [ ! -e "$policy" ]; then
        guard=$policy
        printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
        $as_root chmod 755 "$policy"
        trap '$as_root rm -f "$guard"' EXIT
        trap 'exit 130' INT TERM
    fi
    $as_root apt-get update -q >&2 || say "The package lists could not be brought up to date; trying with those that are there."
    apt_result=0
    $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -q -y --no-install-recommends "$@" >&2 || apt_result=$?
    if [ -n "$guard" ]; then
        $as_root rm -f "$guard"
        trap - EXIT INT TERM
    fi
    [ "$apt_result" = 0 ] || stop "apt-get could not install: $*"
}

# Without rights on the system a compiler can still be had, unpacked into the target folder; the rest cannot.
unpack_missing() {
    [ "$missing" = " gcc libc6-dev" ] || [ "$missing" = " gcc" ] || [ "$missing" = " libc6-dev" ] ||
        stop "needed:$missing; hint: have somebody run: apt-get install -y --no-install-recommends$missing"
    approve "No root, no sudo. To be unpacked into $tools/root:$missing" "apt-get download, then dpkg -x"
    mkdir -p "$tools/deb" "$tools/root" "$tools/bin"
    # shellcheck disable=SC2086
    unpack_list=$(apt-get install -s --no-install-recommends $missing | awk '$1 == "Inst" && $3 !~ /^\[/ { print $2 }')
    [ -n "$unpack_list" ] || stop "apt-get does not know how to get$missing; hint: its lists may be empty"
    # shellcheck disable=SC2086
    (cd "$tools/deb" && apt-get download $unpack_list >&2) || stop "the packages could not be downloaded"
    for unpack_file in "$tools"/deb/*.deb; do dpkg -x "$unpack_file" "$tools/root"; done
    rm -r "$tools/deb"
    write_compiler
}

# A compiler in a folder of its own has to be told where its parts lie.
write_compiler() {
    compiler_root=$(cd "$tools/root" && pwd)
    compiler_libraries=$compiler_root/usr/lib/$(uname -m)-linux-gnu
    # The C library's linker script names its static part by an absolute path.
    if [ -f "$compiler_libraries/libc.so" ]; then
        sed -i "s| /usr/lib/| $compiler_root/usr/lib/|" "$compiler_libraries/libc.so"
    fi
    {
        printf '#!/bin/sh\n'
        printf 'export LD_LIBRARY_PATH="%s"\n' "$compiler_libraries"
        printf 'export PATH="%s/usr/bin:$PATH"\n' "$compiler_root"
        printf 'exec gcc -B "%s" -L "%s" ' "$compiler_libraries" "$compiler_libraries"
        printf -- '-idirafter "%s/usr/include" ' "$compiler_root"
        printf -- '-idirafter "%s/usr/include/%s-linux-gnu" "$@"\n' "$compiler_root" "$(uname -m)"
    } >"$tools/bin/cc"
    chmod 755 "$tools/bin/cc"
    for compiler_part in ar ranlib; do
        printf '#!/bin/sh\nLD_LIBRARY_PATH="%s" exec "%s/usr/bin/%s" "$@"\n' \
            "$compiler_libraries" "$compiler_root" "$compiler_part" >"$tools/bin/$compiler_part"
        chmod 755 "$tools/bin/$compiler_part"
    done
}

# need_compilers: what the build needs, and Rust new enough.
need_compilers() {
    if [ -x "$tools/bin/cc" ]; then PATH=$(cd "$tools/bin" && pwd):$PATH; fi
    require gcc cc
    require libc6-dev /usr/include/stdio.h "$(pwd)/$tools/root/usr/include/stdio.h"
    # libyang, in C, is built with the program that uses it; its patterns are matched by PCRE.
    require cmake cmake
    require make make
    require libpcre2-dev /usr/include/pcre2.h
    require pkg-config pkg-config pkgconf
    require ca-certificates /etc/ssl/certs/ca-certificates.crt
    install_missing
    if [ -x "$tools/bin/cc" ]; then PATH=$(cd "$tools/bin" && pwd):$PATH; fi
    need_rust
    export PATH
}

rust_is_new_enough() {
    rust_found=$(rustc --version 2>/dev/null | awk '{ print $2 }')
    [ -n "$rust_found" ] && command -v cargo >/dev/null 2>&1 &&
        printf '%s\n%s\n' "$rust_wanted" "${rust_found%%-*}" | sort -C -V
}

need_rust() {
    rust_wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    if rust_is_new_enough; then return 0; fi
    # A distribution's own Rust may stand first in the path while a newer one is in the home folder.
    PATH=${CARGO_HOME:-${HOME:-}/.cargo}/bin:$PATH
    if rust_is_new_enough; then return 0; fi
    if command -v rustup >/dev/null 2>&1; then
        approve "Rust $rust_wanted or newer is needed, ${rust_found:-none} is here." \
            "rustup toolchain install stable --profile minimal -c clippy -c rustfmt"
        rustup toolchain install stable --profile minimal -c clippy -c rustfmt >&2 ||
            stop "rustup could not install Rust"
        RUSTUP_TOOLCHAIN=stable
        export RUSTUP_TOOLCHAIN
    else
        require curl curl
        install_missing
        approve "Rust $rust_wanted or newer is needed, ${rust_found:-none} is here." \
            "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal -c clippy -c rustfmt --no-modify-path"
        mkdir -p "$tools"
        curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs -o "$tools/rustup.sh" ||
            stop "rustup could not be fetched"
        sh "$tools/rustup.sh" -y --profile minimal -c clippy -c rustfmt --no-modify-path >&2 ||
            stop "rustup could not install Rust"
        rm -f "$tools/rustup.sh"
    fi
    rust_is_new_enough || stop "Rust $rust_wanted or newer is needed, ${rust_found:-none} is what came"
}

# build_programs: the two binaries, with the profile that everything here shares.
build_programs() {
    say "Building ranproof (some minutes the first time) …"
    cargo build --locked -p ranproof -p ranproof-anchor --bins >&2 || stop "the build failed"
}

# need_testers: what ./check uses beside the compilers.
need_testers() {
    sshd_before=$(provided /usr/sbin/sshd && echo there || echo absent)
    prometheus_before=$(provided prometheus && echo there || echo absent)
    require netconfd /usr/sbin/netconfd
    require libyuma-base /usr/share/yuma/modules/ietf
    # Two compilers of YANG look at our modules: this one, and pyang in the virtual environment.
    require libyang-tools yanglint
    require openssh-server /usr/sbin/sshd
    require openssh-client ssh-keygen
    require chromium chromium chromium-browser google-chrome
    # Without a Chinese font the screenshots of the Chinese pages show boxes.
    require fonts-wqy-microhei /usr/share/fonts/truetype/wqy /usr/share/fonts/opentype/noto
    require util-linux setpriv
    # The federation's tests give each operator a network namespace of its own and cut the wires between them.
    require iproute2 ip
    require nftables /usr/sbin/nft
    # One of them has a wrong clock.
    require libfaketime /usr/lib/*/faketime/libfaketimeMT.so.1
    # Its package has promtool, too.
    require prometheus prometheus
    # What npm brings is run by node: the TypeScript compiler.
    require npm npm
    require nodejs node
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
    install_missing
    if [ "$sshd_before" = absent ]; then keep_quiet openssh-server ssh.service ssh.socket; fi
    if [ "$prometheus_before" = absent ]; then keep_quiet prometheus prometheus.service; fi
    need_python
    need_modules dashboards
    need_modules browser
}

# keep_quiet PACKAGE UNIT…: a service that came for the tests must not start at the next boot either.
keep_quiet() {
    quiet_package=$1
    shift
    if [ -d /run/systemd/system ]; then
        $as_root systemctl disable --quiet "$@" 2>/dev/null ||
            say "Note: $quiet_package is installed now and may start at the next boot."
    fi
}

# need_modules NAME: exactly what tests/NAME/package-lock.json pins, without anybody's install scripts.
need_modules() {
    modules_lock=tests/$1/package-lock.json
    modules=$tools/npm/$1
    if cmp -s "$modules_lock" "$modules/installed"; then return 0; fi
    say "Setting up npm packages in $modules …"
    rm -rf "$modules"
    mkdir -p "$modules"
    cp "tests/$1/package.json" "$modules_lock" "$modules/"
    (cd "$modules" && npm ci --ignore-scripts --no-audit --no-fund >&2) || stop "the npm packages could not be installed"
    cp "$modules_lock" "$modules/installed"
}

# need_python: a virtual environment with exactly what scripts/requirements.txt pins.
need_python() {
    venv=$tools/venv
    if cmp -s scripts/requirements.txt "$venv/requirements.txt"; then return 0; fi
    say "Setting up Python packages in $venv …"
    rm -rf "$venv"
    python3 -m venv "$venv" >&2 && "$venv/bin/pip" install --quiet --disable-pip-version-check \
        --requirement scripts/requirements.txt >&2 || stop "the Python packages could not be installed"
    cp scripts/requirements.txt "$venv/requirements.txt"
}
