# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Runs the system cases for a virtual machine ("sandbox: vm" at the top of the case, and those for "hybrid"),
# and takes it through a reboot, a power-off and a power cut. qemu emulates the processor, so this needs no
# KVM, and is some fifteen times slower than a sandbox. Unlike that, the machine has a kernel of its own,
# that of Debian 12, with all controllers of cgroup v2. tools/lib/vm-inside is what runs inside.
#
# The root is a Debian 12 in the cache (tools/debian-root); its disk is made anew for each run, without a loop
# device or a mount.

VM_PACKAGES=(linux-image-cloud-amd64 busybox-static libglib2.0-0 libcmocka0)
# In the order in which they depend on each other. ext4 and the serial console are part of the kernel.
VM_MODULES="virtio/virtio_ring virtio/virtio virtio/virtio_pci_legacy_dev virtio/virtio_pci_modern_dev virtio/virtio_pci block/virtio_blk"
# The longest time for one boot, with everything in it. It is long, because a loaded machine is no bug.
VM_BOOT_SECONDS=${VM_BOOT_SECONDS:-600}

# vm_initrd ROOT KERNEL-VERSION FILE makes an initramfs that mounts the disk and starts systemd.
vm_initrd() {
        local dir=$3.root module modules=$1/lib/modules/$2/kernel/drivers
        mkdir -p "$dir"/{bin,dev,root}
        cp "$1/bin/busybox" "$dir/bin/"
        {
                printf '#!/bin/busybox sh\n/bin/busybox mount -t devtmpfs dev /dev\n'
                for module in $VM_MODULES; do
                        cp "$modules/$module.ko" "$dir/" || return 1
                        printf '/bin/busybox insmod /%s.ko\n' "${module##*/}"
                done
                printf '/bin/busybox mount -t ext4 /dev/vda /root\nexec /bin/busybox switch_root /root /lib/systemd/systemd\n'
        } >"$dir/init"
        chmod 755 "$dir/init"
        (cd "$dir" && find . | cpio --quiet -o -H newc) >"$3"
        rm -rf -- "$dir"
}

# vm_disk ROOT BUILD FILE makes the disk, with the installed programs and the cases.
vm_disk() {
        local root=$1 build=$2 file=$3 dir=$3.root case cases
        mkdir -p "$dir"
        tar -C "$root" --exclude=./boot --exclude='./lib/modules' --exclude='./usr/lib/modules' --exclude=./var/lib/apt \
                --exclude=./var/cache -cf - . | tar -C "$dir" -xpf - --numeric-owner || return 1
        prepare_root "$dir" vm daemon
        install_trees "$dir" "$build-dest"
        rm -f "$dir/etc/systemd/system/multi-user.target.wants/sandbox-ready.service"
        mkdir -p "$dir/vm"
        cp "$TOOLS"/lib/{vm-inside,reboot-inside,run-case} "$build/tests/system/actor" "$dir/vm/"
        cases=$(system_cases hybrid && system_cases vm) || return 1
        for case in $cases; do
                [ -z "$ONLY_CASES" ] || [[ " $ONLY_CASES " = *" $case "* ]] || continue
                cp "$build/tests/system/case-$case" "$dir/vm/" || return 1
        done
        printf '%s\n' '[Service]' StandardOutput=file:/dev/ttyS0 StandardError=inherit ExecStart=/vm/vm-inside \
                TimeoutStopSec=1s '[Install]' WantedBy=multi-user.target >"$dir/etc/systemd/system/vm-inside.service"
        ln -s ../vm-inside.service "$dir/etc/systemd/system/multi-user.target.wants/"
        rm -f -- "$file"
        truncate -s 1G "$file" && mke2fs -q -t ext4 -d "$dir" "$file"
        rm -rf --one-file-system -- "$dir"
}

# vm_boot DIRECTORY KERNEL runs the machine until it is off, or until it asks for its power to be cut.
vm_boot() {
        local dir=$1 kernel=$2 pid end=$((SECONDS + VM_BOOT_SECONDS)) code=0
        : >"$dir/serial"
        # The processor is the newest one that the emulation supports without warnings.
        qemu-system-x86_64 -machine pc -accel tcg,thread=multi -cpu Nehalem -smp 2 -m 768 -nodefaults -no-user-config \
                -display none -no-reboot -kernel "$kernel" -initrd "$dir/initrd" \
                -append "console=ttyS0 quiet panic=-1 mitigations=off nokaslr" \
                -drive "file=$dir/disk,format=raw,if=none,id=disk" -device virtio-blk-pci,drive=disk \
                -serial "file:$dir/serial" </dev/null &
        pid=$!
        # However the stage ends, the machine does not stay.
        trap 'kill -KILL "$pid" 2>/dev/null; exit 143' INT TERM HUP
        while kill -0 "$pid" 2>/dev/null; do
                ! grep -q '^vm: cut' "$dir/serial" || break
                [ $SECONDS -lt $end ] || { echo "vm: FAILED  no end within $VM_BOOT_SECONDS s" >>"$dir/serial"; code=1; break; }
                sleep 0.2
        done
        kill -KILL "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
        trap 'exit 143' INT TERM HUP
        return "$code"
}

# vm_test LABEL BUILD
# shellcheck disable=SC2153     # BUILD is set by tools/test
vm_test() {
        local build=$2 dir=$BUILD/vm root kernel boot passed=0 failed=0
        root=$("$TOOLS/debian-root" bookworm vm "${VM_PACKAGES[@]}") || return 1
        kernel=$(find "$root/boot" -name 'vmlinuz-*' | sort -V | tail -n 1)
        rm -rf -- "$dir"
        mkdir -p "$dir"
        vm_initrd "$root" "${kernel##*/vmlinuz-}" "$dir/initrd" && vm_disk "$root" "$build" "$dir/disk" || return 1
        : >"$LOGS/$1.serial"
        for boot in 1 2 3 4; do
                vm_boot "$dir" "$kernel"
                tr -d '\r' <"$dir/serial" | tee -a "$LOGS/$1.serial" | grep -v '^vm: \(cut\|end\)' | sed 's/^vm: //'
                [ "$boot" -eq 3 ] || grep -q 'reboot: \(Power down\|Restarting system\)' "$dir/serial" ||
                        { echo "FAILED  boot $boot: the machine was not switched off"; failed=$((failed + 1)); break; }
        done
        passed=$(grep -c '^vm: ok ' "$LOGS/$1.serial")
        failed=$((failed + $(grep -c '^vm: FAILED ' "$LOGS/$1.serial")))
        grep -q '^vm: end' "$LOGS/$1.serial" || failed=$((failed + 1))
        rm -rf -- "$dir"
        count "$passed" "$failed"
}
