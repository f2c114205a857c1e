#!/bin/sh
# Run a command with a private Debian tree as its root folder. Starts in a mount namespace of its own, so that nothing
# below is ever mounted for anybody else and all of it goes away with the last process.
#
#   enter.sh TREE WORK COMMAND...
#
# The root is put together anew each time on a tmpfs, for then the tree stays untouched (it may be read-only, and
# belong to another user), /dev and /proc are the machine's own, and
#   /host   is the machine's real root: `chroot /host COMMAND` starts a process outside of the tree
#   WORK    is the same absolute path on both sides
set -eu
tree=$1
work=$2
shift 2
root=$work/root
mkdir -p "$root" "$work/x11"

mount -t tmpfs -o mode=0755 sama-root "$root"
mkdir "$root/host"
mount --rbind / "$root/host"
for name in proc dev; do
    mkdir "$root/$name"
    mount --rbind "/$name" "$root/$name"
done
for name in usr etc var/cache var/lib; do
    mkdir -p "$root/$name"
    mount --bind "$tree/$name" "$root/$name"
done
for name in bin lib lib64 sbin; do
    if [ -L "$tree/$name" ]; then cp -P "$tree/$name" "$root/$name"; fi
done
mkdir -m 1777 "$root/tmp" "$root/var/tmp"
mkdir "$root/run" "$root/tmp/.X11-unix"
mount --bind "$work/x11" "$root/tmp/.X11-unix"
mkdir -p "$root$work"
mount --bind "$work" "$root$work"
exec chroot "$root" "$@"
