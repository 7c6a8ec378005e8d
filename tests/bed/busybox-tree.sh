#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Makes a container tree of about 2 MB in a new folder: busybox-tree.sh DIR [BUSYBOX]
set -eu

tree=$1
busybox=${2:-}
for candidate in /bin/busybox /usr/bin/busybox; do
    [ -n "$busybox" ] || [ ! -x "$candidate" ] || busybox=$candidate
done
[ -n "$busybox" ] || { echo "no static busybox: apt-get install busybox-static" >&2; exit 1; }

for folder in dev etc home mnt proc root run sys tmp usr/bin usr/lib usr/sbin var/tmp var/log; do
    mkdir -p "$tree/$folder"
done
chmod 1777 "$tree/tmp" "$tree/var/tmp"
chmod 0700 "$tree/root"
ln -s usr/bin "$tree/bin"
ln -s usr/sbin "$tree/sbin"
ln -s usr/lib "$tree/lib"
ln -s ../run "$tree/var/run"

cp "$busybox" "$tree/usr/bin/busybox"
for applet in $("$busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$tree/usr/bin/$applet"
done
ln -s ../bin/busybox "$tree/usr/sbin/init"

ln -s ../usr/lib/os-release "$tree/etc/os-release"
cat >"$tree/usr/lib/os-release" <<'END'
ID=busybox
NAME=Busybox
PRETTY_NAME="Busybox tree of the tests"
VERSION_ID=1
END
cat >"$tree/etc/passwd" <<'END'
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/:/bin/false
user:x:1000:1000:user:/home/user:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
END
cat >"$tree/etc/group" <<'END'
root:x:0:
daemon:x:1:user
user:x:1000:
nogroup:x:65534:
END
mkdir "$tree/home/user"
chown 1000:1000 "$tree/home/user" 2>/dev/null || true
