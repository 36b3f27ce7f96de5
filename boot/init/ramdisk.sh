#!/bin/sh
# First process of the boot ramdisk: brings up the disks and the network card that the machine booted from, then hands
# over to the machine agent. Whatever fails, the machine starts again and asks its site anew: it never hangs.
#
# From the kernel command line: drp.mac=52:54:00:…  the card; the agent reads the other drp.* words itself.

export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root

say() { echo "drp: $*"; }

start_again() {
  say "$*"
  for seconds in $(seq 10 -1 1); do
    printf '\rdrp: the machine starts again in %d seconds ' "$seconds"
    sleep 1
  done
  echo
  sync
  reboot -f
}

# NAME → its value on the kernel command line
argument() {
  for word in $(cat /proc/cmdline); do
    case $word in "$1="*) echo "${word#*=}" ;; esac
  done
}

# MAC → interface name
interface_of() {
  for address in /sys/class/net/*/address; do
    [ "$(cat "$address")" = "$1" ] && basename "${address%/address}"
  done
}

# COMMAND → done once it succeeds; fails after 30 seconds
wait_for() {
  for second in $(seq 30); do
    "$1" && return
    sleep 1
  done
  return 1
}

has_interface() { [ -n "$(interface_of "$mac")" ]; }
has_link() { [ "$(cat "/sys/class/net/$interface/carrier")" = 1 ]; }

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o mode=755 run /run
echo 3 >/proc/sys/kernel/printk
dmesg | grep -q "Secure boot enabled" && say "Secure Boot is on"

modprobe -a -b -q sd_mod virtio-rng
/usr/lib/drp/coldplug

ip link set lo up
mac=$(argument drp.mac)
wait_for has_interface || start_again "no driver here found the network card $mac"
interface=$(interface_of "$mac")
ip link set "$interface" up
wait_for has_link || start_again "$interface ($mac) has no link: no cable, or a dead port"
say "asking for an address on $interface ($mac)"
# Switches that learn spanning trees forward nothing for half a minute; 20 requests span twice that.
udhcpc -i "$interface" -s /usr/lib/drp/udhcpc -n -q -t 20 -T 3 -S ||
  start_again "nobody answers DHCP on $interface ($mac)"

if drp machine install; then
  sync
  reboot -f
fi
start_again "the machine agent failed"
