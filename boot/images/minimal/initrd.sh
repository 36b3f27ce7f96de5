#!/bin/sh
# First process of an installed machine: finds the slot that GRUB chose and hands over to it. Without the slot the machine
# starts again, and GRUB takes the confirmed one.
#
# From the kernel command line: root=PARTUUID=…  the slot, by its partition's GUID.

export PATH=/usr/sbin:/usr/bin:/sbin:/bin

# DISK N → GUID of its partition N as root=PARTUUID= writes it, read from the GPT: this kernel does not tell it. Entry N is
# 128 bytes from sector 2 on, its GUID the second sixteen (UEFI specification 2.10, §5.3.3), three fields little-endian.
partition_guid() {
  sector=$(cat "/sys/block/$1/queue/logical_block_size")
  dd "if=/dev/$1" bs=16 count=1 "skip=$(((2 * sector + 128 * ($2 - 1)) / 16 + 1))" 2>/dev/null |
    hexdump -ve '1/1 "%02x"' |
    sed 's/^\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(....\)/\4\3\2\1-\6\5-\8\7-\9-/'
}

# GUID → name of the partition's device
find_partition() {
  for partition in /sys/block/*/*/partition; do
    [ -e "$partition" ] || continue
    device=${partition%/partition}
    disk=${device%/*}
    if [ "$(partition_guid "${disk##*/}" "$(cat "$partition")")" = "$1" ]; then
      echo "${device##*/}"
      return
    fi
  done
}

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
echo 3 >/proc/sys/kernel/printk

for word in $(cat /proc/cmdline); do
  case $word in root=PARTUUID=*) guid=${word#root=PARTUUID=} ;; esac
done
modprobe -a -b -q sd_mod ext4
/usr/lib/drp/coldplug
for second in $(seq 30); do
  slot=$(find_partition "$guid")
  [ -z "$slot" ] || break
  sleep 1
done
# No journal replay, no write at all: the slot's bytes stay those of the image.
if [ -n "$slot" ] && mount -t ext4 -o ro,noload "/dev/$slot" /slot; then
  umount /proc /sys
  mount -o move /dev /slot/dev
  exec switch_root /slot /sbin/init
fi
echo "drp: no partition $guid holds a root file system; the machine starts again in 10 seconds"
sleep 10
reboot -f
