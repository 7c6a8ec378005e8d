# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# vm build SUITE: kernel and modules from the suite's package, an initrd that mounts the disk, a disk made from the
# root file system of the suite's nested host.

# disk_of FOLDER FILE SPARE: an ext4 file system with what is in the folder and SPARE MB of room.
disk_of() {
    local used
    used=$(du -s --block-size=1M "$1" | cut -f1)
    truncate -s "$((used * 5 / 4 + $3))M" "$2" && mkfs.ext4 -q -d "$1" -m 0 "$2" </dev/null
}

# Boots nothing but what lets /sbin/init of the disk run. Which drivers are modules differs by kernel.
make_initrd() {
    local tree driver version module file number=100
    tree=$(mktemp -d "$work/initrd-XXXXXX") && version=$(ls "$work/kernel-only/usr/lib/modules") || return 1
    mkdir -p "$tree/bin" "$tree/dev" "$tree/proc" "$tree/root" "$tree/modules" &&
        cp /bin/busybox "$tree/bin/busybox" || return 1
    for driver in virtio_pci virtio_blk ext4; do
        chroot "$work/merged" modprobe --set-version "$version" --show-depends "$driver" >>"$work/drivers" || return 1
    done
    # What one needs stands in front of it, and again in front of the next one that needs it.
    while read -r module; do
        number=$((number + 1)) file=$tree/modules/$number.ko
        case $module in
        *.xz) xz -dc "$work/merged$module" >"$file" ;;
        *) cp "$work/merged$module" "$file" ;;
        esac || return 1
    done < <(awk '$1 == "insmod" && !seen[$2]++ { print $2 }' "$work/drivers")
    cat >"$tree/init" <<'END'
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*.ko; do /bin/busybox insmod "$module"; done
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox mount -t ext4 /dev/vdb /root/vm
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/init
END
    chmod +x "$tree/init"
    (cd "$tree" && find . | busybox cpio -o -H newc 2>/dev/null) >"$1"
}

# What the disk has beside the nested host's files: the command as a service.
add_vm_service() {
    local units=$1/etc/systemd/system
    mkdir -p "$units/multi-user.target.wants" "$1/vm" &&
        ln -s ../vm.service "$units/multi-user.target.wants/vm.service" &&
        # Nobody logs in there, and without udev it waits a minute and a half for its device.
        ln -s /dev/null "$units/serial-getty@ttyS0.service" &&
        echo 0123456789abcdef0123456789abcdef >"$1/etc/machine-id" &&
        cat >"$units/vm.service" <<'END'
[Unit]
Description=The command of vm run
After=basic.target systemd-logind.service

[Service]
Environment=HOME=/root SHELL=/bin/bash LANG=C.UTF-8
ExecStartPre=-/bin/stty -F /dev/ttyS1 raw
ExecStart=/bin/sh -c 'systemctl is-system-running --wait >/dev/null; sh /vm/.command >/dev/ttyS1 2>&1; echo "vm-status $?" >/dev/ttyS1'
TimeoutStartSec=infinity
ExecStopPost=/bin/systemctl --no-block poweroff --force
Delegate=yes
TasksMax=infinity
END
}

vm_hash() {
    # shellcheck disable=SC2154 # set by the script that reads this one
    cat "$BED_HERE/recipe.sh" "$BED_HERE/build.sh" "$BED_HERE/busybox-tree.sh" "$here/build.sh" "$here/selinux.sh" \
        ${SPAWN_VM_SETUP:+"$SPAWN_VM_SETUP"} | sha256sum | cut -c1-12
}

# The packages of kernel and policy and what they need, unpacked. Those of older suites have folders that are links in the host.
fetch_kernel() {
    local suite=$1 tree=$2 mirror folder
    mirror=$(machine_mirror) &&
        timeout 600 mmdebstrap --quiet --variant=extract --include="linux-image-cloud-amd64,kmod$(selinux_packages "$suite")" \
            --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Retries "5"' \
            "$suite" "$tree" "$mirror" </dev/null >&2 || return 1
    for folder in bin sbin lib; do
        [ ! -d "$tree/$folder" ] || [ -L "$tree/$folder" ] || cp -a "$tree/$folder/." "$tree/usr/$folder" || return 1
    done
}

# The host's files, the kernel's and our own, one above the other, become the disk.
make_disk() {
    local host=$1 disk=$2
    mkdir "$work/add" "$work/overlay" "$work/merged" "$work/kernel-only" &&
        mv "$work/kernel/usr" "$work/kernel-only/usr" &&
        add_vm_service "$work/add" &&
        add_selinux "$work/kernel" "$work/add" &&
        # A label is all that most files get: without "metacopy" each would be copied, without "volatile" synced.
        mount -t overlay overlay "$work/merged" \
            -o "lowerdir=$work/kernel-only:$host,upperdir=$work/add,workdir=$work/overlay,metacopy=on,volatile" &&
        chroot "$work/merged" depmod "$(ls "$work/kernel-only/usr/lib/modules")" &&
        { [ -z "${SPAWN_VM_SETUP:-}" ] || "$SPAWN_VM_SETUP" "$work/merged" >&2 </dev/null; } &&
        make_policy "$work/merged" >&2 </dev/null &&
        disk_of "$work/merged" "$disk" "${SPAWN_VM_ROOM:-600}"
}

vm_build() {
    local suite=$1 image host
    need_root
    image=$BED_DIR/vm-$suite-$(vm_hash)
    host=$(bed_build "$suite") || return 1
    exec 9>"$BED_DIR/.vm-$suite.lock"
    flock -w 600 9 || die "somebody else has been making the virtual machine of $suite for ten minutes"
    if [ ! -d "$image" ]; then
        (
            work=$(mktemp -d "$BED_DIR/.build-vm-$suite-XXXXXX")
            trap 'umount -q "$work/merged"; rm -rf --one-file-system "$work"' EXIT
            mkdir "$work/image"
            fetch_kernel "$suite" "$work/kernel" || die "cannot fetch the kernel of $suite"
            # Since 7.2 it is beside its modules.
            cp "$work"/kernel/boot/vmlinuz-* "$work/image/kernel" 2>/dev/null ||
                cp "$work"/kernel/usr/lib/modules/*/vmlinuz "$work/image/kernel" || die "no kernel in the package"
            make_disk "$host" "$work/image/root.img" || die "cannot make the disk of $suite"
            make_initrd "$work/image/initrd" || die "cannot make the initrd of $suite"
            mv "$work/image" "$image"
        ) || die "cannot make the virtual machine of $suite"
    fi
    exec 9>&-
    printf '%s\n' "$image"
}
