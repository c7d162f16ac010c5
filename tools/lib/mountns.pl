# SPDX-License-Identifier: LGPL-2.1-or-later
#
# perl mountns.pl private            make every mount of this (already unshared) mount namespace private
# perl mountns.pl pivot DIR CMD...   make the working directory, a mount point, the root, and exec CMD in its DIR
#
# mount(8) and pivot_root(8) can do neither in a chroot, because there the root directory is no mount point.
# So this script changes to the root of the mount namespace first. The namespace is a private copy, so nothing
# outside is affected. It is written in Perl, because Perl is in every Debian and has chroot, fchdir and
# syscall.

use strict;
use warnings;

use POSIX ();

my $machine = (POSIX::uname())[4];
my %numbers = (
    x86_64  => { mount => 165, umount2 => 166, pivot_root => 155 },
    aarch64 => { mount => 40,  umount2 => 39,  pivot_root => 41 },
);
my $nr = $numbers{$machine} or die "mountns: no system call numbers for $machine\n";
my ($MS_REC, $MS_PRIVATE, $MNT_DETACH) = (0x4000, 1 << 18, 2);

sub call {
    my ($name, @args) = @_;
    my $r = syscall($nr->{$name}, @args);
    die "mountns: $name: $!\n" if $r < 0;
}

opendir(my $cwd, ".") or die "mountns: .: $!\n";
opendir(my $root, "/") or die "mountns: /: $!\n";

sub leave_chroot {
    # A root directory below the working directory does not stop ".." any more.
    chroot("/proc") or chroot("/usr") or die "mountns: chroot: $!\n";
    chdir($root) or die "mountns: /: $!\n";
    chdir("..") or die "mountns: ..: $!\n" for 1 .. 256;
    chroot(".") or die "mountns: chroot: $!\n";
}

my $what = shift // "";
leave_chroot();
if ($what eq "private") {
    call("mount", 0, "/", 0, $MS_REC | $MS_PRIVATE, 0);
}
elsif ($what eq "pivot") {
    my $dir = shift;
    chdir($cwd) or die "mountns: fchdir: $!\n";
    # The old root is put on top of the new one and then detached, as in pivot_root(2), which needs no
    # directory for it.
    call("pivot_root", ".", ".");
    call("umount2", ".", $MNT_DETACH);
    closedir($_) for $cwd, $root;
    chdir($dir) or die "mountns: $dir: $!\n";
    exec { $ARGV[0] } @ARGV or die "mountns: $ARGV[0]: $!\n";
}
else {
    die "mountns: private or pivot?\n";
}
