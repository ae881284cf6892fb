#!/usr/bin/env bash
# The engine and its C++ tests on another processor under Linux, cross-compiled by Debian's GCC, run by QEMU:
#   bash platforms/linux.sh aarch64|s390x|riscv64|ppc64le|armhf|i686
# About 2 minutes each on two cores.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

name=${1:?"which processor: aarch64, s390x, riscv64, ppc64le, armhf or i686"}
emulator=qemu-$name
case $name in
aarch64 | s390x | riscv64) triple=$name-linux-gnu ;;
ppc64le) triple=powerpc64le-linux-gnu ;;
armhf) triple=arm-linux-gnueabihf emulator=qemu-arm ;;
i686) triple=i686-linux-gnu emulator=qemu-i386 ;;
*) echo "No such processor: $name" >&2 && exit 2 ;;
esac
install_packages cmake ninja-build qemu-user "g++-$triple"
need cmake ninja "$emulator" "$triple-g++"
say "C++ tests on $name: $("$triple-g++" --version | head -n 1), $("$emulator" --version | head -n 1)"
preset "$name" "$scratch/$name" test
