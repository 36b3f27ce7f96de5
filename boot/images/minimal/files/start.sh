#!/bin/sh
# Brings up an installed machine. The root file system is read-only: what is written lies in memory, or on drp-data.

export PATH=/usr/sbin:/usr/bin:/sbin:/bin

mount -t proc proc /proc
mount -t sysfs sys /sys
for dir in /run /tmp /var; do mount -t tmpfs -o mode=755 tmpfs "$dir"; done
chmod 1777 /tmp
mkdir -p /dev/pts /var/log
mount -t devpts devpts /dev/pts
echo "drp: $(cat /etc/drp-release)"

modprobe -a -b -q virtio-rng
/usr/lib/drp/coldplug

# drp-data is partition 5 of the disk that the root lies on; a label could be another disk's.
root=$(awk '$5 == "/" { print $3 }' /proc/self/mountinfo)
disk=$(realpath "/sys/dev/block/$root/..")
for partition in "$disk"/*/partition; do
  [ "$(cat "$partition")" = 5 ] || continue
  device=${partition%/partition}
  mount -t ext4 -o noatime "/dev/${device##*/}" /drp-data || echo "drp: drp-data on ${device##*/} cannot be mounted"
done

name=$(sed -n 's/.*"machineName": *"\([^"]*\)".*/\1/p' /drp-data/drp/machine.json 2>/dev/null)
hostname "${name:-machine}"

ip link set lo up
for interface in /sys/class/net/*/device; do
  interface=${interface%/device}
  # Goes on asking in the background: a cable may come later.
  udhcpc -i "${interface##*/}" -s /usr/lib/drp/udhcpc -b -S -t 3 -T 2 -A 5 &
done
