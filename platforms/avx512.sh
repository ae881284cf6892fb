#!/usr/bin/env bash
# The AVX-512 kernels on a machine without AVX-512: C++ tests of kernels in a Linux that Bochs 3.0 emulates.
# For a change of cpp/kernels on a machine without AVX-512. Needs root; about 10 minutes on one core.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

[ "$(uname -m)" = x86_64 ] || skip "needs x86-64"
install_packages cmake ninja-build g++
need cmake ninja
# Bochs of trixie: that of Debian 12 rounds half-precision denormals wrongly.
debian_root trixie bochs bochsbios vgabios busybox-static cpio grub-pc-bin grub-common xorriso mtools

say "C++ tests, linked statically"
preset native "$scratch/build" build -DCMAKE_EXE_LINKER_FLAGS=-static
image=$debian/scratch/image
rm -rf "$image" "$debian/scratch/root"
mkdir -p "$image/boot/grub" "$debian/scratch/root"/{bin,dev,proc,sys}
cp "$scratch"/build/tests/cpp/test_{dispatch,golden,halves,fuzz,noise} "$root"/tests/golden/{format1,noise1}.txt \
    "$debian/scratch/root/"
cat >"$debian/scratch/root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t sysfs sys /sys
for line in "/test_dispatch" "/test_golden /format1.txt" "/test_halves" "/test_fuzz 300" "/test_noise /noise1.txt"; do
    echo "begin $line"
    $line && echo "passed $line" || echo "FAILED $line"
done
echo "end of the tests"
/bin/busybox sleep 2  # until the serial port has written it
/bin/busybox poweroff -f
INIT
chmod +x "$debian/scratch/root/init"
# console: the serial port, which Bochs writes to a file. clearcpuid: FPU features that Bochs has and Linux stumbles on.
cat >"$image/boot/grub/grub.cfg" <<'GRUB'
set timeout=0
linux /boot/vmlinuz console=ttyS0 mitigations=off nokaslr noxsaves clearcpuid=321,323 panic=-1 quiet loglevel=1
initrd /boot/initrd
boot
GRUB
cat >"$debian/scratch/bochsrc" <<'BOCHS'
megs: 1024
cpu: model=corei7_skylake_x, count=1, ips=100000000
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
ata0-master: type=cdrom, path=/scratch/tests.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=/scratch/serial.txt
display_library: rfb, options="timeout=0"
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
clock: sync=none
panic: action=fatal
log: /scratch/bochs.log
BOCHS
echo c >"$debian/scratch/start"
rm -f "$debian/scratch/serial.txt"
say "Linux in Bochs, with the processor of a Skylake-X"
in_root bash -euc '
    cd /scratch
    if ! [ -e kernel ]; then
        apt-get update -qq
        package=$(apt-cache depends linux-image-cloud-amd64 | sed -n "s/^ *Depends: \(linux-image-.*\)/\1/p" | head -n 1)
        apt-get download -qq "$package"
        mkdir -p unpacked && dpkg-deb -x "$package"_*.deb unpacked
        cp unpacked/boot/vmlinuz-* kernel
    fi
    cp /bin/busybox root/bin/
    (cd root && find . | cpio --quiet -o -H newc | gzip -1 >../image/boot/initrd)
    cp kernel image/boot/vmlinuz
    grub-mkrescue -o tests.iso image >grub.log 2>&1
    timeout 7200 bochs -q -f bochsrc -rc start >bochs.out 2>&1 || true
' in_root
serial=$debian/scratch/serial.txt
grep -aE "begin|passed|FAILED|end of|CHECK|avx" "$serial" || { tail -n 30 "$debian/scratch/bochs.out" "$serial"; exit 1; }
grep -aq "end of the tests" "$serial" && ! grep -aq FAILED "$serial" && grep -aq "^avx512 avx2 sse2 scalar" "$serial"
