# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Makes the root of a sandbox a machine different from the one below it. The files are written into the
# overlay before the boot.

# Units that act on the kernel, which all sandboxes and the machine share, that wait for missing hardware, or
# that delay a boot for seconds without any use.
MASKED_UNITS="
        systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udev-trigger.service
        systemd-udev-settle.service systemd-hwdb-update.service
        systemd-binfmt.service proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount
        systemd-modules-load.service kmod-static-nodes.service modprobe@.service
        systemd-sysctl.service systemd-timesyncd.service systemd-remount-fs.service systemd-random-seed.service
        systemd-pstore.service systemd-journald-audit.socket systemd-update-utmp.service systemd-update-utmp-runlevel.service
        systemd-journal-catalog-update.service systemd-update-done.service systemd-firstboot.service
        systemd-networkd.service systemd-networkd.socket systemd-resolved.service systemd-networkd-wait-online.service
        dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount
        getty.target console-getty.service container-getty@.service serial-getty@.service getty@.service
        apt-daily.timer apt-daily-upgrade.timer e2scrub_reap.service systemd-tmpfiles-clean.timer"
# These generate units from the properties of the machine below: its disks, its init scripts, its kernel
# command line.
DROPPED_GENERATORS="
        systemd-cryptsetup-generator systemd-debug-generator systemd-fstab-generator systemd-getty-generator
        systemd-gpt-auto-generator systemd-hibernate-resume-generator systemd-integritysetup-generator systemd-rc-local-generator
        systemd-system-update-generator systemd-sysv-generator systemd-veritysetup-generator systemd-run-generator"

# Copies trees made by "DESTDIR=... install" into the root; "lib" may be a directory in one and a link in the
# other.
install_trees() {
        local root=$1 tree
        shift
        for tree; do
                tar -C "$tree" -cf - --owner=0 --group=0 . | tar -C "$root" -xpf - --keep-directory-symlink --no-overwrite-dir
        done
}

prepare_root() {
        local root=$1 name=$2 bus=$3 etc=$1/etc name_of word
        shift 3

        rm -rf "$root/.sandbox"         # it exists if the machine below is a sandbox itself
        mkdir -p "$root/.sandbox" "$root"/{proc,sys,dev,run,tmp}
        tr -d - </proc/sys/kernel/random/uuid >"$etc/machine-id"
        rm -f "$root/var/lib/dbus/machine-id" "$etc/resolv.conf"
        mkdir -p "$root/var/lib/dbus"
        ln -s /etc/machine-id "$root/var/lib/dbus/machine-id"
        echo "$name" >"$etc/hostname"
        printf '127.0.0.1 localhost\n::1 localhost\n127.0.1.1 %s\n' "$name" >"$etc/hosts"
        : >"$etc/fstab"

        # The enabled services of the machine below do not apply.
        rm -rf "$etc"/systemd/system/*.wants "$etc"/systemd/system/*.requires "$etc"/systemd/user/*.wants "$etc"/rc?.d
        rm -rf "$root/var/log/journal" "$root"/var/lib/systemd/timers
        for word in $MASKED_UNITS; do
                ln -sf /dev/null "$etc/systemd/system/$word"
        done
        mkdir -p "$etc/systemd/system-generators"
        for word in $DROPPED_GENERATORS; do
                ln -sf /dev/null "$etc/systemd/system-generators/$word"
        done

        # The journal is what a failing test leaves. It is complete, and without the messages of the kernel.
        mkdir -p "$etc"/systemd/{journald,system}.conf.d "$root/var/log/journal"
        printf '[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\nReadKMsg=no\nAudit=no\nForwardToSyslog=no\n' \
                >"$etc/systemd/journald.conf.d/sandbox.conf"
        {
                echo '[Manager]'
                for word; do
                        word=${word//\\/\\\\}
                        word=${word//\"/\\\"}
                        printf 'DefaultEnvironment="%s"\n' "${word//%/%%}"
                done
        } >"$etc/systemd/system.conf.d/sandbox.conf"

        # dbus-broker of Debian replaces the name dbus.service by a link.
        for name_of in system user; do
                rm -f "$etc/systemd/$name_of/dbus.service"
                if [ "$bus" = broker ]; then
                        mkdir -p "$etc/systemd/$name_of"
                        ln -s "/usr/lib/systemd/$name_of/dbus-broker.service" "$etc/systemd/$name_of/dbus.service"
                fi
        done

        # Reports to the holder when the boot is complete, and its result.
        cat >"$etc/systemd/system/sandbox-ready.service" <<'END'
[Unit]
Description=Tell the sandbox that it is up
DefaultDependencies=no

[Service]
ExecStart=/bin/sh -c 'echo "up $$(systemctl is-system-running --wait)" 1<>/.sandbox/ready'
END
        mkdir -p "$etc/systemd/system/multi-user.target.wants"
        ln -s ../sandbox-ready.service "$etc/systemd/system/multi-user.target.wants/sandbox-ready.service"
}
