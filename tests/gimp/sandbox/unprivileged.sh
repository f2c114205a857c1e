#!/bin/sh
# Make a usable tree of Debian packages without being root.
#
#   unprivileged.sh unpack PACKAGE.deb TREE
#   unprivileged.sh configure TREE            (in a user and mount namespace: unshare --map-root-user --mount)
set -eu

unpack() {
    # An owner other than oneself cannot be given away, hence --no-same-owner; the manuals and translations are not needed.
    dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --keep-directory-symlink --no-same-owner \
        --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' --exclude='./usr/share/doc/*'
}

# What the packages' own scripts would have done, as far as GIMP, Python, Xvfb and openbox need it.
configure() {
    tree=$1
    for kind in passwd group; do
        if [ ! -e "$tree/etc/$kind" ]; then cp "$tree/usr/share/base-passwd/$kind.master" "$tree/etc/$kind"; fi
    done
    # These two are kept in folders of their own, for alternatives that nothing here has set up.
    for library in blas lapack; do
        for folder in "$tree"/usr/lib/*/"$library"; do
            if [ -d "$folder" ]; then echo "${folder#"$tree"}" >>"$tree/etc/ld.so.conf.d/sama-$library.conf"; fi
        done
    done
    mkdir -p "$tree/dev" "$tree/proc" "$tree/tmp"
    mount --rbind /dev "$tree/dev"
    mount --rbind /proc "$tree/proc"
    chroot "$tree" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 /bin/sh -eu <<'INSIDE'
ldconfig
[ -e /usr/bin/awk ] || ln -s mawk /usr/bin/awk
glib-compile-schemas /usr/share/glib-2.0/schemas
for loaders in /usr/lib/*/gdk-pixbuf-2.0/gdk-pixbuf-query-loaders; do "$loaders" --update-cache; done
for modules in /usr/lib/*/libgtk-3-0*/gtk-query-immodules-3.0; do if [ -x "$modules" ]; then "$modules" --update-cache; fi; done
update-mime-database /usr/share/mime
fc-cache -s
INSIDE
}

step=$1
shift
"$step" "$@"
