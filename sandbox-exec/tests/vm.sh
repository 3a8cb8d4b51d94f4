#!/bin/sh
# The escape suite in a small virtual machine that has only cgroups of version 2, and no systemd: it tests quotas, cgroup.kill, CLONE_INTO_CGROUP
# and the BPF device program, as root. Needs qemu-system-x86_64, a static busybox, cpio, cc and a kernel; takes about three minutes.
#
#   KERNEL=/path/to/vmlinuz sandbox-exec/tests/vm.sh
#
# On Debian: apt-get install qemu-system-x86 busybox-static cpio; then apt-get download a linux-image-6.1.*-cloud-amd64 and unpack it with
# dpkg -x; its boot/vmlinuz-* is the kernel. No /dev/kvm is needed.
set -eu

for tool in qemu-system-x86_64 busybox cpio cc; do
  command -v "$tool" >/dev/null || { echo "SKIPPED: $tool is not installed"; exit 0; }
done
[ -r "${KERNEL:-}" ] || { echo "SKIPPED: KERNEL names no readable kernel"; exit 0; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root/escapes" "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/etc" "$root/usr/bin" "$root/usr/lib" "$root/new"

ESCAPES_PREPARE=$root/escapes cargo test -q -p modelscan-sandbox-exec --test escapes
cp "$(command -v busybox)" "$root/usr/bin/busybox"
for name in sh true sleep cat ls; do ln -s busybox "$root/usr/bin/$name"; done
ln -s usr/bin "$root/bin"

# What the programs are linked with.
for program in "$root/escapes/suite" "$root/escapes/launcher" "$root"/escapes/bin/stage; do
  ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -Ln "$library" "$root$library"
  done
done

cat >"$root/init" <<'INIT'
#!/usr/bin/busybox sh
# The root of an initramfs cannot be pivoted from: move to a tmpfs first.
if [ ! -e /moved ]; then
  /usr/bin/busybox mount -t tmpfs new /new
  cd / && for part in usr bin lib lib64 escapes etc init; do [ -e $part ] && /usr/bin/busybox cp -a $part /new/; done
  /usr/bin/busybox mkdir -p /new/proc /new/sys /new/dev /new/tmp /new/new
  /usr/bin/busybox touch /new/moved
  exec /usr/bin/busybox switch_root /new /init
fi
export PATH=/usr/bin
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t devtmpfs dev /dev
busybox mount -t cgroup2 cgroup2 /sys/fs/cgroup
busybox ip link set lo up
busybox mknod /dev/nvidia0 c 195 0
busybox mknod /dev/nvidia1 c 195 1
busybox mknod /dev/nvidiactl c 195 255
busybox chmod 666 /dev/nvidia0 /dev/nvidia1 /dev/nvidiactl
echo "kernel $(busybox uname -r), controllers $(cat /sys/fs/cgroup/cgroup.controllers)"
ESCAPES_HOME=/escapes ESCAPES_STRICT=1 /escapes/suite && echo SUITE-PASSED
# A subtree that is handed to an ordinary user, as systemd does for a scope.
own=/sys/fs/cgroup/own
busybox mkdir -p $own/leaf && echo "+memory +pids +cpu" >$own/cgroup.subtree_control
busybox chown 54321:54321 $own $own/cgroup.procs $own/cgroup.subtree_control $own/leaf $own/leaf/cgroup.procs
echo $$ >$own/leaf/cgroup.procs
ESCAPES_HOME=/escapes ESCAPES_STRICT=1 ESCAPES_ORDINARY=1 /escapes/suite && echo USER-PASSED
ls -d $own/modelscan-* 2>/dev/null && echo CGROUPS-LEFT
ls -d /sys/fs/cgroup/modelscan-* 2>/dev/null && echo CGROUPS-LEFT
busybox poweroff -f
INIT
chmod 755 "$root/init"

(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initramfs"
timeout 560 qemu-system-x86_64 -accel tcg -M q35 -cpu Nehalem -smp 2 -m 1024 -nographic -no-reboot -net none \
  -kernel "$KERNEL" -initrd "$work/initramfs" -append "console=ttyS0 quiet panic=-1 lsm=landlock,lockdown,yama,apparmor,bpf" </dev/null | tee "$work/log"
grep -q SUITE-PASSED "$work/log" && grep -q USER-PASSED "$work/log" && ! grep -q CGROUPS-LEFT "$work/log"
