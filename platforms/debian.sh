# Roots and source packages of Debian suites in a scratch folder, for scripts that source common.sh first.
# This system's own sources of packages stay as they are.

# Print the address of this system's Debian mirror.
debian_mirror() {
    apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -m 1 '/debian/*$' || skip "needs a Debian system"
}

# Make a root of a suite with packages, or add the packages to one that is there: sets `debian`, its folder. Arguments:
# the suite, or suite:architecture for another than this system's, then packages.
debian_root() {
    local suite=${1%:*} architecture=${1#"${1%:*}"} options=()
    debian=$scratch/${1/:/-}
    shift
    if [ -e "$debian/made" ]; then
        in_root dpkg -s "$@" >/dev/null 2>&1 || in_root bash -euc '
            apt-get update -qq
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
        ' in_root "$@"
        return
    fi
    [ "$(id -u)" = 0 ] || skip "needs root"
    install_packages mmdebstrap debian-archive-keyring ca-certificates
    need mmdebstrap unshare
    unshare --mount --pid --fork true 2>/dev/null || skip "no namespaces are allowed here"
    [ -z "$architecture" ] || options+=(--architectures="${architecture#:}")
    rm -rf --one-file-system "$debian"
    # In a namespace of its own: what it mounts is gone when it ends, however it ends.
    # The files of a mirror that stands still may be past their Valid-Until date.
    unshare --mount --propagation private mmdebstrap --quiet --variant=minbase --include="ca-certificates $*" \
        "${options[@]}" --aptopt='Acquire::Check-Valid-Until "false"' "$suite" "$debian" "$(debian_mirror)" \
        >"$debian.log" 2>&1 || { cat "$debian.log"; skip "no root of Debian $suite$architecture with $* can be made"; }
    mkdir -p "$debian/source" "$debian/scratch"
    in_root true 2>/dev/null || skip "the root of Debian $suite cannot be entered"
    touch "$debian/made"
}

# Run a command in that root: this repository's files are in /source, read-only; /scratch is kept.
in_root() {
    unshare --mount --pid --fork --kill-child --propagation private -- bash -euc '
        debian=$1 source=$2
        shift 2
        mount -t proc proc "$debian/proc"
        mount --rbind /dev "$debian/dev"
        mount --bind "$source" "$debian/source"
        mount -o remount,bind,ro "$debian/source"
        cp -L /etc/resolv.conf /etc/hosts "$debian/etc/"
        # The certificates that this system trusts, for pip.
        cp -L /etc/ssl/certs/ca-certificates.crt "$debian/etc/ssl/certs/" 2>/dev/null || true
        exec chroot "$debian" env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
            PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
            "$@"
    ' in_root "$debian" "$root" "$@"
}

# Unpack the source of a package into a folder, without Debian's patches, which keep Python from being free-threaded,
# from having pip and from living elsewhere. apt gets a configuration of its own.
debian_source() {
    local suite=$1 package=$2 folder=$3 apt=$scratch/apt-$1
    [ ! -d "$folder" ] || return 0
    install_packages dpkg-dev debian-archive-keyring
    need apt-get dpkg-source
    mkdir -p "$apt"/{parts,lists/partial,cache/archives/partial}
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(debian_mirror) $suite main" \
        >"$apt/sources.list"
    cat >"$apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "$apt/parts";
Dir::State::lists "$apt/lists";
Dir::Cache "$apt/cache";
APT::Sandbox::User "root";
CONF
    (
        cd "$apt"
        export APT_CONFIG=$apt/apt.conf
        apt-get update -qq && apt-get source -qq --download-only "$package" >"$apt/log" 2>&1 &&
            dpkg-source --skip-patches -x "$package"_*.dsc "$folder" >>"$apt/log" 2>&1
    ) || skip "the source package $package of Debian $suite cannot be fetched"
}
